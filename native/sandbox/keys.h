/* Keys that stay when the last process of a user has ended (keyrings(7)). */
#pragma once

#include <stdint.h>

/*
 * Clears them: the user may have been another function's. Where there are none, and where the system has none, it does
 * nothing. Ends the program where the user has taken away the right to.
 */
void clear_keys(uint32_t uid);
