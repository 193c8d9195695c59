/* SPDX-License-Identifier: MIT */
/* The system calls of a TCP socket. */
#include "../cancel.h"
#include "../datagram.h"
#include "../libc.h"
#include "../shim.h"

#include <errno.h>
#include <netinet/in.h>

/* A call that works leaves errno as it was, whatever was tried on the way; and a thread isn't cancelled on
 * the way. */
#define WHOLE(call)                                                                                          \
	({                                                                                                   \
		int errno_before = errno, outer_state = cancel_later();                                      \
		int call_result = (call);                                                                    \
		cancel_as_before(outer_state);                                                               \
		if (call_result >= 0)                                                                        \
			errno = errno_before;                                                                \
		call_result;                                                                                 \
	})

/* A TCP socket that can't be kept track of could slip past the map. */
static int with_entry(int fd, int family)
{
	if (fd_open(fd, family) || fd_in_vfork_child)
		return fd;
	libc.close(fd);
	errno = (unsigned)fd < FD_LIMIT ? ENOMEM : EMFILE;
	return -1;
}

int hook_socket(int domain, int type, int protocol)
{
	int fd = libc.socket(domain, type, protocol);
	if (fd < 0 || !shim_active())
		return fd;
	bool stream = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
	if ((domain == AF_INET || domain == AF_INET6) && stream &&
		(protocol == 0 || stream_is_tcp_protocol(protocol)))
		return with_entry(fd, domain);
	if (shim_names_rules && (domain == AF_INET || domain == AF_INET6) &&
		(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_DGRAM &&
		(protocol == 0 || protocol == IPPROTO_UDP))
		fd_open_datagram(fd, domain);
	else if (domain == AF_VSOCK)
		fd_open_foreign(fd);
	else
		fd_forget(fd);
	return fd;
}

/* Does this address go anywhere but to IP, so that it's worth finding out what fd is? */
static bool concerns_us(
	enum side side, const struct sockaddr *address, socklen_t length, struct address *wanted)
{
	if (!address || !address_from_sockaddr(wanted, address, length))
		return false;
	if (side == SIDE_CONNECT)
		address_wildcard_to_loopback(wanted);
	const struct rule *rule = map_find(shim.map, side, wanted);
	return (rule && rule->target.kind != TARGET_DIRECT) || ranges_reserve(&shim.ranges, wanted);
}

int hook_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct address wanted;
	if (shim_active() && (fd_tracked(fd) || concerns_us(SIDE_CONNECT, address, length, &wanted))) {
		struct sock *sock = stream_of(fd);
		if (!sock)
			sock = datagram_of(fd);
		if (sock && fd_hold(fd, sock)) {
			int result = WHOLE(is_datagram(sock) ? datagram_connect(fd, sock, address, length)
							     : stream_connect(fd, sock, address, length));
			fd_release(sock);
			return result;
		}
		if (concerns_us(SIDE_CONNECT, address, length, &wanted) &&
			(ranges_reserve(&shim.ranges, &wanted) || stream_is_tcp(fd)))
			return stream_unreachable(&wanted);
	}
	return libc.connect(fd, address, length);
}

int hook_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct address wanted;
	if (shim_active() && (fd_tracked(fd) || concerns_us(SIDE_LISTEN, address, length, &wanted))) {
		struct sock *sock = stream_of(fd);
		if (sock && fd_hold(fd, sock)) {
			int result = WHOLE(stream_bind(fd, sock, address, length));
			fd_release(sock);
			return result;
		}
		if (concerns_us(SIDE_LISTEN, address, length, &wanted) && stream_is_tcp(fd)) {
			errno = ENOBUFS;
			return -1;
		}
	}
	return libc.bind(fd, address, length);
}

int hook_listen(int fd, int backlog)
{
	struct sock *sock = shim_active() ? stream_of(fd) : NULL;
	if (!sock || !fd_hold(fd, sock))
		return libc.listen(fd, backlog);
	int result = WHOLE(stream_listen(fd, sock, backlog));
	fd_release(sock);
	return result;
}

int hook_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct sock *sock = shim_active() ? stream_replaced(fd) : NULL;
	if (sock && fd_hold(fd, sock)) {
		int result = WHOLE(stream_accept(fd, sock, address, length, flags));
		fd_release(sock);
		return result;
	}
	int accepted = libc.accept4(fd, address, length, flags);
	if (accepted < 0)
		return accepted;
	fd_forget(accepted); /* what is known of this number is of a socket that was closed behind our back */
	if (fd_is_foreign(fd))
		fd_open_foreign(accepted);
	return accepted;
}

int hook_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	return hook_accept4(fd, address, length, 0);
}

int hook_shutdown(int fd, int how)
{
	struct sock *sock = NULL;
	if (shim_active())
		sock = fd_tracked(fd) ? stream_of(fd) : stream_replaced(fd);
	if (!sock || !fd_hold(fd, sock))
		return libc.shutdown(fd, how);
	int result = WHOLE(stream_shutdown(fd, sock, how));
	fd_release(sock);
	return result;
}

int hook_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sock *sock = shim_active() ? stream_named(fd) : NULL;
	return sock ? WHOLE(stream_name(fd, sock, address, length)) : libc.getsockname(fd, address, length);
}

int hook_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sock *sock = shim_active() ? stream_replaced(fd) : NULL;
	return sock ? WHOLE(stream_peer(fd, sock, address, length)) : libc.getpeername(fd, address, length);
}

int hook_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	struct sock *sock = NULL;
	if (shim_active())
		sock = fd_tracked(fd) ? stream_of(fd) : stream_replaced(fd);
	return sock ? WHOLE(stream_setsockopt(fd, sock, level, name, value, length))
		    : libc.setsockopt(fd, level, name, value, length);
}

int hook_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	struct sock *sock = shim_active() ? stream_named(fd) : NULL;
	return sock ? WHOLE(stream_getsockopt(fd, sock, level, name, value, length))
		    : libc.getsockopt(fd, level, name, value, length);
}

ALSO_TIME64(getsockopt, __getsockopt64);
ALSO_TIME64(setsockopt, __setsockopt64);
