/*
 * File systems of a size of their own, in files: FOLDER/NAME.img, an ext4 that takes only the room of what is in it. Where
 * the node cannot limit what a user keeps on disk, that is a function's home.
 */
#pragma once

#include <stdint.h>

/* Makes one of a size. Ends the program where it fails. */
void make_image(const char *folder, const char *name, uint64_t bytes);

/*
 * Mounts one, as a mount that is nowhere yet; one that is smaller than `bytes` grows first. -1 where there is none. Ends the
 * program where it fails.
 */
int mount_image(const char *folder, const char *name, uint64_t bytes);

/* Ends the program with a sentence where this machine cannot mount images. */
void check_images(void);
