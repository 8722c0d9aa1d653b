#include "executions.h"

#include "cgroup.h"
#include "clock.h"
#include "ending.h"
#include "starting.h"

void execution_kill(struct execution *execution)
{
	switch (execution->state) {
	case QUEUED:
	case STARTING: starting_cancel(execution); break;
	case RUNNING: execution_kill_processes(execution); break;
	case DYING: break;
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
	executions_each(kill_if_running);
}

int executions_run_timers(void)
{
	int64_t now = now_ms();
	int64_t ending_due = ending_run_timers(now);
	int64_t starting_due = starting_run_timers(now);
	if (starting_is_due())
		return 0;
	int64_t due = earlier_ms(ending_due, starting_due);
	if (due == NEVER_MS)
		return -1;
	return due <= now ? 0 : (int)(due - now);
}
