/* Removes what executions leave in /tmp of a sandbox, where that is little. */
#ifndef SANDBOX_EMPTYING_H
#define SANDBOX_EMPTYING_H

/*
 * Only where it takes some microseconds: a few small files and folders. Others stay, and so may these where something
 * fails.
 */
void sandbox_empty(int tmp);

#endif
