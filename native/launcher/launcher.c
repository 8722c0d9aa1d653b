/*
 * The launcher: a small process that starts, contains and kills others for one worker thread of the agent.
 *
 *     launcher [CGROUP [FOLDER [SOCKET SURVIVE_MS]]]
 *
 * CGROUP is an empty folder of a cgroup2 file system: every execution gets its own cgroup below it. Without it, or with
 * "-" in its place, processes that have left their execution's process group are found as descendants that the launcher,
 * a subreaper, has inherited: see orphans.h. Below FOLDER every execution gets its own folder for temporary files: see
 * tmpdir.h; "-" stands for none. All paths are absolute.
 *
 * Requests come on standard input, events go to standard output: see protocol.h. Without SOCKET the launcher kills
 * everything and exits when one of them ends. With it, the launcher survives that: it goes on with what was started with
 * START_KEPT, and waits SURVIVE_MS for a connection to this socket, which it makes, before it does the same. Then nobody
 * may come after it, so it leaves nothing: it removes CGROUP, and the two folders above that if they are empty.
 *
 * It is a program of its own for four reasons. A fork copies the page tables of the process that forks, and the agent's
 * are large. What the agent has started must not run on unattended, even when the agent is killed by SIGKILL. What is kept
 * must run on until the next agent comes. And only this part needs root.
 */
#define _GNU_SOURCE
#include "attachment.h"
#include "cgroup.h"
#include "child.h"
#include "clock.h"
#include "connection.h"
#include "control.h"
#include "ending.h"
#include "executions.h"
#include "inheritance.h"
#include "leader.h"
#include "leaving.h"
#include "output.h"
#include "requests.h"
#include "starting.h"
#include "starts.h"
#include "stream.h"
#include "tmpdir.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
/* STARTED may wait so long for an event that wakes the reader anyway, such as the end of the same execution. */
#define STARTED_DELAY_MS 1
/*
 * How often events are written while starts are queued. Starts need the processor, and each write takes it from them for
 * three threads and the caller. Whoever waits in a queue waits longer than this anyway.
 */
#define FLUSH_EVERY_MS 4
/* So many bytes of events are written without waiting for that. */
#define FLUSH_BYTES 65536
/* So often what an agent has left behind is read: as much as a pipe or socket holds, and a limit to what it may write. */
#define LAST_READS_MAX 64
#define LEAVE_LOOK_MS 100

static int signals;
/* When STARTED has to be written at the latest. */
static int64_t started_due_ms = NEVER_MS;
static int64_t flushed_ms;

/* ---- the connection ---- */

static void refuse_requests(void)
{
	/* What follows LEAVE is not served. */
	if (is_leaving())
		return;
	fputs("flux-agent launcher: what came on standard input is not a request; everything is killed\n", stderr);
	leave(2);
}

/* Serves the requests that an agent has sent whole before its end. */
static void read_last_requests(void)
{
	for (int i = 0; i < LAST_READS_MAX && !is_leaving(); i++) {
		enum stream_state state = requests_read(request_handle);
		if (state == STREAM_BROKEN)
			refuse_requests();
		if (state != STREAM_OPEN)
			return;
	}
}

static void lose_connection(void)
{
	if (!connection_is_open())
		return;
	if (connection_survives())
		read_last_requests();
	connection_drop();
	executions_lose_connection();
	if (!connection_survives())
		leave(0);
}

/* False where the connection has ended. */
static bool read_requests(void)
{
	switch (requests_read(request_handle)) {
	case STREAM_OPEN:
	case STREAM_EMPTY: break;
	case STREAM_CLOSED:
		if (connection_survives())
			return false;
		/* What becomes of the executions is still told. */
		leave(0);
		break;
	case STREAM_BROKEN: refuse_requests();
	}
	return true;
}

static void put_ready(void)
{
	uint32_t clone3 = child_has_clone3() ? FEATURE_CLONE3 : 0;
	uint32_t cgroup = cgroups_used() ? FEATURE_CGROUP : 0;
	const struct ready_event ready = { PROTOCOL_VERSION, clone3 | cgroup };
	event_put(FRAME_READY, 0, &ready, sizeof ready);
}

static void accept_connection(void)
{
	/* The end of one agent and the beginning of the next may be seen at once. */
	if (connection_is_open() && connection_has_hung_up())
		lose_connection();
	if (!is_leaving() && connection_accept())
		put_ready();
}

/* False where the connection has ended. */
static bool flush(void)
{
	started_due_ms = NEVER_MS;
	flushed_ms = now_ms();
	if (connection_flush())
		return true;
	lose_connection();
	return false;
}

/* ---- the loop ---- */

static void read_signals(void)
{
	struct signalfd_siginfo signal;
	while (read(signals, &signal, sizeof signal) > 0)
		continue;
	ending_child_ended();
}

static void collect_starts(void)
{
	starting_collect();
	started_due_ms = now_ms() + STARTED_DELAY_MS;
}

static void handle_events(const struct epoll_event *events, int count)
{
	bool lost = false;
	bool connecting = false;
	bool outputs = false;
	bool child_ended = false;
	bool started = false;
	for (int i = 0; i < count; i++) {
		switch (events[i].data.u64) {
		case SOURCE_REQUESTS:
			if (!is_leaving())
				lost |= !read_requests();
			break;
		case SOURCE_EVENTS:
			/* Errors are reported even when nothing is watched for. */
			lost |= (events[i].events & (EPOLLERR | EPOLLHUP)) != 0;
			break;
		case SOURCE_CONNECTIONS: connecting = true; break;
		case SOURCE_SIGNAL: child_ended = true; break;
		case SOURCE_OUTPUTS: outputs = true; break;
		case SOURCE_STARTS: started = true; break;
		default: ending_leader_ended(events[i].data.ptr);
		}
	}
	/* After the loop: these may free executions that other events are about. */
	if (child_ended)
		read_signals();
	if (started)
		collect_starts();
	if (lost)
		lose_connection();
	if (connecting && !is_leaving())
		accept_connection();
	/* Last: kills and ends of leaders come first, however much output there is. */
	if (outputs && connection_keeps_up())
		outputs_read();
}

/* Leaves where nobody comes back, or nobody has to. */
static void leave_if_alone(int64_t now)
{
	if (connection_is_open() || is_leaving())
		return;
	if (now >= connection_wait_ends_ms() || !executions_any())
		leave(0);
}

/* Writes events, unless only STARTED waits and is not due. Answers when to call this again, NEVER_MS: after an event. */
static int64_t flush_what_is_due(int64_t now)
{
	if (started_due_ms > now && started_due_ms != NEVER_MS && !events_urgent())
		return started_due_ms;
	bool goes_on = flush();
	/* The reader has taken all, and more is kept for it; or what was due has changed. */
	return !goes_on || (attachments_behind() && events_waiting() == 0) ? now : NEVER_MS;
}

/* Does what is due; answers how long epoll may wait, milliseconds, -1: until an event comes. */
static int run_timers(void)
{
	int64_t now = now_ms();
	int64_t due = executions_run_timers(now);
	/* While starts are queued, start_next flushes. */
	if (!starting_is_due())
		due = earlier_ms(due, flush_what_is_due(now));
	leave_if_alone(now);
	due = earlier_ms(due, connection_wait_ends_ms());
	if (is_leaving())
		due = earlier_ms(due, has_left() ? now : now + LEAVE_LOOK_MS);
	if (due == NEVER_MS)
		return -1;
	return due <= now ? 0 : (int)earlier_ms(due - now, INT_MAX);
}

/* Starts the first execution of the queue; false where another thread serves now. */
static bool start_next(void)
{
	if (now_ms() - flushed_ms >= FLUSH_EVERY_MS || events_waiting() >= FLUSH_BYTES)
		flush();
	/* Where that has shown the end of the connection, what was queued may have been cancelled. */
	if (!starting_is_due())
		return true;
	ending_give_back();
	if (!starting_next())
		return false;
	started_due_ms = now_ms() + STARTED_DELAY_MS;
	return true;
}

/* Serves until the launcher exits. Returns only where another thread serves from then on. */
static void serve(void)
{
	while (!has_left()) {
		struct epoll_event events[EVENTS_AT_ONCE];
		int wait_ms = run_timers();
		/* Now that events are on their way. */
		ending_give_back();
		int count = epoll_wait(control_fd(), events, EVENTS_AT_ONCE, wait_ms);
		handle_events(events, count);
		if (starting_is_due() && !start_next())
			return;
	}
	leaving_exit();
}

/* ---- set-up ---- */

static bool is_given(int argc, char **argv, int index)
{
	return argc > index && strcmp(argv[index], "-") != 0;
}

static bool open_socket(char *path, const char *survive_ms)
{
	char *end;
	errno = EINVAL;
	long long survive = strtoll(survive_ms, &end, 10);
	bool is_number = end != survive_ms && *end == '\0' && survive >= 0 && survive <= INT_MAX;
	if (is_number && connection_listen(path, survive)) {
		/* Everybody can read the arguments of a process (proc(5)), and need not know where its socket is. */
		memset(path, '\0', strlen(path));
		return true;
	}
	fprintf(stderr, "flux-agent launcher: cannot listen on %s for %s ms: %s\n", path, survive_ms, strerror(errno));
	return false;
}

static bool take_arguments(int argc, char **argv)
{
	bool is_known = argc <= 3 || argc == 5;
	if (!is_known || (is_given(argc, argv, 1) && !cgroups_open(argv[1]))) {
		fprintf(stderr,
			"flux-agent launcher: usage: launcher [CGROUP [FOLDER [SOCKET SURVIVE_MS]]]; CGROUP %s: %s\n",
			argc > 1 ? argv[1] : "", strerror(errno));
		return false;
	}
	if (argc == 5 && !open_socket(argv[3], argv[4]))
		return false;
	/* Executions go without: TMPDIR stays what it is in their environment. */
	if (is_given(argc, argv, 2) && !tmpdirs_open(argv[2]))
		fprintf(stderr, "flux-agent launcher: no folders for temporary files in %s: %s\n", argv[2],
			strerror(errno));
	return true;
}

/* False with errno. */
static bool open_all(void)
{
	sigset_t children;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || !control_open())
		return false;
	leaders_open(control_fd());
	return outputs_open() && starts_open(serve);
}

int main(int argc, char **argv)
{
	inheritance_shed();
	if (!take_arguments(argc, argv))
		return 2;
	if (!open_all()) {
		perror("flux-agent launcher: cannot start");
		return 1;
	}
	connection_open();
	control_watch(signals, EPOLLIN, SOURCE_SIGNAL);
	control_watch(outputs_fd(), EPOLLIN, SOURCE_OUTPUTS);
	control_watch(starts_events(), EPOLLIN, SOURCE_STARTS);
	put_ready();
	starts_serve();
}
