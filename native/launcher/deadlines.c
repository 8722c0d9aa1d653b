#include "deadlines.h"

#include "memory.h"

#include <stdlib.h>

#define FIRST_SIZE 256

/* A binary heap: the parent of the one at place n, from 1 on, is at n / 2, and is due no later. */
static struct deadline **heap;
static size_t size;
static size_t count;

static void put(struct deadline *deadline, size_t place)
{
	heap[place] = deadline;
	deadline->place = place;
}

/* Puts it at that place, or above, where those that are due later make room. */
static void sift_up(struct deadline *deadline, size_t place)
{
	for (; place > 1 && heap[place / 2]->due_ms > deadline->due_ms; place /= 2)
		put(heap[place / 2], place);
	put(deadline, place);
}

/* Puts it at that place, or below, where those that are due earlier make room. */
static void sift_down(struct deadline *deadline, size_t place)
{
	for (size_t child; (child = 2 * place) <= count; place = child) {
		if (child < count && heap[child + 1]->due_ms < heap[child]->due_ms)
			child++;
		if (heap[child]->due_ms >= deadline->due_ms)
			break;
		put(heap[child], place);
	}
	put(deadline, place);
}

void deadline_set(struct deadline *deadline, int64_t due_ms)
{
	/* No deadline has place 0. */
	if (count + 1 >= size) {
		size = size == 0 ? FIRST_SIZE : 2 * size;
		/* NOLINTNEXTLINE(bugprone-suspicious-realloc-usage): where it fails the process ends. */
		heap = realloc(heap, size * sizeof(struct deadline *));
		if (heap == NULL)
			out_of_memory();
	}
	deadline->due_ms = due_ms;
	sift_up(deadline, ++count);
}

void deadline_drop(struct deadline *deadline)
{
	size_t place = deadline->place;
	if (place == 0)
		return;
	deadline->place = 0;
	struct deadline *last = heap[count--];
	if (last == deadline)
		return;
	/* The last one takes its place, where it may be due earlier than what is above, or later than what is below. */
	if (place > 1 && heap[place / 2]->due_ms > last->due_ms)
		sift_up(last, place);
	else
		sift_down(last, place);
}

struct deadline *deadlines_first(void)
{
	return count == 0 ? NULL : heap[1];
}
