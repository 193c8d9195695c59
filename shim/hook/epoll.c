/* SPDX-License-Identifier: MIT */
#include "state/registrations.h"
#include "system/libc.h"

__attribute__((noinline)) static int register_ours(int epfd, int operation, int fd, struct epoll_event *event)
{
	struct sock *sock = fd_hold_any(fd);
	if (!sock)
		return libc.epoll_ctl(epfd, operation, fd, event);
	bool locked = sock->greeting && fd_greeting_lock(sock);
	int result = libc.epoll_ctl(epfd, operation, fd, event);
	if (result == 0 && fd_sock(fd) == sock)
		registrations_note(sock, epfd, operation, fd, event);
	if (result == 0 && sock->door.fd >= 0)
		registrations_of_door(sock, epfd, operation, event);
	if (locked)
		fd_greeting_unlock(sock);
	fd_release(sock);
	return result;
}

int hook_epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
	return fd_tracked(fd) ? register_ours(epfd, operation, fd, event)
			      : libc.epoll_ctl(epfd, operation, fd, event);
}
