/* FNV-1a (RFC 9923), by bytes and by numbers. */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define CHECKSUM_START 0xcbf29ce484222325
#define CHECKSUM_PRIME 0x100000001b3

static inline uint64_t checksum(const unsigned char *bytes, size_t length)
{
	uint64_t sum = CHECKSUM_START;
	for (size_t i = 0; i < length; i++)
		sum = (sum ^ bytes[i]) * CHECKSUM_PRIME;
	return sum;
}

static inline uint64_t checksum_of(const uint64_t *numbers, size_t count)
{
	uint64_t sum = CHECKSUM_START;
	for (size_t i = 0; i < count; i++)
		sum = (sum ^ numbers[i]) * CHECKSUM_PRIME;
	return sum;
}

#endif
