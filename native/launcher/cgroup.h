/*
 * The cgroups of executions. Each execution has one to itself, which limits it, finds all its processes, and measures
 * them. They are made below one folder; those of executions that have ended are reused.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include "protocol.h"

#include <stdbool.h>
#include <sys/types.h>

struct cgroup;

/* Has all cgroups made below a folder of a cgroup2 file system. False, with errno, where it is not one. */
bool cgroups_open(const char *path);

/* Whether cgroups are in use. */
bool cgroups_used(void);

/* An empty cgroup with these limits, except for that of the processor: see cgroup_limit_cpu. NULL with errno. */
struct cgroup *cgroup_take(const struct start_request *limits);

/*
 * Applies the limit of the processor, once the program has been executed. Before that the launcher waits for the child,
 * and a small quota would make both wait for the next period.
 */
void cgroup_limit_cpu(const struct cgroup *group);

/* The folder's descriptor, for CLONE_INTO_CGROUP. */
int cgroup_folder(const struct cgroup *group);

/* Whether a process in it is alive; zombies do not count. */
bool cgroup_populated(const struct cgroup *group);

/* Calls `visit` for every live process in it that this process's pid namespace has a number for. */
void cgroup_each(const struct cgroup *group, void (*visit)(pid_t pid));

/* Sends SIGKILL to every process in it, including those that are being forked. */
void cgroup_kill(struct cgroup *group);

/* Fills in what has been used since the cgroup was taken, and who ran out of memory. `event` has the leader's signal. */
void cgroup_measure(struct cgroup *group, struct ended_event *event);

/* Gives it back, to be reused or removed. */
void cgroup_release(struct cgroup *group);

/* Sends SIGKILL to every process in all cgroups. */
void cgroups_kill_all(void);

/* Removes all cgroups that are kept for reuse. */
void cgroups_close(void);

/* Removes the folder that they were in, and the two above it, as far as they are empty. */
void cgroups_remove(void);

#endif
