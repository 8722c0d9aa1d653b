/* What concerns executions in all states. */
#ifndef EXECUTIONS_H
#define EXECUTIONS_H

#include "execution.h"

/* A KILL: kills what runs, cancels what does not run yet, and does nothing to what is dying. */
void execution_kill(struct execution *execution);

/* Starts nothing any more, and kills everything. */
void executions_kill_all(void);

/* Does what is due. Answers for how many milliseconds nothing will be due, -1: until an event comes. */
int executions_run_timers(void);

#endif
