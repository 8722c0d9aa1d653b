/*
 * without-clone3 [--nor-pidfd] PROGRAM [ARGUMENT…]
 * Runs a program as on an older kernel: clone3(2) fails with ENOSYS, and with --nor-pidfd so does pidfd_open(2).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int nor_pidfd = argc > 1 && strcmp(argv[1], "--nor-pidfd") == 0;
	char **command = argv + 1 + nor_pidfd;
	unsigned second = nor_pidfd ? SYS_pidfd_open : SYS_clone3;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
	if (command[0] == NULL)
		return 2;
	/* Root can do without no_new_privs. If it were set here, tests could not see whether the launcher sets it. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	     prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)) {
		perror("seccomp");
		return 126;
	}
	execv(command[0], command);
	perror(command[0]);
	return 127;
}
