#include "job.h"
#include "fail.h"
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
	{ "host", required_argument, NULL, 'h' },
	{ "port", required_argument, NULL, 'p' },
	{ "ca", required_argument, NULL, 'a' },
	{ "cert", required_argument, NULL, 'c' },
	{ "key", required_argument, NULL, 'k' },
	{ "server-name", required_argument, NULL, 's' },
	{ "path", required_argument, NULL, 'm' },
	{ "number-at", required_argument, NULL, 'n' },
	{ "first-number", required_argument, NULL, 'f' },
	{ "output-bytes", required_argument, NULL, 'o' },
	{ "in-flight", required_argument, NULL, 'i' },
	{ "duration-ms", required_argument, NULL, 'd' },
	{ "calls", required_argument, NULL, 't' },
	{ "interval-us", required_argument, NULL, 'e' },
	{ "repeat-refused", no_argument, NULL, 'r' },
	{ "acknowledged", no_argument, NULL, 'g' },
	{ NULL, 0, NULL, 0 },
};

static int64_t whole_number(const char *text)
{
	char *end;
	errno = 0;
	int64_t number = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || number < 0)
		fail("\"%s\" is not a whole number", text);
	return number;
}

static void read_fully(void *to, size_t length)
{
	for (size_t used = 0; used < length;) {
		ssize_t count = read(0, (char *)to + used, length - used);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			fail("the request has not arrived on stdin");
		used += (size_t)count;
	}
}

static void read_message(struct job *job)
{
	uint8_t prefix[GRPC_PREFIX] = { 0 };
	read_fully(prefix + 1, sizeof prefix - 1);
	size_t length = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 | prefix[4];
	job->message_length = sizeof prefix + length;
	job->message = malloc(job->message_length);
	if (job->message == NULL)
		fail("no memory for a request of %zu bytes", length);
	memcpy(job->message, prefix, sizeof prefix);
	read_fully(job->message + sizeof prefix, length);
}

static struct job read_arguments(int argc, char **argv)
{
	struct job job = { .number_at = -1, .output_bytes = -1 };
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'h': job.host = optarg; break;
		case 'p': job.port = optarg; break;
		case 'a': job.ca = optarg; break;
		case 'c': job.cert = optarg; break;
		case 'k': job.key = optarg; break;
		case 's': job.server_name = optarg; break;
		case 'm': job.path = optarg; break;
		case 'n': job.number_at = GRPC_PREFIX + whole_number(optarg); break;
		case 'f': job.first_number = (uint64_t)whole_number(optarg); break;
		case 'o': job.output_bytes = whole_number(optarg); break;
		case 'r': job.repeat_refused = true; break;
		case 'g': job.acknowledged = true; break;
		case 'i': job.in_flight = whole_number(optarg); break;
		case 'd':
			job.duration_ns = whole_number(optarg) * 1000000;
			job.pace = CLOSED;
			break;
		case 't':
			job.calls = whole_number(optarg);
			job.pace = COUNTED;
			break;
		case 'e':
			job.interval_ns = whole_number(optarg) * 1000;
			job.pace = EVERY;
			break;
		default: exit(2);
		}
	}
	return job;
}

static void check_arguments(const struct job *job)
{
	if (job->host == NULL || job->port == NULL || job->path == NULL)
		fail("--host, --port and --path are needed");
	if (job->pace == EVERY ? job->interval_ns == 0 : job->in_flight == 0)
		fail("--interval-us is needed, or --in-flight with --duration-ms or --calls");
	if ((job->ca == NULL) != (job->server_name == NULL) || (job->ca == NULL) != (job->cert == NULL) ||
	    (job->ca == NULL) != (job->key == NULL))
		fail("--ca, --cert, --key and --server-name belong together");
}

struct job read_job(int argc, char **argv)
{
	struct job job = read_arguments(argc, argv);
	check_arguments(&job);
	read_message(&job);
	if (job.number_at >= 0 && (size_t)job.number_at + NUMBER_DIGITS > job.message_length)
		fail("the request has no room for a number at %lld", (long long)job.number_at);
	return job;
}
