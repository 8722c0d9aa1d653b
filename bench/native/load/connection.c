#define _GNU_SOURCE
#include "connection.h"
#include "fail.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECT_SECONDS 10

static const char *tls_problem(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	return reason != NULL ? reason : "the server has closed it";
}

static int connect_tcp(const struct job *job)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int problem = getaddrinfo(job->host, job->port, &hints, &found);
	if (problem != 0)
		fail("%s is not found: %s", job->host, gai_strerror(problem));
	int fd = -1;
	for (struct addrinfo *each = found; each != NULL && fd < 0; each = each->ai_next) {
		fd = socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol);
		/* For connecting and the TLS handshake, which block. Later the socket is non-blocking. */
		const struct timeval limit = { .tv_sec = CONNECT_SECONDS };
		if (fd >= 0) {
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		}
		if (fd >= 0 && connect(fd, each->ai_addr, each->ai_addrlen) != 0) {
			int reason = errno;
			close(fd);
			fd = -1;
			errno = reason;
		}
	}
	if (fd < 0)
		fail("nothing answers at %s:%s: %s", job->host, job->port, strerror(errno));
	freeaddrinfo(found);
	const int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static SSL *shake_hands(const struct job *job, int fd)
{
	static const unsigned char h2[] = { 2, 'h', '2' };
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (context == NULL)
		fail("OpenSSL does not start: %s", tls_problem());
	if (SSL_CTX_load_verify_locations(context, job->ca, NULL) != 1)
		fail("cannot read the CA %s: %s", job->ca, tls_problem());
	if (SSL_CTX_use_certificate_chain_file(context, job->cert) != 1)
		fail("cannot read the certificate %s: %s", job->cert, tls_problem());
	if (SSL_CTX_use_PrivateKey_file(context, job->key, SSL_FILETYPE_PEM) != 1)
		fail("cannot read the key %s: %s", job->key, tls_problem());
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	SSL *tls = SSL_new(context);
	if (tls == NULL || SSL_set_tlsext_host_name(tls, job->server_name) != 1 ||
	    SSL_set1_host(tls, job->server_name) != 1 || SSL_set_alpn_protos(tls, h2, sizeof h2) != 0 ||
	    SSL_set_fd(tls, fd) != 1)
		fail("TLS cannot be set up: %s", tls_problem());
	if (SSL_connect(tls) != 1) {
		long verified = SSL_get_verify_result(tls);
		fail("the TLS handshake with %s:%s has failed: %s", job->host, job->port,
		     verified != X509_V_OK ? X509_verify_cert_error_string(verified) : tls_problem());
	}
	const unsigned char *chosen;
	unsigned int length;
	SSL_get0_alpn_selected(tls, &chosen, &length);
	if (length != 2 || memcmp(chosen, "h2", 2) != 0)
		fail("%s:%s does not speak HTTP/2 over TLS (ALPN h2)", job->host, job->port);
	return tls;
}

struct connection open_connection(const struct job *job)
{
	int fd = connect_tcp(job);
	struct connection connection = { fd, job->ca != NULL ? shake_hands(job, fd) : NULL };
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		fail("fcntl: %s", strerror(errno));
	return connection;
}

/* Why a TLS call has done nothing: answers 0 where it only has to wait, and otherwise ends this process. */
static size_t tls_wait(const struct connection *connection, int outcome)
{
	int error = SSL_get_error(connection->tls, outcome);
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		fail("the TLS connection has failed: %s", tls_problem());
	return 0;
}

size_t receive_bytes(struct connection *connection, void *to, size_t length)
{
	if (connection->tls != NULL) {
		int count = SSL_read(connection->tls, to, (int)length);
		return count > 0 ? (size_t)count : tls_wait(connection, count);
	}
	ssize_t count = recv(connection->fd, to, length, 0);
	if (count == 0)
		fail("the server has closed the connection");
	if (count < 0 && errno != EAGAIN && errno != EINTR)
		fail("the connection has failed: %s", strerror(errno));
	return count > 0 ? (size_t)count : 0;
}

size_t send_bytes(struct connection *connection, const void *from, size_t length)
{
	if (connection->tls != NULL) {
		int count = SSL_write(connection->tls, from, (int)length);
		return count > 0 ? (size_t)count : tls_wait(connection, count);
	}
	ssize_t count = send(connection->fd, from, length, 0);
	if (count < 0 && errno != EAGAIN && errno != EINTR)
		fail("the connection has failed: %s", strerror(errno));
	return count > 0 ? (size_t)count : 0;
}
