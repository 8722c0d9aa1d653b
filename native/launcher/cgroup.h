/* Cgroups of executions: made below one folder, reused, measured. */
#ifndef CGROUP_H
#define CGROUP_H

#include "launcher.h"

struct cgroup;

/* Takes a folder of a cgroup2 file system into use; false, with errno, where it is not one. */
bool cgroups_open(const char *path);

/* Whether cgroups are in use. */
bool cgroups_used(void);

/* An empty cgroup with these limits, that of the processor yet to be applied; NULL with errno. */
struct cgroup *cgroup_take(const struct start_request *limits);

/*
 * Once the program has been executed: until then the launcher waits for the child, and would wait with it for the next
 * period of a small quota.
 */
void cgroup_limit_cpu(const struct cgroup *group);

/* The folder's descriptor, for CLONE_INTO_CGROUP. */
int cgroup_folder(const struct cgroup *group);

/* Whether a process in it lives; zombies do not count. */
bool cgroup_populated(const struct cgroup *group);

/* Calls `visit` for everything that lives in it, as far as this process can name it. */
void cgroup_each(const struct cgroup *group, void (*visit)(pid_t pid));

/* SIGKILL to everything in it, also to what is being forked. */
void cgroup_kill(struct cgroup *group);

/* Puts what was used since it was taken, and who ran out of memory, into the event. */
void cgroup_measure(struct cgroup *group, struct ended_event *event);

/* To be reused, or removed. */
void cgroup_release(struct cgroup *group);

/* SIGKILL to everything in all of them. */
void cgroups_kill_all(void);

/* Removes all that is empty. */
void cgroups_close(void);

#endif
