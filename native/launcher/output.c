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
/* Executions that are not read because too much is kept, the one that has waited longest first. */
static struct list waiting;

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

static bool is_allowed(const struct execution *execution)
{
	return execution->output_length < execution->output_allowed;
}

/* ---- executions that wait because too much is kept ---- */

static void set_waits(struct execution *execution, bool waits)
{
	if (execution->output_waits == waits)
		return;
	execution->output_waits = waits;
	if (waits)
		list_append(&waiting, &execution->output_waits_node);
	else
		list_remove(&waiting, &execution->output_waits_node);
}

/* Has one read again that waited for room, or for credit. */
static void go_on(struct execution *execution)
{
	set_waits(execution, false);
	if (execution->state == RUNNING && execution->failure.step == 0 && !execution->output_ended)
		poll_output(execution, is_allowed(execution));
}

static void wake_waiting(void)
{
	while (waiting.first != NULL && kept_has_room())
		go_on(container_of(waiting.first, struct execution, output_waits_node));
}

/* ---- credit ---- */

void output_begin(struct execution *execution)
{
	poll_output(execution, is_allowed(execution));
}

static void allow(struct execution *execution, uint64_t bytes)
{
	uint64_t allowed = execution->output_allowed + bytes;
	execution->output_allowed = allowed < bytes ? UINT64_MAX : allowed;
	if (!execution->output_waits || kept_room(&execution->kept) > 0)
		go_on(execution);
}

void output_release(struct execution *execution, uint64_t bytes)
{
	kept_release(&execution->kept, execution->kept.from + bytes);
	allow(execution, bytes);
	wake_waiting();
}

void output_forget(struct execution *execution)
{
	kept_release(&execution->kept, execution->output_length);
	wake_waiting();
}

bool output_credit(struct execution *execution, uint64_t bytes)
{
	if (!execution_is_kept(execution)) {
		allow(execution, bytes);
		return true;
	}
	if (bytes > execution->output_sent - execution->kept.from)
		return false;
	output_release(execution, bytes);
	return true;
}

/* ---- reading ---- */

/* Passes on what has been read, and keeps it. */
static void take(struct execution *execution, const unsigned char *bytes, size_t length)
{
	uint64_t offset = execution->output_length;
	execution->output_length += length;
	if (execution_is_kept(execution))
		kept_add(&execution->kept, offset, bytes, length);
	if (!execution->attached || execution->behind)
		return;
	execution->output_sent = execution->output_length;
	output_put(execution_id(execution), offset, length);
}

/* Reads up to `max` bytes of what is in the pipe; false where it is empty or at its end. */
static bool read_output(struct execution *execution, uint64_t max)
{
	unsigned char *bytes;
	ssize_t length = output_read(execution->output, max < READ_MAX ? (size_t)max : READ_MAX, &bytes);
	if (length > 0)
		take(execution, bytes, (size_t)length);
	else if (length == 0 || (errno != EAGAIN && errno != EINTR))
		execution->output_ended = true;
	return length > 0;
}

/* Reads a piece of what its credit allows, and what may be kept. */
static void read_allowed(struct execution *execution)
{
	uint64_t allowed = execution->output_allowed - execution->output_length;
	uint64_t room = execution_is_kept(execution) ? kept_room(&execution->kept) : allowed;
	if (room > 0)
		read_output(execution, room < allowed ? room : allowed);
	else
		set_waits(execution, true);
	if (room == 0 || execution->output_ended || !is_allowed(execution))
		poll_output(execution, false);
}

void outputs_read(void)
{
	struct epoll_event events[OUTPUTS_AT_ONCE];
	int count = epoll_wait(outputs, events, OUTPUTS_AT_ONCE, 0);
	for (int i = 0; i < count; i++)
		read_allowed(events[i].data.ptr);
}

void output_drain(struct execution *execution)
{
	uint64_t limit = execution->output_length + PIPE_MAX;
	while (!execution->output_ended && execution->output_length < limit)
		if (!read_output(execution, limit - execution->output_length))
			break;
}

void output_end(struct execution *execution)
{
	poll_output(execution, false);
	set_waits(execution, false);
}
