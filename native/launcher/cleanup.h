/*
 * Removes folders that functions have filled, on a thread of its own at the lowest priority. What is in them is the
 * functions' doing: it is removed with the rights of their user, and never through a symbolic link.
 */
#ifndef CLEANUP_H
#define CLEANUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A folder in which others are removed. It is closed and freed once nobody uses it. */
struct cleanup_place {
	int folder;
	atomic_uint uses;
};

/*
 * Begins with what dead launchers have left in `base`. `own_name` is this launcher's folder there, and `own` its
 * descriptor. False with errno.
 */
bool cleanup_open(int base, const char *own_name, int own);

/* Has a folder in a place removed, after those added before; NULL: in this launcher's folder. */
void cleanup_add(struct cleanup_place *place, const char *name, uint32_t uid, uint32_t gid);

/* Has all that is in it removed. */
void cleanup_add_all(struct cleanup_place *place, uint32_t uid, uint32_t gid);

/* One with a use; NULL where there is no memory. */
struct cleanup_place *cleanup_place_new(int folder);

/* Ends a use. */
void cleanup_place_leave(struct cleanup_place *place);

/* Waits until all of them are removed, but no longer than so many milliseconds. */
void cleanup_finish(int64_t limit_ms);

/* Whether a folder in `parent` is empty; false also where that cannot be found out. */
bool folder_is_empty(int parent, const char *name);

#endif
