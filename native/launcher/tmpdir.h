/*
 * Folders for temporary files, each of one execution and removed after it:
 *
 *     FOLDER/3f9a2c/          this launcher's, as long as it holds a lock on it (flock(2)); else what a dead one left
 *     FOLDER/3f9a2c/81c2e0d4  of one execution, mode 0700, its user's
 *
 * One that an execution has not touched is the next one's, so that this costs nothing where nobody writes there.
 */
#ifndef TMPDIR_H
#define TMPDIR_H

#include <stdbool.h>
#include <stdint.h>

struct tmpdir;

/* Takes FOLDER into use, which its user can pass through and nobody but the launcher's changes; false with errno. */
bool tmpdirs_open(const char *folder);

/* An empty one of that user; NULL where there can be none. */
struct tmpdir *tmpdir_take(uint32_t uid, uint32_t gid);

/* As it stands in an environment: TMPDIR=… */
char *tmpdir_variable(struct tmpdir *tmpdir);

/* To be reused, or removed by and by. */
void tmpdir_release(struct tmpdir *tmpdir, bool survived);

/* Removes those that nobody has touched. What is left, the next launcher removes. */
void tmpdirs_close(void);

#endif
