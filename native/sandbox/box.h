/* What a sandbox is made of. */
#pragma once

#include "users.h"

#include <stdbool.h>
#include <stdint.h>

struct box {
	struct user user;
	/* The folder that becomes the user's home. */
	const char *home;
	/* The folder with the code of all functions, and the function's name, under which its own code is there. */
	const char *apps;
	const char *name;
	/* The agent's folder. */
	const char *state;
	/* Bounds everything in temporary folders, and System V shared memory. */
	uint64_t tmp_bytes;
	bool has_network;
	/* A mount with the function's folders on disk, which is nowhere yet (see disk.h); -1: those of the host are. */
	int disk;
};

/* Moves the program into a sandbox, or ends it with a sentence. Its umask must be 0. */
void enter_box(const struct box *box);
