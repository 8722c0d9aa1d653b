/*
 * The launcher: a small process that starts, contains and kills others for one worker thread of the agent.
 *
 *     launcher [CGROUP [FOLDER]]
 *
 * CGROUP is an empty folder of a cgroup2 file system: every execution gets its own cgroup below it. Without it, or with
 * "-" in its place, processes that have left their execution's process group are found as descendants that the launcher,
 * a subreaper, has inherited: see orphans.h. Below FOLDER every execution gets its own folder for temporary files: see
 * tmpdir.h.
 *
 * Requests come on standard input, events go to standard output: see protocol.h.
 *
 * It is a program of its own for three reasons. A fork copies the page tables of the process that forks, and the agent's
 * are large. What the agent has started must not outlive it, even when the agent is killed by SIGKILL. And only this part
 * needs root.
 */
#define _GNU_SOURCE
#include "cgroup.h"
#include "child.h"
#include "clock.h"
#include "ending.h"
#include "executions.h"
#include "inheritance.h"
#include "leader.h"
#include "output.h"
#include "starting.h"
#include "starts.h"
#include "stream.h"
#include "tmpdir.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
/* While more bytes than this wait for the reader, no outputs are read. */
#define WAITING_MAX (1u << 20)
/* STARTED may wait so long for an event that wakes the reader anyway, such as the end of the same execution. */
#define STARTED_DELAY_MS 1
/*
 * How often events are written while starts are queued. Starts need the processor, and each write takes it from them for
 * three threads and the caller. Whoever waits in a queue waits longer than this anyway.
 */
#define FLUSH_EVERY_MS 4
/* So many bytes of events are written without waiting for that. */
#define FLUSH_BYTES 65536
/* How long the launcher takes to leave at most: longer than what it kills may take to die. */
#define LEAVE_LIMIT_MS (KILL_LIMIT_MS + 1500)
#define LEAVE_LOOK_MS 100

/* What an event of the control epoll is about. Any larger value is an execution's address: its leader has ended. */
enum source {
	SOURCE_REQUESTS = 1,
	SOURCE_EVENTS = 2,
	SOURCE_SIGNAL = 3,
	SOURCE_OUTPUTS = 4,
	SOURCE_STARTS = 5,
};

static int control;
static int signals;
/* Whether outputs are not read until the reader has caught up. */
static bool outputs_paused;
/* Whether it is watched when standard output can be written to. */
static bool waits_for_reader;
static bool reader_gone;
/* When STARTED has to be written at the latest. */
static int64_t started_due_ms = NEVER_MS;
static int64_t flushed_ms;
static bool leaving;
static int64_t leave_by_ms;
static int exit_status;

static void watch(int operation, int fd, uint32_t events, enum source source)
{
	struct epoll_event event = { events, { .u64 = source } };
	if (epoll_ctl(control, operation, fd, &event) == 0)
		return;
	perror("flux-agent launcher: standard input and output must be pipes or sockets");
	exit(2);
}

/* ---- requests ---- */

static bool handle_credit(struct execution *execution, const unsigned char *payload, size_t length)
{
	uint64_t bytes;
	if (length != sizeof bytes)
		return false;
	memcpy(&bytes, payload, sizeof bytes);
	if (execution != NULL)
		output_allow(execution, bytes);
	return true;
}

/* False where the frame breaks the protocol. */
static bool handle(const struct frame *frame, const unsigned char *payload)
{
	struct execution *execution = execution_find(frame->id);
	switch (frame->type) {
	case FRAME_START: return execution == NULL && starting_request(frame->id, payload, frame->length);
	case FRAME_KILL:
		if (frame->length != 0)
			return false;
		if (execution != NULL)
			execution_kill(execution);
		return true;
	case FRAME_CREDIT: return handle_credit(execution, payload, frame->length);
	case FRAME_LIST:
		if (frame->length != 0)
			return false;
		executions_list(frame->id);
		return true;
	default: return false;
	}
}

static void leave(int status)
{
	if (leaving)
		return;
	leaving = true;
	leave_by_ms = now_ms() + LEAVE_LIMIT_MS;
	exit_status = status;
	epoll_ctl(control, EPOLL_CTL_DEL, 0, NULL);
	executions_kill_all();
}

static void read_requests(void)
{
	switch (requests_read(handle)) {
	case STREAM_OPEN: break;
	case STREAM_CLOSED: leave(0); break;
	case STREAM_BROKEN:
		fputs("flux-agent launcher: what came on standard input is not a request; everything is killed\n",
		      stderr);
		leave(2);
	}
}

/* ---- events ---- */

static void lose_reader(void)
{
	reader_gone = true;
	epoll_ctl(control, EPOLL_CTL_DEL, 1, NULL);
	leave(0);
}

/* Writes what the reader takes, and reads outputs only while it keeps up. */
static void flush(void)
{
	started_due_ms = NEVER_MS;
	flushed_ms = now_ms();
	if (!reader_gone && events_flush() == STREAM_CLOSED)
		lose_reader();
	if (reader_gone) {
		events_drop();
		return;
	}
	bool waiting = events_waiting() > 0;
	if (waiting != waits_for_reader) {
		waits_for_reader = waiting;
		watch(EPOLL_CTL_MOD, 1, waiting ? EPOLLOUT : 0, SOURCE_EVENTS);
	}
	bool full = events_waiting() > WAITING_MAX;
	if (full != outputs_paused) {
		outputs_paused = full;
		watch(EPOLL_CTL_MOD, outputs_fd(), full ? 0 : EPOLLIN, SOURCE_OUTPUTS);
	}
}

/* Writes events, unless only STARTED waits and is not due. Answers in how many milliseconds it will be due, -1: never. */
static int flush_what_is_due(void)
{
	if (started_due_ms != NEVER_MS && !events_urgent() && !reader_gone) {
		int64_t left_ms = started_due_ms - now_ms();
		if (left_ms > 0)
			return (int)left_ms;
	}
	flush();
	return -1;
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
	bool outputs = false;
	bool child_ended = false;
	bool started = false;
	for (int i = 0; i < count; i++) {
		switch (events[i].data.u64) {
		case SOURCE_REQUESTS:
			if (!leaving)
				read_requests();
			break;
		case SOURCE_EVENTS:
			/* Errors are reported even when nothing is watched for. */
			if (events[i].events & (EPOLLERR | EPOLLHUP))
				lose_reader();
			break;
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
	/* Last: kills and ends of leaders come first, however much output there is. */
	if (outputs && !outputs_paused)
		outputs_read();
}

static _Noreturn void clean_up_and_exit(void)
{
	cgroups_close();
	tmpdirs_close();
	exit(exit_status);
}

/* Does what is due; answers how long epoll may wait, milliseconds, -1: until an event comes. */
static int run_timers(void)
{
	int wait_ms = executions_run_timers();
	/* While starts are queued, start_next flushes. */
	int flush_ms = starting_is_due() ? -1 : flush_what_is_due();
	if (flush_ms >= 0 && (wait_ms < 0 || flush_ms < wait_ms))
		wait_ms = flush_ms;
	return leaving && wait_ms < 0 ? LEAVE_LOOK_MS : wait_ms;
}

/* Starts the first execution of the queue; false where another thread serves now. */
static bool start_next(void)
{
	if (now_ms() - flushed_ms >= FLUSH_EVERY_MS || events_waiting() >= FLUSH_BYTES)
		flush();
	if (!starting_next())
		return false;
	started_due_ms = now_ms() + STARTED_DELAY_MS;
	return true;
}

/* Whether there is nothing left to do, or no more time to do it. */
static bool has_left(void)
{
	if (!leaving)
		return false;
	return now_ms() > leave_by_ms || (executions_count() == 0 && events_waiting() == 0);
}

/* Serves until the launcher exits. Returns only where another thread serves from then on. */
static void serve(void)
{
	while (!has_left()) {
		struct epoll_event events[EVENTS_AT_ONCE];
		int wait_ms = run_timers();
		int count = epoll_wait(control, events, EVENTS_AT_ONCE, wait_ms);
		handle_events(events, count);
		if (starting_is_due() && !start_next())
			return;
	}
	clean_up_and_exit();
}

/* ---- set-up ---- */

static bool take_arguments(int argc, char **argv)
{
	bool wants_cgroups = argc > 1 && strcmp(argv[1], "-") != 0;
	if (argc > 3 || (wants_cgroups && !cgroups_open(argv[1]))) {
		fprintf(stderr, "flux-agent launcher: usage: launcher [CGROUP [FOLDER]]; CGROUP %s: %s\n",
			argc > 1 ? argv[1] : "", strerror(errno));
		return false;
	}
	/* Executions go without: TMPDIR stays what it is in their environment. */
	if (argc == 3 && !tmpdirs_open(argv[2]))
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
	control = epoll_create1(EPOLL_CLOEXEC);
	if (signals < 0 || control < 0)
		return false;
	leaders_open(control);
	return outputs_open() && starts_open(serve);
}

static void put_ready(void)
{
	uint32_t clone3 = child_has_clone3() ? FEATURE_CLONE3 : 0;
	uint32_t cgroup = cgroups_used() ? FEATURE_CGROUP : 0;
	const struct ready_event ready = { PROTOCOL_VERSION, clone3 | cgroup };
	event_put(FRAME_READY, 0, &ready, sizeof ready);
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
	streams_open();
	watch(EPOLL_CTL_ADD, 0, EPOLLIN, SOURCE_REQUESTS);
	watch(EPOLL_CTL_ADD, 1, 0, SOURCE_EVENTS);
	watch(EPOLL_CTL_ADD, signals, EPOLLIN, SOURCE_SIGNAL);
	watch(EPOLL_CTL_ADD, outputs_fd(), EPOLLIN, SOURCE_OUTPUTS);
	watch(EPOLL_CTL_ADD, starts_events(), EPOLLIN, SOURCE_STARTS);
	put_ready();
	starts_serve();
}
