/* SPDX-License-Identifier: MIT */
/* The one function that replaces a socket by a fresh one on the same fd numbers. Async-signal-safe. The
 * program's socket is untouched until the fresh one is ready, and if -1 is returned. */
#ifndef IP2VSOCK_SWAP_H
#define IP2VSOCK_SWAP_H

#include "fd.h"

/* The flags for a socket that is to replace the one on fd: SOCK_NONBLOCK as the program set it, and
 * SOCK_CLOEXEC, which the fresh fd needs until it is in place. -1 and errno if fd isn't open. */
int swap_flags(int fd);

/* The caller holds the sock (fd_hold()). Puts `fresh` on fd and on its dups, each with its own close-on-exec
 * flag; epoll registrations and the owner of signals move with it. Closes `fresh` in any case, even if it
 * fails. */
int swap_in(int fd, struct sock *sock, int fresh);

/* The same, and `fresh` stays open beside them. */
int swap_beside(int fd, struct sock *sock, int fresh);

/* Makes the epoll registrations again, as if the socket had been replaced: what has come meanwhile is an
 * edge.
 */
void swap_register_again(struct sock *sock);

#endif
