/* The start of a process, from the clone to the exec. */
#ifndef CHILD_H
#define CHILD_H

#include "launcher.h"

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
	/* Whose child it is: set by child_start. */
	pid_t launcher;
	/* Where it failed, once child_start has answered -1, and why. */
	enum step step;
	int error;
};

/* Before the first start: opens what every child needs and starts the watch over them. False with errno. */
bool child_prepare(void);

/* Whether the kernel has clone3(2), as far as it is known. */
bool child_has_clone3(void);

/*
 * Starts it and waits until its program has been executed. Answers its pid, and its pidfd, or -1 in that place where the
 * kernel has none; or -1 with step and error set.
 */
pid_t child_start(struct child *child, int *pidfd);

/* The pid of the leader that a process descends from where children are tagged, as long as it has not disowned it. */
pid_t child_leader_of(pid_t pid);

#endif
