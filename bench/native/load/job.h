#ifndef JOB_H
#define JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define NUMBER_DIGITS 16
#define GRPC_PREFIX 5

enum pace { CLOSED, COUNTED, EVERY };

/* Which method is called, how often, and which answers are right. */
struct job {
	const char *host, *port;
	/* PEM files, and the name in the server's certificate; all NULL: without TLS. */
	const char *ca, *cert, *key, *server_name;
	const char *path;
	/* The request as it is sent, with gRPC's prefix. */
	uint8_t *message;
	size_t message_length;
	/* Where in the message each call puts its own number; -1: all calls are the same. */
	int64_t number_at;
	uint64_t first_number;
	/* How many bytes of output an ExecutionResponse must have; -1: any answer is right. */
	int64_t output_bytes;
	/* Whether each answer must be an acknowledgement that says success. */
	bool acknowledged;
	/* Whether a call that is refused at capacity is repeated until it is accepted. */
	bool repeat_refused;
	enum pace pace;
	int64_t in_flight, duration_ns, calls, interval_ns;
};

/* Reads the arguments, and the request from stdin: its length as 4 bytes, big-endian, then the request itself. */
struct job read_job(int argc, char **argv);

#endif
