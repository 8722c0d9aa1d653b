/* The epoll that the launcher sleeps in: what wakes it, but for output, which has an epoll of its own (output.h). */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* What an event is about. Any larger value is an execution's address: its leader has ended. */
enum source {
	SOURCE_REQUESTS = 1,
	SOURCE_EVENTS = 2,
	SOURCE_SIGNAL = 3,
	SOURCE_OUTPUTS = 4,
	SOURCE_STARTS = 5,
	SOURCE_CONNECTIONS = 6,
};

/* False with errno. */
bool control_open(void);

int control_fd(void);

/* Has a descriptor watched for these events (epoll_ctl(2)). Exits where that is not possible. */
void control_watch(int fd, uint32_t events, enum source source);

/* Changes for what a descriptor is watched. */
void control_change(int fd, uint32_t events, enum source source);

/* Has it watched no more, if it is. Before the descriptor is closed: a child that is being started may hold it open. */
void control_unwatch(int fd);

#endif
