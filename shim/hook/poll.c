/* SPDX-License-Identifier: MIT */
/* What poll() and select() say of sockets that aren't what the program takes them for.
 *
 * A Unix socket reports POLLHUP as soon as its peer has closed, with data still unread; TCP does when both
 * ends have closed. Programs that take POLLHUP for the end before they have read everything lose the rest
 * (stunnel). So poll() suppresses it while only the peer has closed.
 *
 * A listener with a door (state/door.h) has a client if somebody is at the door, so that is waited for too.
 *
 * If Unix sockets aren't a carrier, nothing is examined. */
#include "socket/stream.h"
#include "state/door.h"
#include "system/clock.h"
#include "system/libc.h"

#include <string.h>
#include <sys/mman.h>

/* poll(), or ppoll() if `of_ppoll`, with what its caller has given it. */
struct waiting {
	int timeout;
	bool of_ppoll;
	const struct timespec *time;
	const sigset_t *mask;
	int (*ppoll64)(struct pollfd *fds, nfds_t count, const void *timeout, const sigset_t *mask);
};

static int wait_for(struct pollfd *fds, nfds_t count, const struct waiting *how)
{
	if (how->ppoll64)
		return how->ppoll64(fds, count, how->time, how->mask);
	return how->of_ppoll ? libc.ppoll(fds, count, how->time, how->mask)
			     : libc.poll(fds, count, how->timeout);
}

/* ---- doors ---- */

static int door_at(int fd)
{
	const struct sock *sock = stream_known(fd);
	return sock ? door_of(sock) : -1;
}

static nfds_t count_doors(const struct pollfd *fds, nfds_t count)
{
	nfds_t doors = 0;
	for (nfds_t i = 0; i < count; i++)
		doors += fds[i].events & (POLLIN | POLLRDNORM) && door_at(fds[i].fd) >= 0;
	return doors;
}

/* The program's array, and behind it the doors of its listeners. */
struct extended {
	struct pollfd *fds;
	nfds_t count, doors;
	struct pollfd few[32]; /* a thread may have a small stack */
	size_t mapped;
};

static void unmap(void *held)
{
	const struct extended *extended = held;
	if (extended->mapped)
		munmap(extended->fds, extended->mapped);
}

static bool extend(struct extended *to, const struct pollfd *fds, nfds_t count, nfds_t doors)
{
	to->fds = to->few;
	to->count = count;
	to->doors = 0;
	to->mapped = 0;
	if (count + doors > sizeof to->few / sizeof *to->few) {
		size_t size = (count + doors) * sizeof *fds;
		void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED)
			return false;
		to->fds = map;
		to->mapped = size;
	}
	memcpy(to->fds, fds, count * sizeof *fds);
	for (nfds_t i = 0; i < count && to->doors < doors; i++) {
		int door = fds[i].events & (POLLIN | POLLRDNORM) ? door_at(fds[i].fd) : -1;
		if (door >= 0)
			to->fds[count + to->doors++] = (struct pollfd){.fd = door, .events = POLLIN};
	}
	return true;
}

/* What was found, as the program's array says it. */
static int merge(struct pollfd *fds, const struct extended *from)
{
	int found = 0;
	nfds_t next = 0;
	for (nfds_t i = 0; i < from->count; i++) {
		bool has_door = fds[i].events & (POLLIN | POLLRDNORM) && next < from->doors &&
				door_at(fds[i].fd) == from->fds[from->count + next].fd;
		fds[i].revents = from->fds[i].revents;
		if (has_door && from->fds[from->count + next++].revents)
			fds[i].revents = (short)(fds[i].revents | (fds[i].events & (POLLIN | POLLRDNORM)));
		found += fds[i].revents != 0;
	}
	return found;
}

__attribute__((noinline)) static int wait_at_doors(
	struct pollfd *fds, nfds_t count, nfds_t doors, const struct waiting *how)
{
	struct extended all;
	if (!extend(&all, fds, count, doors))
		return wait_for(fds, count, how);
	int found = LETTING_GO(wait_for(all.fds, all.count + all.doors, how), unmap, &all);
	if (found >= 0)
		found = merge(fds, &all);
	int saved = errno;
	unmap(&all);
	errno = saved;
	return found;
}

static int wait_too(struct pollfd *fds, nfds_t count, const struct waiting *how)
{
	nfds_t doors = atomic_load_explicit(&door_any, memory_order_relaxed) ? count_doors(fds, count) : 0;
	return doors ? wait_at_doors(fds, count, doors, how) : wait_for(fds, count, how);
}

/* ---- early POLLHUP ---- */

/* Entries of the program's array that had nothing but an early POLLHUP: their fds are negated, so that poll()
 * ignores them. */
struct passed {
	nfds_t entries[64];
	unsigned count;
};

static bool hung_up_early(const struct pollfd *one)
{
	if (!(one->revents & POLLHUP) || one->revents & POLLERR)
		return false;
	const struct sock *sock = stream_known(one->fd);
	const struct transport *transport =
		sock ? sock->transport : NULL; /* another thread may be closing it */
	if (!transport || !transport->hangs_up_early || sock->shut.write)
		return false;
	enum sock_state state = (enum sock_state)atomic_load(&sock->state);
	return state == STATE_CONNECTED || (state == STATE_CONNECTING && !sock->report.error);
}

/* Returns how many entries still have an event to report. */
static int strip(struct pollfd *fds, nfds_t count, int found, struct passed *passed)
{
	for (nfds_t i = 0; found > 0 && i < count; i++) {
		bool only = fds[i].revents == POLLHUP,
		     room = passed->count < sizeof passed->entries / sizeof(nfds_t);
		if (!hung_up_early(&fds[i]) || (only && !room))
			continue;
		fds[i].revents &= (short)~POLLHUP;
		if (!only)
			continue;
		fds[i].fd = ~fds[i].fd;
		passed->entries[passed->count++] = i;
		found--;
	}
	return found;
}

/* What is left of the time; false: nothing. `how` has it, and `rest` the room for it. */
static bool time_is_left(struct waiting *how, int64_t deadline, struct timespec *rest)
{
	bool unlimited = how->of_ppoll ? !how->time : how->timeout < 0;
	int64_t left = unlimited ? 0 : deadline - now_ms();
	if (unlimited)
		return true;
	left = left > 0 ? left : 0;
	how->timeout = (int)left;
	*rest = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
	how->time = how->of_ppoll ? rest : NULL;
	return left > 0;
}

static int64_t time_of(const struct waiting *how)
{
	if (!how->of_ppoll)
		return how->timeout;
	return how->time ? (int64_t)how->time->tv_sec * 1000 + how->time->tv_nsec / 1000000 : 0;
}

__attribute__((noinline)) static int poll_unix(struct pollfd *fds, nfds_t count, struct waiting how)
{
	struct passed passed = {.count = 0};
	struct timespec rest;
	int64_t limit = time_of(&how), deadline = limit > 0 ? now_ms() + limit : 0;
	bool again;
	int found;
	do {
		found = wait_too(fds, count, &how);
		again = found > 0 && (found = strip(fds, count, found, &passed)) == 0;
	} while (again && time_is_left(&how, deadline, &rest));
	for (unsigned i = 0; i < passed.count; i++)
		fds[passed.entries[i]].fd = ~fds[passed.entries[i]].fd;
	return found;
}

int hook_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return transport_hangs_up_early ? poll_unix(fds, count, (struct waiting){.timeout = timeout})
					: libc.poll(fds, count, timeout);
}

int hook_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	return transport_hangs_up_early
		       ? poll_unix(fds, count,
				 (struct waiting){.of_ppoll = true, .time = timeout, .mask = mask})
		       : libc.ppoll(fds, count, timeout, mask);
}

#ifdef __GLIBC__
int hook___poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
	return count <= size / sizeof *fds ? hook_poll(fds, count, timeout)
					   : libc.__poll_chk(fds, count, timeout, size);
}

int hook___ppoll_chk(
	struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size)
{
	return count <= size / sizeof *fds ? hook_ppoll(fds, count, timeout, mask)
					   : libc.__ppoll_chk(fds, count, timeout, mask, size);
}
#endif

/* ---- select() ---- */

/* The program's sets, and in the first one the doors of its listeners. */
struct sets {
	int count;
	fd_set in, out, odd;
};

static void copy(fd_set *to, const fd_set *from, int count)
{
	FD_ZERO(to);
	for (int fd = 0; from && fd < count; fd++)
		if (FD_ISSET(fd, from))
			FD_SET(fd, to);
}

static int selectable_door_at(int fd)
{
	int door = door_at(fd);
	return door < FD_SETSIZE ? door : -1;
}

/* false: no listener with a door is to be readable. */
static bool extend_sets(struct sets *all, int count, const fd_set *in, const fd_set *out, const fd_set *odd)
{
	all->count = 0;
	if (!in || count < 0 || count > FD_SETSIZE)
		return false;
	copy(&all->in, in, count);
	for (int fd = 0; fd < count; fd++) {
		int door = FD_ISSET(fd, in) ? selectable_door_at(fd) : -1;
		if (door < 0)
			continue;
		FD_SET(door, &all->in);
		all->count = all->count > door ? all->count : door + 1;
	}
	if (!all->count)
		return false;
	all->count = all->count > count ? all->count : count;
	copy(&all->out, out, count);
	copy(&all->odd, odd, count);
	return true;
}

/* One set may be given twice: then the last result stands, and both count. */
static int give_back(fd_set *to, const fd_set *from, int count)
{
	int found = 0;
	for (int fd = 0; to && fd < count; fd++) {
		if (FD_ISSET(fd, from))
			FD_SET(fd, to);
		else
			FD_CLR(fd, to);
		found += FD_ISSET(fd, from) != 0;
	}
	return found;
}

/* After a call that has found so many, or failed. */
static int merge_sets(int found, struct sets *all, int count, fd_set *in, fd_set *out, fd_set *odd)
{
	if (found < 0)
		return found;
	for (int fd = 0; fd < count; fd++) {
		int door = FD_ISSET(fd, in) ? selectable_door_at(fd) : -1;
		if (door < 0 || !FD_ISSET(door, &all->in))
			continue;
		FD_CLR(door, &all->in);
		FD_SET(fd, &all->in);
	}
	return give_back(in, &all->in, count) + give_back(out, &all->out, count) +
	       give_back(odd, &all->odd, count);
}

static bool has_doors(struct sets *all, int count, const fd_set *in, const fd_set *out, const fd_set *odd)
{
	return atomic_load_explicit(&door_any, memory_order_relaxed) && extend_sets(all, count, in, out, odd);
}

/* libc's `name`, with the doors. */
#define SELECT(name, count, in, out, odd, ...)                                                               \
	({                                                                                                   \
		struct sets all;                                                                             \
		has_doors(&all, count, in, out, odd)                                                         \
			? merge_sets(libc.name(all.count, &all.in, &all.out, &all.odd, __VA_ARGS__), &all,   \
				  count, in, out, odd)                                                       \
			: libc.name(count, in, out, odd, __VA_ARGS__);                                       \
	})

int hook_select(int count, fd_set *in, fd_set *out, fd_set *odd, struct timeval *timeout)
{
	return SELECT(select, count, in, out, odd, timeout);
}

int hook_pselect(
	int count, fd_set *in, fd_set *out, fd_set *odd, const struct timespec *timeout, const sigset_t *mask)
{
	return SELECT(pselect, count, in, out, odd, timeout, mask);
}

#if defined __GLIBC__ && defined __TIMESIZE && __TIMESIZE == 32
/* Early POLLHUP is left to it: what the time is isn't looked at here. */
int hook___ppoll64(struct pollfd *fds, nfds_t count, const void *timeout, const sigset_t *mask)
{
	struct waiting how = {.ppoll64 = libc.__ppoll64, .time = timeout, .mask = mask};
	return transport_hangs_up_early ? wait_too(fds, count, &how)
					: libc.__ppoll64(fds, count, timeout, mask);
}

int hook___select64(int count, fd_set *in, fd_set *out, fd_set *odd, void *timeout)
{
	return SELECT(__select64, count, in, out, odd, timeout);
}

int hook___pselect64(
	int count, fd_set *in, fd_set *out, fd_set *odd, const void *timeout, const sigset_t *mask)
{
	return SELECT(__pselect64, count, in, out, odd, timeout, mask);
}
#endif
