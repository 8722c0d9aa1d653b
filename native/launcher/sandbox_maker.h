/* Makes one sandbox, by running the program for that. */
#ifndef SANDBOX_MAKER_H
#define SANDBOX_MAKER_H

#include <stdbool.h>
#include <stdint.h>

/* Descriptors of a sandbox; -1: there is none. */
struct namespaces {
	int mount;
	int ipc;
	int network;
	/* Its folders for temporary files, and its message queues. */
	int tmp;
	int queues;
	/* The folder for temporary folders of executions: the node's, or one on a file system of its own. */
	int executions;
};

#define NAMESPACES_COUNT 6
_Static_assert(sizeof(struct namespaces) == NAMESPACES_COUNT * sizeof(int), "it is handled as an array, too");

/* What all sandboxes have in common. */
struct sandbox_plan {
	const char *program;
	/* Whom each function takes itself for, and its home. */
	const char *user;
	const char *home;
	/* The agent's folders. */
	const char *apps;
	const char *state;
	uint64_t tmp_bytes;
	uint64_t disk_bytes;
	bool has_network;
};

/* False with errno, having said on standard error what has failed. */
bool sandbox_make(const struct sandbox_plan *plan, uint32_t uid, const char *function, struct namespaces *made);

/*
 * Gives a sandbox its names of users back where the host has replaced its own (/etc/passwd), by which the sandbox has lost
 * them. Says on standard error where that fails.
 */
void sandbox_restore_users(const struct sandbox_plan *plan, uint32_t uid, const char *function, int mount);

/* On a thread of its own: giving up the last descriptor of a mount namespace takes milliseconds. */
void namespaces_close(struct namespaces *namespaces);

#endif
