#define _GNU_SOURCE
#include "leader.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int control;
static unsigned without_pidfd;

void leaders_open(int epoll)
{
	control = epoll;
}

void leader_watch(struct execution *execution)
{
	struct epoll_event event = { EPOLLIN, { .ptr = execution } };
	if (execution->pidfd >= 0 && epoll_ctl(control, EPOLL_CTL_ADD, execution->pidfd, &event) != 0) {
		close(execution->pidfd);
		execution->pidfd = -1;
	}
	if (execution->pidfd < 0)
		without_pidfd++;
	execution->leader_watched = true;
}

void leader_unwatch(struct execution *execution)
{
	if (!execution->leader_watched)
		return;
	execution->leader_watched = false;
	if (execution->pidfd < 0) {
		without_pidfd--;
		return;
	}
	/* Before the close: a child that is being started may hold the descriptor open, and so its registration. */
	epoll_ctl(control, EPOLL_CTL_DEL, execution->pidfd, NULL);
	close(execution->pidfd);
	execution->pidfd = -1;
}

bool leaders_need_sigchld(void)
{
	return without_pidfd > 0;
}

bool leader_has_ended(const struct execution *execution)
{
	siginfo_t ended = { .si_pid = 0 };
	return waitid(P_PID, (id_t)execution->pid, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid != 0;
}

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

void leader_reap(struct execution *execution)
{
	int status = 0;
	struct rusage usage;
	memset(&usage, 0, sizeof usage);
	if (wait4(execution->pid, &status, WNOHANG, &usage) != execution->pid)
		return;
	execution->leader_reaped = true;
	execution->end = (struct ended_event){
		.exit_code = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
		.signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0,
		.user_us = microseconds(usage.ru_utime),
		.system_us = microseconds(usage.ru_stime),
		.max_rss_kb = (uint64_t)usage.ru_maxrss,
	};
}
