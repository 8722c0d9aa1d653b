#define _GNU_SOURCE
#include "keys.h"

#include "failure.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the kernel gives a user's keyrings: all to the user, and to who possesses them all but changing that. */
#define PERMISSIONS 0x1f3f0000

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
