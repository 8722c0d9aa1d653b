/*
 * The leader of an execution: the process that runs its program. Its end is reported by its pidfd, or, where the kernel
 * has none, by SIGCHLD alone.
 */
#ifndef LEADER_H
#define LEADER_H

#include "execution.h"

/* Before the first execution: leaders' pidfds go to this epoll, with the execution's address as their data. */
void leaders_open(int epoll);

/* Has its end reported, from when it runs. */
void leader_watch(struct execution *execution);

/* Once its end is known: before the next wait for events. Once more does nothing. */
void leader_unwatch(struct execution *execution);

/* Whether there are leaders whose end only SIGCHLD reports. */
bool leaders_need_sigchld(void);

/* Whether it has ended, reaped or not. */
bool leader_has_ended(const struct execution *execution);

/*
 * Reaps it and notes how it ended, if that is possible yet: a traced process can be reaped only when its tracer lets it
 * go, which may be never (ptrace(2)).
 */
void leader_reap(struct execution *execution);

#endif
