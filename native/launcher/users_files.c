#define _GNU_SOURCE
#include "users_files.h"

#include "checksum.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct users_file {
	const char *path;
	/* Open, since that is looked at in a third of the time that a path takes; -1: it has not been seen. */
	int file;
	struct stat seen;
};

static struct users_file files[] = {
	{ .path = "/etc/passwd", .file = -1 },
	{ .path = "/etc/group", .file = -1 },
};

#define FILES (sizeof files / sizeof *files)

static bool same_time(const struct timespec *one, const struct timespec *other)
{
	return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

/* The time of change tells of a new name, too, and of a file that is put in its place. */
static bool is_as_seen(const struct users_file *users)
{
	struct stat now;
	return users->file >= 0 && fstat(users->file, &now) == 0 && now.st_nlink == users->seen.st_nlink &&
	       same_time(&now.st_ctim, &users->seen.st_ctim);
}

static void look(struct users_file *users)
{
	if (users->file >= 0)
		close(users->file);
	users->seen = (struct stat){ 0 };
	users->file = open(users->path, O_PATH | O_CLOEXEC);
	if (users->file >= 0)
		fstat(users->file, &users->seen);
}

void users_open(void)
{
	for (size_t i = 0; i < FILES; i++)
		look(&files[i]);
}

uint64_t users_id(void)
{
	uint64_t seen[3 * FILES];
	uint64_t *next = seen;
	for (size_t i = 0; i < FILES; i++) {
		struct users_file *users = &files[i];
		if (!is_as_seen(users))
			look(users);
		*next++ = users->seen.st_ino;
		*next++ = (uint64_t)users->seen.st_mtim.tv_sec;
		*next++ = (uint64_t)users->seen.st_mtim.tv_nsec;
	}
	return checksum_of(seen, 3 * FILES);
}
