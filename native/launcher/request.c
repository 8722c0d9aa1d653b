#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The agent names these two by their numbers, which Linux has on all architectures that the agent is built for. */
_Static_assert(RLIMIT_CORE == 4 && RLIMIT_NOFILE == 7, "the agent's resource limits");
/* The copy of a payload stands behind struct child, and structs of the protocol are read there. */
_Static_assert(sizeof(struct child) % _Alignof(struct start_request) == 0, "the copied payload is aligned");

/* Finds `count` strings that fill all bytes from `at` to `end`; false where they do not. */
static bool find_strings(char *at, const char *end, char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
		if (nul == NULL)
			return false;
		strings[i] = at;
		at = nul + 1;
	}
	return at == end;
}

struct child *request_parse(const unsigned char *payload, size_t length)
{
	struct start_request request;
	errno = EINVAL;
	if (length < sizeof request)
		return NULL;
	memcpy(&request, payload, sizeof request);
	uint64_t rlimits = sizeof(struct rlimit_request) * (uint64_t)request.rlimits;
	uint64_t groups = sizeof(uint32_t) * (uint64_t)request.groups;
	uint64_t fixed = sizeof request + rlimits + groups;
	uint64_t strings = 2 + (uint64_t)request.argc + request.envc;
	if (fixed + strings > length || request.argc < 1)
		return NULL;

	/* Behind struct child: the payload, padded for the alignment of pointers, then the strings' addresses. */
	size_t padded = (length + 15) / 16 * 16;
	/* Two more addresses: a NULL ends argv, and another the environment. */
	struct child *child = malloc(sizeof *child + padded + (strings + 2) * sizeof(char *));
	if (child == NULL)
		return NULL;
	unsigned char *copy = (unsigned char *)(child + 1);
	memcpy(copy, payload, length);
	char **pointers = (char **)(copy + padded);
	if (!find_strings((char *)copy + fixed, (char *)copy + length, pointers, strings)) {
		free(child);
		errno = EINVAL;
		return NULL;
	}
	/* The environment moves up by one, to make room for the NULL that ends argv. */
	char **environment = pointers + 2 + request.argc + 1;
	memmove(environment, environment - 1, request.envc * sizeof(char *));
	environment[-1] = NULL;
	environment[request.envc] = NULL;
	*child = (struct child){
		.request = (struct start_request *)copy,
		.rlimits = (struct rlimit_request *)(copy + sizeof request),
		.groups = (uint32_t *)(copy + sizeof request + rlimits),
		.file = pointers[0],
		.folder = pointers[1],
		.argv = pointers + 2,
		.envp = environment,
		.output = -1,
		.cgroup = -1,
		.process = -1,
		.pidfd = -1,
	};
	return child;
}
