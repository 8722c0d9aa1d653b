#define _GNU_SOURCE
#include "generated.h"

#include "failure.h"
#include "mounts.h"
#include "targets.h"

#include <sched.h>
#include <stdlib.h>

#define BYTES (16 << 20)
#define INODES 1024

int new_generated(void)
{
	return new_tmpfs(BYTES, INODES);
}

static void add_file(int generated, const char *name, const char *path)
{
	int mount = clone_tree(generated, name, 0);
	restrict_mount(mount, MOUNT_ATTR_RDONLY);
	add_target(mount, real_path(path), 0);
}

void add_users(int generated, const struct user *user)
{
	if (write_passwd(generated, user))
		add_file(generated, "passwd", "/etc/passwd");
	if (write_group(generated, user))
		add_file(generated, "group", "/etc/group");
	/* The name service cache daemon answers for the host's files; without its socket programs read the files. */
	char *nscd = realpath("/run/nscd", NULL);
	if (nscd == NULL)
		nscd = realpath("/var/run/nscd", NULL);
	if (nscd != NULL)
		add_sealed_target(new_folder(generated, "nscd", 0755), nscd);
}

void restore_users(const struct user *user, int namespace)
{
	if (unshare(CLONE_NEWNS) != 0)
		fail("cannot make a mount namespace");
	follow_host();
	int generated = new_generated();
	attach_mount_at(generated, STAGE);
	add_users(generated, user);
	if (setns(namespace, CLONE_NEWNS) != 0)
		fail("cannot join the sandbox");
	mount_missing_targets();
}
