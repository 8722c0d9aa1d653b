#define _GNU_SOURCE
#include "sandbox_registry.h"

#include "proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAKING 0
#define USING 1

int registry_open(const char *folder, uint32_t uid)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%" PRIu32, folder, uid);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool lock(int file, int how, short type, off_t byte)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	return fcntl(file, how, &range) == 0;
}

bool registry_lock(int file)
{
	return lock(file, F_OFD_SETLKW, F_WRLCK, MAKING);
}

void registry_unlock(int file)
{
	lock(file, F_OFD_SETLK, F_UNLCK, MAKING);
}

bool registry_use(int file)
{
	return lock(file, F_OFD_SETLKW, F_RDLCK, USING);
}

void registry_leave(int file)
{
	lock(file, F_OFD_SETLK, F_UNLCK, USING);
}

bool registry_use_alone(int file)
{
	return lock(file, F_OFD_SETLK, F_WRLCK, USING);
}

struct registered registry_read(int file)
{
	struct registered found;
	if (pread(file, &found, sizeof found, 0) != sizeof found)
		return (struct registered){ 0 };
	return found;
}

void registry_write(int file, const struct registered *registered)
{
	/* Where that fails, others find what is no longer true, and make a sandbox of their own. */
	if (pwrite(file, registered, sizeof *registered, 0) != sizeof *registered)
		(void)ftruncate(file, 0);
}

/*
 * The kernel gives the number of a namespace to another one as soon as it is gone, and has made the file later then. The
 * file lasts as long as a descriptor of it does.
 */
uint64_t namespace_id(int fd)
{
	struct stat found;
	if (fd < 0 || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNS || fstat(fd, &found) != 0)
		return 0;
	uint64_t made_ns = (uint64_t)found.st_ctim.tv_sec * 1000000000 + (uint64_t)found.st_ctim.tv_nsec;
	return found.st_ino << 32 ^ made_ns;
}

static int open_descriptor(uint32_t pid, int fd, int flags)
{
	if (fd < 0)
		return -1;
	char path[32];
	snprintf(path, sizeof path, "fd/%d", fd);
	return proc_open((pid_t)pid, path, flags);
}

/*
 * The mount namespace is the one that was registered, so its holder is alive and is who it was. Its other descriptors have
 * not changed then, as they are all closed together, and the registry is locked before that.
 */
bool registry_open_namespaces(const struct registered *registered, struct namespaces *opened)
{
	const struct namespaces *theirs = &registered->namespaces;
	*opened = (struct namespaces){
		.mount = open_descriptor(registered->pid, theirs->mount, O_RDONLY),
		.ipc = open_descriptor(registered->pid, theirs->ipc, O_RDONLY),
		.network = open_descriptor(registered->pid, theirs->network, O_RDONLY),
		.tmp = open_descriptor(registered->pid, theirs->tmp, O_PATH | O_DIRECTORY),
		.queues = open_descriptor(registered->pid, theirs->queues, O_RDONLY | O_DIRECTORY),
		.executions = open_descriptor(registered->pid, theirs->executions, O_RDONLY | O_DIRECTORY),
	};
	bool complete = opened->ipc >= 0 && opened->tmp >= 0 && (theirs->network < 0) == (opened->network < 0) &&
			(theirs->queues < 0) == (opened->queues < 0) &&
			(theirs->executions < 0) == (opened->executions < 0);
	if (complete && namespace_id(opened->mount) == registered->id)
		return true;
	namespaces_close(opened);
	return false;
}
