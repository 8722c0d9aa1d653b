/*
 * The connection to the agent. The first one is standard input and output. With a socket there can be others after it, one
 * at a time, and each takes the place of standard input and output, so that nothing else has to know.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "stream.h"

#include <stdint.h>

/* Has the launcher survive its connection: listens on a socket with that absolute path. False with errno. */
bool connection_listen(const char *socket, int64_t survive_ms);

/* Begins with standard input and output. */
void connection_open(void);

/* Whether another connection may follow this one. */
bool connection_survives(void);

/* Whether there is a connection. */
bool connection_is_open(void);

/* Whether the other end is closed, even where it has left requests that have not been read. */
bool connection_has_hung_up(void);

/* Writes what the reader takes, and has outputs read only while it keeps up. False where the connection has ended. */
bool connection_flush(void);

/* Gives the connection up, with all that was under way. */
void connection_drop(void);

/* Accepts the next connection, and closes others. Answers whether there is a new one. */
bool connection_accept(void);

/* When the launcher has waited long enough for a connection; NEVER_MS while it has one. */
int64_t connection_wait_ends_ms(void);

/* Whether outputs may be read. */
bool connection_keeps_up(void);

/* No request is read any more, and no connection accepted. */
void connection_stop(void);

#endif
