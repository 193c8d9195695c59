/* SPDX-License-Identifier: MIT */
/* Receiving is the data path. Only calls that have a flag which our transports treat differently, or that ask
 * for the sender's address, are examined, and only on our own fds. */
#include "socket/protocol.h"
#include "system/libc.h"
#include "system/nowhere.h"

/* On most kernels this is libc's own read(), and nothing is examined; on old ones stream_end.h puts another
 * function into libc.read. */
HOT ssize_t hook_read(int fd, void *data, size_t size)
{
	return libc.read(fd, data, size);
}

HOT ssize_t hook_readv(int fd, const struct iovec *parts, int count)
{
	return libc.readv(fd, parts, count);
}

#define OURS HOT __attribute__((noinline)) static

static inline bool looked_at(int fd, int flags)
{
	return flags & STREAM_ODD_FLAGS && fd_tracked(fd);
}

OURS ssize_t recv_ours(int fd, void *data, size_t size, int flags)
{
	struct sock *sock = stream_known(fd);
	return sock ? protocol_of(sock)->recv(fd, sock, data, size, flags) : libc.recv(fd, data, size, flags);
}

HOT ssize_t hook_recv(int fd, void *data, size_t size, int flags)
{
	return looked_at(fd, flags) ? recv_ours(fd, data, size, flags) : libc.recv(fd, data, size, flags);
}

OURS ssize_t recvfrom_ours(
	int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
	struct sock *sock = stream_known(fd);
	return sock ? protocol_of(sock)->recvfrom(fd, sock, data, size, flags, address, length)
		    : libc.recvfrom(fd, data, size, flags, address, length);
}

HOT ssize_t hook_recvfrom(
	int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
	return looked_at(fd, flags) || (address && fd_tracked(fd))
		       ? recvfrom_ours(fd, data, size, flags, address, length)
		       : libc.recvfrom(fd, data, size, flags, address, length);
}

OURS ssize_t recvmsg_ours(int fd, struct msghdr *message, int flags)
{
	struct sock *sock = message->msg_iovlen && is_nowhere(message->msg_iov) ? NULL : stream_known(fd);
	return sock ? protocol_of(sock)->recvmsg(fd, sock, message, flags) : libc.recvmsg(fd, message, flags);
}

HOT ssize_t hook_recvmsg(int fd, struct msghdr *message, int flags)
{
	bool look = fd_tracked(fd) && !is_nowhere(message) &&
		    (flags & STREAM_ODD_FLAGS || message->msg_name || message->msg_control);
	return look ? recvmsg_ours(fd, message, flags) : libc.recvmsg(fd, message, flags);
}

ALSO_TIME64(recvmsg, __recvmsg64);

OURS int recvmmsg_ours(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	struct sock *sock = stream_known(fd);
	return sock ? protocol_of(sock)->recvmmsg(fd, sock, messages, count, flags, timeout)
		    : libc.recvmmsg(fd, messages, count, flags, timeout);
}

HOT int hook_recvmmsg(
	int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
	return fd_tracked(fd) && !is_nowhere(messages) ? recvmmsg_ours(fd, messages, count, flags, timeout)
						       : libc.recvmmsg(fd, messages, count, flags, timeout);
}

#ifdef __GLIBC__ /* what _FORTIFY_SOURCE calls instead */
HOT ssize_t hook___read_chk(int fd, void *data, size_t size, size_t room)
{
	return libc.__read_chk(fd, data, size, room);
}

HOT ssize_t hook___recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
	return size <= room ? hook_recv(fd, data, size, flags) : libc.__recv_chk(fd, data, size, room, flags);
}

HOT ssize_t hook___recvfrom_chk(
	int fd, void *data, size_t size, size_t room, int flags, struct sockaddr *address, socklen_t *length)
{
	return size <= room ? hook_recvfrom(fd, data, size, flags, address, length)
			    : libc.__recvfrom_chk(fd, data, size, room, flags, address, length);
}
#endif
