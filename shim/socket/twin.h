/* SPDX-License-Identifier: MIT */
/* Two listeners on one port that share a description (stream_bind()): one client makes both readable, so a
 * thread that select() has woken calls accept() on both. TCP never makes the second one readable; here it
 * would sleep. So it fails once, as if its client had gone. Only a thread that has accepted through the twin
 * is meant: one that serves a listener of its own sleeps as on TCP. Async-signal-safe; errno is untouched. */
#ifndef IP2VSOCK_TWIN_H
#define IP2VSOCK_TWIN_H

#include "state/fd.h"

void twin_listens(struct sock *listener);	 /* what other listeners have accepted so far isn't its own */
void twin_accepted(const struct sock *listener); /* by this thread */

/* Has this thread accepted through the twin, while a blocking accept() on fd would sleep? True once for each
 * connection of the twin's. */
bool twin_was_faster(int fd, struct sock *listener);

#endif
