#ifndef CALLS_H
#define CALLS_H

#include "connection.h"
#include "job.h"
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

/* How long calls under way may go without an answer, and how long one call may take. */
#define LIMIT_SECONDS 60
#define LIMIT_US ((int64_t)LIMIT_SECONDS * 1000000)

struct call;

/* Unary gRPC calls over one HTTP/2 connection. A call that fails, or has a wrong answer, ends this process. */
struct calls {
	const struct job *job;
	struct connection connection;
	nghttp2_session *session;
	/* Whether the server's settings have arrived, which it sends first. */
	bool ready;
	uint64_t started;
	uint64_t under_way;
	/* When the last answer came; or when the first call after a pause was made. */
	int64_t quiet_since_ns;
	/* By duration in microseconds: how many calls took that long. */
	uint32_t *latencies;
	/* The longest duration. */
	int64_t slowest_us;
	struct call *spare;
	/* Calls that were refused at capacity, and when they will be repeated. */
	struct call *refused;
	int64_t repeat_ns;
	uint8_t unsent[1 << 17];
	size_t unsent_from, unsent_to;
};

/* Connects, and prepares the session. */
void calls_open(struct calls *calls, const struct job *job);

/* Makes a call whose latency counts from the given time on. */
void calls_start(struct calls *calls, int64_t from_ns);

/* Repeats refused calls that are due; answers when the remaining ones will be, INT64_MAX: there are none. */
int64_t calls_repeat(struct calls *calls, int64_t now);

/* Sends what can be sent without waiting; answers whether there is more. */
bool calls_send(struct calls *calls);

/* Takes what has arrived. */
void calls_receive(struct calls *calls);

#endif
