/* SPDX-License-Identifier: MIT */
/* Sending. On an fd that isn't ours, each call costs one load and one branch. If there is an address: TCP
 * ignores it on a connection, and with MSG_FASTOPEN it makes a connection, so those calls are treated as
 * connect(); for datagrams, datagram.h decides. */
#include "core/shim.h"
#include "socket/datagram.h"
#include "system/errno.h"
#include "system/libc.h"
#include "system/nowhere.h"

#include <errno.h>
#include <limits.h>

enum course { PASS, WITHOUT_ADDRESS, FAILED };

/* What is to be done with a message to `address`. */
static enum course judge(int fd, const struct sockaddr *address, socklen_t length, int *flags)
{
	struct sock *sock = fd_tracked(fd) ? stream_of(fd) : NULL;
	if (*flags & MSG_FASTOPEN && (sock ? !is_datagram(sock) : stream_is_tcp(fd))) {
		*flags &= ~MSG_FASTOPEN;
		return hook_connect(fd, address, length) < 0 ? FAILED : WITHOUT_ADDRESS;
	}
	if (!sock || is_datagram(sock)) {
		static const enum course courses[] = {[DATAGRAM_IP] = PASS,
			[DATAGRAM_REFUSED] = FAILED,
			[DATAGRAM_ANSWERED] = WITHOUT_ADDRESS};
		return courses[datagram_way(fd, address, length)];
	}
	return stream_replaced(fd) ? WITHOUT_ADDRESS : PASS;
}

/* Not left to the kernel, to which it may be somewhere: an address would go past the map. */
static ssize_t refuse(int fd, int error)
{
	int type;
	socklen_t size = sizeof type;
	return libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ? -1 : fail(error);
}

/* What is done for a tracked fd, or for an address, is in separate functions, which keeps the path of all
 * other calls short. */
#define OURS HOT __attribute__((noinline)) static

OURS ssize_t send_ours(int fd, const void *data, size_t size, int flags)
{
	struct sock *sock = stream_known(fd);
	return sock ? stream_send(fd, sock, data, size, flags) : libc.send(fd, data, size, flags);
}

HOT ssize_t hook_send(int fd, const void *data, size_t size, int flags)
{
	return fd_tracked(fd) ? send_ours(fd, data, size, flags) : libc.send(fd, data, size, flags);
}

OURS ssize_t write_ours(int fd, const void *data, size_t size)
{
	struct sock *sock = stream_known(fd);
	ssize_t sent = sock ? stream_send(fd, sock, data, size, 0) : libc.write(fd, data, size);
	if (sent >= 0 || errno != ENOTSOCK)
		return sent;
	fd_forget(fd); /* the socket was closed without our seeing it, and this is a file with its number */
	return libc.write(fd, data, size);
}

HOT ssize_t hook_write(int fd, const void *data, size_t size)
{
	return fd_tracked(fd) ? write_ours(fd, data, size) : libc.write(fd, data, size);
}

OURS ssize_t writev_ours(int fd, const struct iovec *parts, int count)
{
	struct sock *sock = stream_known(fd);
	if (!sock || count < 0 || count > IOV_MAX || (count && is_nowhere(parts)))
		return libc.writev(fd, parts, count);
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
	ssize_t sent = stream_sendmsg(fd, sock, &message, 0);
	if (sent >= 0 || errno != ENOTSOCK)
		return sent;
	fd_forget(fd);
	return libc.writev(fd, parts, count);
}

HOT ssize_t hook_writev(int fd, const struct iovec *parts, int count)
{
	return fd_tracked(fd) ? writev_ours(fd, parts, count) : libc.writev(fd, parts, count);
}

OURS ssize_t sendto_address(
	int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
	if (length > 0 && is_nowhere(address))
		return refuse(fd, length > sizeof(struct sockaddr_storage) ? EINVAL : EFAULT);
	switch (judge(fd, address, length, &flags)) {
	case FAILED:
		return -1;
	case WITHOUT_ADDRESS:
		return send_ours(fd, data, size, flags);
	default:
		return libc.sendto(fd, data, size, flags, address, length);
	}
}

HOT ssize_t hook_sendto(
	int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
	if (address && shim_active())
		return sendto_address(fd, data, size, flags, address, length);
	return fd_tracked(fd) ? send_ours(fd, data, size, flags)
			      : libc.sendto(fd, data, size, flags, address, length);
}

OURS ssize_t sendmsg_looked_at(int fd, const struct msghdr *message, int flags)
{
	if (is_nowhere(message) || (message->msg_iovlen && is_nowhere(message->msg_iov)))
		return refuse(fd, EFAULT);
	if (message->msg_name && message->msg_namelen > 0 && is_nowhere(message->msg_name))
		return refuse(fd, (int)message->msg_namelen < 0 ? EINVAL : EFAULT);
	struct sock *sock = stream_known(fd);
	struct msghdr bare = *message;
	if (message->msg_control)
		stream_mark_sent(message);
	if (!message->msg_name)
		return sock ? stream_sendmsg(fd, sock, message, flags) : libc.sendmsg(fd, message, flags);
	switch (judge(fd, message->msg_name, message->msg_namelen, &flags)) {
	case FAILED:
		return -1;
	case WITHOUT_ADDRESS:
		bare.msg_name = NULL;
		bare.msg_namelen = 0;
		sock = stream_known(fd);
		return sock ? stream_sendmsg(fd, sock, &bare, flags) : libc.sendmsg(fd, &bare, flags);
	default:
		return libc.sendmsg(fd, message, flags);
	}
}

HOT ssize_t hook_sendmsg(int fd, const struct msghdr *message, int flags)
{
	bool look = message && shim_active() &&
		    (is_nowhere(message) || message->msg_name || message->msg_control || fd_tracked(fd));
	return look ? sendmsg_looked_at(fd, message, flags) : libc.sendmsg(fd, message, flags);
}

HOT int hook_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	bool there = shim_active() && messages, look = there && fd_tracked(fd);
	if (there && count && is_nowhere(messages))
		return (int)refuse(fd, EFAULT);
	for (unsigned int i = 0; there && !look && i < count; i++)
		look = messages[i].msg_hdr.msg_name != NULL;
	if (!look)
		return libc.sendmmsg(fd, messages, count, flags);
	unsigned int sent = 0;
	for (; sent < count; sent++) { /* one by one, each to its own address */
		ssize_t size = hook_sendmsg(fd, &messages[sent].msg_hdr, flags);
		if (size < 0)
			return sent ? (int)sent : -1;
		messages[sent].msg_len = (unsigned int)size;
	}
	return (int)sent;
}

ALSO_TIME64(sendmsg, __sendmsg64);
ALSO_TIME64(sendmmsg, __sendmmsg64);
