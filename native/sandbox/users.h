/* The users and groups that a function sees: the host's, but for the runner, who has the function's ids and home. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct user {
	const char *name;
	const char *home;
	uint32_t id;
};

/*
 * Write passwd(5) and group(5) into a folder. False where the host has no such file. They end the program where they
 * fail.
 */
bool write_passwd(int folder, const struct user *user);
bool write_group(int folder, const struct user *user);
