/* SPDX-License-Identifier: MIT */
/* The second socket of a listener (transport_door.h), which the program doesn't see: a number of its own, out
 * of the program's way, that belongs to the listener's record and is closed with it. A child of fork() shares
 * it, and so does the next program of the listener. Async-signal-safe, but for the log; errno is untouched.
 */
#ifndef IP2VSOCK_DOOR_H
#define IP2VSOCK_DOOR_H

#include "fd.h"

extern _Atomic bool door_any; /* some listener here has one, or had */

/* Its number, -1: it has none, or the program has closed that number. */
static inline int door_of(const struct sock *listener)
{
	int fd = atomic_load_explicit(&listener->door.fd, memory_order_relaxed);
	return fd >= 0 && fd_sock(fd) == listener->door.sock ? fd : -1;
}

/* Gives a listener its door: one that another number of the same place has here, or that came with an
 * inherited listener, or a new one. What fails is logged, and the listener is as it was. */
void door_open(struct sock *listener, bool inherited);
void door_close(struct sock *listener);

/* The number stays the door's until it is let go. -1: there is none. */
int door_pin(struct sock *listener, struct sock **pinned);
void door_unpin(struct sock *pinned);

/* One at a time looks who has come, and accepts that client, of all threads and processes that share
 * listeners: accept() of AF_VSOCK would sleep if another was faster. Short. */
int64_t door_turn_begin(void);
void door_turn_end(int64_t turn);

/* Before exec: the next program has the door if it has the listener, on the number `fd`. */
void door_pass_on(const struct sock *listener, bool inherited);

#endif
