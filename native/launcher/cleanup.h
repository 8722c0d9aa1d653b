/*
 * Removes folders that functions have filled, on a thread of its own at the lowest priority. What is in them is the
 * functions' doing: it is removed with the rights of their user, and never through a symbolic link.
 */
#ifndef CLEANUP_H
#define CLEANUP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A folder in which others are removed. While some of them are due, it has a read lock (fcntl(2), F_OFD_SETLK), which tells
 * other launchers, too.
 */
struct cleanup_place;

/* A folder in a place that is to be removed. */
struct removal;

/*
 * Begins with what dead launchers have left in `base`. `own_name` is this launcher's folder there. False with errno.
 */
bool cleanup_open(int base, const char *own_name);

/* `folder` becomes the place's, unless there is no memory for it: then NULL. */
struct cleanup_place *cleanup_place_new(int folder);

/* No more is announced in it. It is closed and freed once all that was announced is removed. */
void cleanup_place_leave(struct cleanup_place *place);

/* The folder is due from now on. NULL where there is no memory: it stays until the next launcher removes it. */
struct removal *cleanup_announce(struct cleanup_place *place, const char *name, uint32_t uid, uint32_t gid);

/* Has what was announced removed, after those added before. NULL: nothing. */
void cleanup_add(struct removal *removal);

/* Announces and adds all that is in a place. */
void cleanup_add_all(struct cleanup_place *place, uint32_t uid, uint32_t gid);

/*
 * Waits while folders are due in a place, which is open as `folder` by an open(2) of its own, but no longer than so many
 * milliseconds. May be called in a child that shares the launcher's memory.
 */
void cleanup_wait(int folder, int64_t limit_ms);

/* Waits until all of them are removed, but no longer than so many milliseconds. */
void cleanup_finish(int64_t limit_ms);

/* Whether a folder in `parent` is empty; false also where that cannot be found out. */
bool folder_is_empty(int parent, const char *name);

#endif
