#include "answer.h"
#include "job.h"
#include <string.h>

enum field { OUTPUT = 1, SUCCESS = 1, ERROR = 2 };
enum wire_type { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };

static void skip(struct answer *answer, uint64_t bytes)
{
	answer->bytes_left = bytes;
	answer->state = bytes > 0 ? BYTES : KEY;
}

static void take_key(struct answer *answer)
{
	answer->field = (uint32_t)(answer->number >> 3);
	switch (answer->number & 7) {
	case VARINT: answer->state = NUMBER; break;
	case DELIMITED: answer->state = LENGTH; break;
	case FIXED64: skip(answer, 8); break;
	case FIXED32: skip(answer, 4); break;
	default: answer->state = MALFORMED;
	}
}

static void take_byte(struct answer *answer, uint8_t byte)
{
	if (answer->state == PREFIX) {
		/* The first byte is the flag for compression, which the client has not offered. */
		if (answer->prefix_bytes++ == 0 && byte != 0)
			answer->state = MALFORMED;
		else if (answer->prefix_bytes == GRPC_PREFIX)
			answer->state = KEY;
		return;
	}
	if (answer->shift > 63) {
		answer->state = MALFORMED;
		return;
	}
	answer->number |= (uint64_t)(byte & 0x7f) << answer->shift;
	answer->shift += 7;
	if (byte & 0x80)
		return;
	if (answer->state == KEY)
		take_key(answer);
	else if (answer->state == LENGTH)
		skip(answer, answer->number);
	else {
		answer->success |= answer->field == SUCCESS && answer->number != 0;
		answer->state = KEY;
	}
	answer->number = 0;
	answer->shift = 0;
}

void answer_add(struct answer *answer, const uint8_t *data, size_t length)
{
	const uint8_t *end = data + length;
	while (data < end && answer->state != MALFORMED) {
		if (answer->state != BYTES) {
			take_byte(answer, *data++);
			continue;
		}
		size_t here = (size_t)(end - data);
		size_t count = answer->bytes_left < here ? (size_t)answer->bytes_left : here;
		if (answer->field == OUTPUT)
			answer->output_bytes += count;
		if (answer->field == ERROR) {
			size_t room = sizeof answer->error - 1 - answer->error_bytes;
			size_t kept = count < room ? count : room;
			memcpy(answer->error + answer->error_bytes, data, kept);
			answer->error_bytes += kept;
		}
		data += count;
		skip(answer, answer->bytes_left - count);
	}
}

bool answer_is_whole(const struct answer *answer)
{
	return answer->state == KEY && answer->shift == 0;
}
