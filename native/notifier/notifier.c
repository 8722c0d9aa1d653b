/*
 * The notifier: tells the service manager how the agent is (sd_notify(3)), since Node has no datagram sockets of the
 * local domain.
 *
 *     notifier PID <states
 *
 * Each state that it reads, up to a NUL byte, goes to NOTIFY_SOCKET as one datagram, in the order read. It carries the
 * credentials of PID, the agent, as root's may, so that a service manager which listens to the main process only takes
 * it for the agent's; otherwise it carries the notifier's own. Ends with its input. What cannot be sent is named on
 * standard error and left out.
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

/* The most that systemd takes of one state. */
#define STATE_MAX 4096
/* A manager that does not read is waited for, and after each turn it is looked whether the agent still lives. */
#define TURN_S 1

static pid_t agent;
static bool as_agent = true;
static struct sockaddr_un manager = { .sun_family = AF_UNIX };
static socklen_t manager_length;
static int output;
static int told_error;

static bool find_manager(const char *address)
{
	size_t length = address == NULL ? 0 : strlen(address);
	if (length < 2 || length >= sizeof manager.sun_path || (address[0] != '/' && address[0] != '@'))
		return false;
	memcpy(manager.sun_path, address, length);
	/* The name of an abstract socket begins with NUL, and does not end with one. */
	if (address[0] == '@')
		manager.sun_path[0] = '\0';
	manager_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return true;
}

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
		/* Once, since there is a state every few seconds. */
		if (errno != told_error)
			perror("flux-agent notifier: the service manager is not told");
		told_error = errno;
		return;
	}
	told_error = 0;
}

/* Sends all states that are whole; answers how many bytes are left of one that is not. */
static size_t send_whole(char *buffer, size_t filled)
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
	/* A stop that is meant for the agent is not to silence it. */
	const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	agent = argc == 2 ? (pid_t)atoi(argv[1]) : 0;
	if (agent <= 0 || !find_manager(getenv("NOTIFY_SOCKET"))) {
		fputs("flux-agent notifier: usage: NOTIFY_SOCKET=/PATH or @NAME notifier PID\n", stderr);
		return 2;
	}
	const struct timeval turn = { TURN_S, 0 };
	output = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (output < 0 || setsockopt(output, SOL_SOCKET, SO_SNDTIMEO, &turn, sizeof turn) != 0) {
		perror("flux-agent notifier: cannot start");
		return 1;
	}
	for (size_t filled = 0;;) {
		ssize_t got = read(0, buffer + filled, sizeof buffer - filled);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		filled = send_whole(buffer, filled + (size_t)got);
		if (filled == sizeof buffer) {
			fputs("flux-agent notifier: a state is too long\n", stderr);
			return 2;
		}
	}
}
