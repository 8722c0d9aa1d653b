/*
 * receive-notifications PATH|@NAME
 * Receives a service's notifications as systemd does. Prints "ready", then for each datagram a line: the pid and uid that
 * the kernel states for its sender, and the datagram's lines, all separated by tabs.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
		return 2;
	size_t length = strlen(argv[1]);
	memcpy(address.sun_path, argv[1], length);
	if (argv[1][0] == '@')
		address.sun_path[0] = '\0';
	int on = 1;
	int input = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (bind(input, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) !=
		    0 ||
	    setsockopt(input, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
		perror(argv[1]);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		char state[4096];
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(sizeof(struct ucred))];
		} control;
		struct iovec part = { state, sizeof state };
		struct msghdr message = {
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof control,
		};
		ssize_t got = recvmsg(input, &message, 0);
		if (got < 0)
			return 1;
		struct ucred sender;
		memcpy(&sender, CMSG_DATA(&control.header), sizeof sender);
		printf("%d\t%u\t", (int)sender.pid, (unsigned)sender.uid);
		for (ssize_t i = 0; i < got; i++)
			putchar(state[i] == '\n' ? '\t' : state[i]);
		putchar('\n');
		fflush(stdout);
	}
}
