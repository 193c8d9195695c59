/* SPDX-License-Identifier: MIT */
/* Receiving is the data path: only calls with a flag that our transports read differently, or that ask for the sender's
 * address, are looked at, and of those only the ones on an fd of ours. */
#include "../libc.h"
#include "../stream.h"

static bool looked_at(int fd, int flags)
{
	return flags & STREAM_ODD_FLAGS && fd_tracked(fd);
}

ssize_t hook_recv(int fd, void *data, size_t size, int flags)
{
	struct sock *sock;
	if (looked_at(fd, flags) && (sock = stream_replaced(fd)))
		return stream_recv(fd, sock, data, size, flags);
	return libc.recv(fd, data, size, flags);
}

ssize_t hook_recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
	struct sock *sock;
	if ((looked_at(fd, flags) || (address && fd_tracked(fd))) && (sock = stream_replaced(fd))) {
		ssize_t got = stream_recv(fd, sock, data, size, flags);
		if (got >= 0 && address && length)
			*length = 0; /* a connection says who sent it, not each byte */
		return got;
	}
	return libc.recvfrom(fd, data, size, flags, address, length);
}

ssize_t hook_recvmsg(int fd, struct msghdr *message, int flags)
{
	struct sock *sock;
	if ((looked_at(fd, flags) || (message && message->msg_name && fd_tracked(fd))) && (sock = stream_replaced(fd)))
		return stream_recvmsg(fd, sock, message, flags);
	return libc.recvmsg(fd, message, flags);
}

#ifdef __GLIBC__ /* what _FORTIFY_SOURCE makes of them */
ssize_t hook___recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
	return size <= room ? hook_recv(fd, data, size, flags) : libc.__recv_chk(fd, data, size, room, flags);
}

ssize_t hook___recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, struct sockaddr *address,
	socklen_t *length)
{
	return size <= room ? hook_recvfrom(fd, data, size, flags, address, length)
			    : libc.__recvfrom_chk(fd, data, size, room, flags, address, length);
}
#endif
