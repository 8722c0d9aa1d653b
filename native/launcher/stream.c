#define _GNU_SOURCE
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USUAL_SIZE 262144
#define READ_MIN 65536

/* The bytes from `start` to `end` are in use. */
struct buffer {
	unsigned char *bytes;
	size_t start;
	size_t end;
	size_t size;
};

static struct buffer requests;
static struct buffer events;
static bool urgent;

void streams_open(void)
{
	fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
	fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK);
	/* In a pipe of this size several outputs fit before the reader has to run. On a socket the call does nothing. */
	fcntl(1, F_SETPIPE_SZ, USUAL_SIZE);
}

static void resize(struct buffer *buffer, size_t size)
{
	unsigned char *bytes = realloc(buffer->bytes, size);
	if (bytes == NULL) {
		fputs("flux-agent launcher: out of memory\n", stderr);
		abort();
	}
	buffer->bytes = bytes;
	buffer->size = size;
}

/* Makes room for so many bytes at the end. Moves what is there only where that frees at least half of the buffer. */
static void reserve(struct buffer *buffer, size_t room)
{
	size_t used = buffer->end - buffer->start;
	if (used == 0) {
		buffer->start = buffer->end = 0;
		if (buffer->size > USUAL_SIZE && room <= USUAL_SIZE)
			resize(buffer, USUAL_SIZE);
	}
	if (buffer->size - buffer->end >= room)
		return;
	if (buffer->start > 0 && buffer->start >= buffer->size / 2) {
		memmove(buffer->bytes, buffer->bytes + buffer->start, used);
		buffer->start = 0;
		buffer->end = used;
	}
	size_t size = buffer->size == 0 ? USUAL_SIZE : buffer->size;
	while (size - buffer->end < room)
		size *= 2;
	if (size != buffer->size)
		resize(buffer, size);
}

/* Calls `handle` for each complete frame. `next`: the size of the frame that follows, as far as it is known. */
static enum stream_state handle_frames(bool (*handle)(const struct frame *, const unsigned char *), size_t *next)
{
	for (;;) {
		size_t used = requests.end - requests.start;
		struct frame frame;
		*next = sizeof frame;
		if (used < sizeof frame)
			return STREAM_OPEN;
		memcpy(&frame, requests.bytes + requests.start, sizeof frame);
		if (frame.length > PAYLOAD_MAX)
			return STREAM_BROKEN;
		*next = sizeof frame + frame.length;
		if (used < *next)
			return STREAM_OPEN;
		const unsigned char *payload = requests.bytes + requests.start + sizeof frame;
		requests.start += *next;
		if (!handle(&frame, payload))
			return STREAM_BROKEN;
	}
}

enum stream_state requests_read(bool (*handle)(const struct frame *, const unsigned char *))
{
	static size_t next = sizeof(struct frame);
	size_t used = requests.end - requests.start;
	reserve(&requests, next - used > READ_MIN ? next - used : READ_MIN);
	ssize_t length = read(0, requests.bytes + requests.end, requests.size - requests.end);
	if (length == 0)
		return STREAM_CLOSED;
	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? STREAM_OPEN : STREAM_CLOSED;
	requests.end += (size_t)length;
	return handle_frames(handle, &next);
}

void event_put(enum frame_type type, uint64_t id, const void *payload, size_t length)
{
	struct frame frame = { (uint32_t)length, type, id };
	urgent |= type != FRAME_STARTED;
	reserve(&events, sizeof frame + length);
	memcpy(events.bytes + events.end, &frame, sizeof frame);
	if (length > 0)
		memcpy(events.bytes + events.end + sizeof frame, payload, length);
	events.end += sizeof frame + length;
}

ssize_t output_put(uint64_t id, int pipe, uint64_t offset, size_t max)
{
	struct output_event output = { offset };
	size_t head = sizeof(struct frame) + sizeof output;
	reserve(&events, head + max);
	unsigned char *at = events.bytes + events.end;
	ssize_t length = read(pipe, at + head, max);
	if (length <= 0)
		return length;
	struct frame frame = { (uint32_t)(sizeof output + (size_t)length), FRAME_OUTPUT, id };
	memcpy(at, &frame, sizeof frame);
	memcpy(at + sizeof frame, &output, sizeof output);
	events.end += head + (size_t)length;
	urgent = true;
	return length;
}

size_t events_waiting(void)
{
	return events.end - events.start;
}

bool events_urgent(void)
{
	return urgent;
}

void events_drop(void)
{
	events.start = events.end;
	urgent = false;
}

enum stream_state events_flush(void)
{
	while (events_waiting() > 0) {
		ssize_t length = write(1, events.bytes + events.start, events_waiting());
		if (length < 0)
			return errno == EAGAIN || errno == EINTR ? STREAM_OPEN : STREAM_CLOSED;
		events.start += (size_t)length;
	}
	urgent = false;
	return STREAM_OPEN;
}
