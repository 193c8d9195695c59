/* SPDX-License-Identifier: MIT */
/* epoll watches open file descriptions, so a socket that takes another's place must be registered anew.
 * Async-signal-safe; errno is untouched. */
#ifndef IP2VSOCK_REGISTRATIONS_H
#define IP2VSOCK_REGISTRATIONS_H

#include "fd.h"

/* The process may register fds in ways that no hook sees: io_uring (libuv 1.45 does). The kernel is asked
 * from then on. */
extern _Atomic bool registrations_unseen;

/* epoll_ctl() did this. */
void registrations_note(struct sock *sock, int epfd, int operation, int fd, const struct epoll_event *event);

/* Takes the sock's fds out of every epoll instance of this process, and puts them back with the same events
 * and data: what stands between the two replaces the description. false with errno: the kernel can't be
 * asked, and nothing was taken out. */
struct suspended {
	struct registration list[16];
	int count;
};
bool registrations_suspend(struct sock *sock, struct suspended *suspended);
void registrations_resume(const struct suspended *suspended);

/* Takes one fd out for good: it is about to be closed while its description lives on. */
void registrations_drop(struct sock *sock, int fd);

/* fd is about to be closed, or another file put on its number; the same of a range, which may go further than
 * the numbers that are tracked. */
void registrations_leave(int fd);
void registrations_leave_range(unsigned first, unsigned last);
/* The same before close_range(2) with these flags. false with errno: the kernel hasn't the call (before
 * Linux 5.9), a filter refuses it, or the flags are wrong, so that nothing will be closed, and nothing was
 * left. */
bool registrations_leave_closed(unsigned first, unsigned last, int flags);

#endif
