#include "executions.h"

#include "attachment.h"
#include "cgroup.h"
#include "clock.h"
#include "ending.h"
#include "leader.h"
#include "starting.h"

void execution_kill(struct execution *execution, uint32_t cause)
{
	if (execution->over || execution->state == DYING)
		return;
	if (execution->cause == CAUSE_NONE)
		execution->cause = cause;
	switch (execution->state) {
	case QUEUED:
	case STARTING: starting_cancel(execution); break;
	case RUNNING: execution_kill_processes(execution); break;
	case DYING:
	case ENDED:
	case SETTLED: break;
	}
}

static void kill_if_running(struct execution *execution)
{
	if (execution->state == RUNNING)
		execution_kill_processes(execution);
}

void executions_kill_all(void)
{
	starting_cancel_all();
	cgroups_kill_all();
	executions_each_leader(kill_if_running);
}

static void lose_connection(struct execution *execution)
{
	attachment_end(execution);
	if (execution_is_kept(execution))
		return;
	execution_forget(execution);
	execution_kill(execution, CAUSE_NONE);
}

void executions_lose_connection(void)
{
	executions_each(lose_connection);
}

/* ---- timers ---- */

static void time_out(struct execution *execution)
{
	deadline_drop(&execution->timeout);
	/* What has ended by itself was not killed, even where that is not known yet. */
	if (!leader_has_ended(execution))
		execution_kill(execution, CAUSE_TIMEOUT);
}

static int64_t run_deadlines(int64_t now)
{
	struct deadline *first;
	while ((first = deadlines_first()) != NULL && first->due_ms <= now)
		time_out(container_of(first, struct execution, timeout));
	return first == NULL ? NEVER_MS : first->due_ms;
}

int64_t executions_run_timers(int64_t now)
{
	int64_t deadlines_due = run_deadlines(now);
	int64_t ending_due = ending_run_timers(now);
	int64_t starting_due = starting_run_timers(now);
	if (starting_is_due())
		return now;
	return earlier_ms(deadlines_due, earlier_ms(ending_due, starting_due));
}
