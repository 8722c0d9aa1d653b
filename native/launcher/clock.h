/*
 * The one clock of the launcher: the time since an arbitrary moment. No change of the system's time affects it, and it
 * stands still while the machine is suspended: nothing can end, or be killed, in that time.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

/* As the time of something that is not due. */
#define NEVER_MS INT64_MAX

static inline int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t earlier_ms(int64_t one, int64_t other)
{
	return one < other ? one : other;
}

#endif
