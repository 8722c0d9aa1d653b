/*
 * The end of executions. An execution ends when its leader ends: everything else it has started is killed. Once all of that
 * is dead, or KILL_LIMIT_MS later, its end is reported. While the reader wakes up, it is settled: nothing of the execution
 * is left here but what is kept of it.
 */
#ifndef ENDING_H
#define ENDING_H

#include "execution.h"

/* Kills its process group and its cgroup by SIGKILL. It must be running. */
void execution_kill_processes(struct execution *execution);

/* Its leader's pidfd has become readable: the leader has ended. */
void ending_leader_ended(struct execution *execution);

/* After SIGCHLD: some child has ended, a leader or another. */
void ending_child_ended(void);

/* Reaps children that have ended, in case one of them is a leader whose end only SIGCHLD reports. */
void ending_reap(void);

/* Settles those whose end has been reported. Before the next start, since that may take what they give back. */
void ending_give_back(void);

/* Reports what is dead, and kills again what is not. Answers when to call this again, NEVER_MS: after an event. */
int64_t ending_run_timers(int64_t now);

#endif
