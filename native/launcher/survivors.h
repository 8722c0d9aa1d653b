/* What is left of an execution whose processes cannot be killed. */
#ifndef SURVIVORS_H
#define SURVIVORS_H

#include "execution.h"

/* Finds the live processes of an execution: at least one, which is the leader where no other is found. */
struct survivors survivors_find(const struct execution *execution);

#endif
