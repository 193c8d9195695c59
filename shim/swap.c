/* SPDX-License-Identifier: MIT */
#include "swap.h"

#include "libc.h"
#include "registrations.h"

#include <errno.h>
#include <fcntl.h>

int swap_flags(int fd)
{
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	if (flags < 0)
		return -1;
	return SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0);
}

/* O_ASYNC and F_SETOWN: who is told by a signal. */
static void copy_owner(int fd, int fresh)
{
	struct f_owner_ex owner;
	if (libc.fcntl(fd, F_GETOWN_EX, &owner) == 0)
		libc.fcntl(fresh, F_SETOWN_EX, &owner);
	int signal = libc.fcntl(fd, F_GETSIG, NULL);
	if (signal > 0)
		libc.fcntl(fresh, F_SETSIG, (void *)(long)signal);
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	if (flags >= 0 && flags & O_ASYNC)
		libc.fcntl(fresh, F_SETFL, (void *)(long)flags);
}

struct placing {
	const struct sock *sock;
	int fresh;
	int error;
};

static void place(int fd, void *context)
{
	struct placing *placing = context;
	int flags = libc.fcntl(fd, F_GETFD, NULL);
	if (fd_sock(fd) != placing->sock) /* closed meanwhile, and the number may be another file's by now */
		placing->error = EBADF;
	else if (flags < 0 || libc.dup3(placing->fresh, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		placing->error = errno;
}

int swap_in(int fd, struct sock *sock, int fresh)
{
	struct placing placing = {.sock = sock, .fresh = fresh};
	struct suspended suspended;
	if (sock->owner)
		copy_owner(fd, fresh);
	registrations_suspend(sock, &suspended);
	place(fd, &placing);
	if (!placing.error && atomic_load(&sock->references) > 1)
		fd_each(sock, place, &placing);
	registrations_resume(&suspended);
	libc.close(fresh);
	if (placing.error) {
		errno = placing.error;
		return -1;
	}
	return 0;
}
