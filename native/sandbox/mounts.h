/*
 * Mounts by descriptor (Linux 5.12): each is made outside all folders, and then moved to where it is wanted. So nobody can
 * put another folder in the way between two steps. Everything here ends the program where it fails.
 */
#pragma once

#include <linux/mount.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NO_SUID_OR_DEVICES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
/* A folder that every host has, and that nothing but root can change: a new file system is mounted there to clone it. */
#define STAGE "/proc"

struct mount_option {
	const char *key;
	/* NULL: it has none. */
	const char *value;
};

/*
 * A new file system that is mounted nowhere yet; `options` end with an empty one. -1 where the kernel does not know the
 * type.
 */
int new_file_system(const char *type, const struct mount_option *options, uint64_t attributes);

int new_tmpfs(uint64_t bytes, uint64_t inodes);

/* Makes a folder in one that is mounted; answers a mount of it. */
int new_folder(int in, const char *name, mode_t mode);

/*
 * A folder (`type` is O_DIRECTORY) or file (0) of a mounted file system, as a mount of its own. -1 where it does not exist.
 * A link in its place is refused.
 */
int clone_tree(int folder, const char *path, int type);

/* Adds MOUNT_ATTR_ bits to a mount. */
void restrict_mount(int mount, uint64_t attributes);

/* Mounts it over what a descriptor refers to. False with errno; ENOENT where that has been removed or replaced. */
bool attach_mount(int mount, int over);

/* Mounts it over a path. */
void attach_mount_at(int mount, const char *path);

/* Unmounts what is mounted at a path, with all that is mounted in it. What was cloned from it stays. */
void detach_mount_at(const char *path);

/* What the host mounts and unmounts later shall reach this namespace, and nothing the other way. */
void follow_host(void);
