/* SPDX-License-Identifier: MIT */
/* Sending with an address: on TCP it is ignored once there's a connection, and with MSG_FASTOPEN it makes one. A
 * datagram to one of our ranges stays here. Without an address nothing is looked at. */
#include "../libc.h"
#include "../shim.h"
#include "../stream.h"

#include <errno.h>

enum verdict { PASS, WITHOUT_ADDRESS, FAILED };

/* What is to become of a message to `address`. */
static enum verdict judge(int fd, const struct sockaddr *address, socklen_t length, int *flags)
{
	struct address wanted;
	struct sock *sock = fd_tracked(fd) ? stream_of(fd) : NULL;
	if (!sock) {
		if (!address_from_sockaddr(&wanted, address, length) || !ranges_reserve(&shim.ranges, &wanted))
			return PASS;
		stream_unreachable(&wanted);
		return FAILED;
	}
	if (*flags & MSG_FASTOPEN) {
		if (stream_connect(fd, sock, address, length) < 0)
			return FAILED;
		*flags &= ~MSG_FASTOPEN;
		return WITHOUT_ADDRESS;
	}
	return stream_replaced(fd) ? WITHOUT_ADDRESS : PASS;
}

ssize_t hook_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
	if (address && shim_active()) {
		switch (judge(fd, address, length, &flags)) {
		case FAILED:
			return -1;
		case WITHOUT_ADDRESS:
			address = NULL;
			length = 0;
			break;
		case PASS:
			break;
		}
	}
	return libc.sendto(fd, data, size, flags, address, length);
}

ssize_t hook_sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (message && message->msg_control && shim_active())
		stream_mark_sent(message);
	if (!message || !message->msg_name || !shim_active())
		return libc.sendmsg(fd, message, flags);
	struct msghdr bare = *message;
	switch (judge(fd, message->msg_name, message->msg_namelen, &flags)) {
	case FAILED:
		return -1;
	case WITHOUT_ADDRESS:
		bare.msg_name = NULL;
		bare.msg_namelen = 0;
		return libc.sendmsg(fd, &bare, flags);
	default:
		return libc.sendmsg(fd, message, flags);
	}
}

int hook_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	if (!shim_active() || !count || !messages || !messages[0].msg_hdr.msg_name)
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
