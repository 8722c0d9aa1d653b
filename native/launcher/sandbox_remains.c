#define _GNU_SOURCE
#include "sandbox_remains.h"

#include "sandbox_emptying.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The headers of older systems lack these; the numbers are the same on all architectures. */
#define FSOPEN 430
#define FSCONFIG 431
#define FSMOUNT 432
#define FSOPEN_FLAG_CLOEXEC 1
#define FSMOUNT_FLAG_CLOEXEC 1
#define FSCONFIG_COMMAND_CREATE 6

uint64_t sandbox_inodes(const struct namespaces *namespaces)
{
	struct statfs found;
	return fstatfs(namespaces->tmp, &found) == 0 ? found.f_files - found.f_ffree : 0;
}

/* ---- in another IPC namespace, for a moment: nothing that this thread starts may be born there ---- */

/* That of all threads of the launcher. */
static int own = -1;

static bool enter(int ipc)
{
	if (own < 0)
		own = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	return own >= 0 && setns(ipc, CLONE_NEWIPC) == 0;
}

static void go_back(void)
{
	if (setns(own, CLONE_NEWIPC) != 0)
		abort();
}

int sandbox_open_queues(int ipc)
{
	if (!enter(ipc))
		return -1;
	int system = (int)syscall(FSOPEN, "mqueue", FSOPEN_FLAG_CLOEXEC);
	int mount = -1;
	if (system >= 0 && syscall(FSCONFIG, system, FSCONFIG_COMMAND_CREATE, NULL, NULL, 0) == 0)
		mount = (int)syscall(FSMOUNT, system, FSMOUNT_FLAG_CLOEXEC, 0);
	go_back();
	int folder = mount < 0 ? -1 : openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount >= 0)
		close(mount);
	if (system >= 0)
		close(system);
	return folder;
}

/* Of the IPC namespace of this thread. Where the kernel has none of a kind, the answer is an error. */
static bool has_system_v_objects(void)
{
	struct shm_info memory = { 0 };
	struct seminfo semaphores = { 0 };
	struct msginfo queues = { 0 };
	union {
		struct seminfo *info;
	} argument = { &semaphores };
	return (shmctl(0, SHM_INFO, (struct shmid_ds *)&memory) >= 0 && memory.used_ids > 0) ||
	       (semctl(0, 0, SEM_INFO, argument) >= 0 && semaphores.semusz > 0) ||
	       (msgctl(0, MSG_INFO, (struct msqid_ds *)&queues) >= 0 && queues.msgpool > 0);
}

static bool has_system_v_remains(int ipc)
{
	if (!enter(ipc))
		return true;
	bool found = has_system_v_objects();
	go_back();
	return found;
}

/* The folder counts 20 bytes for each file, and for "." and ".." (DIRENT_SIZE in the kernel's ipc/mqueue.c). */
#define EMPTY_FOLDER 40

static bool has_queues(int folder)
{
	struct stat found;
	return folder >= 0 && (fstat(folder, &found) != 0 || found.st_size > EMPTY_FOLDER);
}

/* What was removed and is open somewhere still counts, and so does what is in other folders than /tmp. */
static bool has_files(const struct namespaces *namespaces, uint64_t inodes)
{
	if (sandbox_inodes(namespaces) == inodes)
		return false;
	sandbox_empty(namespaces->tmp);
	return sandbox_inodes(namespaces) != inodes;
}

bool sandbox_keeps_remains(const struct namespaces *namespaces, uint64_t inodes)
{
	return has_files(namespaces, inodes) || has_queues(namespaces->queues) || has_system_v_remains(namespaces->ipc);
}
