#define _GNU_SOURCE
#include "targets.h"

#include "failure.h"
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTEMPTS_MAX 100
#define TARGETS_MAX 20
/* Of folders that lead to a target: whoever knows the name of what is in them gets there, and nobody can list them. */
#define PASSAGE_MODE 0711

struct target {
	const char *path;
	int mount;
	/* O_DIRECTORY, or 0. */
	int type;
	bool sealed;
};

/* Those that lie above others come first. */
static struct target targets[TARGETS_MAX];
static size_t count;

char *real_path(const char *path)
{
	char *above = strdup(path);
	size_t end = strlen(path);
	char *real = NULL;
	while (above != NULL && (real = realpath(end == 0 ? "/" : above, NULL)) == NULL && errno == ENOENT && end > 0) {
		do
			end--;
		while (path[end] != '/' && end > 0);
		above[end] = '\0';
	}
	free(above);
	if (real == NULL)
		fail("cannot find %s", path);
	if (path[end] == '\0')
		return real;
	char *joined;
	int length = asprintf(&joined, "%s%s", strcmp(real, "/") == 0 ? "" : real, path + end);
	free(real);
	if (length < 0)
		fail("cannot find %s", path);
	return joined;
}

/* Whether a path is a folder's or lies below it. */
static bool is_within(const char *path, const char *folder)
{
	size_t length = strlen(folder);
	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void add(struct target added)
{
	if (count == TARGETS_MAX)
		fail("cannot mount more than %d folders", TARGETS_MAX);
	/* Behind those that lie above it or at the same place. */
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		if (is_within(added.path, targets[i].path))
			at = i + 1;
	}
	memmove(targets + at + 1, targets + at, (count - at) * sizeof *targets);
	targets[at] = added;
	count++;
}

void add_target(int mount, const char *path, int type)
{
	add((struct target){ .path = path, .mount = mount, .type = type });
}

void add_sealed_target(int mount, const char *path)
{
	add((struct target){ .path = path, .mount = mount, .type = O_DIRECTORY, .sealed = true });
}

bool is_target(const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(targets[i].path, path) == 0)
			return true;
	}
	return false;
}

/*
 * Opens a real path step by step, so that a link which was put there meanwhile is not followed: functions own their homes.
 * Makes what is missing below its first `mounted` bytes.
 */
static int open_target(const char *path, int type, size_t mounted)
{
	int folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t end = 0; path[end] != '\0' && strcmp(path, "/") != 0;) {
		size_t start = end + 1;
		end = start + strcspn(path + start, "/");
		char name[NAME_MAX + 1];
		if (end - start >= sizeof name) {
			errno = ENAMETOOLONG;
			fail("cannot open %s", path);
		}
		memcpy(name, path + start, end - start);
		name[end - start] = '\0';
		int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (path[end] == '\0' ? type : O_DIRECTORY);
		int next = openat(folder, name, flags);
		if (next < 0 && errno == ENOENT && end > mounted && mounted > 0) {
			if (mkdirat(folder, name, PASSAGE_MODE) != 0)
				fail("cannot make the folder %.*s", (int)end, path);
			next = openat(folder, name, flags);
		}
		if (next < 0)
			fail("cannot open %.*s", (int)end, path);
		close(folder);
		folder = next;
	}
	return folder;
}

/* Of the longest path that lies above a target and is a target itself. */
static size_t length_mounted_above(size_t at)
{
	size_t longest = 0;
	for (size_t i = 0; i < at; i++) {
		size_t length = strlen(targets[i].path);
		if (is_within(targets[at].path, targets[i].path) && length > longest)
			longest = length;
	}
	return longest;
}

/* Whether something is mounted there already. */
static bool is_mount(int opened)
{
	struct statx found;
	return statx(opened, "", AT_EMPTY_PATH, 0, &found) == 0 && (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static void mount_target(size_t at, bool missing_only)
{
	const struct target *target = &targets[at];
	for (int attempt = 1;; attempt++) {
		int over = open_target(target->path, target->type, length_mounted_above(at));
		bool done = (missing_only && is_mount(over)) || attach_mount(target->mount, over);
		int error = errno;
		close(over);
		if (done)
			return;
		/* The host may replace a file between the two steps: then nothing can be mounted over the old one. */
		errno = error;
		if (error != ENOENT || attempt == ATTEMPTS_MAX)
			fail("cannot mount at %s", target->path);
	}
}

static void mount_all(bool missing_only)
{
	for (size_t i = 0; i < count; i++)
		mount_target(i, missing_only);
	for (size_t i = 0; i < count; i++) {
		if (targets[i].sealed)
			restrict_mount(targets[i].mount, MOUNT_ATTR_RDONLY);
	}
}

void mount_targets(void)
{
	mount_all(false);
}

void mount_missing_targets(void)
{
	mount_all(true);
}
