#define _GNU_SOURCE
#include "inheritance.h"

#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void inheritance_shed(void)
{
	if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
		for (int fd = (int)sysconf(_SC_OPEN_MAX) - 1; fd > 2; fd--)
			close(fd);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	/* A terminal sends Ctrl-C to this process, too; but only the end of its input may end it. */
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	struct rlimit descriptors;
	if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
		descriptors.rlim_cur = descriptors.rlim_max;
		setrlimit(RLIMIT_NOFILE, &descriptors);
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}
