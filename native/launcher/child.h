/*
 * The start of one process, from clone to exec.
 *
 * A start takes the thread that does it until the program has been executed (vfork(2)). The child is killed when that
 * thread ends (PR_SET_PDEATHSIG).
 */
#ifndef CHILD_H
#define CHILD_H

#include "list.h"
#include "protocol.h"
#include "sandbox_maker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* This many threads may start children, besides the launcher's first one. */
#define STARTING_THREADS_MAX 1024

struct execution;

/* What is to be started, and how far that went. */
struct child {
	/* Of its START. */
	const struct start_request *request;
	const struct rlimit_request *rlimits;
	const uint32_t *groups;
	const char *file;
	const char *folder;
	char **argv;
	char **envp;
	/* Whose sandbox it joins; NULL: none. */
	const char *function;
	const unsigned char *note;
	/* The end of a pipe that becomes stdout and stderr. */
	int output;
	/* Those to join; NULL: none. */
	const struct namespaces *namespaces;
	/* The folder for temporary folders, where a file system of the function's own is mounted there; NULL: none is. */
	const char *disk;
	/* The folder of the cgroup to be born in; -1: none. */
	int cgroup;
	/* Whether its descendants have to be recognised by a tag, for want of a cgroup: see tag.h. */
	bool tagged;
	struct execution *execution;

	/* By child_start: whether it still has the launcher's table of descriptors, with its pipe where all find theirs. */
	bool has_slot;
	/* By child_start: the launcher's pid, and the child's own, which is 0 until the child runs. */
	pid_t launcher;
	atomic_int pid;
	/* By child_start: the pid, to be reaped by the caller even where the program was not executed; -1: clone failed. */
	pid_t process;
	/* -1 where the kernel has no pidfds. */
	int pidfd;
	/* Where it failed, and errno. An error of 0: the program was executed, or the child was killed before. */
	enum step step;
	int error;

	/* For starts.c alone. */
	struct list_node under_way;
	struct child *next_handed_over;
	int64_t begun_ms;
	int64_t looked_at_ms;
	int64_t killed_ms;
	/* Why it has been cancelled, an errno; 0: it has not. */
	int cancelled;
	bool abandoned;
};

/* Opens what every child needs, before the first start. False with errno. */
bool child_open(void);

/* Whether the kernel has clone3(2), as far as has been seen. */
bool child_has_clone3(void);

/* Starts a child, and returns once its program has been executed or that has failed. May be called on any thread. */
void child_start(struct child *child);

/* The pid of the child whose start was begun last; 0 until that child runs. */
pid_t child_latest(void);

/* Calls `visit` for every child of the launcher, whether started or inherited, zombies included. */
void child_each(void (*visit)(pid_t pid));

#endif
