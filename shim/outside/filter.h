/* SPDX-License-Identifier: MIT */
/* Which system calls of a supervised program its supervisor sees: a seccomp filter that is made from one
 * table. Calls that carry data, and calls that make, duplicate or close fds, aren't in it and cost nothing.
 * Pure: no system call. */
#ifndef IP2VSOCK_FILTER_H
#define IP2VSOCK_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

/* Instructions, at most. */
enum { FILTER_LENGTH = 256 };

enum filter_way { FILTER_NOTIFIED, FILTER_TRACED };

/* PTRACE_GETEVENTMSG of a traced call of another architecture, and of one that receives; 0 of the others. */
enum { FILTER_FOREIGN = 1, FILTER_RECEIVES };

struct filter_wish {
	enum filter_way way;
	bool datagrams; /* the map stands in for a name server (target `names`): a recvfrom() that asks for
			   the sender is seen, too */
	bool receives;	/* calls that receive are seen, too: only in FILTER_TRACED */
};

/* Writes the filter and returns its length. */
size_t filter_build(struct sock_filter filter[FILTER_LENGTH], struct filter_wish wish);

#endif
