#define _GNU_SOURCE
#include "landlock.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The headers of older systems lack these; the numbers are the same on all architectures. */
#define CREATE_RULESET 444
#define RESTRICT_SELF 446
#define GET_VERSION 1
#define VERSION_WITH_SCOPES 6
#define SCOPE_ABSTRACT_SOCKETS 1
#define SCOPE_SIGNALS 2

/* struct landlock_ruleset_attr, which has grown with the versions. */
struct ruleset {
	uint64_t files;
	uint64_t network;
	uint64_t scopes;
};

static int ruleset = -1;

void landlock_open(void)
{
	if (syscall(CREATE_RULESET, NULL, (size_t)0, GET_VERSION) < VERSION_WITH_SCOPES)
		return;
	/* No rule about files: those would cost each open(2), and the sandbox has no others' anyway. */
	const struct ruleset scopes = { .scopes = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS };
	ruleset = (int)syscall(CREATE_RULESET, &scopes, sizeof scopes, 0);
}

bool landlock_shut_off(void)
{
	return ruleset < 0 || syscall(RESTRICT_SELF, ruleset, 0) == 0;
}
