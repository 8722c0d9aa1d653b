/*
 * Who starts: the thread that serves, and others where a start is held up.
 *
 * A child that is being started has the runner's user already. It may be stopped by whatever else that user runs, or wait
 * for a file that this has a lease on (fcntl(2)) or provides by a file system of its own, and a thread that starts one
 * waits with it (vfork(2)). So a second thread watches the one that serves, and serves in its place when a start takes
 * long; and from then on, for a while, every start has a thread of its own. The usual one costs nothing for that.
 *
 * All of this is for the thread that serves.
 */
#ifndef STARTS_H
#define STARTS_H

#include "child.h"

enum start_outcome {
	/* As far as it came stands in the child. */
	START_DONE,
	/* Another thread does it, or has begun to; starts_next_done answers it in the end. */
	START_ELSEWHERE,
	/* The same, and that thread serves from now on: return at once, whatever there is to do. */
	START_SERVED_ELSEWHERE,
	/* Too many are held up: again when one is done, or later. */
	START_CROWDED,
};

/* Before the first start; false with errno. `serve` returns only where another thread serves from then on. */
bool starts_open(void (*serve)(void));

/* Has `serve` called, on one thread after the other. */
_Noreturn void starts_serve(void);

enum start_outcome starts_begin(struct child *child);

/* Readable while another thread has one to tell of. */
int starts_events(void);

/* One that another thread has done with; NULL where there is none. */
struct child *starts_next_done(void);

/* It shall not come to that. It is done with all the same, unless it cannot be killed. */
void starts_cancel(struct child *child, int error);
void starts_cancel_all(int error);

/* Whether a child of the launcher is one of those that are being started. */
bool starts_include(pid_t pid);

/* Whether there is one that has not told its pid yet. */
bool starts_include_unknown(void);

/*
 * Kills those that take too long or have been cancelled; `lost` hears, once, of one that does not die of it. Answers when
 * there is something to do again, INT64_MAX for never.
 */
int64_t starts_tend(int64_t now, void (*lost)(struct child *child));

#endif
