/*
 * keys add|list|lock: adds a key to each keyring of its user that outlives its processes; prints those in which there is
 * one; takes the right to change them away from everybody.
 */
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_ONLY 0x0b0b0000

static const char *const names[] = { "user", "session", "persistent" };

int main(int argc, char **argv)
{
	long persistent = syscall(SYS_keyctl, KEYCTL_GET_PERSISTENT, -1, KEY_SPEC_PROCESS_KEYRING);
	const long keyrings[] = { KEY_SPEC_USER_KEYRING, KEY_SPEC_USER_SESSION_KEYRING, persistent };
	const char *what = argc > 1 ? argv[1] : "";
	for (int i = 0; i < 3; i++) {
		/* A kernel without persistent keyrings. */
		if (keyrings[i] == -1)
			continue;
		long done = 0;
		if (strcmp(what, "add") == 0)
			done = syscall(SYS_add_key, "user", names[i], "1", (size_t)1, keyrings[i]);
		else if (strcmp(what, "lock") == 0)
			syscall(SYS_keyctl, KEYCTL_SETPERM, keyrings[i], READ_ONLY);
		else if (syscall(SYS_keyctl, KEYCTL_SEARCH, keyrings[i], "user", names[i], 0) > 0)
			puts(names[i]);
		if (done < 0) {
			perror(names[i]);
			return 1;
		}
	}
	return 0;
}
