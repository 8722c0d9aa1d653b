/*
 * Bounds what a function keeps on disk: by a quota of its user, where the file system of the agent's folder has quotas;
 * otherwise by the size of an image (see image.h).
 */
#pragma once

#include <stdint.h>

struct disk {
	/* The agent's folder. */
	const char *state;
	/* The function's name, user, and folder in STATE/functions/homes. */
	const char *name;
	uint32_t uid;
	const char *home;
	/* The bound; 0: none. */
	uint64_t bytes;
};

/*
 * A mount of the function's image, STATE/functions/images/NAME.img, that is nowhere yet; -1 where it has none. In it are
 *
 *     home    the function's
 *     caches  the function's; in place of STATE/functions/caches/NAME, as whose folders it has no others: those that are
 *             missing are made, unless the image is full
 *     tmp     in place of STATE/functions/tmp
 *
 * What a function has kept in `home` before there was a bound stays there, without one: a sentence on standard error says
 * so. Ends the program where it fails.
 */
int open_disk(const struct disk *disk);

/* Ends the program with a sentence where nothing in the agent's folder can be bounded. */
void check_disk(const char *state);
