#define _GNU_SOURCE
#include "disk.h"

#include "failure.h"
#include "image.h"
#include "quota.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files are that large on average, or larger. */
#define BYTES_PER_INODE 16384
#define INODES_MIN 1024
#define TRIES_MAX 1000

static char *path_in(const struct disk *disk, const char *folder)
{
	char *path;
	if (asprintf(&path, "%s/functions/%s", disk->state, folder) < 0)
		fail("cannot name a folder in %s", disk->state);
	return path;
}

static bool is_self(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_empty(const char *path)
{
	DIR *folder = opendir(path);
	if (folder == NULL)
		fail("cannot list %s", path);
	struct dirent *entry;
	do
		entry = readdir(folder);
	while (entry != NULL && is_self(entry->d_name));
	closedir(folder);
	return entry == NULL;
}

static void limit_user(const struct disk *disk, int home)
{
	uint64_t inodes = disk->bytes / BYTES_PER_INODE;
	if (disk->bytes > 0 && inodes < INODES_MIN)
		inodes = INODES_MIN;
	set_quota(home, disk->uid, disk->bytes, inodes);
}

/* ---- what is in an image ---- */

static int open_folder(int in, const char *name)
{
	int folder = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		fail("cannot open the folder %s of an image", name);
	return folder;
}

static void add_folder(int image, const char *name, mode_t mode, uint32_t uid)
{
	if (mkdirat(image, name, mode) != 0 && errno != EEXIST)
		fail("cannot make the folder %s of an image", name);
	int folder = open_folder(image, name);
	/* The function may have changed the mode of its own, which is its business. */
	if (uid != 0 && fchown(folder, uid, uid) != 0)
		fail("cannot give the folder %s of an image to its user", name);
	close(folder);
}

/* Moves it to where its launcher removes what it finds. */
static void discard(int caches, const char *name, int tmp)
{
	for (int number = 0; number < TRIES_MAX; number++) {
		char other[32];
		snprintf(other, sizeof other, "cache-%d", number);
		if (renameat2(caches, name, tmp, other, RENAME_NOREPLACE) == 0)
			return;
		if (errno != EEXIST)
			fail("cannot discard a cache of an image");
	}
}

/* The agent makes and removes the folder of a version with that version: here what is in the image follows. */
static void discard_old_caches(int image, int kept)
{
	int tmp = open_folder(image, "tmp");
	DIR *caches = fdopendir(open_folder(image, "caches"));
	if (caches == NULL)
		fail("cannot list the caches of an image");
	struct stat found;
	for (struct dirent *entry; (entry = readdir(caches)) != NULL;) {
		if (!is_self(entry->d_name) && fstatat(kept, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0)
			discard(dirfd(caches), entry->d_name, tmp);
	}
	closedir(caches);
	close(tmp);
}

/* Not where the image is full: that keeps no function from starting. */
static void add_cache(int caches, const char *name, uint32_t uid)
{
	if (mkdirat(caches, name, 0700) != 0)
		return;
	if (fchownat(caches, name, uid, uid, AT_SYMLINK_NOFOLLOW) != 0)
		unlinkat(caches, name, AT_REMOVEDIR);
}

static void add_new_caches(int image, int kept, uint32_t uid)
{
	int into = open_folder(image, "caches");
	DIR *versions = fdopendir(openat(kept, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (versions == NULL)
		fail("cannot list the caches of a function");
	for (struct dirent *entry; (entry = readdir(versions)) != NULL;) {
		if (!is_self(entry->d_name))
			add_cache(into, entry->d_name, uid);
	}
	closedir(versions);
	close(into);
}

static void follow_caches(const struct disk *disk, int image)
{
	char *folder = path_in(disk, "caches");
	int all = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int kept = all < 0 ? -1 : openat(all, disk->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (kept >= 0) {
		discard_old_caches(image, kept);
		add_new_caches(image, kept, disk->uid);
	}
	close(kept);
	close(all);
	free(folder);
}

static void fill_image(const struct disk *disk, int image)
{
	add_folder(image, "home", 0700, disk->uid);
	add_folder(image, "caches", 0700, disk->uid);
	add_folder(image, "tmp", 0711, 0);
	follow_caches(disk, image);
}

/* A quota, or a new image; -1: the home stays where it is. */
static int bound(const struct disk *disk, const char *images)
{
	int home = open(disk->home, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home < 0)
		fail(errno == ENOENT ? "cannot find the function's home %s" : "cannot open %s", disk->home);
	bool has_quotas = enforces_quotas(home);
	if (has_quotas)
		limit_user(disk, home);
	close(home);
	if (has_quotas || disk->bytes == 0)
		return -1;
	if (!is_empty(disk->home)) {
		fprintf(stderr,
			"flux-agent: what function %s keeps on disk is not bounded: its files in %s are from before "
			"there was "
			"a bound; move them away\n",
			disk->name, disk->home);
		return -1;
	}
	make_image(images, disk->name, disk->bytes);
	return mount_image(images, disk->name, disk->bytes);
}

int open_disk(const struct disk *disk)
{
	char *images = path_in(disk, "images");
	/* One that is there has files of the function, whatever can be done now. */
	int image = mount_image(images, disk->name, disk->bytes);
	if (image < 0)
		image = bound(disk, images);
	if (image >= 0)
		fill_image(disk, image);
	free(images);
	errno = 0;
	return image;
}

void check_disk(const char *state)
{
	int folder = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		fail("cannot open %s", state);
	if (!enforces_quotas(folder))
		check_images();
	close(folder);
	errno = 0;
}
