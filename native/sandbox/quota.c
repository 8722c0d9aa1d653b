#define _GNU_SOURCE
#include "quota.h"

#include "failure.h"

#include <linux/dqblk_xfs.h>
#include <linux/quota.h>
#include <sys/syscall.h>
#include <unistd.h>

/* XFS's commands work with all file systems (Linux 4.1), and they alone tell counting from enforcing. */
#define BLOCK_BYTES 512

/* By descriptor, since the device of a file system may not be in /dev (Linux 5.14). */
static bool control(int folder, int command, uint32_t id, void *argument)
{
	return syscall(SYS_quotactl_fd, folder, QCMD(command, USRQUOTA), id, argument) == 0;
}

bool enforces_quotas(int folder)
{
	struct fs_quota_stat state = { .qs_version = FS_QSTAT_VERSION };
	return control(folder, Q_XGETQSTAT, 0, &state) && (state.qs_flags & FS_QUOTA_UDQ_ENFD) != 0;
}

void set_quota(int folder, uint32_t uid, uint64_t bytes, uint64_t inodes)
{
	struct fs_disk_quota quota = {
		.d_version = FS_DQUOT_VERSION,
		.d_flags = FS_USER_QUOTA,
		.d_fieldmask = FS_DQ_BSOFT | FS_DQ_BHARD | FS_DQ_ISOFT | FS_DQ_IHARD,
		.d_id = uid,
		.d_blk_hardlimit = bytes / BLOCK_BYTES,
		.d_ino_hardlimit = inodes,
	};
	if (!control(folder, Q_XSETQLIM, uid, &quota))
		fail("cannot set the disk quota of user %u", uid);
}
