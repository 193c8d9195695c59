/* SPDX-License-Identifier: MIT */
/* A Unix socket reports POLLHUP as soon as its peer has closed, with data still unread; TCP does when both
 * ends have closed. Programs that take POLLHUP for the end before they have read everything lose the rest
 * (stunnel). So poll() suppresses it while only the peer has closed. If Unix sockets aren't a carrier,
 * nothing is examined. */
#include "socket/stream.h"
#include "system/clock.h"
#include "system/libc.h"

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

__attribute__((noinline)) static int poll_unix(struct pollfd *fds, nfds_t count, int timeout)
{
	struct passed passed = {.count = 0};
	int64_t deadline = timeout > 0 ? now_ms() + timeout : 0;
	int found, left = timeout;
	do {
		if (timeout > 0) {
			int64_t rest = deadline - now_ms();
			left = rest > 0 ? (int)rest : 0;
		}
		found = libc.poll(fds, count, left);
	} while (found > 0 && (found = strip(fds, count, found, &passed)) == 0 && left != 0);
	for (unsigned i = 0; i < passed.count; i++)
		fds[passed.entries[i]].fd = ~fds[passed.entries[i]].fd;
	return found;
}

int hook_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return transport_hangs_up_early ? poll_unix(fds, count, timeout) : libc.poll(fds, count, timeout);
}

#ifdef __GLIBC__
int hook___poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
	return transport_hangs_up_early && count <= size / sizeof *fds
		       ? poll_unix(fds, count, timeout)
		       : libc.__poll_chk(fds, count, timeout, size);
}
#endif
