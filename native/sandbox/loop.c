#define _GNU_SOURCE
#include "loop.h"

#include "failure.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another process may take the free device first. */
#define TRIES_MAX 100
#define BLOCK_BYTES 4096

static struct loop_device open_loop(int number)
{
	struct loop_device device;
	snprintf(device.path, sizeof device.path, "/dev/loop%d", number);
	device.fd = open(device.path, O_RDWR | O_CLOEXEC);
	return device;
}

struct loop_device attach_loop(int file)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		fail("cannot open /dev/loop-control");
	const struct loop_config config = {
		.fd = (uint32_t)file,
		.block_size = BLOCK_BYTES,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			fail("cannot find a free loop device");
		struct loop_device device = open_loop(number);
		if (device.fd < 0)
			fail("cannot open %s", device.path);
		if (ioctl(device.fd, LOOP_CONFIGURE, &config) == 0) {
			close(control);
			return device;
		}
		if (errno != EBUSY)
			fail("cannot set up %s", device.path);
		close(device.fd);
	}
	fail("cannot find a loop device that stays free");
}

static bool is_of(int device, const struct stat *file)
{
	struct loop_info64 info;
	return ioctl(device, LOOP_GET_STATUS64, &info) == 0 && info.lo_inode == file->st_ino &&
	       info.lo_device == file->st_dev && (info.lo_flags & LO_FLAGS_AUTOCLEAR) != 0;
}

/* While it is open it stays what it is. */
static struct loop_device open_if_of(int number, const struct stat *file)
{
	struct loop_device device = open_loop(number);
	if (device.fd >= 0 && !is_of(device.fd, file)) {
		close(device.fd);
		device.fd = -1;
	}
	return device;
}

struct loop_device find_loop(int file)
{
	struct loop_device found = { .fd = -1 };
	struct stat wanted;
	DIR *blocks = opendir("/sys/block");
	if (blocks == NULL || fstat(file, &wanted) != 0)
		fail("cannot list block devices");
	for (struct dirent *entry; found.fd < 0 && (entry = readdir(blocks)) != NULL;) {
		char backing[sizeof entry->d_name + 32];
		int number;
		snprintf(backing, sizeof backing, "/sys/block/%s/loop", entry->d_name);
		if (sscanf(entry->d_name, "loop%d", &number) == 1 && access(backing, F_OK) == 0)
			found = open_if_of(number, &wanted);
	}
	closedir(blocks);
	return found;
}
