#define _GNU_SOURCE
#include "starter_threads.h"

#include "thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* One of the threads that start children is the second one that serves: see starts.c. */
#define THREADS_MAX (STARTING_THREADS_MAX - 1)
/* Small: the kernel takes nothing for the program from the thread's stack. */
#define STACK (128u << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t handed_over = PTHREAD_COND_INITIALIZER;
/* Children that wait for a thread, a stack. */
static struct child *waiting;
static unsigned waiting_count;
static unsigned idle;
static unsigned threads;

static int events;
/* Children that have been handed back, a stack that any thread adds to. */
static struct child *_Atomic done;
/* Those that the thread that serves has taken from `done`. */
static struct child *taken;

bool starter_threads_open(void)
{
	events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return events >= 0;
}

int starter_threads_events(void)
{
	return events;
}

void starter_threads_hand_back(struct child *child)
{
	child->next_handed_over = atomic_load(&done);
	while (!atomic_compare_exchange_weak(&done, &child->next_handed_over, child))
		continue;
	const uint64_t one = 1;
	/* Fails only where its count is at its maximum: then it is readable anyway. */
	if (write(events, &one, sizeof one) < 0)
		return;
}

static void *start_children(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (waiting == NULL) {
			idle++;
			pthread_cond_wait(&handed_over, &lock);
			idle--;
		}
		struct child *child = waiting;
		waiting = child->next_handed_over;
		waiting_count--;
		pthread_mutex_unlock(&lock);
		child_start(child);
		starter_threads_hand_back(child);
		pthread_mutex_lock(&lock);
	}
	return NULL;
}

bool starter_threads_hand_over(struct child *child)
{
	pthread_mutex_lock(&lock);
	bool has_thread = idle > waiting_count;
	if (!has_thread && threads < THREADS_MAX && start_thread(start_children, STACK)) {
		threads++;
		has_thread = true;
	}
	if (has_thread) {
		child->next_handed_over = waiting;
		waiting = child;
		waiting_count++;
		pthread_cond_signal(&handed_over);
	}
	pthread_mutex_unlock(&lock);
	return has_thread;
}

struct child *starter_threads_next(void)
{
	if (taken == NULL) {
		uint64_t count;
		if (read(events, &count, sizeof count) < 0 && errno != EAGAIN)
			return NULL;
		taken = atomic_exchange(&done, NULL);
	}
	struct child *child = taken;
	if (child != NULL)
		taken = child->next_handed_over;
	return child;
}
