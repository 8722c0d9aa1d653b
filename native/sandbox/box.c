#define _GNU_SOURCE
#include "box.h"

#include "failure.h"
#include "generated.h"
#include "mounts.h"
#include "targets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOTHING_SPECIAL (NO_SUID_OR_DEVICES | MOUNT_ATTR_NOEXEC)
/* Bytes of temporary folders for each inode. */
#define BYTES_PER_INODE 16384
#define INODES_MIN 1024

/* The function's own folders; -1: there is none. */
struct sources {
	int home;
	int code;
	int executions;
	int cache;
};

static char *join(const char *folder, const char *path)
{
	char *joined;
	if (asprintf(&joined, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path) < 0)
		fail("cannot name a folder in %s", folder);
	return joined;
}

/* ---- what is mounted from the host ---- */

static int open_source(const char *folder, const char *path)
{
	char *joined = join(folder, path);
	int source = clone_tree(AT_FDCWD, joined, O_DIRECTORY);
	free(joined);
	return source;
}

/* Before the namespace is made, in which the function's home and code may lie below other mounts. */
static struct sources open_sources(const struct box *box)
{
	char *cache = join("functions/caches", box->name);
	struct sources sources = {
		.home = clone_tree(AT_FDCWD, box->home, O_DIRECTORY),
		.code = open_source(box->apps, box->name),
		.executions = open_source(box->state, "functions/tmp"),
		.cache = open_source(box->state, cache),
	};
	free(cache);
	if (sources.home < 0) {
		errno = ENOENT;
		fail("cannot find the function's home %s", box->home);
	}
	return sources;
}

/* In place of those of the host. It has to be mounted in the namespace: see `stage`. */
static void use_disk(int disk, int generated, struct sources *sources)
{
	if (mkdirat(generated, "disk", 0) != 0)
		fail("cannot make a folder in a tmpfs");
	attach_mount_at(disk, STAGE "/disk");
	close(sources->home);
	close(sources->cache);
	close(sources->executions);
	sources->home = clone_tree(disk, "home", O_DIRECTORY);
	sources->cache = clone_tree(disk, "caches", O_DIRECTORY);
	sources->executions = clone_tree(disk, "tmp", O_DIRECTORY);
}

static void add_source(int source, const char *path, uint64_t attributes)
{
	if (source < 0)
		return;
	restrict_mount(source, attributes);
	add_target(source, path, O_DIRECTORY);
}

/* ---- what is mounted from file systems of the sandbox's own ---- */

/*
 * Mounts them where their folders can be cloned: that is only possible while the file system itself is mounted in the
 * namespace (before Linux 6.15).
 */
static void stage(int generated, int temporary)
{
	attach_mount_at(generated, STAGE);
	if (mkdirat(generated, "temporary", 0) != 0)
		fail("cannot make a folder in a tmpfs");
	attach_mount_at(temporary, STAGE "/temporary");
}

static bool is_folder_for_all(const char *path)
{
	struct stat found;
	return stat(path, &found) == 0 && S_ISDIR(found.st_mode) && (found.st_mode & S_IWOTH) != 0;
}

/* Folders of one tmpfs in place of those of the host that everybody can write to. */
static void add_temporary_folders(int temporary)
{
	static const char *const shared[] = { "/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/var/lock", "/var/crash" };
	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
		char *path = realpath(shared[i], NULL);
		/* One may be a link to another. */
		if (path == NULL || !is_folder_for_all(path) || is_target(path)) {
			free(path);
			continue;
		}
		char name[2] = { (char)('a' + i), '\0' };
		add_target(new_folder(temporary, name, 01777), path, O_DIRECTORY);
	}
}

/* What the host's folder has is covered, but for what is mounted in it. */
static char *cover_folder(int generated, const char *name, const char *folder)
{
	char *path = real_path(folder);
	add_sealed_target(new_folder(generated, name, 0711), path);
	return path;
}

static void add_folders(int generated, const struct box *box, const struct sources *sources)
{
	add_source(sources->home, real_path(box->user.home), NO_SUID_OR_DEVICES);
	char *state = cover_folder(generated, "state", box->state);
	add_source(sources->executions, join(state, "functions/tmp"), NO_SUID_OR_DEVICES);
	char *caches = join(state, "functions/caches");
	add_source(sources->cache, join(caches, box->name), NO_SUID_OR_DEVICES);
	free(caches);
	char *apps = cover_folder(generated, "apps", box->apps);
	add_source(sources->code, join(apps, box->name), NO_SUID_OR_DEVICES | MOUNT_ATTR_RDONLY);
}

/* ---- what belongs to the kernel ---- */

/* Processes of other users are not in it. */
static void mount_proc(void)
{
	static const struct mount_option options[] = { { "hidepid", "invisible" }, { NULL, NULL } };
	int mount = new_file_system("proc", options, NOTHING_SPECIAL);
	if (mount < 0)
		fail("cannot make a file system of type proc");
	attach_mount_at(mount, "/proc");
}

static void mount_queues(void)
{
	static const struct mount_option none[] = { { NULL, NULL } };
	if (access("/dev/mqueue", F_OK) != 0)
		return;
	int mount = new_file_system("mqueue", none, NOTHING_SPECIAL);
	if (mount >= 0)
		attach_mount_at(mount, "/dev/mqueue");
}

/* All System V segments together (shmall in proc_sys_kernel(5)): a new namespace has no bound. */
static void bound_segments(uint64_t bytes)
{
	static const char path[] = "/proc/sys/kernel/shmall";
	FILE *file = fopen(path, "we");
	if (file == NULL && errno == ENOENT)
		return;
	if (file == NULL || fprintf(file, "%" PRIu64, bytes / (uint64_t)sysconf(_SC_PAGESIZE)) < 0 || fclose(file) != 0)
		fail("cannot write to %s", path);
}

/* A new network namespace has nothing but a loopback interface that is down. */
static void start_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int any = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (any < 0 || ioctl(any, SIOCGIFFLAGS, &request) != 0)
		fail("cannot find the loopback interface");
	request.ifr_flags |= IFF_UP;
	if (ioctl(any, SIOCSIFFLAGS, &request) != 0)
		fail("cannot start the loopback interface");
	close(any);
}

static void leave_host(const struct box *box)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC) != 0)
		fail("cannot make a mount and an IPC namespace");
	if (!box->has_network) {
		if (unshare(CLONE_NEWNET) != 0)
			fail("cannot make a network namespace");
		start_loopback();
	}
	follow_host();
}

void enter_box(const struct box *box)
{
	struct sources sources = open_sources(box);
	leave_host(box);
	uint64_t inodes = box->tmp_bytes / BYTES_PER_INODE;
	int temporary = new_tmpfs(box->tmp_bytes, inodes < INODES_MIN ? INODES_MIN : inodes);
	int generated = new_generated();
	stage(generated, temporary);
	if (box->disk >= 0)
		use_disk(box->disk, generated, &sources);
	add_temporary_folders(temporary);
	add_users(generated, &box->user);
	add_folders(generated, box, &sources);
	detach_mount_at(STAGE);
	mount_targets();
	mount_proc();
	mount_queues();
	bound_segments(box->tmp_bytes);
}
