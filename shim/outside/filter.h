/* SPDX-License-Identifier: MIT */
/* Which system calls of a supervised program its supervisor sees: a seccomp filter, made from one table. What
 * carries data, and what makes, duplicates and closes fds, isn't in it and costs nothing. Pure: no system
 * call. */
#ifndef IP2VSOCK_FILTER_H
#define IP2VSOCK_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

/* Instructions, at most. */
enum { FILTER_LENGTH = 256 };

/* Writes the filter and returns its length. datagrams: the map stands in for a name server (target `names`),
 * so recvfrom() that asks for the sender is seen too. */
size_t filter_build(struct sock_filter filter[FILTER_LENGTH], bool datagrams);

#endif
