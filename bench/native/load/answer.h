#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An ExecutionResponse of flux.proto, parsed while it arrives; its output may be large, so it is only counted. Or an
 * acknowledgement, whose first field says success instead, and whose second is a message.
 */
struct answer {
	enum { PREFIX, KEY, NUMBER, LENGTH, BYTES, MALFORMED } state;
	uint32_t prefix_bytes;
	/* The number that is being read, so far. */
	uint64_t number;
	unsigned shift;
	uint32_t field;
	/* How many are left of the field that is being read. */
	uint64_t bytes_left;
	uint64_t output_bytes;
	bool success;
	char error[200];
	size_t error_bytes;
};

/* Parses the next bytes. */
void answer_add(struct answer *answer, const uint8_t *data, size_t length);

/* Whether it has arrived completely. */
bool answer_is_whole(const struct answer *answer);

#endif
