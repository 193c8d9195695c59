/* SPDX-License-Identifier: MIT */
/* Preloaded behind the library, this answers for the kernel as Linux 4.14 does for AF_VSOCK, on the Unix
 * sockets that stand for it (emulated CIDs). At its worst: the end of a stream is always an error, as if no
 * reader ever slept in the call. It calls itself OLD_KERNEL (4.14.256). */
#define _GNU_SOURCE
#include "../next.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

static int no(int error)
{
	errno = error;
	return -1;
}

static bool has_our_name(int (*ask)(int, struct sockaddr *, socklen_t *), int fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNSPEC};
	socklen_t length = sizeof name;
	return ask(fd, (struct sockaddr *)&name, &length) == 0 && name.sun_family == AF_UNIX &&
	       length > offsetof(struct sockaddr_un, sun_path) + 10 &&
	       memcmp(name.sun_path, "\0ip2vsock/", 10) == 0;
}

/* A connection between emulated CIDs: one of its ends has a client's name. */
static bool stands_for_vsock(int fd)
{
	int saved = errno;
	bool ours = has_our_name(NEXT(getsockname), fd) || has_our_name(NEXT(getpeername), fd);
	errno = saved;
	return ours;
}

static bool closed_both_ways(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	return NEXT(poll)(&one, 1, 0) > 0 && one.revents & POLLHUP;
}

static ssize_t answer(int fd, ssize_t got, size_t wanted, int flags)
{
	if (got == 0 && wanted && closed_both_ways(fd) && stands_for_vsock(fd))
		return no(ENOTCONN);
	if (got > 0 && flags & MSG_PEEK && stands_for_vsock(fd))
		return no(ENOMEM);
	return got;
}

static size_t total(const struct iovec *parts, size_t count)
{
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += parts[i].iov_len;
	return size;
}

ssize_t read(int fd, void *data, size_t size)
{
	return answer(fd, NEXT(read)(fd, data, size), size, 0);
}

ssize_t __read_chk(int fd, void *data, size_t size, size_t room)
{
	return size <= room ? read(fd, data, size) : (abort(), -1);
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
	ssize_t got = NEXT(readv)(fd, parts, count);
	return got ? got : answer(fd, got, total(parts, (size_t)count), 0);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
	return answer(fd, NEXT(recv)(fd, data, size, flags), size, flags);
}

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
	return size <= room ? recv(fd, data, size, flags) : (abort(), -1);
}

ssize_t recvfrom(int fd, void *restrict data, size_t size, int flags, __SOCKADDR_ARG address,
	socklen_t *restrict length)
{
	return answer(fd, NEXT(recvfrom)(fd, data, size, flags, address, length), size, flags);
}

ssize_t __recvfrom_chk(int fd, void *restrict data, size_t size, size_t room, int flags,
	__SOCKADDR_ARG address, socklen_t *restrict length)
{
	return size <= room ? recvfrom(fd, data, size, flags, address, length) : (abort(), -1);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct msghdr kept = message ? *message : (struct msghdr){0};
	ssize_t got = NEXT(recvmsg)(fd, message, flags);
	if (got < 0 || !message)
		return got;
	ssize_t said = answer(fd, got, total(kept.msg_iov, kept.msg_iovlen), flags);
	if (said < 0) /* a call that fails leaves it as it was */
		*message = kept;
	return said;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	int got = NEXT(recvmmsg)(fd, messages, count, flags, timeout);
	if (got <= 0 || messages[0].msg_len)
		return got;
	return answer(fd, 0, 1, flags) < 0 ? -1 : got;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	const char *cid = request == IOCTL_VM_SOCKETS_GET_LOCAL_CID ? getenv("OLD_CID") : NULL;
	if (cid) {
		*(unsigned *)argument = (unsigned)atoi(cid);
		return 0;
	}
	if (request == FIONREAD && stands_for_vsock(fd))
		return no(EOPNOTSUPP);
	return NEXT(ioctl)(fd, request, argument);
}

/* 32 bits before 4.20 */
int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	uint32_t half;
	if (level != SOL_SOCKET || name != SO_MAX_PACING_RATE || length < sizeof half)
		return NEXT(setsockopt)(fd, level, name, value, length);
	memcpy(&half, value, sizeof half);
	return NEXT(setsockopt)(fd, level, name, &half, sizeof half);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
	if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE && *length > sizeof(uint32_t))
		*length = sizeof(uint32_t);
	return NEXT(getsockopt)(fd, level, name, value, length);
}

int close_range(unsigned first, unsigned last, int flags)
{
	(void)first;
	(void)last;
	(void)flags;
	return no(ENOSYS);
}

long syscall(long number, ...)
{
	va_list list;
	long a[6];
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
#ifdef SYS_close_range
	if (number == SYS_close_range)
		return no(ENOSYS);
#endif
	return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* With OLD_CID, a machine whose AF_VSOCK has that CID, and no CID 1 to bind to: for the command, which
 * doesn't connect. */
static bool is_vsock;

int socket(int domain, int type, int protocol)
{
	is_vsock = domain == AF_VSOCK && getenv("OLD_CID");
	return NEXT(socket)(is_vsock ? AF_UNIX : domain, type, protocol);
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	return is_vsock ? no(EADDRNOTAVAIL) : NEXT(bind)(fd, address, length);
}

int open(const char *path, int flags, ...)
{
	va_list list;
	va_start(list, flags);
	int mode = va_arg(list, int);
	va_end(list);
	bool device = strcmp(path, "/dev/vsock") == 0 && getenv("OLD_CID");
	return NEXT(open)(device ? "/dev/null" : path, flags, mode);
}

int uname(struct utsname *name)
{
	int result = NEXT(uname)(name);
	if (result == 0)
		snprintf(name->release, sizeof name->release, "%s",
			getenv("OLD_KERNEL") ? getenv("OLD_KERNEL") : "4.14.256");
	return result;
}
