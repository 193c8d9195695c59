/* SPDX-License-Identifier: MIT */
/* The system calls of a TCP socket: socket, connect, bind, listen, accept, shutdown, names and options. Each
 * hook passes a call that can't concern the map to libc at once. Otherwise it looks up the record, holds it,
 * defers cancellation, calls the function of stream.h or datagram.h that stands for the system call, and
 * releases everything again. */
#include "core/shim.h"
#include "core/verdict.h"
#include "socket/datagram.h"
#include "socket/protocol.h"
#include "system/cancel.h"
#include "system/errno.h"
#include "system/nowhere.h"
#include "system/option.h"

#include <fcntl.h>
#include <netinet/in.h>

static struct sock *held(int fd, struct sock *(*find)(int fd))
{
	return shim_active() ? stream_held(fd, find) : NULL;
}

static struct sock *find_opened_or_replaced(int fd)
{
	return fd_tracked(fd) ? stream_of(fd) : stream_replaced(fd);
}

/* A call on a record that is held. If it succeeds, it leaves errno as it was, whatever was tried on the way,
 * and the thread isn't cancelled on the way. */
#define WHOLE(sock, call)                                                                                    \
	({                                                                                                   \
		int errno_before = errno, outer_state = cancel_later();                                      \
		int call_result = (call);                                                                    \
		fd_release(sock);                                                                            \
		cancel_as_before(outer_state);                                                               \
		if (call_result >= 0)                                                                        \
			errno = errno_before;                                                                \
		call_result;                                                                                 \
	})

/* A TCP socket that can't be tracked could escape the map. */
static int with_entry(int fd, int family)
{
	if (fd_open(fd, family) || in_vfork_child)
		return fd;
	libc.close(fd);
	return fail((unsigned)fd < FD_LIMIT ? ENOMEM : EMFILE);
}

int hook_socket(int domain, int type, int protocol)
{
	int fd = libc.socket(domain, type, protocol);
	if (fd < 0 || !shim_active())
		return fd;
	bool stream = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
	if ((domain == AF_INET || domain == AF_INET6) && stream &&
		(protocol == 0 || is_tcp_protocol(protocol)))
		return with_entry(fd, domain);
	if (shim_rules.names_rules && (domain == AF_INET || domain == AF_INET6) &&
		(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_DGRAM &&
		(protocol == 0 || protocol == IPPROTO_UDP))
		fd_open_datagram(fd, domain);
	else if (domain == AF_VSOCK)
		fd_open_foreign(fd);
	else
		fd_forget(fd);
	return fd;
}

/* Is this address more than just IP's, so that it is worth finding out what fd is? */
static bool concerns_us(
	enum side side, const struct sockaddr *address, socklen_t length, struct address *wanted)
{
	return address && address_from_sockaddr(wanted, address, length) &&
	       verdict_of(shim.map, side, SOCKET_STREAM, wanted).kind != VERDICT_IP;
}

/* If it isn't one, errno is what connect() would set: EBADF or ENOTSOCK. */
static bool is_socket(int fd)
{
	int type;
	socklen_t length = sizeof type;
	return libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
}

static bool is_not_tcp(int fd, const struct sock *sock)
{
	(void)sock;
	return is_socket(fd) && !stream_is_tcp(fd);
}

/* A rule takes the address, and fd wasn't ours; but at any moment another thread's TCP socket may get that
 * number. */
static int connect_other(
	int fd, const struct sockaddr *address, socklen_t length, const struct address *wanted)
{
	int result, outer_state;
	if (!is_socket(fd))
		return -1;
	if (verdict_of(shim.map, SIDE_CONNECT, SOCKET_OTHER, wanted).kind == VERDICT_RESERVED)
		return stream_unreachable(wanted);
	outer_state = cancel_later();
	bool other = stream_connect_itself(fd, NULL, is_not_tcp, address, length, &result);
	cancel_as_before(outer_state);
	return other ? result : stream_unreachable(wanted);
}

static bool is_bad(const struct sockaddr *address, socklen_t length)
{
	return shim_active() && is_nowhere(address) && length > 0 &&
	       length <= sizeof(struct sockaddr_storage);
}

int hook_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct address wanted;
	if (is_bad(address, length))
		return libc.fcntl(fd, F_GETFD, NULL) < 0 ? -1
							 : fail(EFAULT); /* whatever it is, since Linux 5.5 */
	if (shim_active() && (fd_tracked(fd) || concerns_us(SIDE_CONNECT, address, length, &wanted))) {
		struct sock *sock = held(fd, stream_of);
		if (!sock)
			sock = held(fd, datagram_of);
		if (sock)
			return WHOLE(sock, protocol_of(sock)->connect(fd, sock, address, length));
		if (concerns_us(SIDE_CONNECT, address, length, &wanted))
			return connect_other(fd, address, length, &wanted);
	}
	return libc.connect(fd, address, length);
}

int hook_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct address wanted;
	if (is_bad(address, length))
		return is_socket(fd) ? fail(EFAULT) : -1;
	if (shim_active() && (fd_tracked(fd) || concerns_us(SIDE_LISTEN, address, length, &wanted))) {
		struct sock *sock = held(fd, stream_of);
		if (sock)
			return WHOLE(sock, stream_bind(fd, sock, address, length));
		if (concerns_us(SIDE_LISTEN, address, length, &wanted) && stream_is_tcp(fd))
			return fail(ENOBUFS);
	}
	return libc.bind(fd, address, length);
}

int hook_listen(int fd, int backlog)
{
	struct sock *sock = held(fd, stream_of);
	if (sock)
		return WHOLE(sock, protocol_of(sock)->listen(fd, sock, backlog));
	if (shim_active() && shim_rules.listen_rules && stream_is_tcp(fd)) /* as for bind() */
		return fail(ENOBUFS);
	return libc.listen(fd, backlog);
}

static int accept_any(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct sock *sock = held(fd, stream_replaced);
	if (sock)
		return WHOLE(sock, stream_accept(fd, sock, address, length, flags));
	if (shim_active() && fd_is_beyond_us(fd) && !fd_tracked(fd) && transport_of_fd(fd))
		return fail((unsigned)fd < FD_LIMIT
				    ? ENOMEM
				    : EMFILE); /* without a record, it isn't known whom its rule allows */
	int accepted = flags == STREAM_ACCEPT ? libc.accept(fd, address, length)
					      : libc.accept4(fd, address, length, flags);
	if (accepted < 0)
		return accepted;
	fd_forget(accepted); /* the record is of a socket with this number that was closed without our seeing
				it */
	if (fd_is_foreign(fd))
		fd_open_foreign(accepted);
	return accepted;
}

int hook_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return accept_any(fd, address, length, flags);
}

int hook_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	return accept_any(fd, address, length, STREAM_ACCEPT);
}

int hook_shutdown(int fd, int how)
{
	struct sock *sock = held(fd, find_opened_or_replaced);
	return sock ? WHOLE(sock, stream_shutdown(fd, sock, how)) : libc.shutdown(fd, how);
}

int hook_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sock *sock = held(fd, stream_named);
	return sock ? WHOLE(sock, stream_name(fd, sock, address, length))
		    : libc.getsockname(fd, address, length);
}

int hook_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sock *sock = held(fd, stream_replaced);
	return sock ? WHOLE(sock, stream_peer(fd, sock, address, length))
		    : libc.getpeername(fd, address, length);
}

int hook_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	struct sock *sock = held(fd, find_opened_or_replaced);
	return sock ? WHOLE(sock, stream_setsockopt(fd, sock, level, name, value, length))
		    : libc.setsockopt(fd, level, name, value, length);
}

int hook_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	struct sock *sock = held(fd, stream_named);
	return sock ? WHOLE(sock, stream_getsockopt(fd, sock, level, name, value, length))
		    : libc.getsockopt(fd, level, name, value, length);
}

ALSO_TIME64(getsockopt, __getsockopt64);
ALSO_TIME64(setsockopt, __setsockopt64);
