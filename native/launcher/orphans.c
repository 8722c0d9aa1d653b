#include "orphans.h"

#include "child.h"
#include "execution.h"
#include "starts.h"
#include "tag.h"

#include <signal.h>

static bool found_unowned;

static struct execution *owner_of(pid_t pid)
{
	struct execution *owner = execution_of_leader(pid);
	return owner != NULL ? owner : execution_of_leader(tag_leader_of(pid));
}

static void kill_orphan(pid_t pid)
{
	struct execution *owner = owner_of(pid);
	if (owner == NULL && starts_include(pid))
		return;
	/* It may be a child that has not stored its pid yet. At the next look it has. */
	if (owner == NULL && starts_include_unknown()) {
		found_unowned = true;
		return;
	}
	if (owner != NULL && owner->state == RUNNING)
		return;
	kill(pid, SIGKILL);
	if (owner != NULL)
		owner->has_orphans = true;
	else
		found_unowned = true;
}

bool orphans_kill(void)
{
	found_unowned = false;
	child_each(kill_orphan);
	return found_unowned;
}
