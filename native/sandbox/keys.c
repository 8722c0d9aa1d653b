#define _GNU_SOURCE
#include "keys.h"

#include "failure.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/keyctl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the kernel gives a user's keyrings: all to the user, and to who possesses them all but changing that. */
#define PERMISSIONS 0x1f3f0000

/* Whether the user has any key, keyrings included (proc(5), /proc/key-users); also where that is not told. */
static bool has_keys(uint32_t uid)
{
	FILE *users = fopen("/proc/key-users", "re");
	if (users == NULL)
		return true;
	uint32_t user;
	bool found = false;
	while (!found && fscanf(users, " %" SCNu32 ":%*[^\n]", &user) == 1)
		found = user == uid;
	fclose(users);
	return found;
}

/* A keyring's special number is that of this process's user. */
static void clear(long keyring, uint32_t uid)
{
	syscall(SYS_keyctl, KEYCTL_SETPERM, keyring, PERMISSIONS);
	if (syscall(SYS_keyctl, KEYCTL_CLEAR, keyring) != 0 && errno == EACCES)
		fail("cannot clear the keys of user %u, which has taken away the right to until the node starts anew",
		     uid);
}

static void become(uint32_t uid)
{
	if (setresuid(uid, uid, 0) != 0)
		fail("cannot become user %u", uid);
}

void clear_keys(uint32_t uid)
{
	/*
	 * To look for a user's keyrings makes them. They stay until the node starts anew, and the kernel goes through all keys
	 * of the node whenever one is given up, as the session keyring of each execution.
	 */
	if (!has_keys(uid))
		return;
	become(uid);
	clear(KEY_SPEC_USER_KEYRING, uid);
	clear(KEY_SPEC_USER_SESSION_KEYRING, uid);
	/* As the kernel makes it. */
	syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_USER_SESSION_KEYRING);
	long persistent = syscall(SYS_keyctl, KEYCTL_GET_PERSISTENT, uid, KEY_SPEC_PROCESS_KEYRING);
	if (persistent > 0)
		clear(persistent, uid);
	become(0);
	errno = 0;
}
