/* What the connection is told of an execution, where that is attached: see attachment.h. */
#ifndef REPORT_H
#define REPORT_H

#include "execution.h"

/* Its program has been executed. */
void report_started(const struct execution *execution);

/*
 * Its end is known: as FAILED where it has a failure, as ENDED otherwise, with its survivors. Once. It is not known any
 * more from then on, unless it has START_KEPT.
 */
void report_over(struct execution *execution);

/* Sends ENDED or FAILED of one that is over. */
void report_end(const struct execution *execution);

/* Sends LISTED for each execution that is known, and LIST_END with that id. */
void report_list(uint64_t id);

#endif
