/* SPDX-License-Identifier: MIT */
#include "stream_end.h"

#include "protocol.h"
#include "stream_internal.h"
#include "system/kernel.h"

#include <string.h>

_Atomic bool stream_cannot_peek;

static struct libc kernels; /* the functions that those below call */

/* ENOTCONN on a connection is its end, unless the transport was reset, as by a snapshot of the machine. */
static int end_of(int fd, struct sock *sock)
{
	enum sock_state state = passive() ? state_of(sock) : stream_settle(fd, sock);
	if (state != STATE_CONNECTED || !protocol_of(sock)->has_end)
		return fail(ENOTCONN);
	int reset = passive() ? 0 : stream_take_error(fd, sock);
	return reset ? fail(reset) : 0;
}

/* Queued data can't be shown without being consumed. A caller that doesn't wait learns that there is neither
 * an end nor an error, which is what most callers want to know. */
static int refuse_to_peek(int fd, int flags)
{
	int status = flags & MSG_DONTWAIT ? O_NONBLOCK : libc.fcntl(fd, F_GETFL, NULL);
	atomic_store(&stream_cannot_peek, true);
	if (status & O_NONBLOCK)
		return fail(EAGAIN);
	log_error(
		"MSG_PEEK: this kernel's AF_VSOCK can't show data without consuming it; Linux 5.5 and newer "
		"can");
	return fail(EOPNOTSUPP);
}

/* A call that receives has failed. Returns 0 if this was the end, with errno as it was before, otherwise -1
 * with TCP's errno. */
static __attribute__((noinline)) int failed(int fd, int flags, int before)
{
	if (errno != ENOTCONN && !(errno == ENOMEM && flags & MSG_PEEK))
		return -1;
	int error = errno;
	struct sock *sock = shim_active() ? stream_held(fd, stream_replaced) : NULL;
	errno = error;
	if (!sock)
		return -1;
	int result = error == ENOTCONN ? end_of(fd, sock) : refuse_to_peek(fd, flags);
	fd_release(sock);
	if (result == 0)
		errno = before;
	return result;
}

#define JUDGED(fd, flags, call)                                                                              \
	({                                                                                                   \
		int errno_before = *libc_errno();                                                            \
		ssize_t call_result = (call);                                                                \
		__builtin_expect(call_result < 0, 0) ? failed(fd, flags, errno_before) : call_result;        \
	})

static ssize_t judged_read(int fd, void *data, size_t size)
{
	return JUDGED(fd, 0, kernels.read(fd, data, size));
}

static ssize_t judged_readv(int fd, const struct iovec *parts, int count)
{
	return JUDGED(fd, 0, kernels.readv(fd, parts, count));
}

static ssize_t judged_recv(int fd, void *data, size_t size, int flags)
{
	return JUDGED(fd, flags, kernels.recv(fd, data, size, flags));
}

static ssize_t judged_recvfrom(
	int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
	return JUDGED(fd, flags, kernels.recvfrom(fd, data, size, flags, address, length));
}

static ssize_t judged_recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t got = JUDGED(fd, flags, kernels.recvmsg(fd, message, flags));
	if (got == 0) { /* as the kernel sets it at the end; a call that fails doesn't change it */
		message->msg_controllen = 0;
		message->msg_flags = 0;
	}
	return got;
}

static int judged_recvmmsg(
	int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
	int before = errno, got = kernels.recvmmsg(fd, messages, count, flags, timeout);
	if (got >= 0 || failed(fd, flags, before) < 0)
		return got;
	for (unsigned int i = 0; i < count; i++) /* TCP reports the end as often as it is asked */
		messages[i].msg_len = 0;
	return (int)count;
}

#ifdef __GLIBC__
static ssize_t judged___read_chk(int fd, void *data, size_t size, size_t room)
{
	return JUDGED(fd, 0, kernels.__read_chk(fd, data, size, room));
}

static ssize_t judged___recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
	return JUDGED(fd, flags, kernels.__recv_chk(fd, data, size, room, flags));
}

static ssize_t judged___recvfrom_chk(
	int fd, void *data, size_t size, size_t room, int flags, struct sockaddr *address, socklen_t *length)
{
	return JUDGED(fd, flags, kernels.__recvfrom_chk(fd, data, size, room, flags, address, length));
}
#endif

#define JUDGE(name)                                                                                          \
	do {                                                                                                 \
		libc_fill(&libc.name, #name);                                                                \
		kernels.name = libc.name;                                                                    \
		libc.name = judged_##name;                                                                   \
	} while (0)

void stream_end_start(void)
{
	if (!kernel_is_before(5, 5))
		return;
	JUDGE(read);
	JUDGE(readv);
	JUDGE(recv);
	JUDGE(recvfrom);
	JUDGE(recvmsg);
	JUDGE(recvmmsg);
#ifdef __GLIBC__
	JUDGE(__read_chk);
	JUDGE(__recv_chk);
	JUDGE(__recvfrom_chk);
#endif
}
