/* SPDX-License-Identifier: MIT */
/* What the kernel lists in /proc of the epoll instances of a process. Async-signal-safe; errno is undefined
 * afterwards. */
#ifndef IP2VSOCK_EPOLLS_H
#define IP2VSOCK_EPOLLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct registered {
	int epfd, fd;	/* numbers of the process */
	uint64_t inode; /* of what is registered; 0: the kernel doesn't say (before Linux 4.15) */
	struct epoll_event event;
};

/* Calls `each` for every registration of the process ("self", or its number). false: the kernel can't be
 * asked (no fd is left, no /proc, no right), or not for all of them. */
bool epolls_list(
	const char *process, void (*each)(void *context, const struct registered *one), void *context);

#endif
