/*
 * Tells when processes die. Reads pids from standard input, one a line, and writes
 *
 *     watching PID        from here on its death is seen
 *     missing PID         there is none of that number
 *     dead PID TIME       TIME: nanoseconds of CLOCK_MONOTONIC, the clock of process.hrtime() of Node
 *
 * It leaves when its input ends. A process counts as dead once it runs no more, reaped or not.
 */
#define _GNU_SOURCE
#include "clock.h"
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256

struct watched {
	int pid;
	int pidfd;
};

static int events;

static void watch(int pid)
{
	struct watched *watched = malloc(sizeof *watched);
	if (watched == NULL)
		abort();
	*watched = (struct watched){ pid, (int)syscall(SYS_pidfd_open, pid, 0) };
	struct epoll_event event = { EPOLLIN, { .ptr = watched } };
	if (watched->pidfd >= 0 && epoll_ctl(events, EPOLL_CTL_ADD, watched->pidfd, &event) == 0) {
		printf("watching %d\n", pid);
		return;
	}
	printf("missing %d\n", pid);
	if (watched->pidfd >= 0)
		close(watched->pidfd);
	free(watched);
}

/* Answers false once there is no more input. */
static int read_pids(void)
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
	/* It must not wait for a core itself, or deaths would seem later than they are. Without the right it does its best. */
	const struct sched_param priority = { .sched_priority = 1 };
	if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
		setpriority(PRIO_PROCESS, 0, -20);
	events = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event input = { EPOLLIN, { .ptr = NULL } };
	if (events < 0 || epoll_ctl(events, EPOLL_CTL_ADD, 0, &input) != 0) {
		perror("deaths");
		return 1;
	}
	for (;;) {
		struct epoll_event ready[EVENTS_AT_ONCE];
		int count = epoll_wait(events, ready, EVENTS_AT_ONCE, -1);
		int64_t now = now_ns();
		for (int i = 0; i < count; i++) {
			struct watched *watched = ready[i].data.ptr;
			if (watched == NULL) {
				if (!read_pids())
					return 0;
				continue;
			}
			printf("dead %d %" PRId64 "\n", watched->pid, now);
			close(watched->pidfd);
			free(watched);
		}
		fflush(stdout);
	}
}
