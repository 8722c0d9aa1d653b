#define _GNU_SOURCE
#include "ooms_above.h"

#include "cgroup_file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LEVELS_MAX 32

/* Of each cgroup, from the base up. */
static uint64_t counters[LEVELS_MAX];
static uint64_t sum;

uint64_t ooms_above_read(int base)
{
	static const char file[] = "memory.events.local";
	static const char up[] = { '.', '.', '/' };
	char path[LEVELS_MAX * sizeof up + sizeof file];
	char *end = path;
	for (int level = 0; level < LEVELS_MAX; level++) {
		memcpy(end, file, sizeof file);
		int fd = openat(base, path, O_RDONLY | O_CLOEXEC);
		/* The root cgroup has no limit, and no such file. */
		if (fd < 0)
			break;
		uint64_t ooms = cgroup_file_counter(fd, "oom");
		close(fd);
		sum += ooms - counters[level];
		counters[level] = ooms;
		memcpy(end, up, sizeof up);
		end += sizeof up;
	}
	return sum;
}

uint64_t ooms_above_last(void)
{
	return sum;
}
