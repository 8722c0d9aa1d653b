#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An ExecutionResponse of flux.proto, read as it comes: its output may be large and is only counted. */
struct answer {
	enum { PREFIX, KEY, NUMBER, LENGTH, BYTES, MALFORMED } state;
	uint32_t prefix_bytes;
	/* The number that is being read. */
	uint64_t number;
	unsigned shift;
	uint32_t field;
	/* Of the field that is being read. */
	uint64_t bytes_left;
	uint64_t output_bytes;
	char error[200];
	size_t error_bytes;
};

void answer_add(struct answer *answer, const uint8_t *data, size_t length);

/* Whether it has come whole. */
bool answer_is_whole(const struct answer *answer);

#endif
