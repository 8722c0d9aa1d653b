#define _GNU_SOURCE
#include "output.h"

#include "child.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX 65536
/* The most that a pipe holds (pipe(7)), so all that can be left in one whose writer could not be killed. */
#define PIPE_MAX (1u << 20)
#define OUTPUTS_AT_ONCE 64

static int outputs;

bool outputs_open(void)
{
	outputs = epoll_create1(EPOLL_CLOEXEC);
	return outputs >= 0;
}

int outputs_fd(void)
{
	return outputs;
}

bool output_open(struct execution *execution)
{
	const struct start_request *request = execution->child->request;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	execution->output = ends[0];
	execution->child->output = ends[1];
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
		return false;
	/* The user must be able to open it by its name, /dev/stdout. */
	return !(request->flags & START_AS_USER) || fchown(ends[1], request->uid, request->gid) == 0;
}

static void poll_output(struct execution *execution, bool wanted)
{
	if (execution->output_polled == wanted)
		return;
	struct epoll_event event = { EPOLLIN, { .ptr = execution } };
	epoll_ctl(outputs, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, execution->output, &event);
	execution->output_polled = wanted;
}

void output_begin(struct execution *execution)
{
	poll_output(execution, execution->output_allowed > 0);
}

void output_allow(struct execution *execution, uint64_t bytes)
{
	uint64_t allowed = execution->output_allowed + bytes;
	execution->output_allowed = allowed < bytes ? UINT64_MAX : allowed;
	if (execution->state == RUNNING && !execution->output_ended)
		poll_output(execution, execution->output_allowed > execution->output_sent);
}

/* Sends up to `max` bytes of what is in the pipe; false where it is empty or at its end. */
static bool read_output(struct execution *execution, uint64_t max)
{
	size_t size = max < READ_MAX ? (size_t)max : READ_MAX;
	ssize_t length = output_put(execution_id(execution), execution->output, execution->output_sent, size);
	if (length > 0)
		execution->output_sent += (uint64_t)length;
	else if (length == 0 || (errno != EAGAIN && errno != EINTR))
		execution->output_ended = true;
	return length > 0;
}

void outputs_read(void)
{
	struct epoll_event events[OUTPUTS_AT_ONCE];
	int count = epoll_wait(outputs, events, OUTPUTS_AT_ONCE, 0);
	for (int i = 0; i < count; i++) {
		struct execution *execution = events[i].data.ptr;
		read_output(execution, execution->output_allowed - execution->output_sent);
		if (execution->output_ended || execution->output_sent >= execution->output_allowed)
			poll_output(execution, false);
	}
}

void output_drain(struct execution *execution)
{
	uint64_t limit = execution->output_sent + PIPE_MAX;
	while (!execution->output_ended && execution->output_sent < limit)
		if (!read_output(execution, limit - execution->output_sent))
			break;
}

void output_end(struct execution *execution)
{
	poll_output(execution, false);
}
