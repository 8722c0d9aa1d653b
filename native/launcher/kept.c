#include "kept.h"

#include "memory.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>

/* What is kept in all has to fall so low before those that wait are read again: else each would be read a little. */
#define RESUME_BELOW (KEPT_MAX / 8 * 7)
/* Without its header. The first is small; each one that follows is as large as all that is kept, up to a limit. */
#define CHUNK_MIN 480u
#define CHUNK_MAX 32768u

struct chunk {
	struct chunk *next;
	/* That of the first of its bytes. */
	uint64_t offset;
	uint32_t size;
	uint32_t used;
	unsigned char bytes[];
};

/* Once nothing is kept after it was so much, the C library's memory is given back to the system. */
#define TRIM_ABOVE ((size_t)8 << 20)

/* Of the chunks of all executions, with what is not used of them; and the most since nothing was kept. */
static size_t total;
static size_t most;

size_t kept_room(const struct kept *kept)
{
	size_t room = total < KEPT_MAX ? KEPT_MAX - total : 0;
	if (room == 0 && kept->first != NULL)
		return 0;
	return room > KEPT_PIECE ? room : KEPT_PIECE;
}

bool kept_has_room(void)
{
	return total < RESUME_BELOW;
}

/* Where the last of its bytes ends. */
static uint64_t end_of(const struct chunk *chunk)
{
	return chunk->offset + chunk->used;
}

/* A chunk for at least so many bytes: small writes share one, and no more than half of what is held is unused. */
static struct chunk *append_chunk(struct kept *kept, uint64_t offset, size_t length)
{
	size_t size = (size_t)(offset - kept->from);
	if (size < CHUNK_MIN)
		size = CHUNK_MIN;
	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < length)
		size = length;
	struct chunk *chunk = malloc(sizeof *chunk + size);
	if (chunk == NULL)
		out_of_memory();
	total += sizeof *chunk + size;
	if (most < total)
		most = total;
	*chunk = (struct chunk){ NULL, offset, (uint32_t)size, 0 };
	*(kept->last != NULL ? &kept->last->next : &kept->first) = chunk;
	kept->last = chunk;
	return chunk;
}

static void append(struct chunk *chunk, const unsigned char *bytes, size_t length)
{
	memcpy(chunk->bytes + chunk->used, bytes, length);
	chunk->used += (uint32_t)length;
}

void kept_add(struct kept *kept, uint64_t offset, const unsigned char *bytes, size_t length)
{
	if (kept->last != NULL) {
		size_t room = kept->last->size - kept->last->used;
		size_t part = length < room ? length : room;
		append(kept->last, bytes, part);
		bytes += part;
		offset += part;
		length -= part;
	}
	if (length > 0)
		append(append_chunk(kept, offset, length), bytes, length);
}

static void trim(void)
{
#ifdef __GLIBC__
	if (total == 0 && most > TRIM_ABOVE)
		malloc_trim(0);
#endif
	if (total == 0)
		most = 0;
}

void kept_release(struct kept *kept, uint64_t offset)
{
	kept->from = offset;
	while (kept->first != NULL && end_of(kept->first) <= offset) {
		struct chunk *chunk = kept->first;
		kept->first = chunk->next;
		if (kept->found == chunk)
			kept->found = NULL;
		total -= sizeof *chunk + chunk->size;
		free(chunk);
	}
	if (kept->first == NULL)
		kept->last = NULL;
	trim();
}

size_t kept_at(struct kept *kept, uint64_t offset, const unsigned char **bytes)
{
	struct chunk *chunk = kept->found;
	if (chunk == NULL || chunk->offset > offset)
		chunk = kept->first;
	while (end_of(chunk) <= offset)
		chunk = chunk->next;
	kept->found = chunk;
	size_t before = (size_t)(offset - chunk->offset);
	*bytes = chunk->bytes + before;
	return chunk->used - before;
}
