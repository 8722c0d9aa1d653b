/*
 * hold-lease FILE: takes a lease on a file of its own user. Whoever opens the file then waits for
 * /proc/sys/fs/lease-break-time, which is usually 45 s.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	signal(SIGIO, SIG_IGN);
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) != 0) {
		perror("hold-lease");
		return 1;
	}
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}
