#define _GNU_SOURCE
#include "tool.h"

#include "failure.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* They take milliseconds where nothing hangs. The launcher waits somewhat longer. */
#define LIMIT_MS 8000

static pid_t start(const char *const arguments[], int output)
{
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	/* The launcher gives this program no environment. */
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	char *const environment[] = { "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	pid_t pid;
	errno = posix_spawnp(&pid, arguments[0], &actions, NULL, (char *const *)arguments, environment);
	if (errno != 0)
		fail("cannot run %s", arguments[0]);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

/* The last line of what comes until the program's end; false where that takes too long. */
static bool read_last_line(int output, char text[TOOL_TEXT_MAX])
{
	char all[8 * TOOL_TEXT_MAX];
	size_t length = 0;
	struct pollfd readable = { .fd = output, .events = POLLIN };
	int ready;
	ssize_t got = 0;
	while ((ready = poll(&readable, 1, LIMIT_MS)) > 0 &&
	       (got = read(output, all + length, sizeof all - 1 - length)) > 0)
		length += (size_t)got;
	while (length > 0 && all[length - 1] == '\n')
		length--;
	all[length] = '\0';
	const char *line = strrchr(all, '\n');
	snprintf(text, TOOL_TEXT_MAX, "%.*s", TOOL_TEXT_MAX - 1, line == NULL ? all : line + 1);
	return ready > 0;
}

int run_tool(const char *const arguments[], char text[TOOL_TEXT_MAX])
{
	int output[2];
	if (pipe2(output, O_CLOEXEC) != 0)
		fail("cannot make a pipe");
	pid_t pid = start(arguments, output[1]);
	close(output[1]);
	bool ended = read_last_line(output[0], text);
	if (!ended)
		kill(pid, SIGKILL);
	close(output[0]);
	int status;
	if (waitpid(pid, &status, 0) != pid)
		fail("cannot wait for %s", arguments[0]);
	errno = 0;
	if (!ended)
		fail("%s has not ended within %d s", arguments[0], LIMIT_MS / 1000);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
