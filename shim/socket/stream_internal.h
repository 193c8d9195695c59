/* SPDX-License-Identifier: MIT */
/* What the files that make up stream.h share. */
#ifndef IP2VSOCK_STREAM_INTERNAL_H
#define IP2VSOCK_STREAM_INTERNAL_H

#include "core/shim.h"
#include "state/swap.h"
#include "stream.h"
#include "system/cancel.h"
#include "system/errno.h"
#include "system/libc.h"
#include "system/log.h"
#include "transport/dial.h"
#include "transport/ports.h"

#include <errno.h>
#include <fcntl.h>

/* What the kernel says of a socket, at SOL_SOCKET; -1 and errno: it is none. */
static inline int int_option(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof value;
	return libc.getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

/* Asks the kernel what became of a connect() that the program didn't wait for. Returns the state. */
enum sock_state stream_settle(int fd, struct sock *sock);

/* Sleeps until fd is writable, for limit_ms at most (0: no limit). As poll(); EBADF if another thread has
 * closed fd meanwhile: what is there now may never be writable. A point where threads are cancelled, if they
 * may be. */
int stream_await_writable(int fd, const struct sock *sock, int limit_ms);

/* Gives an address back as the kernel does: its whole length told, the shorter of the two copied. */
int stream_answer(
	int family, const struct address *told, uint32_t scope, struct sockaddr *address, socklen_t *length);

/* This end of a connection, as the program would have found it on TCP. */
struct address stream_own_address(int fd, struct sock *sock);
bool stream_can_write(int fd, struct sockaddr *address, socklen_t size);

/* Leaves on the socket itself what a program that inherits it must know: the family and the address that this
 * one believes in. */
void stream_mark(int fd, const struct sock *sock);

/* The connection as TCP would have it: both ends said SHUT_WR; the TCP state (netinet/tcp.h). */
bool stream_closed_both_ways(int fd, const struct sock *sock);
uint8_t stream_tcp_state(int fd, const struct sock *sock);

/* What an INET socket is bound to: IP's word, but for what IP couldn't give (lo may be down), the port that
 * it gave up, and the address that only we know to be this end's. */
bool stream_bound_to(int fd, const struct sock *sock, struct address *name);

/* What TCP says of an address before it tries it; 0: nothing. */
int stream_wrong_address(const struct sock *sock, const struct sockaddr *address, socklen_t length);

/* connect() to an address that is IP's, which has the socket from here on: it is no longer kept track of. */
int stream_leave_to_ip(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length);

/* The transport's socket gives way to a fresh INET one, with all that the program had set. */
int stream_to_ip(int fd, struct sock *sock);

/* One line a connection, if that is wanted: what was done, with which address, by which rule (NULL: none,
 * which only LOG_DEBUG tells), at which endpoint (NULL: none), and what came of it. */
void stream_log(const char *what, const struct address *address, const struct rule *rule,
	const struct endpoint *endpoint, const char *outcome);

/* The process may not be allowed any call but its own: what would be good to have isn't done then. */
static inline bool passive(void)
{
	return atomic_load_explicit(&stream_filtered, memory_order_relaxed);
}

enum { PORT_TRIES = 16 }; /* of ports_next(), before the kernel's own choice serves */

/* SO_ERROR of an fd of ours, in TCP's words: it is told once. */
int stream_take_error(int fd, struct sock *sock);

#endif
