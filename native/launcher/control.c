#include "control.h"

#include <stdio.h>
#include <stdlib.h>

static int control;

bool control_open(void)
{
	control = epoll_create1(EPOLL_CLOEXEC);
	return control >= 0;
}

int control_fd(void)
{
	return control;
}

static void update(int operation, int fd, uint32_t events, enum source source)
{
	struct epoll_event event = { events, { .u64 = source } };
	if (epoll_ctl(control, operation, fd, &event) == 0)
		return;
	perror("flux-agent launcher: standard input and output must be pipes or sockets");
	exit(2);
}

void control_watch(int fd, uint32_t events, enum source source)
{
	update(EPOLL_CTL_ADD, fd, events, source);
}

void control_change(int fd, uint32_t events, enum source source)
{
	update(EPOLL_CTL_MOD, fd, events, source);
}

void control_unwatch(int fd)
{
	epoll_ctl(control, EPOLL_CTL_DEL, fd, NULL);
}
