#define _GNU_SOURCE
#include "cleanup.h"

#include "clock.h"
#include "thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK (128u << 10)
/* A folder that is filled as fast as it is emptied is left to the next launcher after this time. */
#define LIMIT_MS 600000
#define TRIES_MAX 1000
#define FINISH_LOOK_MS 10
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* See ioprio_set(2). */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

struct cleanup_place {
	int folder;
	/* How many removals have been announced that are not done. */
	unsigned due;
	bool left;
};

struct removal {
	struct removal *next;
	struct cleanup_place *place;
	uint32_t uid;
	uint32_t gid;
	char name[];
};

/* The folder that holds those of all launchers, and the name of this launcher's. */
static int launchers;
static const char *own_folder_name;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t added = PTHREAD_COND_INITIALIZER;
static struct removal *first;
static struct removal **last = &first;
/* Whether the thread waits for the next folder. */
static bool is_idle;

static bool is_self(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bool folder_is_empty(int parent, const char *name)
{
	int fd = openat(parent, name, FOLDER_FLAGS);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (folder == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	const struct dirent *entry;
	do {
		errno = 0;
		entry = readdir(folder);
	} while (entry != NULL && is_self(entry->d_name));
	bool empty = entry == NULL && errno == 0;
	closedir(folder);
	return empty;
}

/* Changes the user of this thread alone, and for files alone (setfsuid(2)); 0: back to root. */
static void act_as(uint32_t uid, uint32_t gid)
{
	if (geteuid() != 0)
		return;
	syscall(SYS_setfsgid, gid);
	syscall(SYS_setfsuid, uid);
}

/*
 * Opens a folder whose owner may have taken its own rights away. fchmodat(2) follows a link, but with the owner's rights
 * it changes only what is the owner's.
 */
static DIR *open_folder(int parent, const char *name)
{
	int fd = openat(parent, name, FOLDER_FLAGS);
	if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, FOLDER_FLAGS);
	if (fd < 0)
		return NULL;
	fchmod(fd, 0700);
	DIR *folder = fdopendir(fd);
	if (folder == NULL)
		close(fd);
	return folder;
}

/* Removes a file or an empty folder; false for anything else. */
static bool remove_entry(int folder, const char *name)
{
	return unlinkat(folder, name, 0) == 0 || unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

/* Moves a folder from one folder to another, to a name that is free there. */
static bool move_up(int from, const char *name, int top)
{
	static unsigned number;
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		char other[32];
		snprintf(other, sizeof other, "~%u", number++);
		if (renameat(from, name, top, other) == 0)
			return true;
		int error = errno;
		/* A folder that moves is changed (its ".."), for which its owner needs the right. */
		if (error == EACCES && fchmodat(from, name, 0700, 0) != 0)
			return false;
		if (error != EACCES && error != EEXIST && error != ENOTEMPTY && error != ENOTDIR)
			return false;
	}
	return false;
}

/*
 * Removes the files in a folder, and moves the folders in it up to `top`. So two open folders are enough for a tree of any
 * depth. Answers whether that has changed anything.
 */
static bool flatten(int top, const char *name)
{
	DIR *folder = open_folder(top, name);
	if (folder == NULL)
		return false;
	bool changed = false;
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		if (is_self(entry->d_name))
			continue;
		changed |= remove_entry(dirfd(folder), entry->d_name) || move_up(dirfd(folder), entry->d_name, top);
	}
	closedir(folder);
	return unlinkat(top, name, AT_REMOVEDIR) == 0 || changed;
}

/* Removes what is in a folder, as far as that can be removed. */
static void empty_folder(int parent, const char *name)
{
	DIR *top = open_folder(parent, name);
	if (top == NULL)
		return;
	int64_t end_ms = now_ms() + LIMIT_MS;
	for (bool changed = true; changed && now_ms() < end_ms;) {
		changed = false;
		rewinddir(top);
		for (struct dirent *entry; (entry = readdir(top)) != NULL;) {
			if (is_self(entry->d_name))
				continue;
			changed |= remove_entry(dirfd(top), entry->d_name) || flatten(dirfd(top), entry->d_name);
		}
	}
	closedir(top);
}

static void remove_folder(int parent, const char *name, uint32_t uid, uint32_t gid)
{
	act_as(uid, gid);
	empty_folder(parent, name);
	act_as(0, 0);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* Removes the folder of a launcher that is dead: it no longer holds its lock. */
static void remove_left(const char *name)
{
	int fd = openat(launchers, name, FOLDER_FLAGS);
	DIR *folder = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 ? NULL : fdopendir(fd);
	if (folder == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		struct stat found;
		if (!is_self(entry->d_name) && fstatat(fd, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0)
			remove_folder(fd, entry->d_name, found.st_uid, found.st_gid);
	}
	unlinkat(launchers, name, AT_REMOVEDIR);
	closedir(folder);
}

static void remove_all_left(void)
{
	int fd = dup(launchers);
	DIR *left = fd < 0 ? NULL : fdopendir(fd);
	if (left == NULL)
		return;
	for (struct dirent *entry; (entry = readdir(left)) != NULL;)
		if (!is_self(entry->d_name) && strcmp(entry->d_name, own_folder_name) != 0)
			remove_left(entry->d_name);
	closedir(left);
}

struct cleanup_place *cleanup_place_new(int folder)
{
	struct cleanup_place *place = malloc(sizeof *place);
	if (place != NULL)
		*place = (struct cleanup_place){ .folder = folder };
	return place;
}

static void free_place(struct cleanup_place *place)
{
	close(place->folder);
	free(place);
}

void cleanup_place_leave(struct cleanup_place *place)
{
	pthread_mutex_lock(&lock);
	place->left = true;
	bool unused = place->due == 0;
	pthread_mutex_unlock(&lock);
	if (unused)
		free_place(place);
}

/* Where the lock cannot be set, an execution may find less room than it would have a moment later. */
static void set_lock(int folder, short type)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET };
	fcntl(folder, F_OFD_SETLK, &range);
}

struct removal *cleanup_announce(struct cleanup_place *place, const char *name, uint32_t uid, uint32_t gid)
{
	size_t size = strlen(name) + 1;
	struct removal *removal = malloc(sizeof *removal + size);
	if (removal == NULL)
		return NULL;
	*removal = (struct removal){ NULL, place, uid, gid };
	memcpy(removal->name, name, size);
	pthread_mutex_lock(&lock);
	if (place->due++ == 0)
		set_lock(place->folder, F_RDLCK);
	pthread_mutex_unlock(&lock);
	return removal;
}

static void note_removed(struct cleanup_place *place)
{
	pthread_mutex_lock(&lock);
	if (--place->due == 0)
		set_lock(place->folder, F_UNLCK);
	bool unused = place->left && place->due == 0;
	pthread_mutex_unlock(&lock);
	if (unused)
		free_place(place);
}

static struct removal *await_removal(void)
{
	pthread_mutex_lock(&lock);
	is_idle = true;
	while (first == NULL)
		pthread_cond_wait(&added, &lock);
	is_idle = false;
	struct removal *removal = first;
	first = removal->next;
	if (first == NULL)
		last = &first;
	pthread_mutex_unlock(&lock);
	return removal;
}

static void *run(void *unused)
{
	(void)unused;
	setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	/* A system call, since the C library's function would change the groups of all threads. */
	if (geteuid() == 0)
		syscall(SYS_setgroups, (size_t)0, NULL);
	remove_all_left();
	for (;;) {
		struct removal *removal = await_removal();
		remove_folder(removal->place->folder, removal->name, removal->uid, removal->gid);
		note_removed(removal->place);
		free(removal);
	}
	return NULL;
}

bool cleanup_open(int base, const char *own_name)
{
	launchers = base;
	own_folder_name = own_name;
	return start_thread(run, STACK);
}

void cleanup_add(struct removal *removal)
{
	if (removal == NULL)
		return;
	pthread_mutex_lock(&lock);
	*last = removal;
	last = &removal->next;
	pthread_cond_signal(&added);
	pthread_mutex_unlock(&lock);
}

void cleanup_add_all(struct cleanup_place *place, uint32_t uid, uint32_t gid)
{
	int fd = openat(place->folder, ".", FOLDER_FLAGS);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (folder == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
		if (!is_self(entry->d_name))
			cleanup_add(cleanup_announce(place, entry->d_name, uid, gid));
	closedir(folder);
}

static bool is_due(int folder)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	return fcntl(folder, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

void cleanup_wait(int folder, int64_t limit_ms)
{
	int64_t end_ms = now_ms() + limit_ms;
	const struct timespec interval = { 0, 1000000 };
	while (is_due(folder) && now_ms() < end_ms)
		nanosleep(&interval, NULL);
}

static bool is_done(void)
{
	pthread_mutex_lock(&lock);
	bool done = is_idle && first == NULL;
	pthread_mutex_unlock(&lock);
	return done;
}

void cleanup_finish(int64_t limit_ms)
{
	int64_t end_ms = now_ms() + limit_ms;
	const struct timespec interval = { 0, (long)FINISH_LOOK_MS * 1000000 };
	while (!is_done() && now_ms() < end_ms)
		nanosleep(&interval, NULL);
}
