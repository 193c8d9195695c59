/* SPDX-License-Identifier: MIT */
/* A Unix socket says POLLHUP as soon as its peer has closed, with data still unread; TCP when both ends have. Programs that take
 * it for the end before they read lose the rest (stunnel). So the bit is taken out of what poll() found, where it
 * isn't all that it found; without Unix sockets as a carrier nothing is looked at. */
#include "../libc.h"
#include "../stream.h"

static bool is_connected(const struct sock *sock)
{
	enum sock_state state = (enum sock_state)atomic_load(&sock->state);
	return state == STATE_CONNECTED || (state == STATE_CONNECTING && !sock->refused);
}

static int without_early_hangup(struct pollfd *fds, nfds_t count, int found)
{
	if (found <= 0 || !transport_unix_used)
		return found;
	for (nfds_t i = 0; i < count; i++) {
		if (!(fds[i].revents & POLLHUP) || fds[i].revents == POLLHUP || fds[i].revents & POLLERR)
			continue;
		const struct sock *sock = stream_known(fds[i].fd);
		if (sock && sock->transport == &transport_unix && is_connected(sock) && !sock->shut_write)
			fds[i].revents &= (short)~POLLHUP;
	}
	return found;
}

int hook_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return without_early_hangup(fds, count, libc.poll(fds, count, timeout));
}

int hook_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	return without_early_hangup(fds, count, libc.ppoll(fds, count, timeout, mask));
}

#ifdef __GLIBC__
int hook___poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
	return without_early_hangup(fds, count, libc.__poll_chk(fds, count, timeout, size));
}
#endif
