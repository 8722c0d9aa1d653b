#define _GNU_SOURCE
#include "users.h"

#include "failure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_SHELL "/usr/sbin/nologin"

/* Writes the user's own line; `found` is the host's, without its end of line, or NULL. */
typedef void line_writer(FILE *to, const struct user *user, const char *found);

static void write_user(FILE *to, const struct user *user, const char *found)
{
	const char *colon = found == NULL ? NULL : strrchr(found, ':');
	const char *shell = colon == NULL ? NO_SHELL : colon + 1;
	fprintf(to, "%s:x:%u:%u::%s:%s\n", user->name, user->id, user->id, user->home, shell);
}

static void write_users_group(FILE *to, const struct user *user, const char *found)
{
	(void)found;
	fprintf(to, "%s:x:%u:\n", user->name, user->id);
}

static bool names(const char *line, const char *name)
{
	size_t length = strlen(name);
	return strncmp(line, name, length) == 0 && line[length] == ':';
}

static void copy_lines(FILE *from, FILE *to, const struct user *user, line_writer *write_own)
{
	char *line = NULL;
	size_t size = 0;
	bool written = false;
	while (getline(&line, &size, from) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!names(line, user->name)) {
			fputs(line, to);
			putc('\n', to);
		} else if (!written) {
			write_own(to, user, line);
			written = true;
		}
	}
	free(line);
	if (!written)
		write_own(to, user, NULL);
}

static bool write_copy(const char *path, int folder, const struct user *user, line_writer *write_own)
{
	FILE *from = fopen(path, "re");
	if (from == NULL && errno == ENOENT)
		return false;
	if (from == NULL)
		fail("cannot read %s", path);
	const char *name = strrchr(path, '/') + 1;
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
	if (to == NULL)
		fail("cannot make a copy of %s", path);
	copy_lines(from, to, user, write_own);
	if (ferror(from))
		fail("cannot read %s", path);
	if (fflush(to) != 0 || ferror(to))
		fail("cannot write a copy of %s", path);
	fclose(to);
	fclose(from);
	return true;
}

bool write_passwd(int folder, const struct user *user)
{
	return write_copy("/etc/passwd", folder, user, write_user);
}

bool write_group(int folder, const struct user *user)
{
	return write_copy("/etc/group", folder, user, write_users_group);
}
