/*
 * Calls one method of a gRPC server at a given pace, checks each answer, and prints
 *
 *     CALLS NANOSECONDS CPU    from the first call to the last answer; CPU: this process's processor time, microseconds
 *     LATENCY COUNT            how many calls took that many microseconds; a line for each latency that occurred
 *
 * or, when a call fails or has a wrong answer, a line on stderr. Its arguments are in job.c. When its input ends, it makes
 * no more calls, and waits for those under way.
 */
#define _GNU_SOURCE
#include "../clock.h"
#include "calls.h"
#include "fail.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* When calls are made. */
struct schedule {
	const struct job *job;
	int64_t begun_ns;
	bool stopped;
};

static bool is_over(const struct schedule *schedule, const struct calls *calls, int64_t now)
{
	const struct job *job = schedule->job;
	if (schedule->stopped)
		return true;
	switch (job->pace) {
	case CLOSED: return now - schedule->begun_ns >= job->duration_ns;
	case COUNTED: return calls->started >= (uint64_t)job->calls;
	default: return false;
	}
}

/* Makes the calls that are due; answers when the next one will be. */
static int64_t make_due(const struct schedule *schedule, struct calls *calls)
{
	const struct job *job = schedule->job;
	int64_t now = now_ns();
	int64_t repeat = calls_repeat(calls, now);
	if (job->pace == EVERY && !schedule->stopped) {
		int64_t due = schedule->begun_ns + (int64_t)calls->started * job->interval_ns;
		for (; due <= now; due += job->interval_ns)
			calls_start(calls, due);
		return due < repeat ? due : repeat;
	}
	while (calls->under_way < (uint64_t)job->in_flight && !is_over(schedule, calls, now))
		calls_start(calls, now);
	return repeat;
}

/* Sends, and waits for an answer, the end of stdin, or a time. Answers whether stdin has ended. */
static bool exchange(struct calls *calls, int64_t until_ns, bool stopped)
{
	bool more = calls_send(calls);
	struct pollfd polled[] = {
		{ calls->connection.fd, (short)(POLLIN | (more ? POLLOUT : 0)), 0 },
		/* Not once it has ended: it would be readable all the time. */
		{ stopped ? -1 : STDIN_FILENO, POLLIN, 0 },
	};
	int64_t wait_ns = until_ns - now_ns();
	if (wait_ns < 0)
		wait_ns = 0;
	const struct timespec limit = { wait_ns / 1000000000, wait_ns % 1000000000 };
	if (ppoll(polled, 2, &limit, NULL) < 0 && errno != EINTR)
		fail("ppoll: %s", strerror(errno));
	if (polled[0].revents & ~POLLOUT)
		calls_receive(calls);
	char nothing[64];
	return stopped || (polled[1].revents != 0 && read(STDIN_FILENO, nothing, sizeof nothing) == 0);
}

static void run(struct schedule *schedule, struct calls *calls)
{
	while (true) {
		int64_t due = make_due(schedule, calls);
		if (calls->under_way == 0 && is_over(schedule, calls, now_ns()))
			return;
		int64_t limit = now_ns() + (int64_t)LIMIT_SECONDS * 1000000000;
		schedule->stopped = exchange(calls, due < limit ? due : limit, schedule->stopped);
		if (calls->under_way > 0 && now_ns() - calls->quiet_since_ns > (int64_t)LIMIT_SECONDS * 1000000000)
			fail("no answer within %d s, with %" PRIu64 " calls under way", LIMIT_SECONDS,
			     calls->under_way);
	}
}

static int64_t cpu_us(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * (int64_t)1000000 + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A connection that the server closes is a failure like any other, reported by write(2). */
	signal(SIGPIPE, SIG_IGN);
	/* By default the kernel delays a wakeup by up to 50 us, to do several at once. Calls must be made in time. */
	prctl(PR_SET_TIMERSLACK, 1);
	static struct calls calls;
	const struct job job = read_job(argc, argv);
	calls_open(&calls, &job);
	for (int64_t limit = now_ns() + (int64_t)LIMIT_SECONDS * 1000000000; !calls.ready;) {
		if (exchange(&calls, limit, false) || now_ns() >= limit)
			fail("%s:%s does not speak HTTP/2", job.host, job.port);
	}
	int64_t cpu_before = cpu_us();
	struct schedule schedule = { &job, now_ns(), false };
	calls.quiet_since_ns = schedule.begun_ns;
	run(&schedule, &calls);
	int64_t cpu = cpu_us() - cpu_before;
	printf("%" PRIu64 " %" PRId64 " %" PRId64 "\n", calls.started, calls.quiet_since_ns - schedule.begun_ns, cpu);
	for (int64_t latency = 0; latency <= calls.slowest_us; latency++)
		if (calls.latencies[latency] > 0)
			printf("%" PRId64 " %" PRIu32 "\n", latency, calls.latencies[latency]);
	return 0;
}
