#define _GNU_SOURCE
#include "starts.h"

#include "clock.h"
#include "starter_threads.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How often the watcher looks. A start that it sees twice may be held up. */
#define LOOK_MS 10
/* The watcher sleeps after so many looks without any start, until there is one. */
#define LOOKS_UNTIL_SLEEP 100
/* For how long each start has its own thread after one was held up: whoever does that to one does it to the next. */
#define ALERT_MS 1000
/* So many starts may be under way on other threads, beside slow ones. More would only wait for the processor. */
#define CONCURRENT_MAX 16
/* For each start that takes longer than SLOW_MS so many more may be under way: hundreds cannot hold up the rest. */
#define CONCURRENT_PER_SLOW 8
#define SLOW_MS 5
#define SERVER_STACK (512u << 10)
#define START_LIMIT_MS 3000
/* How often it is looked whether a child is stopped. */
#define STOPPED_LOOK_MS 100

/* Odd while the thread that serves starts a child. Whoever of the two threads makes it even serves from then on. */
static atomic_uint turn;
static void (*serve)(void);
/* The thread that serves. */
static atomic_int server;
/* False while the thread that would watch is itself held up in a start. */
static atomic_bool has_watcher = true;
static atomic_bool watcher_sleeps;
static sem_t watcher_wakes;

/* Children that are being started, oldest first. */
static struct list under_way;
/* How many of them other threads start. */
static unsigned elsewhere;
/* How many of them are slow, as of a time. */
static unsigned slow;
static int64_t slow_as_of_ms;
static int64_t alert_until_ms;

static struct child *child_at(struct list_node *node)
{
	return node == NULL ? NULL : container_of(node, struct child, under_way);
}

static struct child *next_of(const struct child *child)
{
	return child_at(child->under_way.next);
}

/* ---- who serves ---- */

/* The state of a thread or process: R, S, D, T, Z … ('?': there is none; proc(5), /proc/PID/stat). */
static char state_of(pid_t thread)
{
	char text[256];
	snprintf(text, sizeof text, "/proc/%d/stat", (int)thread);
	int fd = open(text, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return '?';
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	/* It follows the name, which is in parentheses and may hold any character. */
	const char *end = strrchr(text, ')');
	return (char)(end != NULL && end[1] == ' ' ? end[2] : '?');
}

/* Whether the start that the server waits for waits for something else than the processor. */
static bool is_held_up(void)
{
	pid_t child = child_latest();
	return child != 0 && state_of(atomic_load(&server)) != 'R' && state_of(child) != 'R';
}

/* Takes the turn of a server that has been in one start since the last look, if that is held up. */
static bool replace_server(unsigned seen)
{
	if (seen % 2 == 0 || !is_held_up())
		return false;
	/* Before the other thread can come back and watch. */
	atomic_store(&has_watcher, false);
	if (atomic_compare_exchange_strong(&turn, &seen, seen + 1))
		return true;
	atomic_store(&has_watcher, true);
	return false;
}

static void sleep_until_start(unsigned seen)
{
	atomic_store(&watcher_sleeps, true);
	if (atomic_load(&turn) == seen)
		while (sem_wait(&watcher_wakes) != 0)
			continue;
	atomic_store(&watcher_sleeps, false);
}

/* Returns when the calling thread has to serve. */
static void watch(void)
{
	atomic_store(&has_watcher, true);
	unsigned seen = atomic_load(&turn);
	for (unsigned quiet_looks = 0;;) {
		if (quiet_looks == LOOKS_UNTIL_SLEEP) {
			sleep_until_start(seen);
			quiet_looks = 0;
		}
		const struct timespec interval = { 0, (long)LOOK_MS * 1000000 };
		nanosleep(&interval, NULL);
		unsigned now = atomic_load(&turn);
		if (now == seen && replace_server(now))
			return;
		quiet_looks = now == seen ? quiet_looks + 1 : 0;
		seen = now;
	}
}

static _Noreturn void take_turns(bool serves)
{
	for (;; serves = true) {
		if (serves) {
			atomic_store(&server, gettid());
			serve();
		}
		watch();
		/* The start that holds up the other thread. */
		elsewhere++;
		alert_until_ms = now_ms() + ALERT_MS;
	}
}

static void *watch_first(void *unused)
{
	(void)unused;
	take_turns(false);
}

bool starts_open(void (*serving)(void))
{
	serve = serving;
	return starter_threads_open() && sem_init(&watcher_wakes, 0, 0) == 0 && child_open() &&
	       start_thread(watch_first, SERVER_STACK);
}

void starts_serve(void)
{
	take_turns(true);
}

/* ---- starts ---- */

/* Whether no more starts should be under way on other threads. */
static bool is_full(int64_t now)
{
	if (slow_as_of_ms != now) {
		slow_as_of_ms = now;
		slow = 0;
		for (struct child *child = child_at(under_way.first); child != NULL; child = next_of(child)) {
			if (now - child->begun_ms < SLOW_MS)
				break;
			slow++;
		}
	}
	return elsewhere >= CONCURRENT_MAX + CONCURRENT_PER_SLOW * slow;
}

/* On the thread that serves, which another thread may replace meanwhile. */
static enum start_outcome start_here(struct child *child)
{
	list_append(&under_way, &child->under_way);
	unsigned own = atomic_fetch_add(&turn, 1) + 1;
	if (atomic_load(&watcher_sleeps) && atomic_exchange(&watcher_sleeps, false))
		sem_post(&watcher_wakes);
	child_start(child);
	if (!atomic_compare_exchange_strong(&turn, &own, own + 1)) {
		starter_threads_hand_back(child);
		return START_SERVER_REPLACED;
	}
	list_remove(&under_way, &child->under_way);
	return START_DONE;
}

static bool hand_over(struct child *child)
{
	/* Before the other thread has it, and may be done with it. */
	list_append(&under_way, &child->under_way);
	if (!starter_threads_hand_over(child)) {
		list_remove(&under_way, &child->under_way);
		return false;
	}
	elsewhere++;
	return true;
}

enum start_outcome starts_begin(struct child *child)
{
	int64_t now = now_ms();
	child->begun_ms = now;
	bool has_own_thread = !atomic_load(&has_watcher) || now < alert_until_ms;
	if (!has_own_thread)
		return start_here(child);
	if (is_full(now))
		return START_POSTPONED;
	if (hand_over(child))
		return START_HANDED_OVER;
	return atomic_load(&has_watcher) ? start_here(child) : START_POSTPONED;
}

int starts_events(void)
{
	return starter_threads_events();
}

struct child *starts_next_done(void)
{
	struct child *child = starter_threads_next();
	if (child == NULL)
		return NULL;
	list_remove(&under_way, &child->under_way);
	elsewhere--;
	return child;
}

bool starts_include(pid_t pid)
{
	for (struct child *child = child_at(under_way.first); child != NULL; child = next_of(child))
		if (atomic_load(&child->pid) == pid)
			return true;
	return false;
}

bool starts_include_unknown(void)
{
	return starts_include(0);
}

/* ---- timers ---- */

void starts_cancel(struct child *child, int error)
{
	if (child->cancelled == 0)
		child->cancelled = error;
}

void starts_cancel_all(int error)
{
	for (struct child *child = child_at(under_way.first); child != NULL; child = next_of(child))
		starts_cancel(child, error);
}

/* Cancels a child that takes too long, or is stopped. */
static void cancel_if_stuck(struct child *child, pid_t pid, int64_t now)
{
	int64_t taken_ms = now - child->begun_ms;
	if (taken_ms > START_LIMIT_MS) {
		starts_cancel(child, ETIMEDOUT);
	} else if (taken_ms > LOOK_MS && now >= child->looked_at_ms + STOPPED_LOOK_MS) {
		child->looked_at_ms = now;
		char state = state_of(pid);
		if (state == 'T' || state == 't')
			starts_cancel(child, EINTR);
	}
}

/* Kills a child that has been cancelled; answers whether it has to be abandoned. */
static bool kill_cancelled(struct child *child, pid_t pid, int64_t now)
{
	/* Only the thread that serves reaps it, so its pid cannot have become another process's. */
	kill(pid, SIGKILL);
	if (child->killed_ms == 0)
		child->killed_ms = now;
	child->abandoned = now - child->killed_ms > KILL_LIMIT_MS;
	return child->abandoned;
}

int64_t starts_run_timers(int64_t now, void (*abandon)(struct child *child))
{
	struct child *child = child_at(under_way.first);
	if (child == NULL)
		return NEVER_MS;
	if (now - child->begun_ms > LOOK_MS)
		alert_until_ms = now + ALERT_MS;
	for (; child != NULL; child = next_of(child)) {
		pid_t pid = atomic_load(&child->pid);
		if (pid == 0)
			continue;
		cancel_if_stuck(child, pid, now);
		if (child->cancelled != 0 && !child->abandoned && kill_cancelled(child, pid, now))
			abandon(child);
	}
	return now + LOOK_MS;
}
