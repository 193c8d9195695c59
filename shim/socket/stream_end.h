/* SPDX-License-Identifier: MIT */
/* What AF_VSOCK says to a reader before Linux 5.5, and TCP doesn't.
 *
 * ENOTCONN at the end: where the peer has closed both ways and nothing is queued, what receives fails with it
 * instead of returning 0, unless the thread slept in the call at that moment (before 5.2, 42f5cda5eaf4
 * "vsock/virtio: set SOCK_DONE on peer shutdown", which stable kernels from 4.19.54 have too). ENOMEM for
 * MSG_PEEK where there is something to show (before 5.5; seen in 4.14). */
#ifndef IP2VSOCK_STREAM_END_H
#define IP2VSOCK_STREAM_END_H

#include <stdatomic.h>
#include <stdbool.h>

/* Once, at start: on such a kernel, libc.read and its kin become functions that look at calls that failed. On
 * others nothing is changed, and nothing costs anything. */
void stream_end_start(void);

/* A MSG_PEEK has met such a kernel: that it says EAGAIN now doesn't mean that there is nothing. */
extern _Atomic bool stream_cannot_peek;

#endif
