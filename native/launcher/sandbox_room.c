#define _GNU_SOURCE
#include "sandbox_room.h"

#include "cleanup.h"
#include "protocol.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/quota.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAIT_LIMIT_MS 2000
/* The headers of older systems lack it; the number is the same on all architectures. */
#define QUOTACTL_FD 443

/*
 * A hundredth counts as nothing: a program that has failed may have removed some of what it wrote, and the last blocks are
 * not for everything. A total of 0 is no limit.
 */
static bool is_used_up(uint64_t left, uint64_t total)
{
	return total > 0 && left <= total / 100;
}

static bool is_full(int folder)
{
	struct statfs found;
	return fstatfs(folder, &found) == 0 && (is_used_up((uint64_t)found.f_bavail, (uint64_t)found.f_blocks) ||
						is_used_up((uint64_t)found.f_ffree, (uint64_t)found.f_files));
}

static uint64_t left_of(uint64_t limit, uint64_t used)
{
	return used < limit ? limit - used : 0;
}

/* See native/sandbox/quota.c. */
static bool is_quota_used_up(int folder, uint32_t uid)
{
	struct fs_disk_quota found = { 0 };
	if (syscall(QUOTACTL_FD, folder, QCMD(Q_XGETQUOTA, USRQUOTA), uid, &found) != 0)
		return false;
	return is_used_up(left_of(found.d_blk_hardlimit, found.d_bcount), found.d_blk_hardlimit) ||
	       is_used_up(left_of(found.d_ino_hardlimit, found.d_icount), found.d_ino_hardlimit);
}

uint16_t sandbox_room_used_up(const struct namespaces *namespaces, uint32_t uid, bool has_image)
{
	int disk = namespaces->executions;
	bool disk_used_up = has_image ? is_full(disk) : is_quota_used_up(disk, uid);
	return (uint16_t)((is_full(namespaces->tmp) ? USED_UP_TMP : 0) | (disk_used_up ? USED_UP_DISK : 0));
}

void sandbox_room_wait(const char *folder)
{
	struct statfs found;
	if (statfs(folder, &found) != 0 || (found.f_bavail >= found.f_blocks / 2 && found.f_ffree >= found.f_files / 2))
		return;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	cleanup_wait(fd, WAIT_LIMIT_MS);
	close(fd);
}
