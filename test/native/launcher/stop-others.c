/* Stops every other process of its user, again and again: kill(-1) signals all of them but its sender. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void *stop(void *unused)
{
	for (;;)
		kill(-1, SIGSTOP);
	return unused;
}

int main(void)
{
	pthread_t thread;
	/* As root it would stop every process there is. */
	if (getuid() == 0 || pthread_create(&thread, NULL, stop, NULL) != 0)
		return 1;
	puts("on");
	fflush(stdout);
	stop(NULL);
}
