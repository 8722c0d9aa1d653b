/* What a function has used up of the room that it has. */
#ifndef SANDBOX_ROOM_H
#define SANDBOX_ROOM_H

#include "sandbox_maker.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Of enum used_up. `has_image`: whether the folder for temporary folders of executions is on a file system of the
 * function's own; where it is not, the function's user may have a quota there. It takes microseconds.
 */
uint16_t sandbox_room_used_up(const struct namespaces *namespaces, uint32_t uid, bool has_image);

/*
 * In a child that is in the sandbox. Where less than half is left of the file system at `folder`, waits until what earlier
 * executions have left in their temporary folders is removed, but no longer than two seconds.
 */
void sandbox_room_wait(const char *folder);

#endif
