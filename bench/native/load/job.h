#ifndef JOB_H
#define JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define NUMBER_DIGITS 16
#define GRPC_PREFIX 5

enum pace { CLOSED, COUNTED, EVERY };

/* What is called, how often, and what a right answer is. */
struct job {
	const char *host, *port;
	/* PEM files, and the name on the server's certificate; all NULL where the connection is plain. */
	const char *ca, *cert, *key, *server_name;
	const char *path;
	/* The request as it is sent, gRPC's prefix included. */
	uint8_t *message;
	size_t message_length;
	/* Where in the message each call has its own number; -1 where all are the same. */
	int64_t number_at;
	uint64_t first_number;
	/* Bytes that an ExecutionResponse must have; -1 where any answer will do. */
	int64_t output_bytes;
	/* Whether an execution that is refused at capacity is called again until it is taken. */
	bool repeat_refused;
	enum pace pace;
	int64_t in_flight, duration_ns, calls, interval_ns;
};

/* Reads arguments and, from stdin, the request: its length as 4 bytes, big-endian, and then itself. */
struct job read_job(int argc, char **argv);

#endif
