/*
 * Removes folders that functions have filled, on a thread of its own at the lowest priority. What is in them is the
 * functions' doing: it is removed with the rights of their user, and never through a symbolic link.
 */
#ifndef CLEANUP_H
#define CLEANUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A folder in which others are removed. It is closed and freed once nobody uses it. While folders in it are due, it has a
 * read lock (fcntl(2), F_OFD_SETLK), which tells other launchers, too.
 */
struct cleanup_place {
	int folder;
	atomic_uint uses;
	/* For cleanup.c alone. */
	unsigned due;
};

/*
 * Begins with what dead launchers have left in `base`. `own_name` is this launcher's folder there, and `own` its
 * descriptor. False with errno.
 */
bool cleanup_open(int base, const char *own_name, int own);

/* Says of a place that a folder in it is due, some time before that is added. */
void cleanup_announce(struct cleanup_place *place);

/* Has a folder in a place removed, which has been announced; NULL: in this launcher's folder. After those added before. */
void cleanup_add(struct cleanup_place *place, const char *name, uint32_t uid, uint32_t gid);

/* Has all that is in it removed. */
void cleanup_add_all(struct cleanup_place *place, uint32_t uid, uint32_t gid);

/* One with a use; NULL where there is no memory. */
struct cleanup_place *cleanup_place_new(int folder);

/*
 * Waits while folders are due in a place, which is open as `folder` by an open(2) of its own, but no longer than so many
 * milliseconds. May be called in a child that shares the launcher's memory.
 */
void cleanup_wait(int folder, int64_t limit_ms);

/* Ends a use. */
void cleanup_place_leave(struct cleanup_place *place);

/* Waits until all of them are removed, but no longer than so many milliseconds. */
void cleanup_finish(int64_t limit_ms);

/* Whether a folder in `parent` is empty; false also where that cannot be found out. */
bool folder_is_empty(int parent, const char *name);

#endif
