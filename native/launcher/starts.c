#define _GNU_SOURCE
#include "starts.h"

#include "clock.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* A start takes some tenths of a millisecond. One that the watch sees twice may be held up. */
#define LOOK_MS 10
/* Looks without any start after which the watch sleeps until there is one. */
#define LOOKS_UNTIL_SLEEP 100
/* So long each has a thread of its own after one was held up: who holds up one does so with the next. */
#define ALERT_MS 1000
/* Beside those that are held up. More would only wait for the processor. */
#define AT_ONCE 16
/* How many more may begin for each that has not ended after HELD_MS: hundreds are passed by within some of these. */
#define MORE_FOR_EACH 8
#define HELD_MS 5
#define THREADS_MAX (STARTING_THREADS_MAX - 1)
/* Of what the kernel hands over to the program nothing is on the stack of the thread. */
#define STARTER_STACK (128u << 10)
#define SERVER_STACK (512u << 10)
#define START_LIMIT_MS 3000
#define STOPPED_LOOK_MS 100

/* Odd while the thread that serves starts one. Whoever makes it even serves from then on. */
static atomic_uint turn;
static atomic_bool watch_sleeps;
static sem_t watch_wakes;
/* Whether a thread watches: none does while the one that served is held up. */
static atomic_bool watched = true;
static void (*serve)(void);
/* The thread that serves. */
static atomic_int server;

/* What is being started, oldest first. */
static struct child *first;
static struct child *last;
/* Of these, what other threads start, and what is held up as of a moment. */
static unsigned elsewhere;
static unsigned held;
static int64_t held_as_of;
static int64_t alert_until;

static int events;
static struct child *_Atomic done;
/* Those of them that have been looked up, for the thread that serves. */
static struct child *taken;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t handed_over = PTHREAD_COND_INITIALIZER;
static struct child *next_to_start;
static unsigned waiting;
static unsigned idle;
static unsigned threads;

int starts_events(void)
{
	return events;
}

/* ---- threads ---- */

static void tell_done(struct child *child)
{
	child->done_next = atomic_load(&done);
	while (!atomic_compare_exchange_weak(&done, &child->done_next, child))
		continue;
	const uint64_t one = 1;
	/* It fails only where it has been told so often that it is readable anyway. */
	if (write(events, &one, sizeof one) < 0)
		return;
}

/* It never ends: a child is killed with the thread that has started it (PR_SET_PDEATHSIG). */
static void *start_others(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (next_to_start == NULL) {
			idle++;
			pthread_cond_wait(&handed_over, &lock);
			idle--;
		}
		struct child *child = next_to_start;
		next_to_start = child->done_next;
		waiting--;
		pthread_mutex_unlock(&lock);
		child_start(child);
		tell_done(child);
		pthread_mutex_lock(&lock);
	}
	return NULL;
}

/* False where there is no thread for it, and none can be made. */
static bool hand_over(struct child *child)
{
	pthread_mutex_lock(&lock);
	bool has_thread = idle > waiting;
	if (!has_thread && threads < THREADS_MAX && start_thread(start_others, STARTER_STACK)) {
		threads++;
		has_thread = true;
	}
	if (has_thread) {
		child->done_next = next_to_start;
		next_to_start = child;
		waiting++;
		pthread_cond_signal(&handed_over);
	}
	pthread_mutex_unlock(&lock);
	return has_thread;
}

/* R, S, D, T, Z … of a thread or process (proc(5), /proc/PID/stat); '?' where there is none. */
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
	/* Behind the name, which may hold anything. */
	const char *end = strrchr(text, ')');
	return (char)(end != NULL && end[1] == ' ' ? end[2] : '?');
}

/* Whether more than a turn on the processor is missing to the end of the start that is waited for. */
static bool is_held_up(void)
{
	pid_t child = child_latest();
	return child != 0 && state_of(atomic_load(&server)) != 'R' && state_of(child) != 'R';
}

static void watch(void)
{
	atomic_store(&watched, true);
	unsigned seen = atomic_load(&turn);
	for (unsigned quiet = 0;;) {
		if (quiet == LOOKS_UNTIL_SLEEP) {
			atomic_store(&watch_sleeps, true);
			if (atomic_load(&turn) == seen)
				while (sem_wait(&watch_wakes) != 0)
					continue;
			atomic_store(&watch_sleeps, false);
			quiet = 0;
		}
		const struct timespec interval = { 0, (long)LOOK_MS * 1000000 };
		nanosleep(&interval, NULL);
		unsigned now = atomic_load(&turn);
		if (now == seen && now % 2 == 1 && is_held_up()) {
			/* Before the other one can come back, and watch. */
			atomic_store(&watched, false);
			if (atomic_compare_exchange_strong(&turn, &now, now + 1))
				return;
			atomic_store(&watched, true);
		}
		quiet = now == seen ? quiet + 1 : 0;
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
		/* From now on it is this one that serves. */
		elsewhere++;
		alert_until = now_ms() + ALERT_MS;
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
	events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return events >= 0 && sem_init(&watch_wakes, 0, 0) == 0 && child_prepare() &&
	       start_thread(watch_first, SERVER_STACK);
}

void starts_serve(void)
{
	take_turns(true);
}

/* ---- starts ---- */

static void add(struct child *child)
{
	child->next = NULL;
	child->previous = last;
	*(last != NULL ? &last->next : &first) = child;
	last = child;
}

static void take_out(struct child *child)
{
	*(child->previous != NULL ? &child->previous->next : &first) = child->next;
	*(child->next != NULL ? &child->next->previous : &last) = child->previous;
}

static bool is_crowded(int64_t now)
{
	if (held_as_of != now) {
		held_as_of = now;
		held = 0;
		for (struct child *child = first; child != NULL && now - child->since >= HELD_MS; child = child->next)
			held++;
	}
	return elsewhere >= AT_ONCE + MORE_FOR_EACH * held;
}

enum start_outcome starts_begin(struct child *child)
{
	int64_t now = now_ms();
	child->since = now;
	bool alert = !atomic_load(&watched) || now < alert_until;
	if (alert) {
		if (is_crowded(now))
			return START_CROWDED;
		add(child);
		if (hand_over(child)) {
			elsewhere++;
			return START_ELSEWHERE;
		}
		take_out(child);
		if (!atomic_load(&watched))
			return START_CROWDED;
	}
	add(child);
	unsigned own = atomic_fetch_add(&turn, 1) + 1;
	if (atomic_load(&watch_sleeps) && atomic_exchange(&watch_sleeps, false))
		sem_post(&watch_wakes);
	child_start(child);
	if (atomic_compare_exchange_strong(&turn, &own, own + 1)) {
		take_out(child);
		return START_DONE;
	}
	tell_done(child);
	return START_SERVED_ELSEWHERE;
}

struct child *starts_next_done(void)
{
	if (taken == NULL) {
		uint64_t count;
		if (read(events, &count, sizeof count) < 0 && errno != EAGAIN)
			return NULL;
		taken = atomic_exchange(&done, NULL);
	}
	struct child *child = taken;
	if (child == NULL)
		return NULL;
	taken = child->done_next;
	take_out(child);
	elsewhere--;
	return child;
}

void starts_cancel(struct child *child, int error)
{
	if (child->unwanted == 0)
		child->unwanted = error;
}

void starts_cancel_all(int error)
{
	for (struct child *child = first; child != NULL; child = child->next)
		starts_cancel(child, error);
}

bool starts_include(pid_t pid)
{
	for (struct child *child = first; child != NULL; child = child->next)
		if (atomic_load(&child->pid) == pid)
			return true;
	return false;
}

bool starts_include_unknown(void)
{
	return starts_include(0);
}

static void look_after(struct child *child, int64_t now, void (*lost)(struct child *))
{
	pid_t pid = atomic_load(&child->pid);
	if (pid == 0)
		return;
	if (now - child->since > START_LIMIT_MS)
		starts_cancel(child, ETIMEDOUT);
	else if (now - child->since > LOOK_MS && now >= child->looked_at + STOPPED_LOOK_MS) {
		child->looked_at = now;
		char state = state_of(pid);
		if (state == 'T' || state == 't')
			starts_cancel(child, EINTR);
	}
	if (child->unwanted == 0 || child->lost)
		return;
	/* It is reaped by nobody but the thread that serves, so that its number is nobody else's. */
	kill(pid, SIGKILL);
	if (child->killed_at == 0)
		child->killed_at = now;
	child->lost = now - child->killed_at > KILL_LIMIT_MS;
	if (child->lost)
		lost(child);
}

int64_t starts_tend(int64_t now, void (*lost)(struct child *child))
{
	if (first == NULL)
		return INT64_MAX;
	if (now - first->since > LOOK_MS)
		alert_until = now + ALERT_MS;
	for (struct child *child = first, *next; child != NULL; child = next) {
		next = child->next;
		look_after(child, now, lost);
	}
	return now + LOOK_MS;
}
