#define _GNU_SOURCE
#include "image.h"

#include "failure.h"
#include "loop.h"
#include "mounts.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BYTES_PER_INODE 16384
#define INODES_MIN 1024
/* From this size on it has a journal, which takes 4 MiB. */
#define JOURNAL_FROM_BYTES (64 << 20)
#define CHECK_BYTES (8 << 20)
/* The last one that had it mounted may not be done with it. */
#define BUSY_LIMIT_MS 5000
#define BUSY_LOOK_MS 2
/* The first is an error that e2fsck has left (e2fsck(8)). */
#define E2FSCK_FAILED 4

/* ---- making ---- */

static void make_file_system(const char *path, uint64_t bytes)
{
	uint64_t inodes = bytes / BYTES_PER_INODE;
	char count[24];
	snprintf(count, sizeof count, "%" PRIu64, inodes < INODES_MIN ? INODES_MIN : inodes);
	bool has_journal = bytes >= JOURNAL_FROM_BYTES;
	const char *const arguments[] = {
		"mkfs.ext4",
		"-q",
		"-F",
		/* Block size, blocks that only root may use, and number of inodes. */
		"-b",
		"4096",
		"-m",
		"0",
		"-N",
		count,
		"-O",
		has_journal ? "has_journal" : "^has_journal",
		has_journal ? "-Jsize=4" : "-q",
		"-E",
		"lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0",
		path,
		NULL,
	};
	char text[TOOL_TEXT_MAX];
	if (run_tool(arguments, text) != 0)
		fail("cannot make a file system in %s: %s", path, text);
}

static char *path_of(const char *folder, const char *name)
{
	char *path;
	if (asprintf(&path, "%s/%s.img", folder, name) < 0)
		fail("cannot name an image");
	return path;
}

/* Under another name until it is whole. */
void make_image(const char *folder, const char *name, uint64_t bytes)
{
	char *path = path_of(folder, name);
	char *unfinished;
	if (asprintf(&unfinished, "%s.new", path) < 0)
		fail("cannot name an image");
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		fail("cannot make the folder %s", folder);
	int file = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, (off_t)bytes) != 0)
		fail("cannot make %s", unfinished);
	close(file);
	make_file_system(unfinished, bytes);
	if (rename(unfinished, path) != 0)
		fail("cannot make %s", path);
	free(unfinished);
	free(path);
}

/* ---- mounting ---- */

/* Does nothing to one that was unmounted. Otherwise what was being written is completed. */
static void repair(const char *path)
{
	const char *const arguments[] = { "e2fsck", "-p", path, NULL };
	char text[TOOL_TEXT_MAX];
	if (run_tool(arguments, text) >= E2FSCK_FAILED)
		fail("cannot repair the file system in %s: %s; run e2fsck", path, text);
}

static int mount_device(const char *path)
{
	const struct mount_option options[] = {
		{ "source", path },
		/* What a function deletes is given back to the node. */
		{ "discard", NULL },
		/* Inodes that nobody uses take no room. */
		{ "noinit_itable", NULL },
		{ "errors", "remount-ro" },
		{ NULL, NULL },
	};
	int mount = new_file_system("ext4", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mount < 0)
		fail("cannot mount %s: this kernel has no ext4", path);
	return mount;
}

static void grow(int file, const char *path, uint64_t bytes)
{
	struct stat found;
	if (fstat(file, &found) != 0)
		fail("cannot find the size of %s", path);
	if ((uint64_t)found.st_size >= bytes)
		return;
	if (ftruncate(file, (off_t)bytes) != 0)
		fail("cannot enlarge %s", path);
	/* Forced, since it wants all of it checked before. */
	const char *const arguments[] = { "resize2fs", "-f", path, NULL };
	char text[TOOL_TEXT_MAX];
	if (run_tool(arguments, text) != 0)
		fail("cannot enlarge the file system in %s: %s", path, text);
}

/* The loop device has the file open, so that the lock lasts as long as it does. */
static bool lock(int file)
{
	if (flock(file, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (errno != EWOULDBLOCK)
		fail("cannot lock an image");
	return false;
}

static int mount_alone(int file, const char *path, uint64_t bytes)
{
	repair(path);
	grow(file, path, bytes);
	struct loop_device device = attach_loop(file);
	int mount = mount_device(device.path);
	close(device.fd);
	return mount;
}

/* -1 where the last one that had it mounted is about to be done with it. */
static int try_to_mount(int file, const char *path, uint64_t bytes)
{
	if (lock(file))
		return mount_alone(file, path, bytes);
	/* A second mount of a device is one more of the same file system. */
	struct loop_device device = find_loop(file);
	if (device.fd < 0)
		return -1;
	int mount = mount_device(device.path);
	close(device.fd);
	return mount;
}

int mount_image(const char *folder, const char *name, uint64_t bytes)
{
	char *path = path_of(folder, name);
	int file = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0 && errno != ENOENT)
		fail("cannot open %s", path);
	int mount = -1;
	const struct timespec interval = { 0, BUSY_LOOK_MS * 1000000L };
	for (int waited_ms = 0; file >= 0 && mount < 0; waited_ms += BUSY_LOOK_MS) {
		mount = try_to_mount(file, path, bytes);
		if (mount < 0 && waited_ms >= BUSY_LIMIT_MS)
			fail("cannot mount %s: another process has locked it", path);
		if (mount < 0)
			nanosleep(&interval, NULL);
	}
	if (file >= 0)
		close(file);
	free(path);
	return mount;
}

void check_images(void)
{
	int file = memfd_create("image", 0);
	if (file < 0 || ftruncate(file, CHECK_BYTES) != 0)
		fail("cannot make a file in memory");
	char path[32];
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), file);
	make_file_system(path, CHECK_BYTES);
	struct loop_device device = attach_loop(file);
	close(mount_device(device.path));
	close(device.fd);
	close(file);
}
