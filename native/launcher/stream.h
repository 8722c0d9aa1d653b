/* The launcher's two streams: frames of requests on standard input, frames of events on standard output. */
#ifndef STREAM_H
#define STREAM_H

#include "protocol.h"

#include <stdbool.h>
#include <sys/types.h>

enum stream_state {
	STREAM_OPEN,
	/* The other end is closed. */
	STREAM_CLOSED,
	/* What was read is not a frame of the protocol. */
	STREAM_BROKEN,
};

/* Makes both streams non-blocking. */
void streams_open(void);

/*
 * Reads once, and calls `handle` for each frame that is complete. `handle` answers whether the frame follows the
 * protocol; one that does not breaks the stream.
 */
enum stream_state requests_read(bool (*handle)(const struct frame *frame, const unsigned char *payload));

/* Queues an event behind those that wait to be written. */
void event_put(enum frame_type type, uint64_t id, const void *payload, size_t length);

/*
 * Reads up to `max` bytes from a pipe straight into an OUTPUT event with that offset, which saves a copy. Answers how
 * many bytes it has read; 0 at the end of the pipe; -1 with errno.
 */
ssize_t output_put(uint64_t id, int pipe, uint64_t offset, size_t max);

/* How many bytes wait to be written. */
size_t events_waiting(void);

/* Whether an event other than STARTED waits: the reader has nothing to do about STARTED, so it can be held back. */
bool events_urgent(void);

/* Discards what waits: nobody will read it. */
void events_drop(void);

/* Writes as much as the reader takes without waiting. */
enum stream_state events_flush(void);

#endif
