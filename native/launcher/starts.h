/*
 * Starts children without letting a slow start hold up the launcher.
 *
 * A start takes its thread until the program has been executed (vfork(2)), which usually takes some tenths of a
 * millisecond. But a child that is being started already runs as the functions' user. Whatever else that user runs may
 * stop it, or make it wait for a file, by a lease (fcntl(2)) or by a file system of its own.
 *
 * So two threads take turns. One serves, and starts children itself. The other watches; when a start is held up, it serves
 * in the first one's place. After that, for a while, every start has a thread of its own. Usual starts cost no more.
 *
 * All functions but starts_serve are for the thread that serves.
 */
#ifndef STARTS_H
#define STARTS_H

#include "child.h"

enum start_outcome {
	/* The start has ended, well or not: see the child. */
	START_DONE,
	/* Another thread does it; starts_next_done will answer the child. */
	START_HANDED_OVER,
	/* The same, and another thread serves now: return from `serve` at once, whatever is left to do. */
	START_SERVER_REPLACED,
	/* Nothing has been done, since too many starts are under way: try again when one has ended, or later. */
	START_POSTPONED,
};

/* Before the first start. `serve` may return only after START_SERVER_REPLACED. False with errno. */
bool starts_open(void (*serve)(void));

/* Calls `serve`, on one thread after the other. */
_Noreturn void starts_serve(void);

enum start_outcome starts_begin(struct child *child);

/* A descriptor that is readable while another thread has done a start. */
int starts_events(void);

/* The next child whose start another thread has done; NULL where there is none. */
struct child *starts_next_done(void);

/* Has a child killed; `error` says why. Its start ends as usual, unless it cannot be killed. */
void starts_cancel(struct child *child, int error);
void starts_cancel_all(int error);

/* Whether a process is a child that is being started. */
bool starts_include(pid_t pid);

/* Whether a child is being started whose pid is not known yet. */
bool starts_include_unknown(void);

/*
 * Kills children that have been cancelled, are stopped, or take too long to start. Calls `abandon`, once, for each that
 * does not die of it. Answers when to call this again, NEVER_MS: after the next start.
 */
int64_t starts_run_timers(int64_t now, void (*abandon)(struct child *child));

#endif
