#define _GNU_SOURCE
#include "tmpdir.h"

#include "cleanup.h"
#include "clock.h"

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
/* File times advance in steps of at most this length: a change within a step of the last one may not show. */
#define TIME_STEP_MS 20
#define TRIES_MAX 10
#define FINISH_LIMIT_MS 60000

struct tmpdir {
	struct tmpdir *next;
	uint32_t uid;
	uint32_t gid;
	/* Its time of change when it was made, and when that was read. */
	struct timespec changed;
	int64_t seen_ms;
	/* Whether every change since it was taken shows in its time of change. */
	bool shows_changes;
	const char *name;
	char variable[];
};

static int base = -1;
static int own = -1;
static char own_name[NAME_SIZE];
static char *own_path;
/* Those that are kept for reuse, oldest first. */
static struct tmpdir *first;
static struct tmpdir **last = &first;

/* So many random hexadecimal digits; false with errno. */
static bool random_name(char *name, int digits)
{
	uint64_t number;
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return false;
	snprintf(name, NAME_SIZE, "%0*" PRIx64, digits, number >> (64 - 4 * digits));
	return true;
}

/* Makes this launcher's folder, and locks it. False with errno. */
static bool open_own(void)
{
	if (!random_name(own_name, 6))
		return false;
	/* Another launcher may find the folder before it is locked, take it for a dead one's, and remove it: then again. */
	for (int tries = 0; tries < TRIES_MAX && own < 0; tries++) {
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
	return own >= 0 && fchmod(own, 0711) == 0;
}

bool tmpdirs_open(const char *folder)
{
	base = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0 || !open_own())
		return false;
	size_t size = strlen(folder) + 1 + sizeof own_name;
	own_path = malloc(size);
	if (own_path == NULL)
		return false;
	snprintf(own_path, size, "%s/%s", folder, own_name);
	return cleanup_open(base, own_name, own);
}

/* Reads its state; false where it is no longer what was made. */
static bool look(struct tmpdir *tmpdir, struct stat *found)
{
	return fstatat(own, tmpdir->name, found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(found->st_mode) &&
	       (found->st_mode & 07777) == MODE && found->st_uid == tmpdir->uid;
}

static void note_change(struct tmpdir *tmpdir, const struct stat *found)
{
	tmpdir->changed = found->st_ctim;
	tmpdir->seen_ms = now_ms();
}

/* One with a name, whose folder is yet to be made; NULL where that is not possible. */
static struct tmpdir *new_named(uint32_t uid, uint32_t gid)
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
	return tmpdir;
}

static bool give_to_user(const struct tmpdir *tmpdir)
{
	return tmpdir->uid == geteuid() ||
	       fchownat(own, tmpdir->name, tmpdir->uid, tmpdir->gid, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct tmpdir *make(uint32_t uid, uint32_t gid)
{
	struct tmpdir *tmpdir = new_named(uid, gid);
	if (tmpdir == NULL)
		return NULL;
	struct stat found;
	if (mkdirat(own, tmpdir->name, MODE) == 0) {
		if (give_to_user(tmpdir) && look(tmpdir, &found)) {
			note_change(tmpdir, &found);
			return tmpdir;
		}
		unlinkat(own, tmpdir->name, AT_REMOVEDIR);
	}
	free(tmpdir);
	return NULL;
}

/* Gives an untouched one to another user. */
static bool pass_on(struct tmpdir *tmpdir, uint32_t uid, uint32_t gid)
{
	tmpdir->uid = uid;
	tmpdir->gid = gid;
	struct stat found;
	if (!give_to_user(tmpdir) || !look(tmpdir, &found))
		return false;
	note_change(tmpdir, &found);
	return true;
}

struct tmpdir *tmpdir_take(uint32_t uid, uint32_t gid)
{
	if (own < 0)
		return NULL;
	struct tmpdir *tmpdir = first;
	if (tmpdir == NULL) {
		tmpdir = make(uid, gid);
	} else {
		first = tmpdir->next;
		if (first == NULL)
			last = &first;
		if ((tmpdir->uid != uid || tmpdir->gid != gid) && !pass_on(tmpdir, uid, gid)) {
			cleanup_add(tmpdir->name, tmpdir->uid, tmpdir->gid);
			free(tmpdir);
			tmpdir = make(uid, gid);
		}
	}
	if (tmpdir != NULL)
		tmpdir->shows_changes = now_ms() - tmpdir->seen_ms > TIME_STEP_MS;
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
	return tmpdir->shows_changes || folder_is_empty(own, tmpdir->name);
}

void tmpdir_release(struct tmpdir *tmpdir, bool survives)
{
	if (!survives && is_untouched(tmpdir)) {
		tmpdir->next = NULL;
		*last = tmpdir;
		last = &tmpdir->next;
		return;
	}
	cleanup_add(tmpdir->name, tmpdir->uid, tmpdir->gid);
	free(tmpdir);
}

void tmpdirs_finish(void)
{
	if (own >= 0)
		cleanup_finish(FINISH_LIMIT_MS);
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
	/* Fails where something is left in it. */
	unlinkat(base, own_name, AT_REMOVEDIR);
}
