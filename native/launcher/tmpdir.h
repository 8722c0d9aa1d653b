/*
 * Folders for temporary files. Each execution has one to itself, which is removed after it:
 *
 *     FOLDER/3f9a2c/           this launcher's, while it holds a lock on it (flock(2)); without a lock, a dead launcher's
 *     FOLDER/3f9a2c/81c2e0d4/  an execution's, mode 0700, owned by its user
 *
 * Where a function's sandbox has a file system of its own mounted at FOLDER, its executions' folders are on that, and what
 * is found there when the sandbox is made is removed:
 *
 *     FOLDER/81c2e0d4/         an execution's
 *
 * A folder that an execution has not touched is reused for the next one: where nobody writes to them they cost nothing.
 */
#ifndef TMPDIR_H
#define TMPDIR_H

#include <stdbool.h>
#include <stdint.h>

struct tmpdir;
struct tmpdirs;

/*
 * Has all of them made below FOLDER, which functions' users must be able to pass through, and only the launcher's user to
 * change. False with errno.
 */
bool tmpdirs_open(const char *folder);

/*
 * Those of a sandbox, whose FOLDER is open as `folder`; it may be closed afterwards. `is_new`: the sandbox has just been
 * made. NULL where it is the node's.
 */
struct tmpdirs *tmpdirs_of_sandbox(int folder, bool is_new, uint32_t uid, uint32_t gid);

/* All of them have been given back. */
void tmpdirs_leave_sandbox(struct tmpdirs *of);

/* An empty folder of that user, of a sandbox or of the node (NULL); NULL where none can be made. */
struct tmpdir *tmpdir_take(struct tmpdirs *of, uint32_t uid, uint32_t gid);

/* The FOLDER of a sandbox with a file system of its own there, as processes in the sandbox find it; of others (NULL), NULL. */
const char *tmpdirs_disk(const struct tmpdirs *of);

/* Its entry in an environment: TMPDIR=… */
char *tmpdir_variable(struct tmpdir *tmpdir);

/* Before the end of its execution is told: whoever is started then waits for the room that it takes. */
void tmpdir_announce_removal(struct tmpdir *tmpdir, bool survives);

/* Gives it back, to be reused or removed. `survives`: a process of its execution is alive, and may still write to it. */
void tmpdir_release(struct tmpdir *tmpdir, bool survives);

/* Waits until those that have been given back are removed, but no longer than a minute. */
void tmpdirs_finish(void);

/* Removes those that are kept for reuse. The next launcher removes what is left then. */
void tmpdirs_close(void);

#endif
