/*
 * Tries the network as another user, as a function would: reach UID KIND ADDRESS PORT prints ok, or the name of the
 * error. KIND: tcp, mptcp, udp, or userns for tcp out of a user namespace. reach UID serve prints the port it listens
 * on, and answers every connection until its input ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int done(const char *what, int result)
{
	if (result < 0) {
		printf("%s\n", strerrorname_np(errno));
		exit(0);
	}
	if (what)
		printf("%s\n", what);
	return result;
}

static void become(unsigned id)
{
	if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id)) {
		perror("setresuid");
		exit(1);
	}
}

static void serve(void)
{
	struct sockaddr_storage own = { .ss_family = AF_INET6 };
	socklen_t size = sizeof own;
	int listener = done(NULL, socket(AF_INET6, SOCK_STREAM, 0));
	done(NULL, listen(listener, 16));
	done(NULL, getsockname(listener, (struct sockaddr *)&own, &size));
	char port[NI_MAXSERV];
	getnameinfo((struct sockaddr *)&own, size, NULL, 0, port, sizeof port, NI_NUMERICSERV);
	printf("%s\n", port);
	fflush(stdout);
	struct pollfd watched[] = { { .fd = 0, .events = POLLIN }, { .fd = listener, .events = POLLIN } };
	while (poll(watched, 2, -1) > 0 && !watched[0].revents) {
		int connection = accept(listener, NULL, NULL);
		if (write(connection, "hello", 5) != 5)
			perror("write");
		close(connection);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	become(strtoul(argv[1], NULL, 10));
	const char *kind = argv[2];
	if (strcmp(kind, "serve") == 0) {
		serve();
		return 0;
	}
	if (argc != 5)
		return 2;
	if (strcmp(kind, "userns") == 0 && unshare(CLONE_NEWUSER)) {
		perror("unshare");
		return 1;
	}
	int isUdp = strcmp(kind, "udp") == 0;
	int protocol = strcmp(kind, "mptcp") == 0 ? 262 : 0;
	struct addrinfo *to, hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	if (getaddrinfo(argv[3], argv[4], &hints, &to))
		return 2;
	int fd = done(NULL, socket(to->ai_family, isUdp ? SOCK_DGRAM : SOCK_STREAM, protocol));
	int connected = connect(fd, to->ai_addr, to->ai_addrlen);
	if (isUdp && connected == 0)
		connected = send(fd, "x", 1, 0) == 1 ? 0 : -1;
	done("ok", connected);
	return 0;
}
