#ifndef CALLS_H
#define CALLS_H

#include "connection.h"
#include "job.h"
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

/* How long there may be no answer while there are calls under way, and how long one may take. */
#define LIMIT_SECONDS 60
#define LIMIT_US ((int64_t)LIMIT_SECONDS * 1000000)

struct call;

/* Unary gRPC calls over one HTTP/2 connection. A call that fails, or is answered wrongly, ends this process. */
struct calls {
	const struct job *job;
	struct connection connection;
	nghttp2_session *session;
	/* Whether the server has said how it wants to be spoken to: the first thing that it does. */
	bool ready;
	uint64_t started;
	uint64_t under_way;
	/* When the last answer came, or the first call was made after it. */
	int64_t quiet_since_ns;
	/* How many calls took so many microseconds. */
	uint32_t *latencies;
	/* The longest of them. */
	int64_t slowest_us;
	struct call *spare;
	/* Those that were refused at capacity, and when they are repeated. */
	struct call *refused;
	int64_t repeat_ns;
	uint8_t unsent[1 << 17];
	size_t unsent_from, unsent_to;
};

void calls_open(struct calls *calls, const struct job *job);

/* Its latency counts from the given time of the clock on. */
void calls_start(struct calls *calls, int64_t from_ns);

/* Repeats refused calls whose time has come; answers when those are due that are left, INT64_MAX where there are none. */
int64_t calls_repeat(struct calls *calls, int64_t now);

/* Sends what can be sent without waiting; true where there is more. */
bool calls_send(struct calls *calls);

/* Takes what has arrived. */
void calls_receive(struct calls *calls);

#endif
