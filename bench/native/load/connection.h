#ifndef CONNECTION_H
#define CONNECTION_H

#include "job.h"
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>

/* A TCP connection that speaks HTTP/2, with or without TLS. Any failure of it ends this process. */
struct connection {
	int fd;
	/* NULL: without TLS. */
	SSL *tls;
};

struct connection open_connection(const struct job *job);

/* Answer how many bytes have been read or written; 0: it would have to wait. */
size_t receive_bytes(struct connection *connection, void *to, size_t length);
size_t send_bytes(struct connection *connection, const void *from, size_t length);

#endif
