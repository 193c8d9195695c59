/* SPDX-License-Identifier: MIT */
/* Errors that AF_VSOCK reports to a reader before Linux 5.5, and TCP doesn't.
 *
 * ENOTCONN at the end: when the peer has closed both directions and nothing is queued, a call that receives
 * fails with it instead of returning 0, unless the thread was asleep in the call at that moment (before 5.2;
 * 42f5cda5eaf4 "vsock/virtio: set SOCK_DONE on peer shutdown", which stable kernels from 4.19.54 have too).
 * ENOMEM for MSG_PEEK if there is data (before 5.5; seen in 4.14). */
#ifndef IP2VSOCK_STREAM_END_H
#define IP2VSOCK_STREAM_END_H

#include <stdatomic.h>
#include <stdbool.h>

/* Once, at start: on such a kernel, libc.read and related entries become functions that examine calls that
 * failed. On other kernels nothing is changed, and nothing costs anything. */
void stream_end_start(void);

/* A MSG_PEEK has failed on such a kernel: from now on its EAGAIN doesn't mean that there is no data. */
extern _Atomic bool stream_cannot_peek;

#endif
