/*
 * A function of the benches that prints when it began, as 20 digits of nanoseconds, and then sleeps. It appends the same
 * line to FILE, for callers that do not see its output.
 *
 *     sleeper MILLISECONDS [FILE]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"

static void print(int fd, const char *line, int length)
{
	if (write(fd, line, (size_t)length) != length) {
		perror("sleeper");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	char line[32];
	int length = sprintf(line, "%020" PRId64 "\n", now_ns());
	if (argc > 2) {
		int fd = open(argv[2], O_WRONLY | O_APPEND);
		print(fd, line, length);
		close(fd);
	}
	print(STDOUT_FILENO, line, length);
	long milliseconds = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	struct timespec pause = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	while (nanosleep(&pause, &pause) < 0)
		;
}
