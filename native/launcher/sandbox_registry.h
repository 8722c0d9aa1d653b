/*
 * How launchers share the sandbox of a function: by a file, FOLDER/UID, that says which of them holds its descriptors.
 * What it says is only believed where it is still true. Two bytes of the file are locked (F_OFD_SETLK of fcntl(2)), so
 * that a launcher's death gives its locks back:
 *
 *     the first   by who looks at the sandbox, makes it or gives it up, for that moment
 *     the second  shared, by each launcher that runs executions of the function
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

/* Waits for others that look at it. False with errno. */
bool registry_lock(int file);
void registry_unlock(int file);

/* Notes that this launcher runs executions of the function, or does no more. Only while it is locked. */
void registry_use(int file);
void registry_leave(int file);

/* Whether another launcher runs executions of the function. Only while it is locked. */
bool registry_is_used(int file);

/* What it says; an id of 0 where it says nothing. */
struct registered registry_read(int file);
void registry_write(int file, const struct registered *registered);

/* Opens the sandbox that another launcher holds. False where it no longer does. */
bool registry_open_namespaces(const struct registered *registered, struct namespaces *opened);

/* See `id` above; 0: it is no namespace. */
uint64_t namespace_id(int fd);

#endif
