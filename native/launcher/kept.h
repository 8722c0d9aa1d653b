/*
 * What is kept of the output of executions until it is known to be safe elsewhere. So that functions which write faster
 * than their output becomes safe cannot use up the node's memory, all of it together has a bound: see kept_room.
 */
#ifndef KEPT_H
#define KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * So much may be kept in all before executions wait, bytes: the agent's windows of a hundred executions that flood. Those
 * that are still read then (KEPT_PIECE), and what is left in pipes when executions end, come on top.
 */
#define KEPT_MAX ((size_t)64 << 20)
/* While as much is kept, an execution of which nothing is kept is read in pieces of this size, so that none starves. */
#define KEPT_PIECE 4096u

struct chunk;

/* The bytes of one execution's output from `from` on. */
struct kept {
	struct chunk *first;
	struct chunk *last;
	/* Where kept_at has found the last bytes; NULL: in the first chunk, or nowhere yet. */
	struct chunk *found;
	/* The offset of the first byte; nothing may be kept from there on. */
	uint64_t from;
};

/* How many bytes more may be read from an execution; 0: it has to wait. */
size_t kept_room(const struct kept *kept);

/* Whether so little is kept in all that those that wait may be read again. */
bool kept_has_room(void);

/* Appends what has been read at that offset, which is where the last bytes end. */
void kept_add(struct kept *kept, uint64_t offset, const unsigned char *bytes, size_t length);

/* Frees what comes before that offset, which is not before `from`. */
void kept_release(struct kept *kept, uint64_t offset);

/* How many bytes stand at `*bytes`, the first of them at that offset, from which on something is kept: at least one. */
size_t kept_at(struct kept *kept, uint64_t offset, const unsigned char **bytes);

#endif
