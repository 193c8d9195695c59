/* SPDX-License-Identifier: MIT */
/* The one replacement: a fresh socket takes the place of another, on the same fd numbers.
 * Async-signal-safe. The program's socket is untouched until the fresh one stands ready, and where -1 is
 * returned. */
#ifndef IP2VSOCK_SWAP_H
#define IP2VSOCK_SWAP_H

#include "fd.h"

/* The flags of a socket that is to stand in for fd: SOCK_NONBLOCK as the program set it, and SOCK_CLOEXEC,
 * which the fresh fd needs until it is in place. -1 and errno if fd is not open. */
int swap_flags(int fd);

/* The caller holds the sock (fd_hold). Puts `fresh` on fd and on its dups, each with its own close-on-exec
 * flag; epoll registrations and the owner of signals move along. Consumes `fresh`, also where it fails. */
int swap_in(int fd, struct sock *sock, int fresh);

#endif
