/* SPDX-License-Identifier: MIT */
#include "state/registrations.h"
#include "system/libc.h"

__attribute__((noinline)) static int register_ours(int epfd, int operation, int fd, struct epoll_event *event)
{
	int result = libc.epoll_ctl(epfd, operation, fd, event);
	struct sock *sock = result == 0 ? fd_sock(fd) : NULL;
	if (sock)
		registrations_note(sock, epfd, operation, fd, event);
	return result;
}

int hook_epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
	return fd_tracked(fd) ? register_ours(epfd, operation, fd, event)
			      : libc.epoll_ctl(epfd, operation, fd, event);
}
