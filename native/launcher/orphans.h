/*
 * Without cgroups: processes that have lost their parent. The launcher inherits them (PR_SET_CHILD_SUBREAPER), so in the
 * end everything that an execution leaves behind is a child of the launcher, and is found there.
 */
#ifndef ORPHANS_H
#define ORPHANS_H

#include <stdbool.h>

/*
 * Kills every child of the launcher but those of running executions and those that are being started. Sets has_orphans of
 * the executions whose processes are among them. Answers whether there are live children without an owner: any dying
 * execution may have disowned them.
 */
bool orphans_kill(void);

#endif
