#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The strings of a START, or false: as many as it says, the last one up to the last byte. */
static bool take_strings(char *at, const char *end, char **strings, size_t count)
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
	uint64_t fixed = sizeof request + 24 * (uint64_t)request.rlimits + 4 * (uint64_t)request.groups;
	uint64_t strings = 2 + (uint64_t)request.argc + request.envc;
	if (fixed + strings > length || request.argc < 1)
		return NULL;

	size_t padded = (length + 15) / 16 * 16;
	/* Two more, for the NULL behind argv and environment, and the file and folder stand in front. */
	struct child *child = malloc(sizeof *child + padded + (strings + 2) * sizeof(char *));
	if (child == NULL)
		return NULL;
	unsigned char *copy = (unsigned char *)(child + 1);
	memcpy(copy, payload, length);
	char **pointers = (char **)(copy + padded);
	if (!take_strings((char *)copy + fixed, (char *)copy + length, pointers, strings)) {
		free(child);
		errno = EINVAL;
		return NULL;
	}
	/* The environment moves up by one, for argv's NULL. */
	char **environment = pointers + 2 + request.argc + 1;
	memmove(environment, environment - 1, request.envc * sizeof(char *));
	environment[-1] = NULL;
	environment[request.envc] = NULL;
	*child = (struct child){
		.request = (struct start_request *)copy,
		.rlimits = (const uint64_t(*)[3])(copy + sizeof request),
		.groups = (uint32_t *)(copy + sizeof request + 24 * (size_t)request.rlimits),
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
