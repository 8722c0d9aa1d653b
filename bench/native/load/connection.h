#ifndef CONNECTION_H
#define CONNECTION_H

#include "job.h"
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>

/* One TCP connection, with TLS or without, that speaks HTTP/2. Whatever goes wrong with it ends this process. */
struct connection {
	int fd;
	/* NULL where it is plain. */
	SSL *tls;
};

struct connection open_connection(const struct job *job);

/* How many bytes have been read or written; 0 where that would have to wait. */
size_t receive_bytes(struct connection *connection, void *to, size_t length);
size_t send_bytes(struct connection *connection, const void *from, size_t length);

#endif
