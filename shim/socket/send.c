/* SPDX-License-Identifier: MIT */
/* All sends on a mapped socket pass through here, because our transports differ from TCP for a peer that has
 * closed, and on a socket without a connection. The kernel's send() comes first, and only a call that fails
 * is examined. MSG_NOSIGNAL is always set, so that SIGPIPE is raised when TCP would raise it: Unix sockets
 * raise it at the first write, and AF_VSOCK doesn't raise it at all before Linux 6.9. */
#include "stream_internal.h"

#include "nameserver.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

_Atomic bool stream_filtered;

enum { PIECE_PARTS = 16, NAP_MS = 2 };
struct position {
	size_t part, offset;
};

/* Otherwise this end was closed, in another process. */
static bool peer_closed(int fd)
{
	struct pollfd peer = {.fd = fd, .events = POLLRDHUP};
	return libc.poll(&peer, 1, 0) > 0 && peer.revents & (POLLRDHUP | POLLHUP);
}

/* TCP accepts the first bytes for a peer that has closed, and learns only from its answer that nobody wants
 * them. So a client that writes before it reads still finds what the server said before it hung up. */
static ssize_t closed_by_peer(int fd, struct sock *sock, size_t size, int flags)
{
	const struct transport *transport = sock->transport;
	int error = sock->report.error ? stream_take_error(fd, sock) : 0;
	if (error)
		return fail(error);
	int domain = 0;
	socklen_t length = sizeof domain;
	if (libc.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || !transport ||
		domain != transport->family)
		return fail(EPIPE); /* closed without our seeing it: this is another socket */
	if (sock->shut.write || sock->report.broken || !peer_closed(fd) ||
		stream_settle(fd, sock) != STATE_CONNECTED) {
		if (!(flags & MSG_NOSIGNAL))
			raise(SIGPIPE);
		return fail(EPIPE);
	}
	sock->report.broken = true;
	return (ssize_t)size;
}

/* A send() has failed with ENOTCONN. Returns 0 if it should be tried again. */
static int without_connection(int fd, struct sock *sock, int flags)
{
	if (state_of(sock) != STATE_CONNECTING)
		return fail(EPIPE);
	int error = stream_take_error(fd, sock);
	if (error)
		return fail(error);
	if (sock->orphaned && stream_settle(fd, sock) != STATE_CONNECTED)
		return fail(EPIPE);
	int mode = libc.fcntl(fd, F_GETFL, NULL);
	if (flags & MSG_DONTWAIT || (mode >= 0 && mode & O_NONBLOCK))
		return fail(EAGAIN);
	if (sock->attempting) /* poll() finds an unconnected Unix socket writable */
		return libc.poll(NULL, 0, NAP_MS) < 0 ? -1 : 0;
	return stream_await_writable(fd, sock, 0) < 0 ? -1 : 0;
}

static size_t size_of(const struct msghdr *message)
{
	size_t size = 0;
	for (size_t i = 0; i < (size_t)message->msg_iovlen; i++)
		size += message->msg_iov[i].iov_len;
	return size;
}

HOT static ssize_t send_whole(int fd, struct sock *sock, const struct msghdr *message, int flags)
{
	int saved = *libc_errno();
	ssize_t sent = libc.sendmsg(fd, message, flags | MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	while (sent < 0 && errno == ENOTCONN && without_connection(fd, sock, flags) == 0)
		sent = libc.sendmsg(fd, message, flags | MSG_NOSIGNAL);
	if (sent < 0 && sock->stood_in && !sock->report.error &&
		(errno == EPIPE || (errno == ECONNRESET && atomic_exchange(&sock->may_reset, false))))
		sent = libc.sendmsg(fd, message, flags | MSG_NOSIGNAL); /* the stand-in was hung up */
	if (sent < 0 && errno == EPIPE)
		sent = closed_by_peer(fd, sock, size_of(message), flags);
	if (sent >= 0)
		errno = saved;
	return sent;
}

/* The next `most` bytes of a message, from where `at` says, which goes on behind them. */
static size_t cut(const struct msghdr *message, struct position *at, size_t most, struct msghdr *piece)
{
	size_t size = 0;
	piece->msg_iovlen = 0;
	while (at->part < (size_t)message->msg_iovlen && size < most && piece->msg_iovlen < PIECE_PARTS) {
		const struct iovec *part = &message->msg_iov[at->part];
		size_t rest = part->iov_len - at->offset, taken = rest < most - size ? rest : most - size;
		piece->msg_iov[piece->msg_iovlen++] =
			(struct iovec){(char *)part->iov_base + at->offset, taken};
		size += taken;
		at->offset = taken < rest ? at->offset + taken : 0;
		at->part += taken == rest;
	}
	return size;
}

/* With chunk=: in writes of that size, as much as one write would have taken. */
static ssize_t send_in_chunks(
	int fd, struct sock *sock, uint32_t chunk, const struct msghdr *message, int flags)
{
	struct iovec parts[PIECE_PARTS];
	struct position at = {0, 0};
	struct msghdr piece = *message;
	ssize_t total = 0;
	piece.msg_iov = parts;
	for (;;) {
		size_t size = cut(message, &at, chunk, &piece);
		ssize_t sent = send_whole(fd, sock, &piece, total ? flags | MSG_NOSIGNAL : flags);
		if (sent > 0)
			total += sent;
		if (sent < (ssize_t)size || at.part == (size_t)message->msg_iovlen)
			return total ? total : sent;
		piece.msg_control = NULL;
		piece.msg_controllen = 0;
	}
}

__attribute__((noinline)) static ssize_t send_apart(
	int fd, struct sock *sock, const struct msghdr *message, int flags)
{
	const struct transport *transport = sock->transport; /* another thread may be closing it */
	const struct rule *rule = sock->rule;
	if (transport && transport->answered_here)
		return nameserver_send(fd, sock, message, flags);
	int saved = errno;
	ssize_t sent =
		send_in_chunks(fd, sock, rule && rule->chunk ? rule->chunk : UINT32_MAX, message, flags);
	if (sent >= 0)
		errno = saved;
	return sent;
}

HOT ssize_t stream_sendmsg(int fd, struct sock *sock, const struct msghdr *message, int flags)
{
	return sock->sends_apart ? send_apart(fd, sock, message, flags)
				 : send_whole(fd, sock, message, flags);
}

__attribute__((noinline)) static ssize_t send_as_message(
	int fd, struct sock *sock, const void *data, size_t size, int flags)
{
	struct iovec whole = {(void *)data, size};
	struct msghdr message = {.msg_iov = &whole, .msg_iovlen = 1};
	return stream_sendmsg(fd, sock, &message, flags);
}

HOT ssize_t stream_send(int fd, struct sock *sock, const void *data, size_t size, int flags)
{
	int *error = libc_errno(), saved = *error;
	if (!sock->sends_apart) {
		ssize_t sent = libc.send(fd, data, size, flags | MSG_NOSIGNAL);
		if (sent >= 0 ||
			(*error != EPIPE && *error != ENOTCONN && !(*error == ECONNRESET && sock->stood_in)))
			return sent;
		*error = saved;
	}
	return send_as_message(fd, sock, data, size, flags);
}
