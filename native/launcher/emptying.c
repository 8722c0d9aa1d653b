#define _GNU_SOURCE
#include "emptying.h"

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
/* Whoever goes on filling one is left to the next launcher. */
#define LIMIT_MS 600000
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* ioprio_set(2) */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

struct due {
	struct due *next;
	uint32_t uid;
	uint32_t gid;
	char name[];
};

static int folders;
static int own_folder;
static const char *own_folder_name;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t added = PTHREAD_COND_INITIALIZER;
static struct due *first;
static struct due **last = &first;

static bool is_self(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bool emptying_is_empty(int parent, const char *name)
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

/* Of this thread alone, for files alone (setfsuid(2)): system calls, since the C library has no say in it. */
static void act_as(uint32_t uid, uint32_t gid)
{
	if (geteuid() != 0)
		return;
	syscall(SYS_setfsgid, gid);
	syscall(SYS_setfsuid, uid);
}

/* To read and to change. Its owner may have taken its own rights away; through a link only what is its own is changed. */
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

/* Removes a file or an empty folder; false where it is neither. */
static bool remove_entry(int folder, const char *name)
{
	return unlinkat(folder, name, 0) == 0 || unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

/* Under a name that no other has there. */
static bool move_up(int from, const char *name, int top)
{
	static unsigned number;
	for (int tries = 0; tries < 1000; tries++) {
		char other[32];
		snprintf(other, sizeof other, "~%u", number++);
		if (renameat(from, name, top, other) == 0)
			return true;
		int error = errno;
		/* A folder that moves is changed: its own. */
		if (error == EACCES && fchmodat(from, name, 0700, 0) != 0)
			return false;
		if (error != EACCES && error != EEXIST && error != ENOTEMPTY && error != ENOTDIR)
			return false;
	}
	return false;
}

/* Its files are removed, the folders in it move up: however deep a tree is, two folders are open at most. */
static bool flatten(int top, const char *name)
{
	DIR *folder = open_folder(top, name);
	if (folder == NULL)
		return false;
	bool some = false;
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		if (is_self(entry->d_name))
			continue;
		some |= remove_entry(dirfd(folder), entry->d_name) || move_up(dirfd(folder), entry->d_name, top);
	}
	closedir(folder);
	return unlinkat(top, name, AT_REMOVEDIR) == 0 || some;
}

/* Removes what is in it, as far as that can be removed. */
static void empty(int parent, const char *name)
{
	DIR *top = open_folder(parent, name);
	if (top == NULL)
		return;
	int64_t end = now_ms() + LIMIT_MS;
	for (bool some = true; some && now_ms() < end;) {
		some = false;
		rewinddir(top);
		for (struct dirent *entry; (entry = readdir(top)) != NULL;) {
			if (is_self(entry->d_name))
				continue;
			some |= remove_entry(dirfd(top), entry->d_name) || flatten(dirfd(top), entry->d_name);
		}
	}
	closedir(top);
}

static void remove_folder(int parent, const char *name, uint32_t uid, uint32_t gid)
{
	act_as(uid, gid);
	empty(parent, name);
	act_as(0, 0);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* What a launcher has left that holds its lock no more. */
static void remove_left(const char *name)
{
	int fd = openat(folders, name, FOLDER_FLAGS);
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
	unlinkat(folders, name, AT_REMOVEDIR);
	closedir(folder);
}

static void remove_all_left(void)
{
	int fd = dup(folders);
	DIR *left = fd < 0 ? NULL : fdopendir(fd);
	if (left == NULL)
		return;
	for (struct dirent *entry; (entry = readdir(left)) != NULL;)
		if (!is_self(entry->d_name) && strcmp(entry->d_name, own_folder_name) != 0)
			remove_left(entry->d_name);
	closedir(left);
}

static void *run(void *unused)
{
	(void)unused;
	setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	if (geteuid() == 0)
		syscall(SYS_setgroups, (size_t)0, NULL);
	remove_all_left();
	pthread_mutex_lock(&lock);
	for (;;) {
		while (first == NULL)
			pthread_cond_wait(&added, &lock);
		struct due *due = first;
		first = due->next;
		if (first == NULL)
			last = &first;
		pthread_mutex_unlock(&lock);
		remove_folder(own_folder, due->name, due->uid, due->gid);
		free(due);
		pthread_mutex_lock(&lock);
	}
	return NULL;
}

bool emptying_open(int base, const char *own_name, int own)
{
	folders = base;
	own_folder = own;
	own_folder_name = own_name;
	return start_thread(run, STACK);
}

void emptying_add(const char *name, uint32_t uid, uint32_t gid)
{
	size_t length = strlen(name);
	struct due *due = malloc(sizeof *due + length + 1);
	/* The next launcher removes it. */
	if (due == NULL)
		return;
	*due = (struct due){ NULL, uid, gid };
	memcpy(due->name, name, length + 1);
	pthread_mutex_lock(&lock);
	*last = due;
	last = &due->next;
	pthread_cond_signal(&added);
	pthread_mutex_unlock(&lock);
}
