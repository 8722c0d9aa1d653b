/* The end of the launcher: it kills everything, tells that to the connection, and exits. */
#ifndef LEAVING_H
#define LEAVING_H

#include <stdbool.h>

/* Begins to leave, once: no request is read, and no connection accepted, any more. */
void leave(int status);

bool is_leaving(void);

/* Whether there is nothing left to do, or no more time to do it. */
bool has_left(void);

/* Removes what it has made, and exits with the status that it was told to leave with. */
_Noreturn void leaving_exit(void);

#endif
