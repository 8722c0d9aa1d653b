#define _GNU_SOURCE
#include "sandbox_maker.h"

#include "clock.h"
#include "proc.h"
#include "sandbox_remains.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* It takes a millisecond where nothing hangs, and some thirty where it makes an image. */
#define LIMIT_MS 10000
#define TEXT_MAX 4096
#define ARGUMENTS_MAX 12
#define ARGUMENT_MAX 4200
#define STACK (64u << 10)
static const char READY[] = "ready";

/* ---- running the program ---- */

struct arguments {
	char *list[ARGUMENTS_MAX + 1];
	char text[ARGUMENTS_MAX][ARGUMENT_MAX];
	int count;
	bool too_long;
};

static void add(struct arguments *arguments, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct arguments *arguments, const char *format, ...)
{
	char *text = arguments->text[arguments->count];
	va_list values;
	va_start(values, format);
	int length = vsnprintf(text, ARGUMENT_MAX, format, values);
	va_end(values);
	arguments->too_long |= length >= ARGUMENT_MAX;
	arguments->list[arguments->count++] = text;
}

static void add_user(struct arguments *arguments, const struct sandbox_plan *plan, uint32_t uid)
{
	add(arguments, "uid=%" PRIu32, uid);
	add(arguments, "user=%s", plan->user);
	add(arguments, "home_at=%s", plan->home);
}

static void add_all(struct arguments *arguments, const struct sandbox_plan *plan, uint32_t uid, const char *function)
{
	add(arguments, "sandbox");
	add_user(arguments, plan, uid);
	add(arguments, "home=%s/functions/homes/%s", plan->state, function);
	add(arguments, "apps=%s", plan->apps);
	add(arguments, "name=%s", function);
	add(arguments, "state=%s", plan->state);
	add(arguments, "tmp_bytes=%" PRIu64, plan->tmp_bytes);
	add(arguments, "network=%s", plan->has_network ? "host" : "none");
	if (plan->disk_bytes != 0)
		add(arguments, "disk_bytes=%" PRIu64, plan->disk_bytes);
}

/* Its process, and the ends of pipes to its standard input, or -1, and from its standard output. */
struct maker {
	pid_t pid;
	int input;
	int output;
};

static bool start_program(pid_t *pid, const char *program, const struct arguments *arguments, int input, int output)
{
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, input, 0);
	posix_spawn_file_actions_adddup2(&actions, output, 1);
	posix_spawnattr_t attributes;
	posix_spawnattr_init(&attributes);
	sigset_t none;
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	char *const environment[] = { NULL };
	int error = posix_spawn(pid, program, &actions, &attributes, arguments->list, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	errno = error;
	return error == 0;
}

static void close_pipe(const int *ends)
{
	int error = errno;
	close(ends[0]);
	close(ends[1]);
	errno = error;
}

/* `input`: what it reads; -1: a pipe. */
static bool spawn(struct maker *maker, const char *program, const struct arguments *arguments, int input)
{
	int in[2] = { -1, -1 };
	int out[2];
	errno = ENAMETOOLONG;
	if (arguments->too_long || (input < 0 && pipe2(in, O_CLOEXEC) != 0))
		return false;
	bool piped = pipe2(out, O_CLOEXEC) == 0;
	if (!piped || !start_program(&maker->pid, program, arguments, input < 0 ? in[0] : input, out[1])) {
		if (piped)
			close_pipe(out);
		if (input < 0)
			close_pipe(in);
		return false;
	}
	close(out[1]);
	if (input < 0)
		close(in[0]);
	maker->input = in[1];
	maker->output = out[0];
	return true;
}

/* Reads what it says, up to the end of the line or of its output. */
static void read_line(const struct maker *maker, char *text, size_t size)
{
	int64_t end_ms = now_ms() + LIMIT_MS;
	size_t length = 0;
	while (length < size - 1 && memchr(text, '\n', length) == NULL) {
		struct pollfd readable = { .fd = maker->output, .events = POLLIN };
		int64_t left_ms = end_ms - now_ms();
		if (left_ms <= 0 || (poll(&readable, 1, (int)left_ms) < 0 && errno != EINTR))
			break;
		if (readable.revents == 0)
			continue;
		ssize_t got = read(maker->output, text + length, size - 1 - length);
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	text[length] = '\0';
}

/* Ends it, and answers the error that it exits with. */
static int dismiss(const struct maker *maker, bool hangs)
{
	if (maker->input >= 0)
		close(maker->input);
	close(maker->output);
	int status = 0;
	/* One that has failed exits by itself, and one that hangs never. */
	if (waitpid(maker->pid, &status, WNOHANG) == 0) {
		if (hangs)
			kill(maker->pid, SIGKILL);
		waitpid(maker->pid, &status, 0);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EIO;
}

/* ---- its namespaces ---- */

/* The folder of the state folder, as processes in the sandbox find it: links are its own, not the launcher's. */
static int open_executions(pid_t pid, const struct sandbox_plan *plan)
{
	char path[ARGUMENT_MAX];
	snprintf(path, sizeof path, "%s/functions/tmp", plan->state);
	int root = proc_open(pid, "root", O_PATH | O_DIRECTORY);
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	int folder = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
	close(root);
	return folder;
}

static bool open_namespaces(pid_t pid, const struct sandbox_plan *plan, struct namespaces *made)
{
	bool has_network = plan->has_network;
	*made = (struct namespaces){
		.mount = proc_open(pid, "ns/mnt", O_RDONLY),
		.ipc = proc_open(pid, "ns/ipc", O_RDONLY),
		.network = has_network ? -1 : proc_open(pid, "ns/net", O_RDONLY),
		.tmp = proc_open(pid, "root/tmp", O_PATH | O_DIRECTORY),
		.executions = open_executions(pid, plan),
	};
	made->queues = sandbox_open_queues(made->ipc);
	if (made->mount >= 0 && made->ipc >= 0 && made->tmp >= 0 && (has_network || made->network >= 0))
		return true;
	int error = errno;
	namespaces_close(made);
	errno = error;
	return false;
}

/* What a program has said, without the end of its line. */
static char said[TEXT_MAX];
static struct arguments arguments;

static void complain(const char *function, const char *what, const char *why)
{
	fprintf(stderr, "flux-agent launcher: the sandbox of function %s %s: %s\n", function, what, why);
}

/* Whether it said that all is ready. */
static bool is_ready(const struct maker *maker)
{
	read_line(maker, said, sizeof said);
	said[strcspn(said, "\n")] = '\0';
	return strcmp(said, READY) == 0;
}

bool sandbox_make(const struct sandbox_plan *plan, uint32_t uid, const char *function, struct namespaces *made)
{
	arguments = (struct arguments){ 0 };
	add_all(&arguments, plan, uid, function);
	struct maker maker;
	if (!spawn(&maker, plan->program, &arguments, -1)) {
		complain(function, "cannot be made", strerror(errno));
		return false;
	}
	bool ready = is_ready(&maker);
	if (ready && open_namespaces(maker.pid, plan, made)) {
		dismiss(&maker, false);
		return true;
	}
	int error = errno;
	int status = dismiss(&maker, said[0] == '\0');
	complain(function, "cannot be made", ready ? strerror(error) : said[0] == '\0' ? "no answer" : said);
	errno = ready ? error : status;
	return false;
}

void sandbox_restore_users(const struct sandbox_plan *plan, uint32_t uid, const char *function, int mount)
{
	arguments = (struct arguments){ 0 };
	add(&arguments, "sandbox");
	add(&arguments, "users");
	add_user(&arguments, plan, uid);
	struct maker maker;
	if (!spawn(&maker, plan->program, &arguments, mount)) {
		complain(function, "cannot get its users back", strerror(errno));
		return;
	}
	bool ready = is_ready(&maker);
	dismiss(&maker, said[0] == '\0');
	if (!ready)
		complain(function, "cannot get its users back", said[0] == '\0' ? "no answer" : said);
}

/* ---- closing ---- */

static int closing[2] = { -1, -1 };

static void close_now(const struct namespaces *namespaces)
{
	int fds[NAMESPACES_COUNT];
	memcpy(fds, namespaces, sizeof fds);
	for (int i = 0; i < NAMESPACES_COUNT; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void *close_what_comes(void *unused)
{
	(void)unused;
	struct namespaces namespaces;
	while (read(closing[0], &namespaces, sizeof namespaces) == sizeof namespaces)
		close_now(&namespaces);
	return NULL;
}

void namespaces_close(struct namespaces *namespaces)
{
	if (closing[1] < 0 && pipe2(closing, O_CLOEXEC) == 0) {
		fcntl(closing[1], F_SETFL, O_NONBLOCK);
		start_thread(close_what_comes, STACK);
	}
	/* Where too many wait, or there is no thread. */
	if (write(closing[1], namespaces, sizeof *namespaces) != sizeof *namespaces)
		close_now(namespaces);
	*namespaces = (struct namespaces){ -1, -1, -1, -1, -1, -1 };
}
