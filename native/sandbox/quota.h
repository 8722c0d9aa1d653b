/* Quotas of a file system (quotactl(2)): limits for all files of a user. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether the file system of a folder enforces limits for users. */
bool enforces_quotas(int folder);

/* What a user may have there; 0: any number. Ends the program where it fails. */
void set_quota(int folder, uint32_t uid, uint64_t bytes, uint64_t inodes);
