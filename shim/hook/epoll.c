/* SPDX-License-Identifier: MIT */
#include "../libc.h"
#include "../registrations.h"

int hook_epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
	int result = libc.epoll_ctl(epfd, operation, fd, event);
	struct sock *sock;
	if (fd_tracked(fd) && result == 0 && (sock = fd_sock(fd)))
		registrations_note(sock, epfd, operation, fd, event);
	return result;
}
