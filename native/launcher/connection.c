#define _GNU_SOURCE
#include "connection.h"

#include "attachment.h"
#include "clock.h"
#include "control.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* While more bytes than this wait for the reader, no outputs are read. */
#define WAITING_MAX (1u << 20)
/* While more wait, no output that is kept is added to them: there must be room for what is new. */
#define CATCH_UP_MAX (WAITING_MAX / 2)

static bool is_open = true;
/* Whether it is watched when standard output can be written to. */
static bool waits_for_reader;
/* Whether outputs are not read until the reader has caught up. */
static bool outputs_paused;

/* -1: there is no other connection after the first. */
static int listener = -1;
static char *socket_path;
static int null_device = -1;
static int64_t survive_ms;
static int64_t wait_ends_ms = NEVER_MS;

/* ---- the socket ---- */

/*
 * Binds it by its name in its folder. A path may be longer than an address (unix(7)), and everybody can read addresses
 * (/proc/net/unix): they are not told the folder.
 */
static bool bind_in_folder(int fd, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (name[0] == '\0' || strlen(name) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(address.sun_path, name, strlen(name) + 1);
	char *folder = strndup(path, (size_t)(name - path));
	bool entered = folder != NULL && chdir(folder) == 0;
	free(folder);
	if (!entered)
		return false;
	mode_t before = umask(077);
	bool bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
	umask(before);
	return bound && chdir("/") == 0;
}

bool connection_listen(const char *path, int64_t survive)
{
	errno = EINVAL;
	if (path[0] != '/')
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
	socket_path = strdup(path);
	if (fd < 0 || null_device < 0 || socket_path == NULL || !bind_in_folder(fd, path))
		return false;
	survive_ms = survive;
	listener = fd;
	return listen(fd, SOMAXCONN) == 0;
}

/* ---- the connection ---- */

static void watch_streams(void)
{
	control_watch(0, EPOLLIN, SOURCE_REQUESTS);
	control_watch(1, 0, SOURCE_EVENTS);
}

void connection_open(void)
{
	streams_open();
	watch_streams();
	if (listener >= 0)
		control_watch(listener, EPOLLIN, SOURCE_CONNECTIONS);
}

bool connection_survives(void)
{
	return socket_path != NULL;
}

bool connection_is_open(void)
{
	return is_open;
}

bool connection_has_hung_up(void)
{
	struct pollfd ends[] = { { 0, POLLRDHUP, 0 }, { 1, 0, 0 } };
	return poll(ends, 2, 0) > 0;
}

bool connection_keeps_up(void)
{
	return !outputs_paused;
}

static void set_waits_for_reader(bool waits)
{
	if (waits == waits_for_reader)
		return;
	waits_for_reader = waits;
	control_change(1, waits ? EPOLLOUT : 0, SOURCE_EVENTS);
}

static void set_outputs_paused(bool paused)
{
	if (paused == outputs_paused)
		return;
	outputs_paused = paused;
	control_change(outputs_fd(), paused ? 0 : EPOLLIN, SOURCE_OUTPUTS);
}

bool connection_flush(void)
{
	if (!is_open)
		return true;
	attachments_catch_up(CATCH_UP_MAX);
	if (events_flush() == STREAM_CLOSED)
		return false;
	set_waits_for_reader(events_waiting() > 0);
	set_outputs_paused(events_waiting() > WAITING_MAX);
	return true;
}

/* So that nobody waits for the launcher who reads the streams of an agent that has gone. */
static void close_streams(void)
{
	/* The other end sees it even while a child that is being started holds the descriptors. Fails for a pipe. */
	shutdown(0, SHUT_RDWR);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null_device, fd);
}

void connection_drop(void)
{
	if (!is_open)
		return;
	is_open = false;
	control_unwatch(0);
	control_unwatch(1);
	waits_for_reader = false;
	set_outputs_paused(false);
	streams_reset();
	if (!connection_survives())
		return;
	close_streams();
	wait_ends_ms = now_ms() + survive_ms;
}

/* The kernel has noted whose it is when it was made (SO_PEERCRED, unix(7)). */
static bool is_own_user(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

static void take(int fd)
{
	dup2(fd, 0);
	dup2(fd, 1);
	watch_streams();
	wait_ends_ms = NEVER_MS;
	is_open = true;
}

bool connection_accept(void)
{
	bool was_open = is_open;
	/* One descriptor is always free: an execution needs more to start than it keeps. */
	for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
		if (!is_open && is_own_user(fd))
			take(fd);
		close(fd);
	}
	return is_open != was_open;
}

int64_t connection_wait_ends_ms(void)
{
	return wait_ends_ms;
}

void connection_stop(void)
{
	control_unwatch(0);
	wait_ends_ms = NEVER_MS;
	if (listener < 0)
		return;
	control_unwatch(listener);
	close(listener);
	listener = -1;
	unlink(socket_path);
}
