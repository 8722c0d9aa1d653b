/* The host's files of users and groups: a sandbox has files of its own in their place, until they are replaced. */
#ifndef USERS_FILES_H
#define USERS_FILES_H

#include <stdint.h>

void users_open(void);

/* Which ones the host has now. Cheap: called at each start. */
uint64_t users_id(void);

#endif
