/* What executions write, from their pipes to OUTPUT events, and to what is kept. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "execution.h"

/* Before the first execution. False with errno. */
bool outputs_open(void);

/* A descriptor that is readable while a running execution has output that may be read. */
int outputs_fd(void);

/* Reads one piece of each output that has any. */
void outputs_read(void);

/* Opens its pipe, and gives its child the end to write to. False with errno. */
bool output_open(struct execution *execution);

/* Has its output read as far as its credit goes, from when it runs. */
void output_begin(struct execution *execution);

/* A CREDIT. False where it breaks the protocol. */
bool output_credit(struct execution *execution, uint64_t bytes);

/* With START_KEPT: the next so many bytes that are kept are safe. As many more may be read. */
void output_release(struct execution *execution, uint64_t bytes);

/* Has all that is kept freed, once it is over. */
void output_forget(struct execution *execution);

/* Reads what is left in the pipe, whatever the credit, once everything that could write to it is dead or given up. */
void output_drain(struct execution *execution);

/* Has it read no more. */
void output_end(struct execution *execution);

#endif
