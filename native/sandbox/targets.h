/* Where what is mounted: the places may lie inside one another in any way. */
#pragma once

#include <stdbool.h>

/*
 * The absolute path without symbolic links; what does not exist at its end stays as it is. Ends the program where it
 * cannot be told. The caller owns it.
 */
char *real_path(const char *path);

/* Adds a mount of a folder (`type` is O_DIRECTORY) or file (0) at a real path. Of those at one path the last covers. */
void add_target(int mount, const char *path, int type);

/* The same with a mount of a folder that is writable only until everything is in its place. */
void add_sealed_target(int mount, const char *path);

bool is_target(const char *path);

/*
 * Mounts all, the highest first. Folders on the way that are missing are made where one of them is already mounted
 * above, and nowhere on the host. Ends the program where it fails.
 */
void mount_targets(void);

/* Mounts those at whose places nothing is mounted. */
void mount_missing_targets(void);
