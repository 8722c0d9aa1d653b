#define _GNU_SOURCE
#include "stream.h"

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
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
/* The size of the request that is being read, as far as it is known. */
static size_t next_request = sizeof(struct frame);
static struct buffer events;
static bool urgent;

void streams_open(void)
{
	fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
	fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK);
	/* In a pipe of this size several outputs fit before the reader has to run. On a socket the call does nothing. */
	fcntl(1, F_SETPIPE_SZ, USUAL_SIZE);
}

void streams_reset(void)
{
	requests.start = requests.end;
	next_request = sizeof(struct frame);
	events.start = events.end;
	urgent = false;
}

static void resize(struct buffer *buffer, size_t size)
{
	unsigned char *bytes = realloc(buffer->bytes, size);
	if (bytes == NULL)
		out_of_memory();
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

/* Calls `handle` for each complete frame. */
static enum stream_state handle_frames(bool (*handle)(const struct frame *, const unsigned char *))
{
	for (;;) {
		size_t used = requests.end - requests.start;
		struct frame frame;
		next_request = sizeof frame;
		if (used < sizeof frame)
			return STREAM_OPEN;
		memcpy(&frame, requests.bytes + requests.start, sizeof frame);
		if (frame.length > PAYLOAD_MAX)
			return STREAM_BROKEN;
		next_request = sizeof frame + frame.length;
		if (used < next_request)
			return STREAM_OPEN;
		const unsigned char *payload = requests.bytes + requests.start + sizeof frame;
		requests.start += next_request;
		if (!handle(&frame, payload))
			return STREAM_BROKEN;
	}
}

/* There must be room for them. */
static void put_bytes(const void *bytes, size_t length)
{
	if (length > 0)
		memcpy(events.bytes + events.end, bytes, length);
	events.end += length;
}

enum stream_state requests_read(bool (*handle)(const struct frame *, const unsigned char *))
{
	size_t used = requests.end - requests.start;
	reserve(&requests, next_request - used > READ_MIN ? next_request - used : READ_MIN);
	ssize_t length = read(0, requests.bytes + requests.end, requests.size - requests.end);
	if (length == 0)
		return STREAM_CLOSED;
	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? STREAM_EMPTY : STREAM_CLOSED;
	requests.end += (size_t)length;
	return handle_frames(handle);
}

void event_put(enum frame_type type, uint64_t id, const void *payload, size_t length)
{
	event_put_parts(type, id, payload, length, NULL, 0);
}

void event_put_parts(enum frame_type type, uint64_t id, const void *head, size_t head_length, const void *rest,
		     size_t length)
{
	struct frame frame = { (uint32_t)(head_length + length), type, id };
	urgent |= type != FRAME_STARTED;
	reserve(&events, sizeof frame + head_length + length);
	put_bytes(&frame, sizeof frame);
	put_bytes(head, head_length);
	put_bytes(rest, length);
}

/* Of an OUTPUT event, before the bytes. */
#define OUTPUT_HEAD (sizeof(struct frame) + sizeof(struct output_event))

ssize_t output_read(int pipe, size_t max, unsigned char **bytes)
{
	reserve(&events, OUTPUT_HEAD + max);
	*bytes = events.bytes + events.end + OUTPUT_HEAD;
	return read(pipe, *bytes, max);
}

void output_put(uint64_t id, uint64_t offset, size_t length)
{
	const struct output_event output = { offset };
	const struct frame frame = { (uint32_t)(sizeof output + length), FRAME_OUTPUT, id };
	put_bytes(&frame, sizeof frame);
	put_bytes(&output, sizeof output);
	events.end += length;
	urgent = true;
}

size_t events_waiting(void)
{
	return events.end - events.start;
}

bool events_urgent(void)
{
	return urgent;
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
