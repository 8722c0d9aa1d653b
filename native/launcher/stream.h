/* The two streams: frames as they come in, and events until the reader has them. */
#ifndef STREAM_H
#define STREAM_H

#include "launcher.h"

enum stream_state {
	STREAM_OPEN,
	/* The other end is gone. */
	STREAM_CLOSED,
	/* What came is not a frame. */
	STREAM_BROKEN,
};

/* Both non-blocking. */
void streams_open(void);

/* Reads what is there, and has `handle` deal with each whole frame; it answers whether the frame is one. */
enum stream_state requests_read(bool (*handle)(const struct frame *frame, const unsigned char *payload));

/* Puts an event behind those that wait. */
void event_put(enum frame_type type, uint64_t id, const void *payload, size_t length);

/*
 * Reads up to `max` bytes from a pipe, straight into an OUTPUT event with that offset. Answers how many; 0 at the end of
 * the pipe; -1 with errno.
 */
ssize_t output_put(uint64_t id, int pipe, uint64_t offset, size_t max);

/* Bytes that wait for the reader. */
size_t events_waiting(void);

/* Whether anything waits but starts, whose reader has nothing to do about them. */
bool events_urgent(void);

/* Nobody will read them. */
void events_drop(void);

/* Writes as much as the reader takes now. */
enum stream_state events_flush(void);

#endif
