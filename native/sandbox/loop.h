/* Files as block devices (loop(4), Linux 5.8). */
#pragma once

#include <limits.h>

struct loop_device {
	char path[32];
	/* The device goes when nothing has it open or mounted. */
	int fd;
};

/* Makes a file a device. Ends the program where it fails. */
struct loop_device attach_loop(int file);

/* The device that a file already is; its descriptor is -1 where it is none. */
struct loop_device find_loop(int file);
