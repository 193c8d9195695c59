/* SPDX-License-Identifier: MIT */
/* A call that has a fresh socket ready, bound or connected, passes it to swap_in(), always in this order:
 * those who duplicate the number at this moment are waited for; the record is pinned, and its number checked
 * to be still its own, because another thread may have closed it; the epoll registrations of the old socket
 * are deleted, because they belong to its description and would live on with any dup; dup3() puts the fresh
 * socket on the number and on those of its dups; the registrations are made again; the record is unpinned. If
 * any step fails, the program's socket is what it was, and the fresh one is closed. */
#include "swap.h"

#include "registrations.h"
#include "system/errno.h"
#include "system/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int swap_flags(int fd)
{
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	if (flags < 0)
		return -1;
	return SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0);
}

/* F_SETOWN and F_SETSIG: who gets which signal when the socket is ready. Returns the flags of a socket with
 * O_ASYNC, else 0: the signal names the number on which O_ASYNC was set, so that has to wait until the fresh
 * socket has the program's (fasync_insert_entry(), Linux 4.14 to 6.18). */
static int copy_owner(int fd, int fresh)
{
	struct f_owner_ex owner;
	if (libc.fcntl(fd, F_GETOWN_EX, &owner) == 0)
		libc.fcntl(fresh, F_SETOWN_EX, &owner);
	int signal = libc.fcntl(fd, F_GETSIG, NULL);
	if (signal > 0)
		libc.fcntl(fresh, F_SETSIG, (void *)(long)signal);
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	return flags >= 0 && flags & O_ASYNC ? flags : 0;
}

static bool put(int fresh, int fd)
{
	int flags = libc.fcntl(fd, F_GETFD, NULL);
	return flags >= 0 && libc.dup3(fresh, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) >= 0;
}

struct dups {
	int fd, fresh;
	struct stat of_old;
};

/* Replaces a dup of the program's. If libc has closed the dup without our seeing it, and its number is
 * another file's by now, that file stays. */
static void put_dup(int dup, void *context)
{
	const struct dups *dups = context;
	struct stat now;
	if (dup == dups->fd)
		return;
	bool same = fstat(dup, &now) == 0 && now.st_ino == dups->of_old.st_ino &&
		    now.st_dev == dups->of_old.st_dev;
	if (!same || !put(dups->fresh, dup))
		fd_forget(dup);
}

int swap_beside(int fd, struct sock *sock, int fresh)
{
	struct suspended suspended = {.count = 0};
	fd_swap_begin(sock);
	fd = fd_of(fd, sock); /* the program may have closed that, and go on with a dup */
	struct dups dups = {.fd = fd, .fresh = fresh};
	bool shared = atomic_load(&sock->references) > 2; /* this fd, and the call that is under way */
	bool pinned = fd >= 0 && fd_pin(fd, sock);
	if (!pinned)
		errno = EBADF; /* it was closed meanwhile, and the number may be another file's by now */
	int asynchronous = pinned && sock->owner ? copy_owner(fd, fresh) : 0;
	if (shared && fstat(fd, &dups.of_old) < 0)
		shared = false;
	bool done = pinned && registrations_suspend(sock, &suspended);
	if (done) {
		atomic_store(&sock->inode, 0); /* before that is another: see fd_pin() */
		done = put(fresh, fd);
	}
	if (done && asynchronous)
		libc.fcntl(fd, F_SETFL, (void *)(long)asynchronous);
	int error = errno;
	if (done && shared)
		fd_each(sock, put_dup, &dups);
	registrations_resume(&suspended);
	if (pinned)
		fd_unpin(sock);
	fd_swap_end(sock);
	errno = error;
	return done ? 0 : -1;
}

void swap_register_again(struct sock *sock)
{
	struct suspended suspended = {.count = 0};
	KEEP_ERRNO;
	if (!registrations_any(sock))
		return;
	fd_swap_begin(sock);
	if (registrations_suspend(sock, &suspended))
		registrations_resume(&suspended);
	fd_swap_end(sock);
}

int swap_in(int fd, struct sock *sock, int fresh)
{
	int result = swap_beside(fd, sock, fresh);
	int error = errno;
	atomic_store(&sock->fresh, -1);
	libc.close(fresh);
	if (result < 0)
		errno = error;
	return result;
}
