/* SPDX-License-Identifier: MIT */
/* The calls that make and end fd numbers: dup, close and the like. A dup of a tracked fd gets the same
 * record; a number that is about to end first loses its entry, so that nothing ours stays behind for the next
 * file with that number. On an fd that isn't ours, each call costs one load and one branch. fclose() is here
 * because libc closes its fd without going through close(). */
#include "core/shim.h"
#include "socket/stream.h"
#include "state/registrations.h"
#include "system/cancel.h"
#include "system/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

/* What is done for our own fds is in separate functions, which keeps the path of all other fds short. */
#define OURS __attribute__((noinline)) static

OURS int close_ours(int fd)
{
	registrations_leave(fd);
	return libc.close(fd);
}

int hook_close(int fd)
{
	return fd_tracked(fd) ? close_ours(fd) : libc.close(fd);
}

int hook_fclose(FILE *stream)
{
	int fd = stream ? fileno(stream) : -1;
	if (fd_tracked(fd))
		registrations_leave(fd);
	return libc.fclose(stream);
}

FILE *hook_freopen(const char *path, const char *mode, FILE *stream)
{
	if (fd_tracked(fileno(stream)))
		registrations_leave(fileno(stream));
	return libc.freopen(path, mode, stream);
}

#ifdef __GLIBC__
FILE *hook_freopen64(const char *path, const char *mode, FILE *stream)
{
	if (fd_tracked(fileno(stream)))
		registrations_leave(fileno(stream));
	return libc.freopen64(path, mode, stream);
}

void hook_closefrom(int first)
{
	registrations_leave_range(first < 0 ? 0 : (unsigned)first, UINT_MAX);
	libc.closefrom(first);
}
#endif

#if defined __GLIBC__ || defined HAVE_CLOSE_RANGE
int hook_close_range(unsigned int first, unsigned int last, int flags)
{
	if (!registrations_leave_closed(first, last, flags))
		return -1;
	return libc.close_range(first, last, flags);
}
#endif

OURS int dup_ours(int fd)
{
	struct sock *kept = fd_keep(fd);
	int number = libc.dup(fd);
	fd_alias(kept, number);
	return number;
}

int hook_dup(int fd)
{
	if (fd_tracked(fd))
		return dup_ours(fd);
	int number = libc.dup(fd);
	if (fd_tracked(number))
		fd_forget(number);
	return number;
}

/* One range check and one branch for both, because FD_LIMIT is a power of two. Numbers out of range take the
 * slow path. */
static inline bool neither_tracked(int fd, int number)
{
	return ((unsigned)fd | (unsigned)number) < FD_LIMIT &&
	       !(atomic_load_explicit(&fd_index[fd], memory_order_relaxed) |
		       atomic_load_explicit(&fd_index[number], memory_order_relaxed));
}

/* What a number was until a dup is put on it. */
struct former {
	struct sock *sock; /* NULL: nothing that is tracked */
	uint8_t swapped;
};

static struct former taken(int number)
{
	struct sock *sock = fd_sock(number);
	struct former former = {.sock = NULL};
	if (sock && sock_may_live_on(sock))
		registrations_drop(sock, number);
	former.sock = fd_take(number, &former.swapped);
	return former;
}

/* `number` has become a dup of what was kept, or (result -1) it hasn't. */
static int replaced(struct sock *kept, int number, const struct former *former, int result)
{
	fd_alias(kept, result);
	if (former->sock && result < 0)
		fd_give_back(number, former->sock, former->swapped);
	else if (former->sock)
		fd_release(former->sock);
	return result;
}

OURS int dup2_ours(int fd, int number)
{
	if (fd == number)
		return libc.dup2(fd, number);
	struct former former = taken(number);
	struct sock *kept = fd_keep(fd);
	return replaced(kept, number, &former, libc.dup2(fd, number));
}

int hook_dup2(int fd, int number)
{
	return neither_tracked(fd, number) ? libc.dup2(fd, number) : dup2_ours(fd, number);
}

OURS int dup3_ours(int fd, int number, int flags)
{
	if (fd == number)
		return libc.dup3(fd, number, flags);
	struct former former = taken(number);
	struct sock *kept = fd_keep(fd);
	return replaced(kept, number, &former, libc.dup3(fd, number, flags));
}

int hook_dup3(int fd, int number, int flags)
{
	return neither_tracked(fd, number) ? libc.dup3(fd, number, flags) : dup3_ours(fd, number, flags);
}

static void note_owner(int fd)
{
	struct sock *sock = fd_hold_any(fd);
	if (!sock)
		return;
	sock->owner = true;
	fd_release(sock);
}

OURS int fcntl_ours(int fd, int command, void *argument)
{
	bool duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
	struct sock *kept = duplicates ? fd_keep(fd) : NULL;
	int result = libc.fcntl(fd, command, argument);
	if (duplicates)
		fd_alias(kept, result);
	else if (result >= 0 && (command == F_SETOWN || command == F_SETOWN_EX || command == F_SETSIG ||
					(command == F_SETFL && (long)argument & O_ASYNC)))
		note_owner(fd);
	return result;
}

int hook_fcntl(int fd, int command, void *argument)
{
	return fd_tracked(fd) ? fcntl_ours(fd, command, argument) : libc.fcntl(fd, command, argument);
}

#ifdef __GLIBC__
int hook_fcntl64(
	int fd, int command, void *argument) /* these differ in file locks, which sockets don't have */
{
	return fd_tracked(fd) ? fcntl_ours(fd, command, argument) : libc.fcntl64(fd, command, argument);
}
#endif

int hook_ioctl(int fd, unsigned long request, void *argument)
{
	struct sock *sock = NULL;
	if (shim_active() &&
		(fd_tracked(fd) || request == FIONREAD)) /* which programs also use on inherited sockets */
		sock = stream_held(fd, stream_replaced);
	if (request == FIOASYNC || request == FIOSETOWN || request == SIOCSPGRP)
		note_owner(fd);
	if (!sock)
		return libc.ioctl(fd, request, argument);
	int outer_state = cancel_later(), result = stream_ioctl(fd, sock, request, argument);
	fd_release(sock);
	cancel_as_before(outer_state);
	return result;
}

int hook_sockatmark(int fd)
{
	int mark;
	return hook_ioctl(fd, SIOCATMARK, &mark) < 0 ? -1 : mark;
}

int hook_isatty(int fd)
{
	int result = libc.isatty(fd);
	if (!result && errno == EOPNOTSUPP && fd_tracked(fd))
		errno = ENOTTY; /* as on all sockets except AF_VSOCK before Linux 6.12 */
	return result;
}

ALSO_TIME64(ioctl, __ioctl_time64);
ALSO_TIME64(fcntl, __fcntl_time64);
