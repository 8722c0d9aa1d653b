/* What concerns executions in all states. */
#ifndef EXECUTIONS_H
#define EXECUTIONS_H

#include "execution.h"

/* Kills what runs, cancels what does not run yet, and does nothing to what is dying. The first cause is noted. */
void execution_kill(struct execution *execution, uint32_t cause);

/* Starts nothing any more, and kills everything. */
void executions_kill_all(void);

/* The connection has ended: kills all without START_KEPT, which nobody is told. */
void executions_lose_connection(void);

/* Does what is due. Answers when to call this again, NEVER_MS: after an event. */
int64_t executions_run_timers(int64_t now);

#endif
