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

/* Each of these asks about a process ("self", or its number). false: the kernel can't be asked (no fd is
 * left, no /proc, no right), or not for all of it. */

/* Calls `each` with the number of every fd that is an epoll instance. It looks at each fd of the process. */
bool epolls_find(const char *process, void (*each)(void *context, int epfd), void *context);
/* Calls `each` for every registration with one instance. An fd of another kind has none. */
bool epolls_read(const char *process, int epfd, void (*each)(void *context, const struct registered *one),
	void *context);
/* Calls `each` for every registration of the process. */
bool epolls_list(
	const char *process, void (*each)(void *context, const struct registered *one), void *context);

#endif
