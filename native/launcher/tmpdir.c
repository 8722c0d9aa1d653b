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
	struct tmpdirs *of;
	uint32_t uid;
	uint32_t gid;
	/* Its time of change when it was made, and when that was read. */
	struct timespec changed;
	int64_t seen_ms;
	/* Whether every change since it was taken shows in its time of change. */
	bool shows_changes;
	/* Whether it can be reused, once that is decided. */
	bool decided;
	bool reusable;
	/* Of one that cannot. */
	struct removal *removal;
	const char *name;
	char variable[];
};

/* The folder they are in, and those of them that are kept for reuse, oldest first. */
struct tmpdirs {
	int folder;
	const char *path;
	struct tmpdir *first;
	struct tmpdir **last;
	struct cleanup_place *place;
};

static int base = -1;
static const char *base_path;
static dev_t base_device;
static char own_name[NAME_SIZE];
static struct tmpdirs own = { .folder = -1, .last = &own.first };

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
	for (int tries = 0; tries < TRIES_MAX && own.folder < 0; tries++) {
		if (mkdirat(base, own_name, 0700) != 0 && errno != EEXIST)
			return false;
		own.folder = openat(base, own_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat found;
		if (own.folder >= 0 &&
		    (flock(own.folder, LOCK_EX | LOCK_NB) != 0 || fstatat(base, own_name, &found, 0) != 0)) {
			close(own.folder);
			own.folder = -1;
			random_name(own_name, 6);
		}
	}
	return own.folder >= 0 && fchmod(own.folder, 0711) == 0;
}

bool tmpdirs_open(const char *folder)
{
	base = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat found;
	if (base < 0 || fstat(base, &found) != 0 || !open_own())
		return false;
	base_device = found.st_dev;
	base_path = folder;
	size_t size = strlen(folder) + 1 + sizeof own_name;
	char *path = malloc(size);
	if (path == NULL)
		return false;
	snprintf(path, size, "%s/%s", folder, own_name);
	own.path = path;
	own.place = cleanup_place_new(own.folder);
	return own.place != NULL && cleanup_open(base, own_name);
}

struct tmpdirs *tmpdirs_of_sandbox(int folder, bool is_new, uint32_t uid, uint32_t gid)
{
	struct stat found;
	if (own.folder < 0 || folder < 0 || fstat(folder, &found) != 0 || found.st_dev == base_device)
		return NULL;
	int own_copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	struct cleanup_place *place = own_copy < 0 ? NULL : cleanup_place_new(own_copy);
	struct tmpdirs *of = place == NULL ? NULL : malloc(sizeof *of);
	if (of == NULL) {
		if (place != NULL)
			cleanup_place_leave(place);
		else if (own_copy >= 0)
			close(own_copy);
		return NULL;
	}
	*of = (struct tmpdirs){ .folder = own_copy, .path = base_path, .last = &of->first, .place = place };
	if (is_new)
		cleanup_add_all(place, uid, gid);
	return of;
}

/* Reads its state; false where it is no longer what was made. */
static bool look(struct tmpdir *tmpdir, struct stat *found)
{
	return fstatat(tmpdir->of->folder, tmpdir->name, found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(found->st_mode) &&
	       (found->st_mode & 07777) == MODE && found->st_uid == tmpdir->uid;
}

static void note_change(struct tmpdir *tmpdir, const struct stat *found)
{
	tmpdir->changed = found->st_ctim;
	tmpdir->seen_ms = now_ms();
}

/* One with a name, whose folder is yet to be made; NULL where that is not possible. */
static struct tmpdir *new_named(struct tmpdirs *of, uint32_t uid, uint32_t gid)
{
	char name[NAME_SIZE];
	if (!random_name(name, 8))
		return NULL;
	static const char key[] = "TMPDIR=";
	size_t size = sizeof key + strlen(of->path) + 1 + strlen(name) + 1;
	struct tmpdir *tmpdir = malloc(sizeof *tmpdir + size);
	if (tmpdir == NULL)
		return NULL;
	snprintf(tmpdir->variable, size, "%s%s/%s", key, of->path, name);
	tmpdir->name = strrchr(tmpdir->variable, '/') + 1;
	tmpdir->of = of;
	tmpdir->uid = uid;
	tmpdir->gid = gid;
	tmpdir->removal = NULL;
	return tmpdir;
}

static bool give_to_user(const struct tmpdir *tmpdir)
{
	return tmpdir->uid == geteuid() ||
	       fchownat(tmpdir->of->folder, tmpdir->name, tmpdir->uid, tmpdir->gid, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct tmpdir *make(struct tmpdirs *of, uint32_t uid, uint32_t gid)
{
	struct tmpdir *tmpdir = new_named(of, uid, gid);
	if (tmpdir == NULL)
		return NULL;
	struct stat found;
	if (mkdirat(of->folder, tmpdir->name, MODE) == 0) {
		if (give_to_user(tmpdir) && look(tmpdir, &found)) {
			note_change(tmpdir, &found);
			return tmpdir;
		}
		unlinkat(of->folder, tmpdir->name, AT_REMOVEDIR);
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

/* The oldest of those that are kept; NULL where there is none. */
static struct tmpdir *take_first(struct tmpdirs *of)
{
	struct tmpdir *tmpdir = of->first;
	if (tmpdir == NULL)
		return NULL;
	of->first = tmpdir->next;
	if (of->first == NULL)
		of->last = &of->first;
	return tmpdir;
}

static struct removal *announce(const struct tmpdir *tmpdir)
{
	return cleanup_announce(tmpdir->of->place, tmpdir->name, tmpdir->uid, tmpdir->gid);
}

struct tmpdir *tmpdir_take(struct tmpdirs *of, uint32_t uid, uint32_t gid)
{
	if (of == NULL)
		of = &own;
	if (of->folder < 0)
		return NULL;
	struct tmpdir *tmpdir = take_first(of);
	if (tmpdir != NULL && (tmpdir->uid != uid || tmpdir->gid != gid) && !pass_on(tmpdir, uid, gid)) {
		cleanup_add(announce(tmpdir));
		free(tmpdir);
		tmpdir = NULL;
	}
	if (tmpdir == NULL)
		tmpdir = make(of, uid, gid);
	if (tmpdir == NULL)
		return NULL;
	tmpdir->decided = false;
	tmpdir->shows_changes = now_ms() - tmpdir->seen_ms > TIME_STEP_MS;
	return tmpdir;
}

const char *tmpdirs_disk(const struct tmpdirs *of)
{
	return of == NULL ? NULL : of->path;
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
	return tmpdir->shows_changes || folder_is_empty(tmpdir->of->folder, tmpdir->name);
}

static void decide(struct tmpdir *tmpdir, bool survives)
{
	tmpdir->decided = true;
	tmpdir->reusable = !survives && is_untouched(tmpdir);
	if (!tmpdir->reusable)
		tmpdir->removal = announce(tmpdir);
}

void tmpdir_announce_removal(struct tmpdir *tmpdir, bool survives)
{
	if (tmpdir->of != &own)
		decide(tmpdir, survives);
}

void tmpdir_release(struct tmpdir *tmpdir, bool survives)
{
	struct tmpdirs *of = tmpdir->of;
	if (!tmpdir->decided)
		decide(tmpdir, survives);
	if (tmpdir->reusable) {
		tmpdir->next = NULL;
		*of->last = tmpdir;
		of->last = &tmpdir->next;
		return;
	}
	cleanup_add(tmpdir->removal);
	free(tmpdir);
}

static void remove_kept(struct tmpdirs *of)
{
	for (struct tmpdir *tmpdir; (tmpdir = take_first(of)) != NULL;) {
		unlinkat(of->folder, tmpdir->name, AT_REMOVEDIR);
		free(tmpdir);
	}
}

void tmpdirs_leave_sandbox(struct tmpdirs *of)
{
	remove_kept(of);
	cleanup_place_leave(of->place);
	free(of);
}

void tmpdirs_finish(void)
{
	if (own.folder >= 0)
		cleanup_finish(FINISH_LIMIT_MS);
}

void tmpdirs_close(void)
{
	if (own.folder < 0)
		return;
	remove_kept(&own);
	/* Fails where something is left in it. */
	unlinkat(base, own_name, AT_REMOVEDIR);
}
