/* The launcher's two streams: frames of requests on standard input, frames of events on standard output. */
#ifndef STREAM_H
#define STREAM_H

#include "protocol.h"

#include <stdbool.h>
#include <sys/types.h>

enum stream_state {
	STREAM_OPEN,
	/* There is nothing to read at present. */
	STREAM_EMPTY,
	/* The other end is closed. */
	STREAM_CLOSED,
	/* What was read is not a frame of the protocol. */
	STREAM_BROKEN,
};

/* Makes both streams non-blocking. */
void streams_open(void);

/* Discards requests of which a part is missing, and events that wait: both ends belong to another connection now. */
void streams_reset(void);

/*
 * Reads once, and calls `handle` for each frame that is complete. `handle` answers whether the frame follows the
 * protocol; one that does not breaks the stream.
 */
enum stream_state requests_read(bool (*handle)(const struct frame *frame, const unsigned char *payload));

/* Queues an event behind those that wait to be written. */
void event_put(enum frame_type type, uint64_t id, const void *payload, size_t length);

/* The same with a payload in two parts, of which the second may be empty. */
void event_put_parts(enum frame_type type, uint64_t id, const void *head, size_t head_length, const void *rest,
		     size_t length);

/*
 * Reads up to `max` bytes from a pipe to where an OUTPUT event would hold them, which saves a copy. Answers how many bytes
 * it has read, which stand at `*bytes` until the next call for an event; 0 at the end of the pipe; -1 with errno.
 */
ssize_t output_read(int pipe, size_t max, unsigned char **bytes);

/* Queues what output_read has just read as an OUTPUT event with that offset. */
void output_put(uint64_t id, uint64_t offset, size_t length);

/* How many bytes wait to be written. */
size_t events_waiting(void);

/* Whether an event other than STARTED waits: the reader has nothing to do about STARTED, so it can be held back. */
bool events_urgent(void);

/* Writes as much as the reader takes without waiting. */
enum stream_state events_flush(void);

#endif
