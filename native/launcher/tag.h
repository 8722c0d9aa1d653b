/*
 * Tags tell which execution a process belongs to where there are no cgroups, even when it has left its process group and
 * lost its parent.
 *
 * A tag is a pair of resource limits. Every descendant inherits them, and only root can raise a hard limit: RLIMIT_LOCKS,
 * which has had no effect since Linux 2.4, and RLIMIT_RTTIME, for realtime processes, so large that it limits nothing
 * (getrlimit(2)). The first is the leader's pid; the second is what the pid lacks to a constant sum. A process can lower
 * its limits, but then the sum is wrong: it disowns its leader, and cannot claim another one. A process without an owner is
 * killed, so nothing is gained by that.
 */
#ifndef TAG_H
#define TAG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Before the first child is started. */
void tags_open(void);

/* Tags the calling process, and so all its descendants, as those of a leader. False with errno. */
bool tag_self(pid_t leader);

/* The leader that a process is tagged with; 0 where it has none, or has disowned it. */
pid_t tag_leader_of(pid_t pid);

/* Sets a resource limit of the calling process, at most to its present hard limit. False with errno. */
bool limit_self(int resource, uint64_t soft, uint64_t hard);

#endif
