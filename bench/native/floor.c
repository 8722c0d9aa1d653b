/*
 * The least that starting a process costs. Each of PROCESSES processes starts /bin/true by posix_spawn again and again,
 * with stdout and stderr in one pipe, which it reads to its end. Prints the starts per second of all processes together,
 * and the median time of a start in microseconds.
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
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 256
#define LONGEST_US 100000

/* What one of these processes has measured, in memory that it shares with the first one. */
struct outcome {
	double per_second;
	/* By duration in microseconds: how many starts took that long. The last entry counts all longer ones. */
	uint32_t starts[LONGEST_US + 1];
};

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

static void work(struct outcome *outcome, int64_t duration)
{
	int64_t begun = now_ns(), now = begun;
	uint64_t starts = 0;
	for (; now - begun < duration; starts++) {
		int64_t from = now;
		start_one();
		now = now_ns();
		int64_t us = (now - from) / 1000;
		outcome->starts[us < LONGEST_US ? us : LONGEST_US]++;
	}
	outcome->per_second = (double)starts * 1e9 / (double)(now - begun);
}

static int median_us(const struct outcome *outcomes, int processes)
{
	uint64_t all = 0, seen = 0;
	for (int i = 0; i < processes; i++)
		for (int us = 0; us <= LONGEST_US; us++)
			all += outcomes[i].starts[us];
	for (int us = 0; us <= LONGEST_US; us++) {
		for (int i = 0; i < processes; i++)
			seen += outcomes[i].starts[us];
		if (seen * 2 >= all)
			return us;
	}
	return LONGEST_US;
}

int main(int argc, char **argv)
{
	int processes = argc == 3 ? atoi(argv[1]) : 0;
	int64_t duration = argc == 3 ? strtoll(argv[2], NULL, 10) * 1000000 : 0;
	if (processes < 1 || processes > PROCESSES_MAX || duration < 1) {
		fputs("usage: floor PROCESSES MILLISECONDS\n", stderr);
		return 2;
	}
	size_t size = (size_t)processes * sizeof(struct outcome);
	struct outcome *outcomes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcomes == MAP_FAILED)
		fail("mmap");
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid < 0)
			fail("fork");
		if (pid == 0) {
			work(&outcomes[i], duration);
			return 0;
		}
	}
	double per_second = 0;
	for (int i = 0; i < processes; i++) {
		int status;
		if (wait(&status) < 0 || status != 0)
			return 1;
	}
	for (int i = 0; i < processes; i++)
		per_second += outcomes[i].per_second;
	printf("%.1f %d\n", per_second, median_us(outcomes, processes));
	return 0;
}
