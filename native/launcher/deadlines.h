/* Deadlines, the earliest first: thousands may be set, and to set or drop one takes time in proportion to their logarithm. */
#ifndef DEADLINES_H
#define DEADLINES_H

#include <stddef.h>
#include <stdint.h>

/* A member of what has a deadline. Zeroed: not set. */
struct deadline {
	int64_t due_ms;
	/* Its place among all deadlines, from 1 on; 0: not set. */
	size_t place;
};

/* Sets one that is not set. */
void deadline_set(struct deadline *deadline, int64_t due_ms);

/* Drops it, if it is set. */
void deadline_drop(struct deadline *deadline);

/* The earliest of all; NULL: none is set. */
struct deadline *deadlines_first(void);

#endif
