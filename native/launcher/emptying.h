/*
 * Removes folders that functions have filled, on a thread of its own at the lowest priority, with the rights of their
 * user, and never through a symbolic link: what is in them is the function's doing.
 */
#ifndef EMPTYING_H
#define EMPTYING_H

#include <stdbool.h>
#include <stdint.h>

/* Starts with what launchers that are dead have left in `base`; `own` is this one's folder there. False with errno. */
bool emptying_open(int base, const char *own_name, int own);

/* One of the launcher's folder, to be removed when those before it are. */
void emptying_add(const char *name, uint32_t uid, uint32_t gid);

/* Whether a folder in `parent` is empty; false also where that cannot be told. */
bool emptying_is_empty(int parent, const char *name);

#endif
