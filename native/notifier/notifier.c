/*
 * The notifier: sends the agent's states to the service manager (sd_notify(3)). Node cannot, since it has no datagram
 * sockets of the local domain.
 *
 *     notifier PID <states
 *
 * Reads states, each ended by a NUL byte, and sends each as one datagram to NOTIFY_SOCKET, in the order read. As root it
 * sends them with the credentials of PID, the agent, so that they also count with a service manager that accepts only the
 * main process's; otherwise with its own. Exits when its input ends. A state that cannot be sent is dropped, and the
 * reason is written to standard error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* systemd takes no state longer than this, bytes. */
#define STATE_MAX 4096
/* How long one attempt waits for a manager that does not read. Between attempts it is checked whether the agent lives. */
#define SEND_LIMIT_S 1

static pid_t agent;
static bool as_agent = true;
static struct sockaddr_un manager = { .sun_family = AF_UNIX };
static socklen_t manager_length;
static int output;
/* The errno that was last written to standard error; 0: the last state was sent. */
static int reported_error;

static bool find_manager(const char *address)
{
	size_t length = address == NULL ? 0 : strlen(address);
	if (length < 2 || length >= sizeof manager.sun_path || (address[0] != '/' && address[0] != '@'))
		return false;
	memcpy(manager.sun_path, address, length);
	/* An abstract socket's name begins with NUL, and is not ended by one. */
	if (address[0] == '@')
		manager.sun_path[0] = '\0';
	manager_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return true;
}

/* False with errno. */
static bool send_once(char *state, size_t length)
{
	struct iovec part = { state, length };
	struct msghdr message = {
		.msg_name = &manager,
		.msg_namelen = manager_length,
		.msg_iov = &part,
		.msg_iovlen = 1,
	};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control = { 0 };
	if (as_agent) {
		const struct ucred credentials = { agent, getuid(), getgid() };
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_CREDENTIALS;
		control.header.cmsg_len = CMSG_LEN(sizeof credentials);
		memcpy(CMSG_DATA(&control.header), &credentials, sizeof credentials);
	}
	return sendmsg(output, &message, MSG_NOSIGNAL) >= 0;
}

/* Tries until the state is sent, cannot be sent, or the agent is dead. */
static void send_state(char *state, size_t length)
{
	while (!send_once(state, length)) {
		if (errno == EPERM && as_agent) {
			as_agent = false;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (getppid() != agent)
			exit(0);
		if (errno == EAGAIN)
			continue;
		/* Only when the reason changes: a state comes every few seconds. */
		if (errno != reported_error)
			perror("flux-agent notifier: the service manager is not told");
		reported_error = errno;
		return;
	}
	reported_error = 0;
}

/* Sends all complete states; moves what is left to the beginning, and answers how many bytes that is. */
static size_t send_complete(char *buffer, size_t filled)
{
	char *state = buffer;
	char *end;
	while ((end = memchr(state, '\0', filled)) != NULL) {
		size_t length = (size_t)(end - state);
		send_state(state, length);
		state = end + 1;
		filled -= length + 1;
	}
	memmove(buffer, state, filled);
	return filled;
}

int main(int argc, char **argv)
{
	static char buffer[STATE_MAX + 1];
	/* Signals that are meant for the agent, and reach its whole group: it has states to send after them. */
	const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	agent = argc == 2 ? (pid_t)atoi(argv[1]) : 0;
	if (agent <= 0 || !find_manager(getenv("NOTIFY_SOCKET"))) {
		fputs("flux-agent notifier: usage: NOTIFY_SOCKET=/PATH or @NAME notifier PID\n", stderr);
		return 2;
	}
	const struct timeval limit = { SEND_LIMIT_S, 0 };
	output = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (output < 0 || setsockopt(output, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
		perror("flux-agent notifier: cannot start");
		return 1;
	}
	for (size_t filled = 0;;) {
		ssize_t got = read(0, buffer + filled, sizeof buffer - filled);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		filled = send_complete(buffer, filled + (size_t)got);
		if (filled == sizeof buffer) {
			fputs("flux-agent notifier: a state is too long\n", stderr);
			return 2;
		}
	}
}
