/* SPDX-License-Identifier: MIT */
/* The sockets of this machine's processes, as far as the kernel shows them to this one: it may look at those
 * that it might trace. Async-signal-safe; errno is undefined afterwards. */
#ifndef IP2VSOCK_SOCKETS_H
#define IP2VSOCK_SOCKETS_H

#include <stdbool.h>
#include <sys/types.h>

struct sought {
	uid_t user; /* who made it; the kernel keeps that */
	int family; /* AF_VSOCK or AF_UNIX */
	bool (*is_it)(int copy, const void *context);
	const void *context;
};

/* A copy, close-on-exec, of the first such socket that any process has; whatever else fits is copied and
 * closed again. It takes Linux 5.6. -1: there is none, or it isn't shown; *refused is then the errno with
 * which a copy was refused, or the search was (no fd is left, no /proc), 0: neither was. */
int sockets_find(const struct sought *sought, int *refused);

#endif
