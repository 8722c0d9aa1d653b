#define _GNU_SOURCE
#include "calls.h"
#include "../clock.h"
#include "answer.h"
#include "fail.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STREAM_WINDOW (128 << 20)
#define CONNECTION_WINDOW (1 << 30)
/* The most that nghttp2 sends in one piece: a frame of the usual size with its header. */
#define FRAME_BYTES (16384 + 9)

/* The control plane waits for half a second; that would measure the wait instead of the server. */
#define REPEAT_NS 1000000

struct call {
	/* In the list of spare calls, or in that of refused ones. */
	struct call *next;
	int64_t from_ns;
	char number[NUMBER_DIGITS + 1];
	size_t sent;
	int http_status;
	/* -1: the server has not sent one. */
	int grpc_status;
	char grpc_message[200];
	struct answer answer;
};

static void check(const struct job *job, const struct call *call, uint32_t error_code)
{
	if (error_code != NGHTTP2_NO_ERROR)
		fail("a call of %s was ended by %s", job->path, nghttp2_http2_strerror(error_code));
	if (call->http_status != 200)
		fail("a call of %s was answered with HTTP status %d", job->path, call->http_status);
	if (call->grpc_status != 0)
		fail("a call of %s was answered with gRPC status %d: %s", job->path, call->grpc_status,
		     call->grpc_message);
	const struct answer *answer = &call->answer;
	if (job->acknowledged && !answer->success)
		fail("a call of %s was refused: %s", job->path, answer->error);
	if (job->output_bytes < 0)
		return;
	if (answer->error_bytes > 0)
		fail("an execution has failed: %s", answer->error);
	if (!answer_is_whole(answer))
		fail("a call of %s was answered with something else than an ExecutionResponse", job->path);
	if (answer->output_bytes != (uint64_t)job->output_bytes)
		fail("an execution has %" PRIu64 " bytes of output, not %" PRId64, answer->output_bytes,
		     job->output_bytes);
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error_code, void *user_data)
{
	struct calls *calls = user_data;
	struct call *call = nghttp2_session_get_stream_user_data(session, stream);
	calls->quiet_since_ns = now_ns();
	int64_t latency_us = (calls->quiet_since_ns - call->from_ns + 500) / 1000;
	if (latency_us > LIMIT_US)
		fail("a call of %s took longer than %d s", calls->job->path, LIMIT_SECONDS);
	if (calls->job->repeat_refused && strstr(call->answer.error, "at capacity") != NULL) {
		if (calls->refused == NULL)
			calls->repeat_ns = calls->quiet_since_ns + REPEAT_NS;
		call->next = calls->refused;
		calls->refused = call;
		return 0;
	}
	check(calls->job, call, error_code);
	calls->latencies[latency_us]++;
	if (latency_us > calls->slowest_us)
		calls->slowest_us = latency_us;
	calls->under_way--;
	call->next = calls->spare;
	calls->spare = call;
	return 0;
}

static bool is(const char *name, const uint8_t *bytes, size_t length)
{
	return strlen(name) == length && memcmp(name, bytes, length) == 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
		     const uint8_t *value, size_t value_length, uint8_t flags, void *user_data)
{
	(void)flags, (void)user_data, (void)value_length;
	struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (call == NULL)
		return 0;
	/* nghttp2 ends values with a NUL. */
	const char *text = (const char *)value;
	if (is("grpc-status", name, name_length))
		call->grpc_status = atoi(text);
	else if (is(":status", name, name_length))
		call->http_status = atoi(text);
	else if (is("grpc-message", name, name_length))
		snprintf(call->grpc_message, sizeof call->grpc_message, "%s", text);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length,
		   void *user_data)
{
	(void)flags;
	const struct calls *calls = user_data;
	struct call *call = nghttp2_session_get_stream_user_data(session, stream);
	if (calls->job->output_bytes >= 0 || calls->job->acknowledged)
		answer_add(&call->answer, data, length);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	(void)session;
	struct calls *calls = user_data;
	if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
		calls->ready = true;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		fail("the server takes no more calls on this connection: %s",
		     nghttp2_http2_strerror(frame->goaway.error_code));
	return 0;
}

void calls_open(struct calls *calls, const struct job *job)
{
	calls->job = job;
	calls->connection = open_connection(job);
	/* Large, but only the pages of latencies that occur are ever touched. */
	calls->latencies = calloc(LIMIT_US + 1, sizeof *calls->latencies);
	nghttp2_session_callbacks *callbacks;
	if (calls->latencies == NULL || nghttp2_session_callbacks_new(&callbacks) != 0)
		fail("no memory");
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
	};
	if (nghttp2_session_client_new(&calls->session, callbacks, calls) != 0 ||
	    nghttp2_submit_settings(calls->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
	    nghttp2_session_set_local_window_size(calls->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)
		fail("nghttp2 does not start");
	nghttp2_session_callbacks_del(callbacks);
}

static ssize_t read_message(nghttp2_session *session, int32_t stream, uint8_t *to, size_t length, uint32_t *flags,
			    nghttp2_data_source *source, void *user_data)
{
	(void)session, (void)stream;
	const struct job *job = ((struct calls *)user_data)->job;
	struct call *call = source->ptr;
	size_t left = job->message_length - call->sent;
	size_t count = left < length ? left : length;
	memcpy(to, job->message + call->sent, count);
	for (size_t i = 0; job->number_at >= 0 && i < NUMBER_DIGITS; i++) {
		size_t at = (size_t)job->number_at + i;
		if (at >= call->sent && at < call->sent + count)
			to[at - call->sent] = (uint8_t)call->number[i];
	}
	call->sent += count;
	if (count == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)count;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
			     NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };
}

static void submit(struct calls *calls, struct call *call)
{
	const struct job *job = calls->job;
	call->sent = 0;
	call->http_status = 0;
	call->grpc_status = -1;
	call->answer = (struct answer){ 0 };
	const nghttp2_nv headers[] = {
		header(":method", "POST"),
		header(":scheme", job->ca != NULL ? "https" : "http"),
		header(":path", job->path),
		header(":authority", job->server_name != NULL ? job->server_name : job->host),
		header("content-type", "application/grpc"),
		header("te", "trailers"),
	};
	const nghttp2_data_provider message = { { .ptr = call }, read_message };
	int stream =
		nghttp2_submit_request(calls->session, NULL, headers, sizeof headers / sizeof *headers, &message, call);
	if (stream < 0)
		fail("no further call on this connection: %s", nghttp2_strerror(stream));
}

void calls_start(struct calls *calls, int64_t from_ns)
{
	struct call *call = calls->spare;
	if (call != NULL)
		calls->spare = call->next;
	else
		call = calloc(1, sizeof *call);
	if (call == NULL)
		fail("no memory for another call");
	call->from_ns = from_ns;
	snprintf(call->number, sizeof call->number, "%0*" PRIu64, NUMBER_DIGITS,
		 calls->job->first_number + calls->started);
	submit(calls, call);
	calls->started++;
	if (calls->under_way++ == 0)
		calls->quiet_since_ns = now_ns();
}

int64_t calls_repeat(struct calls *calls, int64_t now)
{
	if (calls->refused == NULL || now < calls->repeat_ns)
		return calls->refused == NULL ? INT64_MAX : calls->repeat_ns;
	while (calls->refused != NULL) {
		struct call *call = calls->refused;
		calls->refused = call->next;
		submit(calls, call);
	}
	return INT64_MAX;
}

/* Collects several frames: a system call for each would cost more than everything else. */
static void fill_unsent(struct calls *calls)
{
	calls->unsent_from = calls->unsent_to = 0;
	while (calls->unsent_to + FRAME_BYTES <= sizeof calls->unsent) {
		const uint8_t *data;
		ssize_t length = nghttp2_session_mem_send(calls->session, &data);
		if (length < 0)
			fail("HTTP/2 has failed: %s", nghttp2_strerror((int)length));
		if (length == 0)
			return;
		memcpy(calls->unsent + calls->unsent_to, data, (size_t)length);
		calls->unsent_to += (size_t)length;
	}
}

bool calls_send(struct calls *calls)
{
	for (;;) {
		if (calls->unsent_from == calls->unsent_to)
			fill_unsent(calls);
		if (calls->unsent_from == calls->unsent_to)
			return false;
		size_t sent = send_bytes(&calls->connection, calls->unsent + calls->unsent_from,
					 calls->unsent_to - calls->unsent_from);
		if (sent == 0)
			return true;
		calls->unsent_from += sent;
	}
}

void calls_receive(struct calls *calls)
{
	static uint8_t bytes[1 << 18];
	for (;;) {
		size_t length = receive_bytes(&calls->connection, bytes, sizeof bytes);
		if (length == 0)
			return;
		ssize_t taken = nghttp2_session_mem_recv(calls->session, bytes, length);
		if (taken < 0)
			fail("HTTP/2 has failed: %s", nghttp2_strerror((int)taken));
		/* A short read means that nothing is left; TLS may hold more. Saves a system call. */
		if (length < sizeof bytes && calls->connection.tls == NULL)
			return;
	}
}
