/* The executions: from the request to start one to the event that ends it. */
#ifndef EXECUTION_H
#define EXECUTION_H

#include "launcher.h"

struct execution;

/* Before the first one. False with errno. */
bool executions_open(int control_epoll);

/* Readable while a running execution has output that may be read. */
int executions_outputs(void);

struct execution *execution_find(uint64_t id);

/* Takes in a START; false where there is not enough memory for it. */
bool execution_request(uint64_t id, const unsigned char *payload, size_t length);

void execution_kill(struct execution *execution);
void execution_credit(struct execution *execution, uint64_t bytes);

/* Answers a LIST. */
void executions_list(uint64_t id);

/* Whether there is one to be started now. */
bool executions_queued(void);

/* Starts the oldest of those that wait. False where another thread serves from then on: return at once. */
bool executions_start_next(void);

/* starts_events: goes on with those that other threads have started. */
void executions_started(void);

/* Reads a piece of each output that there is something of. */
void executions_read(void);

/* An event on a leader's pidfd: it has ended. */
void execution_leader_ended(struct execution *execution);

/* A child has ended, a leader or another. */
void executions_child_ended(void);

/* Does what is due; answers how long nothing will be, in milliseconds, -1: until an event comes. */
int executions_tend(void);

/* Starts nothing any more and kills everything. */
void executions_kill_all(void);

/* How many live. */
size_t executions_count(void);

#endif
