/* SPDX-License-Identifier: MIT */
/* epoll watches open file descriptions, so a socket that replaces another must be registered again.
 * Async-signal-safe; errno is untouched. */
#ifndef IP2VSOCK_REGISTRATIONS_H
#define IP2VSOCK_REGISTRATIONS_H

#include "fd.h"

/* The process may register fds in ways that no hook sees: through io_uring, as libuv 1.45 does. From then on
 * the kernel is asked. */
extern _Atomic bool registrations_unseen;

/* Records what epoll_ctl() has done. */
void registrations_note(struct sock *sock, int epfd, int operation, int fd, const struct epoll_event *event);

/* May an fd of it be registered? */
bool registrations_any(const struct sock *sock);

/* The first deletes the sock's fds from every epoll instance of this process, and the second puts them back
 * with the same events and data; between the two calls, the caller replaces the description. false with
 * errno: the kernel can't be asked, and nothing was deleted. */
struct suspended {
	struct registration list[16];
	int count;
};
bool registrations_suspend(struct sock *sock, struct suspended *suspended);
void registrations_resume(const struct suspended *suspended);

/* A listener has got a door (door.h): that is registered wherever the listener is, with the same events and
 * data. And what epoll_ctl() does to the listener is done to its door. */
void registrations_follow(struct sock *listener, int door);
void registrations_of_door(
	const struct sock *listener, int epfd, int operation, const struct epoll_event *event);

/* Deletes the registrations of one fd for good: it is about to be closed, but its description lives on. */
void registrations_drop(struct sock *sock, int fd);

/* fd is about to be closed, or another file put on its number. The second does this for a range, which may go
 * beyond the numbers that are tracked. */
void registrations_leave(int fd);
void registrations_leave_range(unsigned first, unsigned last);
/* The same before close_range(2) with these flags. false with errno: the kernel doesn't have the call (before
 * Linux 5.9), a filter refuses it, or the flags are wrong. Then nothing will be closed, and nothing was
 * deleted. */
bool registrations_leave_closed(unsigned first, unsigned last, int flags);

#endif
