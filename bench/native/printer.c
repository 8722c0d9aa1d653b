/*
 * A function of the benches that prints fast: lines of 16 bytes, each of which is its own offset in decimal. So the
 * position of a byte says what the byte must be.
 *
 *     printer BYTES
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE ((size_t)16)
#define BLOCK ((size_t)65536)

static void add(char *digits, size_t count, unsigned by)
{
	while (count-- > 0 && by > 0) {
		unsigned sum = (unsigned)(digits[count] - '0') + by;
		digits[count] = (char)('0' + sum % 10);
		by = sum / 10;
	}
}

static void print(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(STDOUT_FILENO, bytes, length);
		if (written < 0 && errno != EINTR) {
			perror("printer");
			exit(1);
		}
		if (written > 0) {
			bytes += written;
			length -= (size_t)written;
		}
	}
}

int main(int argc, char **argv)
{
	static char block[BLOCK];
	char line[LINE];
	memset(line, '0', LINE - 1);
	line[LINE - 1] = '\n';
	size_t left = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	while (left > 0) {
		for (size_t at = 0; at < BLOCK; at += LINE) {
			memcpy(block + at, line, LINE);
			add(line, LINE - 1, (unsigned)LINE);
		}
		size_t length = left < BLOCK ? left : BLOCK;
		print(block, length);
		left -= length;
	}
}
