#define _GNU_SOURCE
#include "launcher.h"

#include "cgroup.h"
#include "clock.h"
#include "execution.h"
#include "starts.h"
#include "stream.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
/* Beyond this, outputs are not read until the reader has caught up. */
#define WAITING_MAX (1u << 20)
/* So long the start of an execution may wait for news that the reader is woken for anyway, as its end. */
#define START_UNTOLD_MS 1
/*
 * How often the reader is told while starts are queued. They need the processor, which every telling takes from them for
 * three threads and the caller; and who waits in a queue waits for longer than that.
 */
#define TELL_EVERY_MS 4
/* Output that does not wait for that. */
#define TELL_BYTES 65536

/* What an event of the control epoll is about; a larger value is an execution's address: its leader has ended. */
enum source {
	SOURCE_REQUESTS = 1,
	SOURCE_EVENTS = 2,
	SOURCE_SIGNAL = 3,
	SOURCE_OUTPUTS = 4,
	SOURCE_STARTS = 5,
};

static int control;
static int signals;
static bool outputs_wait;
static bool reader_waited_for;
static bool reader_gone;
static int64_t starts_due = INT64_MAX;
static int64_t told_at;
static bool leaving;
static int64_t last_moment = INT64_MAX;
static int exit_status;

static void watch(int operation, int fd, uint32_t events, enum source source)
{
	struct epoll_event event = { events, { .u64 = source } };
	if (epoll_ctl(control, operation, fd, &event) == 0)
		return;
	perror("flux-agent launcher: standard input and output must be pipes or sockets");
	exit(2);
}

static bool handle(const struct frame *frame, const unsigned char *payload)
{
	struct execution *execution = execution_find(frame->id);
	uint64_t bytes;
	switch (frame->type) {
	case FRAME_START: return execution == NULL && execution_request(frame->id, payload, frame->length);
	case FRAME_KILL:
		if (frame->length != 0)
			return false;
		if (execution != NULL)
			execution_kill(execution);
		return true;
	case FRAME_CREDIT:
		if (frame->length != sizeof bytes)
			return false;
		memcpy(&bytes, payload, sizeof bytes);
		if (execution != NULL)
			execution_credit(execution, bytes);
		return true;
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
	exit_status = status;
	epoll_ctl(control, EPOLL_CTL_DEL, 0, NULL);
	executions_kill_all();
}

static void read_requests(void)
{
	switch (requests_read(handle)) {
	case STREAM_OPEN: return;
	case STREAM_CLOSED: leave(0); return;
	case STREAM_BROKEN:
		fputs("flux-agent launcher: what came on standard input is not a request; everything is killed\n",
		      stderr);
		leave(2);
	}
}

static void lose_reader(void)
{
	reader_gone = true;
	epoll_ctl(control, EPOLL_CTL_DEL, 1, NULL);
	leave(0);
}

static void flush(void)
{
	starts_due = INT64_MAX;
	told_at = now_ms();
	if (!reader_gone && events_flush() == STREAM_CLOSED)
		lose_reader();
	if (reader_gone) {
		events_drop();
		return;
	}
	bool waiting = events_waiting() > 0;
	if (waiting != reader_waited_for) {
		reader_waited_for = waiting;
		watch(EPOLL_CTL_MOD, 1, waiting ? EPOLLOUT : 0, SOURCE_EVENTS);
	}
	bool full = events_waiting() > WAITING_MAX;
	if (full != outputs_wait) {
		outputs_wait = full;
		watch(EPOLL_CTL_MOD, executions_outputs(), full ? 0 : EPOLLIN, SOURCE_OUTPUTS);
	}
}

/* Tells what is to be told now; answers how many milliseconds later there is more to tell, -1 for never. */
static int tell(void)
{
	if (starts_due != INT64_MAX && !events_urgent() && !reader_gone) {
		int64_t left = starts_due - now_ms();
		if (left > 0)
			return (int)left;
	}
	flush();
	return -1;
}

static void read_signals(void)
{
	struct signalfd_siginfo signal;
	while (read(signals, &signal, sizeof signal) > 0)
		continue;
	executions_child_ended();
}

static void handle_events(struct epoll_event *events, int count)
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
			/* Only an error comes unasked: the reader is gone. */
			if (events[i].events & (EPOLLERR | EPOLLHUP))
				lose_reader();
			break;
		case SOURCE_SIGNAL: child_ended = true; break;
		case SOURCE_OUTPUTS: outputs = true; break;
		case SOURCE_STARTS: started = true; break;
		default: execution_leader_ended(events[i].data.ptr);
		}
	}
	/* After the loop, since it may free executions that events are about. */
	if (child_ended)
		read_signals();
	if (started) {
		executions_started();
		starts_due = now_ms() + START_UNTOLD_MS;
	}
	/* Last: requests to kill and ends of leaders come first, however much output there is. */
	if (outputs && !outputs_wait)
		executions_read();
}

static _Noreturn void go(void)
{
	cgroups_close();
	tmpdirs_close();
	exit(exit_status);
}

/* Returns where another thread serves from then on. */
static void serve(void)
{
	while (!leaving || executions_count() > 0 || events_waiting() > 0) {
		struct epoll_event events[EVENTS_AT_ONCE];
		int wait = executions_tend();
		int untold = executions_queued() ? -1 : tell();
		if (untold >= 0 && (wait < 0 || untold < wait))
			wait = untold;
		if (leaving) {
			/* Whoever does not die of it, or does not read, is not waited for longer. */
			if (last_moment == INT64_MAX)
				last_moment = now_ms() / 1000 + 1 + KILL_LIMIT_MS / 1000;
			else if (now_ms() / 1000 > last_moment)
				break;
			if (wait < 0)
				wait = 100;
		}
		int count = epoll_wait(control, events, EVENTS_AT_ONCE, wait);
		handle_events(events, count);
		if (executions_queued()) {
			if (now_ms() - told_at >= TELL_EVERY_MS || events_waiting() >= TELL_BYTES)
				flush();
			if (!executions_start_next())
				return;
			starts_due = now_ms() + START_UNTOLD_MS;
		}
	}
	go();
}

/* Nothing of what the agent's own parent has set up may reach a function: descriptors, signals, limits. */
static void shed_inheritance(void)
{
	if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
		for (int fd = (int)sysconf(_SC_OPEN_MAX) - 1; fd > 2; fd--)
			close(fd);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	/* A terminal's Ctrl-C reaches this process, too; only the end of its input ends it. */
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	struct rlimit descriptors;
	if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
		descriptors.rlim_cur = descriptors.rlim_max;
		setrlimit(RLIMIT_NOFILE, &descriptors);
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int main(int argc, char **argv)
{
	shed_inheritance();
	if (argc > 3 || (argc > 1 && strcmp(argv[1], "-") != 0 && !cgroups_open(argv[1]))) {
		fprintf(stderr, "flux-agent launcher: usage: launcher [CGROUP [FOLDER]]; CGROUP %s: %s\n",
			argc > 1 ? argv[1] : "", strerror(errno));
		return 2;
	}
	/* Without them executions have what their environment names. */
	if (argc == 3 && !tmpdirs_open(argv[2]))
		fprintf(stderr, "flux-agent launcher: no folders for temporary files in %s: %s\n", argv[2],
			strerror(errno));
	sigset_t children;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	control = epoll_create1(EPOLL_CLOEXEC);
	if (signals < 0 || control < 0 || !executions_open(control) || !starts_open(serve)) {
		perror("flux-agent launcher: cannot start");
		return 1;
	}
	streams_open();
	watch(EPOLL_CTL_ADD, 0, EPOLLIN, SOURCE_REQUESTS);
	watch(EPOLL_CTL_ADD, 1, 0, SOURCE_EVENTS);
	watch(EPOLL_CTL_ADD, signals, EPOLLIN, SOURCE_SIGNAL);
	watch(EPOLL_CTL_ADD, executions_outputs(), EPOLLIN, SOURCE_OUTPUTS);
	watch(EPOLL_CTL_ADD, starts_events(), EPOLLIN, SOURCE_STARTS);
	const uint32_t ready[2] = {
		PROTOCOL_VERSION,
		(child_has_clone3() ? FEATURE_CLONE3 : 0u) | (cgroups_used() ? FEATURE_CGROUP : 0u),
	};
	event_put(FRAME_READY, 0, ready, sizeof ready);
	starts_serve();
}
