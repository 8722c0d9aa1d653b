#define _GNU_SOURCE
#include "mounts.h"

#include "failure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * By system calls: glibc has functions for these since 2.36 only, in <sys/mount.h>, which until 2.37 could not be included
 * beside the kernel's header.
 */

/* It is not in the kernel's headers. */
#define MNT_DETACH 2

static bool set_attributes(int folder, const char *path, unsigned flags, struct mount_attr attributes)
{
	return syscall(SYS_mount_setattr, folder, path, flags, &attributes, sizeof attributes) == 0;
}

int new_file_system(const char *type, const struct mount_option *options, uint64_t attributes)
{
	int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	if (context < 0 && errno == ENODEV)
		return -1;
	if (context < 0)
		fail("cannot make a file system of type %s", type);
	for (; options->key != NULL; options++) {
		const char *value = options->value;
		unsigned command = value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
		if (syscall(SYS_fsconfig, context, command, options->key, value, 0) != 0)
			fail("cannot give a file system of type %s the option %s%s%s", type, options->key,
			     value == NULL ? "" : "=", value == NULL ? "" : value);
	}
	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		fail("cannot make a file system of type %s", type);
	int mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
	if (mount < 0)
		fail("cannot make a mount of type %s", type);
	close(context);
	return mount;
}

int new_tmpfs(uint64_t bytes, uint64_t inodes)
{
	char size[24];
	char count[24];
	snprintf(size, sizeof size, "%" PRIu64, bytes);
	snprintf(count, sizeof count, "%" PRIu64, inodes);
	const struct mount_option options[] = {
		{ "source", "flux-agent" }, { "mode", "755" }, { "size", size }, { "nr_inodes", count }, { NULL, NULL },
	};
	int mount = new_file_system("tmpfs", options, NO_SUID_OR_DEVICES);
	if (mount < 0)
		fail("cannot make a file system of type tmpfs");
	return mount;
}

int clone_tree(int folder, const char *path, int type)
{
	int original = openat(folder, path, O_PATH | O_NOFOLLOW | O_CLOEXEC | type);
	if (original < 0 && errno == ENOENT)
		return -1;
	if (original < 0)
		fail("cannot open %s", path);
	int mount = (int)syscall(SYS_open_tree, original, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (mount < 0)
		fail("cannot make a mount of %s", path);
	close(original);
	/* It would be a peer of the host's mount: what is mounted in it would appear on the host. */
	if (!set_attributes(mount, "", AT_EMPTY_PATH, (struct mount_attr){ .propagation = MS_PRIVATE }))
		fail("cannot make a private mount of %s", path);
	return mount;
}

void restrict_mount(int mount, uint64_t attributes)
{
	if (!set_attributes(mount, "", AT_EMPTY_PATH, (struct mount_attr){ .attr_set = attributes }))
		fail("cannot restrict a mount");
}

bool attach_mount(int mount, int over)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	return syscall(SYS_move_mount, mount, "", over, "", flags) == 0;
}

void attach_mount_at(int mount, const char *path)
{
	if (syscall(SYS_move_mount, mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0)
		fail("cannot mount at %s", path);
}

void detach_mount_at(const char *path)
{
	if (syscall(SYS_umount2, path, MNT_DETACH) != 0)
		fail("cannot unmount %s", path);
}

void follow_host(void)
{
	if (!set_attributes(AT_FDCWD, "/", AT_RECURSIVE, (struct mount_attr){ .propagation = MS_SLAVE }))
		fail("cannot keep mounts from reaching the host");
}

int new_folder(int in, const char *name, mode_t mode)
{
	if (mkdirat(in, name, mode) != 0)
		fail("cannot make a folder for %s", name);
	return clone_tree(in, name, O_DIRECTORY);
}
