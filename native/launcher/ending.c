#define _GNU_SOURCE
#include "ending.h"

#include "cgroup.h"
#include "clock.h"
#include "leader.h"
#include "orphans.h"
#include "output.h"
#include "report.h"
#include "sandboxes.h"
#include "starts.h"
#include "survivors.h"
#include "tmpdir.h"

#include <signal.h>
#include <sys/wait.h>

/* Killed processes are usually dead after this time. */
#define DYING_CHECK_MS 2
/*
 * Without cgroups: how long an execution that ends waits for orphans without an owner to die, because it may have
 * disowned them. No longer, since one that hangs in the kernel would hold up all others.
 */
#define UNOWNED_LIMIT_MS 200
/* How often zombies that are no leaders are reaped: each time the kernel goes through all children. */
#define REAP_EVERY_MS 50

static struct list dying;
/* Whose end has been reported, and who hold what they had. */
static struct list ended;
static int64_t next_check_ms = NEVER_MS;
static int64_t next_reap_ms = NEVER_MS;

static struct execution *execution_at(struct list_node *node)
{
	return container_of(node, struct execution, node);
}

void execution_kill_processes(struct execution *execution)
{
	/* The leader has not been reaped, so its pid cannot have become another process's. */
	kill(-execution->pid, SIGKILL);
	if (execution->cgroup != NULL)
		cgroup_kill(execution->cgroup);
}

/* Whether the leader has ended badly of its own accord. */
static bool has_failed(const struct execution *execution)
{
	const struct ended_event *end = &execution->end;
	return execution->cause == CAUSE_NONE && (end->exit_code != 0 || end->signal != 0);
}

/* Reports its end. `survives`: some of its processes are alive, and will not die. */
static void end(struct execution *execution, bool survives)
{
	bool started = execution->failure.step == 0;
	if (started)
		output_drain(execution);
	output_end(execution);
	if (execution->cgroup != NULL)
		cgroup_measure(execution->cgroup, &execution->end);
	/* Before what it has written is removed. */
	if (started && execution->sandbox != NULL && has_failed(execution))
		execution->end.used_up = sandbox_used_up(execution->sandbox);
	execution->survives = survives;
	if (execution->tmpdir != NULL)
		tmpdir_announce_removal(execution->tmpdir, survives);
	execution_leave_sandbox(execution);
	if (!execution->over) {
		if (survives)
			execution->survivors = survivors_find(execution);
		report_over(execution);
	}
	execution_remove_leader(execution);
	execution->state = ENDED;
	list_append(&ended, &execution->node);
}

void ending_give_back(void)
{
	while (ended.first != NULL) {
		struct execution *execution = execution_at(ended.first);
		list_remove(&ended, &execution->node);
		leader_unwatch(execution);
		execution_settle(execution);
	}
	sandboxes_tidy();
}

void ending_leader_ended(struct execution *execution)
{
	bool alone = execution->cgroup != NULL && !cgroup_populated(execution->cgroup);
	if (!alone)
		execution_kill_processes(execution);
	deadline_drop(&execution->timeout);
	/* Until it is reaped no more is known. */
	execution->end = (struct ended_event){ .signal = SIGKILL };
	leader_reap(execution);
	if (alone && execution->leader_reaped) {
		end(execution, false);
		return;
	}
	leader_unwatch(execution);
	execution->state = DYING;
	execution->deadline_ms = now_ms() + KILL_LIMIT_MS;
	list_append(&dying, &execution->node);
	next_check_ms = 0;
}

/* Reaps one child that has ended; false where there is none, or it has to wait. */
static bool reap_one(void)
{
	siginfo_t ended = { .si_pid = 0 };
	if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0)
		return false;
	struct execution *execution = execution_of_leader(ended.si_pid);
	if (execution == NULL && (starts_include(ended.si_pid) || starts_include_unknown())) {
		/* The thread that started it will hand it back in a moment. */
		next_reap_ms = now_ms() + REAP_EVERY_MS;
		return false;
	}
	if (execution == NULL || execution->leader_reaped)
		waitpid(ended.si_pid, NULL, WNOHANG);
	else if (execution->state == RUNNING)
		ending_leader_ended(execution);
	else
		leader_reap(execution);
	return true;
}

void ending_reap(void)
{
	next_reap_ms = NEVER_MS;
	while (reap_one())
		continue;
}

void ending_child_ended(void)
{
	if (dying.first != NULL)
		next_check_ms = 0;
	if (leaders_need_sigchld())
		ending_reap();
	else if (next_reap_ms == NEVER_MS)
		next_reap_ms = now_ms() + REAP_EVERY_MS;
}

/* Without cgroups: kills what has been left behind; answers whether some of it has no owner. */
static bool kill_orphans(void)
{
	ending_reap();
	for (struct list_node *node = dying.first; node != NULL; node = node->next)
		execution_at(node)->has_orphans = false;
	return orphans_kill();
}

/* Whether a dying execution may have a live process. Kills again, for what has been forked since the last time. */
static bool is_alive(struct execution *execution, int64_t now, bool unowned)
{
	if (!execution->leader_reaped)
		leader_reap(execution);
	if (execution->cgroup == NULL) {
		if (execution->unowned_deadline_ms == 0)
			execution->unowned_deadline_ms = now + UNOWNED_LIMIT_MS;
		bool waits = unowned && now < execution->unowned_deadline_ms;
		return waits || execution->has_orphans || !execution->leader_reaped;
	}
	if (!cgroup_populated(execution->cgroup))
		return !execution->leader_reaped;
	cgroup_kill(execution->cgroup);
	return true;
}

static void check_dying(int64_t now)
{
	bool unowned = !cgroups_used() && kill_orphans();
	for (struct list_node *node = dying.first, *next; node != NULL; node = next) {
		struct execution *execution = execution_at(node);
		next = node->next;
		bool alive = is_alive(execution, now, unowned);
		if (alive && now < execution->deadline_ms)
			continue;
		list_remove(&dying, node);
		end(execution, alive);
	}
	next_check_ms = dying.first == NULL ? NEVER_MS : now + DYING_CHECK_MS;
}

int64_t ending_run_timers(int64_t now)
{
	if (dying.first != NULL && now >= next_check_ms)
		check_dying(now);
	if (now >= next_reap_ms)
		ending_reap();
	return earlier_ms(dying.first == NULL ? NEVER_MS : next_check_ms, next_reap_ms);
}
