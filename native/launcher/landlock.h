/*
 * Shuts a child off from sockets and processes outside it, by Landlock (landlock(7)): its abstract UNIX sockets, which no
 * mode protects, and its signals end at the execution. Linux 6.12 and later; elsewhere it does nothing.
 */
#ifndef LANDLOCK_H
#define LANDLOCK_H

#include <stdbool.h>

/* Before the first child. */
void landlock_open(void);

/* In a child, as root or with no_new_privs. False with errno. */
bool landlock_shut_off(void);

#endif
