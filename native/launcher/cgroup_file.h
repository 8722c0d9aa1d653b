/* The files of a cgroup: short texts, read and written whole. */
#ifndef CGROUP_FILE_H
#define CGROUP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes a text to a file in a cgroup's folder; false with errno. */
bool cgroup_file_write(int folder, const char *name, const char *text);

/* The number that follows `word` at the beginning of a line of an open file; 0 where there is no such line, or no file. */
uint64_t cgroup_file_counter(int fd, const char *word);

/* The same for several words, as of one moment. */
void cgroup_file_counters(int fd, const char *const *words, uint64_t *values, size_t count);

/* The number that an open file consists of; 0 where there is none, or no file. */
uint64_t cgroup_file_number(int fd);

#endif
