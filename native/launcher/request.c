#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The agent names these two by their numbers, which Linux has on all architectures that the agent is built for. */
_Static_assert(RLIMIT_CORE == 4 && RLIMIT_NOFILE == 7, "the agent's resource limits");
/* The copy of a payload stands behind struct child, and structs of the protocol are read there. */
_Static_assert(sizeof(struct child) % _Alignof(struct start_request) == 0, "the copied payload is aligned");

/* The parts of a payload. */
struct layout {
	struct start_request request;
	/* Bytes of the struct, the rlimits and the groups. */
	size_t fixed;
	/* How many strings follow. */
	size_t strings;
};

/* False where the payload is too short for what its beginning says. */
static bool read_layout(struct layout *layout, const unsigned char *payload, size_t length)
{
	if (length < sizeof layout->request)
		return false;
	memcpy(&layout->request, payload, sizeof layout->request);
	uint64_t rlimits = sizeof(struct rlimit_request) * (uint64_t)layout->request.rlimits;
	uint64_t groups = sizeof(uint32_t) * (uint64_t)layout->request.groups;
	uint64_t fixed = sizeof layout->request + rlimits + groups;
	uint32_t sandbox = layout->request.flags & START_SANDBOX ? 1 : 0;
	/* File, folder, argv, environment, the function. */
	uint64_t strings = 2 + (uint64_t)layout->request.argc + layout->request.envc + sandbox;
	if (fixed + strings + layout->request.note > length || layout->request.argc < 1)
		return false;
	/* The folders of another user's would be refused to it. */
	if (sandbox && !(layout->request.flags & START_AS_USER))
		return false;
	layout->fixed = (size_t)fixed;
	layout->strings = (size_t)strings;
	return true;
}

bool find_strings(char *at, const char *end, char **strings, size_t count)
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

/* Fills in the child from the copy of the payload behind it, and the addresses of its strings. */
static void fill_in(struct child *child, const struct layout *layout, unsigned char *copy, char **strings,
		    const unsigned char *note)
{
	const struct start_request *request = &layout->request;
	char *function = request->flags & START_SANDBOX ? strings[layout->strings - 1] : NULL;
	/* The environment moves up by one, to make room for the NULL that ends argv. */
	char **environment = strings + 2 + request->argc + 1;
	memmove(environment, environment - 1, request->envc * sizeof(char *));
	environment[-1] = NULL;
	environment[request->envc] = NULL;
	*child = (struct child){
		.request = (struct start_request *)copy,
		.rlimits = (struct rlimit_request *)(copy + sizeof *request),
		.groups = (uint32_t *)(copy + layout->fixed - sizeof(uint32_t) * request->groups),
		.file = strings[0],
		.folder = strings[1],
		.argv = strings + 2,
		.envp = environment,
		.function = function,
		.note = note,
		.output = -1,
		.cgroup = -1,
		.process = -1,
		.pidfd = -1,
	};
}

struct child *request_parse(const unsigned char *payload, size_t length)
{
	struct layout layout;
	errno = EINVAL;
	if (!read_layout(&layout, payload, length))
		return NULL;
	/* Behind struct child: the payload, padded for the alignment of pointers, then the strings' addresses. */
	size_t padded = (length + 15) / 16 * 16;
	/* Two more addresses: a NULL ends argv, and another the environment. */
	size_t addresses = (layout.strings + 2) * sizeof(char *);
	struct child *child = malloc(sizeof *child + padded + addresses);
	if (child == NULL)
		return NULL;
	unsigned char *copy = (unsigned char *)(child + 1);
	memcpy(copy, payload, length);
	char **strings = (char **)(copy + padded);
	const unsigned char *note = copy + length - layout.request.note;
	if (!find_strings((char *)copy + layout.fixed, (const char *)note, strings, layout.strings)) {
		free(child);
		errno = EINVAL;
		return NULL;
	}
	fill_in(child, &layout, copy, strings, note);
	return child;
}
