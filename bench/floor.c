/*
 * What starting a process costs at the least: on each of so many processes, one after the other, posix_spawn of /bin/true
 * with stdout and stderr in one pipe, which is read to its end. Prints the starts per second of all of them together.
 *
 *     floor PROCESSES MILLISECONDS
 */
#define _GNU_SOURCE
#include "clock.h"
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 256

static char *const arguments[] = { "/bin/true", NULL };
static char *const environment[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void start_one(void)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		fail("pipe2");
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
	pid_t pid;
	if (posix_spawn(&pid, arguments[0], &actions, NULL, arguments, environment) != 0)
		fail("posix_spawn");
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	char output[4096];
	while (read(ends[0], output, sizeof output) > 0)
		continue;
	close(ends[0]);
	int status;
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		fputs("/bin/true has failed\n", stderr);
		exit(1);
	}
}

/* Starts for so long; writes starts per second to the pipe. */
static void work(int result, int64_t duration)
{
	int64_t begun = now_ns();
	uint64_t starts = 0;
	do {
		start_one();
		starts++;
	} while (now_ns() - begun < duration);
	double rate = (double)starts * 1e9 / (double)(now_ns() - begun);
	if (write(result, &rate, sizeof rate) != sizeof rate)
		fail("write");
}

int main(int argc, char **argv)
{
	int processes = argc == 3 ? atoi(argv[1]) : 0;
	int64_t duration = argc == 3 ? strtoll(argv[2], NULL, 10) * 1000000 : 0;
	if (processes < 1 || processes > PROCESSES_MAX || duration < 1) {
		fputs("usage: floor PROCESSES MILLISECONDS\n", stderr);
		return 2;
	}
	int results[2];
	if (pipe2(results, O_CLOEXEC) != 0)
		fail("pipe2");
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid < 0)
			fail("fork");
		if (pid == 0) {
			work(results[1], duration);
			return 0;
		}
	}
	double rates = 0;
	for (int i = 0; i < processes; i++) {
		int status;
		if (wait(&status) < 0 || status != 0)
			return 1;
		double rate;
		if (read(results[0], &rate, sizeof rate) != sizeof rate)
			fail("read");
		rates += rate;
	}
	printf("%.1f\n", rates);
	return 0;
}
