#include "survivors.h"

#include "cgroup.h"
#include "child.h"
#include "tag.h"

static pid_t leader;
static struct survivors found;

static void note(pid_t pid)
{
	if (found.count < SURVIVORS_TOLD_MAX)
		found.pids[found.count] = (uint32_t)pid;
	found.count++;
}

static void note_if_own(pid_t pid)
{
	if (pid == leader || tag_leader_of(pid) == leader)
		note(pid);
}

struct survivors survivors_find(const struct execution *execution)
{
	leader = execution->pid;
	found.count = 0;
	if (execution->cgroup != NULL)
		cgroup_each(execution->cgroup, note);
	else
		child_each(note_if_own);
	/* A leader that is dead, but cannot be reaped because it is traced. */
	if (found.count == 0)
		note(leader);
	return found;
}
