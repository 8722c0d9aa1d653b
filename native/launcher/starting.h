/* The beginning of executions: from START until the program runs, or that has failed. */
#ifndef STARTING_H
#define STARTING_H

#include "execution.h"

/* A START: queues an execution, or reports that the payload is malformed. False where there is no memory for it. */
bool starting_request(uint64_t id, const unsigned char *payload, size_t length);

/* Whether an execution is queued that can be started now. */
bool starting_is_due(void);

/* Starts the first of the queue. False where another thread has begun to serve: the caller must return at once. */
bool starting_next(void);

/* starts_events() is readable: takes over what other threads have started. */
void starting_collect(void);

/* A KILL for an execution that does not run yet. */
void starting_cancel(struct execution *execution);

/* Cancels everything that is queued or being started. */
void starting_cancel_all(void);

/* Kills starts that take too long. Answers when to call this again, NEVER_MS: after an event. */
int64_t starting_run_timers(int64_t now);

#endif
