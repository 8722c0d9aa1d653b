/*
 * How launchers share the sandbox of a function: by a file, FOLDER/UID, that says which of them holds its descriptors.
 * What it says is only believed where it is still true. Two bytes of the file are locked (F_OFD_SETLK of fcntl(2)), so
 * that a launcher's death gives its locks back:
 *
 *     the first   by who makes the sandbox, or closes its descriptors, for that moment
 *     the second  shared, by each launcher that runs executions of the function; alone, by who gives the sandbox up
 *
 * A launcher that registered the sandbox itself needs only the second to start in it: nobody else gives it up then.
 */
#ifndef SANDBOX_REGISTRY_H
#define SANDBOX_REGISTRY_H

#include "sandbox_maker.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What the file says. */
struct registered {
	/* Identifies the sandbox: of its mount namespace; 0: there is none. */
	uint64_t id;
	/* What it was made of: another plan, or other folders of the function, take a new one. */
	uint64_t plan;
	uint64_t folders;
	/* The host's users that it has been given. */
	uint64_t users;
	/* The files in it when it was made. */
	uint64_t inodes;
	/* Who holds its descriptors, and which they are. */
	uint32_t pid;
	struct namespaces namespaces;
};

/* The function's file; -1 with errno. */
int registry_open(const char *folder, uint32_t uid);

/* Waits for others that make it, or close it. False with errno. */
bool registry_lock(int file);
void registry_unlock(int file);

/* Notes that this launcher runs executions of the function. Waits for one that is giving its sandbox up. False with errno. */
bool registry_use(int file);
void registry_leave(int file);

/* After registry_use: whether nobody else runs executions of the function. Then others wait until registry_leave. */
bool registry_use_alone(int file);

/* What it says; an id of 0 where it says nothing. */
struct registered registry_read(int file);
void registry_write(int file, const struct registered *registered);

/* Opens the sandbox that another launcher holds. False where it no longer does. */
bool registry_open_namespaces(const struct registered *registered, struct namespaces *opened);

/* See `id` above; 0: it is no namespace. */
uint64_t namespace_id(int fd);

#endif
