/* SPDX-License-Identifier: MIT */
/* recv() with the flags that AF_VSOCK or Unix sockets treat differently from TCP: MSG_WAITALL, which AF_VSOCK
 * can do only for less than its buffer, MSG_TRUNC, which on TCP discards data without a buffer, MSG_ERRQUEUE
 * and MSG_OOB. A recv() with none of these flags never gets here; the kernel does it alone. On emulated CIDs
 * a peer could send fds along with its data, so the hooks of recvmsg() end here too, and close them. */
#include "protocol.h"
#include "stream_internal.h"
#include "system/nowhere.h"

/* Discards up to `size` bytes, as TCP does with MSG_TRUNC, for which no buffer is needed. */
static ssize_t discard(int fd, size_t size, int flags)
{
	static char scratch[1 << 16]; /* never read */
	size_t gone = 0;
	int wait = flags & (MSG_WAITALL | MSG_DONTWAIT);
	do {
		size_t part = size - gone < sizeof scratch ? size - gone : sizeof scratch;
		ssize_t got = libc.recv(fd, scratch, part, wait & MSG_DONTWAIT);
		if (got < 0 && gone)
			break;
		if (got <= 0)
			return gone ? (ssize_t)gone : got;
		gone += (size_t)got;
		if (!(wait & MSG_WAITALL))
			wait = MSG_DONTWAIT; /* everything that has come, and no more */
	} while (gone < size);
	return (ssize_t)gone;
}

/* AF_VSOCK can't wait for more than its buffer holds: ENOMEM. */
static ssize_t wait_for_all(int fd, const struct sock *sock, char *data, size_t size, int flags)
{
	const struct rule *rule = sock->rule; /* another thread may be closing it */
	size_t have = 0, most = (rule ? rule->buffer : BUFFER_DEFAULT) / 2;
	do {
		size_t part = size - have < most ? size - have : most;
		ssize_t got = libc.recv(fd, data + have, part, flags);
		if (got <= 0)
			return have ? (ssize_t)have : got;
		have += (size_t)got;
		if ((size_t)got < part)
			break;
	} while (have < size);
	return (ssize_t)have;
}

ssize_t stream_recv(int fd, const struct sock *sock, void *data, size_t size, int flags)
{
	if (flags & MSG_ERRQUEUE) /* it is always empty */
		return fail(EAGAIN);
	if (flags & MSG_OOB) /* there is no urgent data */
		return fail(EINVAL);
	if (flags & MSG_TRUNC && !(flags & MSG_PEEK))
		return discard(fd, size, flags);
	if (flags & MSG_WAITALL && !(flags & MSG_PEEK))
		return wait_for_all(fd, sock, data, size, flags);
	return libc.recv(fd, data, size, flags);
}

ssize_t stream_recvfrom(int fd, const struct sock *sock, void *data, size_t size, int flags,
	struct sockaddr *address, socklen_t *length)
{
	ssize_t got = stream_recv(fd, sock, data, size, flags);
	if (got >= 0 && address && is_nowhere(length))
		return fail(EFAULT);
	if (got >= 0 && address)
		*length = 0; /* a connection says who sent it, not each byte */
	return got;
}

int stream_recvmmsg(int fd, const struct sock *sock, struct mmsghdr *messages, unsigned count, int flags,
	struct timespec *timeout)
{
	(void)sock;
	return libc.recvmmsg(fd, messages, count, flags, timeout);
}

ssize_t stream_recvmsg(int fd, const struct sock *sock, struct msghdr *message, int flags)
{
	size_t total = 0;
	if (message->msg_name)
		message->msg_namelen = 0;
	if (flags & (MSG_ERRQUEUE | MSG_OOB))
		return protocol_of(sock)->recv(fd, sock, NULL, 0, flags);
	if (!(flags & STREAM_ODD_FLAGS) || !message->msg_iovlen) {
		struct msghdr bare = *message;
		bare.msg_name = NULL;
		const struct transport *transport = sock->transport; /* another thread may be closing it */
		bool passes_fds = transport && transport->passes_fds;
		if (passes_fds) { /* they are closed with the message */
			bare.msg_control = NULL;
			bare.msg_controllen = 0;
		}
		ssize_t got = libc.recvmsg(fd, &bare, flags);
		message->msg_controllen = bare.msg_controllen;
		message->msg_flags = passes_fds ? bare.msg_flags & ~MSG_CTRUNC : bare.msg_flags;
		return got;
	}
	message->msg_controllen = 0;
	message->msg_flags = 0;
	for (size_t i = 0; i < (size_t)message->msg_iovlen; i++) {
		struct iovec *part = &message->msg_iov[i];
		ssize_t got = protocol_of(sock)->recv(fd, sock, part->iov_base, part->iov_len, flags);
		if (got < 0 && !total)
			return -1;
		if (got > 0)
			total += (size_t)got;
		if (got < 0 || (size_t)got < part->iov_len || flags & MSG_PEEK)
			break;
	}
	return (ssize_t)total;
}
