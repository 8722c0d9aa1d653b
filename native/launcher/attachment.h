/*
 * Which executions the connection is told of. An execution is attached by its START, or by ATTACH: then the output that is
 * kept is sent piece by piece as the reader takes it, so that it does not stand in memory twice.
 */
#ifndef ATTACHMENT_H
#define ATTACHMENT_H

#include "execution.h"

/* An ATTACH. False where it breaks the protocol. */
bool attachment_begin(struct execution *execution, uint64_t offset);

/* The connection has ended, or the execution is forgotten: nothing is sent any more. */
void attachment_end(struct execution *execution);

/* Whether output that is kept has yet to be sent. */
bool attachments_behind(void);

/* Sends output that is kept, while fewer than so many bytes wait for the reader. */
void attachments_catch_up(size_t waiting_max);

#endif
