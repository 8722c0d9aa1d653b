/*
 * The sandbox: makes what one function sees of the node, and holds it until its input ends.
 *
 *     sandbox uid=N user=NAME home=FOLDER home_at=FOLDER apps=FOLDER name=NAME state=FOLDER tmp_bytes=N
 *             network=host|none [disk_bytes=N]
 *     sandbox check network=host|none
 *     sandbox check-disk state=FOLDER
 *     sandbox users uid=N user=NAME home_at=FOLDER <NAMESPACE
 *
 * A sandbox is a mount namespace, an IPC namespace and, with `network=none`, a network namespace in which only the
 * loopback interface is. Processes join it (setns(2)); it lives as long as a process or a descriptor does. In it
 *
 *   - `user` has the id and group id `uid` and the home `home_at`, where `home` is mounted;
 *   - what `uid` keeps there and in `state` is bounded by `disk_bytes`, unless that is 0: see disk.h;
 *   - /tmp, /var/tmp, /dev/shm and other folders that everybody can write to are empty and share `tmp_bytes` of memory;
 *   - `apps` has nothing but the folder `name`, which is read-only;
 *   - `state` has nothing but functions/tmp and functions/caches/NAME;
 *   - /proc shows no processes of other users, and queues and segments are the sandbox's own;
 *   - `uid` has no keys;
 *   - what the host mounts later appears, unless it is covered.
 *
 * What is not there when it is made (the code, the folders in `state`) is left out. Nothing outside changes, except that
 * folders are made in `home` where `apps` or `state` lies in `home_at`.
 *
 * Writes "ready" and an end of line to standard output when all is done; otherwise a sentence, and exits with the error
 * as its status. `check` does the same with made-up folders, and exits. `check-disk` tells whether what functions keep in
 * `state` can be bounded. `users` gives a sandbox, whose mount namespace is its standard input, its own /etc/passwd and
 * /etc/group back where the host has replaced these files. Needs root, and Linux 5.12.
 */
#define _GNU_SOURCE
#include "box.h"
#include "disk.h"
#include "failure.h"
#include "generated.h"
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum key { UID, USER, HOME, HOME_AT, APPS, NAME, STATE, TMP_BYTES, DISK_BYTES, NETWORK, KEYS };

static const char *const keys[KEYS] = {
	[UID] = "uid",         [USER] = "user",           [HOME] = "home",
	[HOME_AT] = "home_at", [APPS] = "apps",           [NAME] = "name",
	[STATE] = "state",     [TMP_BYTES] = "tmp_bytes", [DISK_BYTES] = "disk_bytes",
	[NETWORK] = "network",
};

/* Of `check`. Nobody but root can put something at these places that would change its result. */
static const char *values[KEYS] = {
	[UID] = "65534",  [USER] = "nobody", [HOME] = "/etc",   [HOME_AT] = "/tmp",
	[APPS] = "/proc", [NAME] = "none",   [STATE] = "/proc", [TMP_BYTES] = "1048576",
};

static void read_argument(const char *argument)
{
	for (size_t key = 0; key < KEYS; key++) {
		size_t length = strlen(keys[key]);
		if (strncmp(argument, keys[key], length) == 0 && argument[length] == '=') {
			values[key] = argument + length + 1;
			return;
		}
	}
	fail("%s is not an argument", argument);
}

static void read_arguments(char **arguments)
{
	for (; *arguments != NULL; arguments++)
		read_argument(*arguments);
}

static const char *value_of(enum key key)
{
	if (values[key] == NULL)
		fail("%s= is missing", keys[key]);
	return values[key];
}

static uint64_t number(enum key key, uint64_t least, uint64_t most)
{
	const char *value = value_of(key);
	char *end;
	errno = 0;
	uint64_t read = strtoull(value, &end, 10);
	bool is_number = value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0;
	errno = 0;
	if (!is_number || read < least || read > most)
		fail("%s=%s is not a number between %" PRIu64 " and %" PRIu64, keys[key], value, least, most);
	return read;
}

/* It becomes a field of passwd(5). */
static const char *field(enum key key)
{
	const char *value = value_of(key);
	if (value[0] == '\0' || strpbrk(value, ":\n") != NULL)
		fail("%s=%s cannot stand in /etc/passwd", keys[key], value);
	return value;
}

static const char *folder(enum key key)
{
	const char *value = value_of(key);
	size_t length = strlen(value);
	/* With an end that is not there, so that these are found at the end as well. */
	char path[PATH_MAX + 2];
	snprintf(path, sizeof path, "%s/", value);
	bool is_plain = strstr(path, "//") == NULL && strstr(path, "/./") == NULL && strstr(path, "/../") == NULL;
	if (value[0] != '/' || length >= PATH_MAX || !is_plain)
		fail("%s=%s is not the absolute path of a folder, without . and .. and empty parts", keys[key], value);
	return value;
}

static const char *name(enum key key)
{
	const char *value = value_of(key);
	if (value[0] == '\0' || strchr(value, '/') != NULL || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		fail("%s=%s is not the name of a folder", keys[key], value);
	return value;
}

static bool has_network(void)
{
	const char *value = value_of(NETWORK);
	bool is_host = strcmp(value, "host") == 0;
	if (!is_host && strcmp(value, "none") != 0)
		fail("network=%s is neither host nor none", value);
	return is_host;
}

static void hold(void)
{
	char byte;
	ssize_t got;
	do
		got = read(STDIN_FILENO, &byte, 1);
	while (got > 0 || (got < 0 && errno == EINTR));
}

static void forget_files(void)
{
	/* Whatever the launcher has open is none of its business, and would live as long as it does. */
	if (syscall(SYS_close_range, STDERR_FILENO + 1, UINT_MAX, 0) != 0 || chdir("/") != 0)
		fail("cannot leave the launcher's files");
}

static int open_disk_of(const struct box *box)
{
	return open_disk(&(struct disk){
		.state = box->state,
		.name = box->name,
		.uid = box->user.id,
		.home = box->home,
		.bytes = number(DISK_BYTES, 0, INT64_MAX),
	});
}

static bool says_ready(void)
{
	puts("ready");
	return fflush(stdout) == 0;
}

static struct user read_user(void)
{
	folder(HOME_AT);
	return (struct user){ .name = field(USER),
			      .home = field(HOME_AT),
			      .id = (uint32_t)number(UID, 1, UINT32_MAX - 1) };
}

static struct box read_box(void)
{
	return (struct box){
		.user = read_user(),
		.home = folder(HOME),
		.apps = folder(APPS),
		.name = name(NAME),
		.state = folder(STATE),
		.tmp_bytes = number(TMP_BYTES, 1, INT64_MAX),
		.has_network = has_network(),
		.disk = -1,
	};
}

static bool make(char **arguments)
{
	memset(values, 0, sizeof values);
	values[DISK_BYTES] = "0";
	read_arguments(arguments);
	struct box box = read_box();
	clear_keys(box.user.id);
	box.disk = open_disk_of(&box);
	enter_box(&box);
	if (!says_ready())
		return false;
	hold();
	return true;
}

/* Whoever joins a mount namespace gets its root (setns(2)), even if that is the one that it is in. */
static void refuse_chroot(void)
{
	struct statx before;
	struct statx after;
	int namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	bool joined = namespace >= 0 && statx(AT_FDCWD, "/", 0, STATX_INO | STATX_MNT_ID, &before) == 0 &&
		      setns(namespace, CLONE_NEWNS) == 0 &&
		      statx(AT_FDCWD, "/", 0, STATX_INO | STATX_MNT_ID, &after) == 0;
	if (!joined)
		fail("cannot join a mount namespace");
	close(namespace);
	if (before.stx_mnt_id != after.stx_mnt_id || before.stx_ino != after.stx_ino)
		fail("the agent runs in a chroot, out of which a sandbox would lead");
}

static bool check(char **arguments)
{
	read_arguments(arguments);
	refuse_chroot();
	const struct box box = read_box();
	enter_box(&box);
	return says_ready();
}

static bool check_disk_of(char **arguments)
{
	values[STATE] = NULL;
	read_arguments(arguments);
	check_disk(folder(STATE));
	return says_ready();
}

static bool restore(char **arguments)
{
	memset(values, 0, sizeof values);
	read_arguments(arguments);
	const struct user user = read_user();
	restore_users(&user, STDIN_FILENO);
	return says_ready();
}

static const struct {
	const char *name;
	bool (*run)(char **arguments);
} commands[] = { { "check", check }, { "check-disk", check_disk_of }, { "users", restore } };

int main(int argc, char **argv)
{
	errno = 0;
	forget_files();
	umask(0);
	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argv + 2) ? 0 : 1;
	}
	return argc > 0 && make(argv + 1) ? 0 : 1;
}
