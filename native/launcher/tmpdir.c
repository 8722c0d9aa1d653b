#define _GNU_SOURCE
#include "tmpdir.h"

#include "clock.h"
#include "emptying.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE 0700
#define NAME_SIZE 17
/* The kernel's times stand still for as long, so that a change within it may not show. */
#define TIME_STEP_MS 20

struct tmpdir {
	struct tmpdir *next;
	uint32_t uid;
	uint32_t gid;
	/* When it was last changed, and when that was seen. */
	struct timespec changed;
	int64_t seen_at;
	bool settled;
	const char *name;
	char variable[];
};

static int base = -1;
static int own = -1;
static char own_name[NAME_SIZE];
static char *own_path;
/* Oldest first: their times have come to rest. */
static struct tmpdir *first;
static struct tmpdir **last = &first;

static bool random_name(char *name, int digits)
{
	uint64_t number;
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return false;
	snprintf(name, NAME_SIZE, "%0*" PRIx64, digits, number >> (64 - 4 * digits));
	return true;
}

bool tmpdirs_open(const char *folder)
{
	base = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0 || !random_name(own_name, 6))
		return false;
	/* Its name is there before its lock, so another launcher may take it for a dead one's, and remove it: once more. */
	for (int tries = 0; tries < 10 && own < 0; tries++) {
		if (mkdirat(base, own_name, 0700) != 0 && errno != EEXIST)
			return false;
		own = openat(base, own_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat found;
		if (own >= 0 && (flock(own, LOCK_EX | LOCK_NB) != 0 || fstatat(base, own_name, &found, 0) != 0)) {
			close(own);
			own = -1;
			random_name(own_name, 6);
		}
	}
	if (own < 0 || fchmod(own, 0711) != 0)
		return false;
	size_t size = strlen(folder) + 1 + sizeof own_name;
	own_path = malloc(size);
	if (own_path == NULL)
		return false;
	snprintf(own_path, size, "%s/%s", folder, own_name);
	return emptying_open(base, own_name, own);
}

/* Notes how it is now; false where it is not what was made. */
static bool look(struct tmpdir *tmpdir, struct stat *found)
{
	return fstatat(own, tmpdir->name, found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(found->st_mode) &&
	       (found->st_mode & 07777) == MODE && found->st_uid == tmpdir->uid;
}

static void note(struct tmpdir *tmpdir, const struct stat *found)
{
	tmpdir->changed = found->st_ctim;
	tmpdir->seen_at = now_ms();
}

static struct tmpdir *make(uint32_t uid, uint32_t gid)
{
	char name[NAME_SIZE];
	if (!random_name(name, 8))
		return NULL;
	static const char key[] = "TMPDIR=";
	size_t size = sizeof key + strlen(own_path) + 1 + strlen(name) + 1;
	struct tmpdir *tmpdir = malloc(sizeof *tmpdir + size);
	if (tmpdir == NULL)
		return NULL;
	snprintf(tmpdir->variable, size, "%s%s/%s", key, own_path, name);
	tmpdir->name = strrchr(tmpdir->variable, '/') + 1;
	tmpdir->uid = uid;
	tmpdir->gid = gid;
	struct stat found;
	if (mkdirat(own, name, MODE) == 0) {
		if ((uid == geteuid() || fchownat(own, name, uid, gid, AT_SYMLINK_NOFOLLOW) == 0) &&
		    look(tmpdir, &found)) {
			note(tmpdir, &found);
			return tmpdir;
		}
		unlinkat(own, name, AT_REMOVEDIR);
	}
	free(tmpdir);
	return NULL;
}

struct tmpdir *tmpdir_take(uint32_t uid, uint32_t gid)
{
	if (own < 0)
		return NULL;
	struct tmpdir *tmpdir = first;
	if (tmpdir == NULL || tmpdir->uid != uid || tmpdir->gid != gid) {
		tmpdir = make(uid, gid);
	} else {
		first = tmpdir->next;
		if (first == NULL)
			last = &first;
	}
	if (tmpdir != NULL)
		tmpdir->settled = now_ms() - tmpdir->seen_at > TIME_STEP_MS;
	return tmpdir;
}

char *tmpdir_variable(struct tmpdir *tmpdir)
{
	return tmpdir->variable;
}

static bool is_untouched(struct tmpdir *tmpdir)
{
	struct stat found;
	if (!look(tmpdir, &found) || memcmp(&found.st_ctim, &tmpdir->changed, sizeof found.st_ctim) != 0)
		return false;
	if (!tmpdir->settled && !emptying_is_empty(own, tmpdir->name))
		return false;
	return true;
}

void tmpdir_release(struct tmpdir *tmpdir, bool survived)
{
	if (!survived && is_untouched(tmpdir)) {
		tmpdir->next = NULL;
		*last = tmpdir;
		last = &tmpdir->next;
		return;
	}
	emptying_add(tmpdir->name, tmpdir->uid, tmpdir->gid);
	free(tmpdir);
}

void tmpdirs_close(void)
{
	if (own < 0)
		return;
	while (first != NULL) {
		struct tmpdir *tmpdir = first;
		first = tmpdir->next;
		unlinkat(own, tmpdir->name, AT_REMOVEDIR);
		free(tmpdir);
	}
	/* Where something is left in it, it stays. */
	unlinkat(base, own_name, AT_REMOVEDIR);
}
