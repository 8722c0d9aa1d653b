#define _GNU_SOURCE
#include "sandbox_emptying.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/* Files, folders and further links to files, each of which a tmpfs counts as a file. */
#define ENTRIES_MAX 64
/* The kernel gives back some gigabytes a second. */
#define BYTES_MAX (1u << 20)

/*
 * What a function has made. What was there from the beginning is root's, or mounted: removed from here, outside of the
 * sandbox, a folder would take along what is mounted over it.
 */
static bool is_functions_own(int folder, const char *name)
{
	struct statx found;
	return statx(folder, name, AT_SYMLINK_NOFOLLOW, STATX_UID, &found) == 0 && found.stx_uid != 0 &&
	       (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0;
}

static bool is_self(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A link in its place is not followed. */
static DIR *open_folder(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (folder == NULL && fd >= 0)
		close(fd);
	return folder;
}

static bool remove_entry(int folder, const char *name)
{
	return unlinkat(folder, name, 0) == 0 || unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

/* Enters each folder that is not empty, and begins again with the one above once it has been through. */
static void empty(int tmp)
{
	DIR *path[ENTRIES_MAX + 1] = { open_folder(tmp, ".") };
	int depth = path[0] == NULL ? 0 : 1;
	int entered = 0;
	while (depth > 0) {
		DIR *folder = path[depth - 1];
		const struct dirent *entry = readdir(folder);
		if (entry == NULL) {
			closedir(folder);
			if (--depth > 0)
				rewinddir(path[depth - 1]);
			continue;
		}
		if (is_self(entry->d_name) || !is_functions_own(dirfd(folder), entry->d_name) ||
		    remove_entry(dirfd(folder), entry->d_name) || errno != ENOTEMPTY || entered++ >= ENTRIES_MAX)
			continue;
		path[depth] = open_folder(dirfd(folder), entry->d_name);
		depth += path[depth] != NULL;
	}
}

static bool is_little(int tmp)
{
	struct statfs found;
	return fstatfs(tmp, &found) == 0 && found.f_files - found.f_ffree <= ENTRIES_MAX &&
	       (found.f_blocks - found.f_bfree) * (uint64_t)found.f_bsize <= BYTES_MAX;
}

void sandbox_empty(int tmp)
{
	if (is_little(tmp))
		empty(tmp);
}
