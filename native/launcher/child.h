/* The start of a process, from the clone to the exec. */
#ifndef CHILD_H
#define CHILD_H

#include "launcher.h"

#include <stdatomic.h>

struct execution;

/* What is to be started, and how far that went. */
struct child {
	const struct start_request *request;
	const uint64_t (*rlimits)[3];
	const uint32_t *groups;
	const char *file;
	const char *folder;
	char **argv;
	char **envp;
	/* Where stdout and stderr go. */
	int output;
	/* To be born in; -1: none. */
	int cgroup;
	/* To be recognised by, where there is no cgroup: see TAG in child.c. */
	bool tagged;
	/* Whose execution it is. */
	struct execution *execution;

	/* How far it went, by child_start. Whose child it is. */
	pid_t launcher;
	/* Its own, once it runs; the one to be started may not be there yet. */
	atomic_int pid;
	/* Of what has been cloned, to be reaped by the caller even where its program has not been executed; else -1. */
	pid_t process;
	/* -1 where the kernel has none. */
	int pidfd;
	/* Where it failed, and why; 0: its program has been executed, or it was killed before. */
	enum step step;
	int error;

	/* For starts.c alone: when it was begun, and why it has been killed. */
	struct child *next;
	struct child *previous;
	struct child *done_next;
	int64_t since;
	int64_t looked_at;
	int64_t killed_at;
	int unwanted;
	bool lost;
};

/* Before the first start: opens what every child needs. False with errno. */
bool child_prepare(void);

/* Whether the kernel has clone3(2), as far as it is known. */
bool child_has_clone3(void);

/* So many threads may start children, besides the first one of the launcher. */
#define STARTING_THREADS_MAX 1024

/* Starts it and waits until its program has been executed. On any thread; the child is killed when that ends. */
void child_start(struct child *child);

/* The pid of the one whose start has been begun last; 0 as long as it has not run. */
pid_t child_latest(void);

/* Calls `visit` for every child of the launcher, started or inherited, zombies included. */
void child_each(void (*visit)(pid_t pid));

/* The pid of the leader that a process descends from where children are tagged, as long as it has not disowned it. */
pid_t child_leader_of(pid_t pid);

#endif
