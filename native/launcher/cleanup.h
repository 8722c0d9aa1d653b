/*
 * Removes folders that functions have filled, on a thread of its own at the lowest priority. What is in them is the
 * functions' doing: it is removed with the rights of their user, and never through a symbolic link.
 */
#ifndef CLEANUP_H
#define CLEANUP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Begins with what dead launchers have left in `base`. `own_name` is this launcher's folder there, and `own` its
 * descriptor. False with errno.
 */
bool cleanup_open(int base, const char *own_name, int own);

/* Has a folder in this launcher's folder removed, after those added before. */
void cleanup_add(const char *name, uint32_t uid, uint32_t gid);

/* Waits until all of them are removed, but no longer than so many milliseconds. */
void cleanup_finish(int64_t limit_ms);

/* Whether a folder in `parent` is empty; false also where that cannot be found out. */
bool folder_is_empty(int parent, const char *name);

#endif
