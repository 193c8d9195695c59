/* SPDX-License-Identifier: MIT */
/* Preloaded behind the library, this is the guest's kernel to `multiplexer`: accept() gives what has been
 * handed over, the client's own socket. */
#define _GNU_SOURCE
#include "../../next.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_multiplexer(const struct sockaddr_un *name, socklen_t length)
{
	static const char its[] = "\0multiplexer/";
	return name->sun_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path) + sizeof its &&
	       memcmp(name->sun_path, its, sizeof its - 1) == 0;
}

/* By number: these calls are no cancellation points here, and nobody's hooks. -1: the process has no fd left.
 */
static int taken_from(int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = 0}};
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	long got;
	do
		got = syscall(SYS_recvmsg, fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	while (syscall(SYS_read, fd, &byte, 1) < 0 && errno == EINTR)
		; /* until `multiplexer` doesn't have it any more: it would keep the connection open */
	int taken = -1;
	if (got == 1 && message.msg_controllen >= CMSG_LEN(sizeof taken))
		memcpy(&taken, CMSG_DATA(&control.header), sizeof taken);
	return taken;
}

/* The client's socket takes the number that accept() found. */
static int take(int fd, int flags, struct sockaddr *address, socklen_t *length)
{
	int saved = errno, taken = taken_from(fd);
	if (taken < 0) {
		syscall(SYS_close, fd);
		errno = EMFILE;
		return -1;
	}
	syscall(SYS_dup3, taken, fd, flags & SOCK_CLOEXEC);
	syscall(SYS_close, taken);
	if (flags & SOCK_NONBLOCK)
		syscall(SYS_fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK);
	if (address)
		NEXT(getpeername)(fd, address, length);
	errno = saved;
	return fd;
}

static int accept_one(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct sockaddr_un name = {.sun_family = AF_UNSPEC};
	socklen_t size = sizeof name;
	if (address && !length)
		return NEXT(accept4)(fd, address, length, flags);
	socklen_t room = address ? *length : 0;
	int accepted = NEXT(accept4)(fd, (struct sockaddr *)&name, &size, flags & ~SOCK_NONBLOCK);
	if (accepted < 0)
		return accepted;
	if (is_multiplexer(&name, size)) /* it is handed over in a moment */
		return take(accepted, flags, address, length);
	if (flags & SOCK_NONBLOCK)
		syscall(SYS_fcntl, accepted, F_SETFL, O_RDWR | O_NONBLOCK);
	if (address) {
		memcpy(address, &name, size < room ? size : room);
		*length = size;
	}
	return accepted;
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return accept_one(fd, address, length, flags);
}

int accept(int fd, struct sockaddr *address, socklen_t *length)
{
	return accept_one(fd, address, length, 0);
}

/* The name that a server's connection has with emulated CIDs. `multiplexer` has left it under the socket's
 * inode. */
int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX}, found = {.sun_family = AF_UNSPEC};
	socklen_t room = length ? *length : 0, size = sizeof found;
	struct stat socket;
	char link[128];
	int saved = errno, result = NEXT(getsockname)(fd, address, length);
	if (result < 0 || !length || NEXT(getsockname)(fd, (struct sockaddr *)&found, &size) < 0 ||
		found.sun_family != AF_UNIX || !strstr(found.sun_path, ".multiplexer"))
		return result;
	if (fstat(fd, &socket) < 0)
		return result;
	snprintf(link, sizeof link, "%s.%lu", found.sun_path, (unsigned long)socket.st_ino);
	ssize_t got = readlink(link, name.sun_path, sizeof name.sun_path - 1);
	errno = saved;
	if (got < 0)
		return result;
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)got + 1);
	memcpy(address, &name, size < room ? size : room);
	*length = size;
	return 0;
}
