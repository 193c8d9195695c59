/* SPDX-License-Identifier: MIT */
/* A fork() by another thread comes before or after a call that has an fd beside the program's, or has changed
 * a record and not yet its socket, never within: the child would keep that fd, or a record of a socket that
 * it doesn't have. Both sides wait, but never for ever: a signal handler may fork, or jump out of a call.
 * Async-signal-safe; errno is untouched. */
#ifndef IP2VSOCK_FORKS_H
#define IP2VSOCK_FORKS_H

#include <stdbool.h>

/* Around such a part of a call, which doesn't wait for a peer, nor is cancelled. It may be within another. */
void forks_hold_off(void);
void forks_let(void);

/* Around fork(). */
void forks_before(void);
void forks_after(void);
void forks_in_child(void);
bool forks_under_way(void);

#endif
