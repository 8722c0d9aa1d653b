/*
 * Reports when processes die. Reads pids from standard input, one a line, and writes
 *
 *     watching PID        its death will be seen from now on
 *     missing PID         there is no such process
 *     dead PID TIME       TIME: nanoseconds of CLOCK_MONOTONIC, the clock of Node's process.hrtime()
 *
 * Exits when its input ends. A process is dead once it no longer runs, whether it has been reaped or not.
 */
#define _GNU_SOURCE
#include "clock.h"
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256

/* What an epoll event is about: the pid and its pidfd, in one number; 0: standard input. */
#define WATCHED(pid, pidfd) ((uint64_t)(pid) << 32 | (uint32_t)(pidfd))
#define PID_OF(watched) ((int)((watched) >> 32))
#define PIDFD_OF(watched) ((int)(uint32_t)(watched))

static int events;

static void watch(int pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct epoll_event event = { EPOLLIN, { .u64 = WATCHED(pid, pidfd) } };
	if (pidfd >= 0 && epoll_ctl(events, EPOLL_CTL_ADD, pidfd, &event) == 0) {
		printf("watching %d\n", pid);
		return;
	}
	printf("missing %d\n", pid);
	if (pidfd >= 0)
		close(pidfd);
}

/* False once the input has ended. */
static bool read_pids(void)
{
	static char text[65536];
	static size_t used;
	ssize_t length = read(0, text + used, sizeof text - 1 - used);
	if (length <= 0)
		return length < 0 && errno == EINTR;
	used += (size_t)length;
	char *line = text;
	for (size_t i = 0; i < used; i++) {
		if (text[i] != '\n')
			continue;
		text[i] = '\0';
		watch(atoi(line));
		line = text + i + 1;
	}
	used -= (size_t)(line - text);
	for (size_t i = 0; i < used; i++)
		text[i] = line[i];
	return used < sizeof text - 1;
}

int main(void)
{
	/* Waiting for a core would make deaths seem later than they are. Without the right, as high a priority as it gets. */
	const struct sched_param priority = { .sched_priority = 1 };
	if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
		setpriority(PRIO_PROCESS, 0, -20);
	events = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event input = { EPOLLIN, { .u64 = 0 } };
	if (events < 0 || epoll_ctl(events, EPOLL_CTL_ADD, 0, &input) != 0) {
		perror("deaths");
		return 1;
	}
	for (;;) {
		struct epoll_event ready[EVENTS_AT_ONCE];
		int count = epoll_wait(events, ready, EVENTS_AT_ONCE, -1);
		int64_t now = now_ns();
		for (int i = 0; i < count; i++) {
			uint64_t watched = ready[i].data.u64;
			if (watched == 0) {
				if (!read_pids())
					return 0;
				continue;
			}
			printf("dead %d %" PRId64 "\n", PID_OF(watched), now);
			close(PIDFD_OF(watched));
		}
		fflush(stdout);
	}
}
