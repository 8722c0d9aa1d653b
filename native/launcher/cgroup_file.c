#define _GNU_SOURCE
#include "cgroup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool cgroup_file_write(int folder, const char *name, const char *text)
{
	int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t written = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return written >= 0;
}

/* Reads the present text of a file; answers its length, 0 where there is no file. */
static size_t read_text(int fd, char *text, size_t size)
{
	ssize_t length = fd < 0 ? -1 : pread(fd, text, size - 1, 0);
	if (length < 0)
		length = 0;
	text[length] = '\0';
	return (size_t)length;
}

/* The number behind a word at the beginning of a line. */
static uint64_t counter_in(const char *text, const char *word)
{
	size_t size = strlen(word);
	const char *line = text;
	while (line != NULL) {
		if (strncmp(line, word, size) == 0 && line[size] == ' ')
			return strtoull(line + size + 1, NULL, 10);
		line = strchr(line, '\n');
		if (line != NULL)
			line++;
	}
	return 0;
}

uint64_t cgroup_file_counter(int fd, const char *word)
{
	uint64_t value;
	cgroup_file_counters(fd, &word, &value, 1);
	return value;
}

void cgroup_file_counters(int fd, const char *const *words, uint64_t *values, size_t count)
{
	char text[1024];
	read_text(fd, text, sizeof text);
	for (size_t i = 0; i < count; i++)
		values[i] = counter_in(text, words[i]);
}

uint64_t cgroup_file_number(int fd)
{
	char text[32];
	return read_text(fd, text, sizeof text) > 0 ? strtoull(text, NULL, 10) : 0;
}
