/* SPDX-License-Identifier: MIT */
/* What the files behind stream.h share. */
#ifndef IP2VSOCK_STREAM_INTERNAL_H
#define IP2VSOCK_STREAM_INTERNAL_H

#include "core/shim.h"
#include "state/swap.h"
#include "stream.h"
#include "system/cancel.h"
#include "system/errno.h"
#include "system/libc.h"
#include "system/log.h"
#include "system/option.h"
#include "transport/dial.h"
#include "transport/ports.h"

#include <errno.h>
#include <fcntl.h>

/* The kernel's value of an option at SOL_SOCKET; -1 and errno: it isn't a socket. */
/* Asks the kernel for the outcome of a connect() that the program didn't wait for. Returns the state. */
enum sock_state stream_settle(int fd, struct sock *sock);

/* Sleeps until fd is writable, for at most limit_ms (0: no limit). Returns what poll() returns; EBADF if
 * another thread has closed fd meanwhile, because what is there now may never become writable. A cancellation
 * point, if the thread may be cancelled. */
int stream_await_writable(int fd, const struct sock *sock, int limit_ms);

/* Returns an address to the program as the kernel does: *length becomes its whole length, and no more is
 * copied than the buffer holds. */
int stream_answer(
	int family, const struct address *found, uint32_t scope, struct sockaddr *address, socklen_t *length);

/* This end of a connection, as the program would have found it on TCP. */
struct address stream_own_address(int fd, struct sock *sock);
bool stream_can_write(int fd, struct sockaddr *address, socklen_t size);

/* Marks the socket itself with what a program that inherits it must know: the family and the address that
 * this program sees. */
void stream_mark(int fd, const struct sock *sock);

/* Is it the mark of a socket that was bound with SO_REUSEPORT, to an address at which TCP would let both be
 * bound to `wanted`, and all clients are both's? */
bool stream_mark_shares(int fd, const struct address *wanted);

/* Makes it one, before bind() lets others find it. */
void stream_mark_sharing(int fd, int family, const struct address *name);

/* The connection as TCP would see it: have both ends called SHUT_WR? And its TCP state (netinet/tcp.h). */
bool stream_closed_both_ways(int fd, const struct sock *sock);
uint8_t stream_tcp_state(int fd, const struct sock *sock);

/* What an INET socket is bound to. IP knows, except for what it couldn't bind (lo may be down), the port that
 * it has released, and the address that only we know to be this end's. */
bool stream_bound_to(int fd, const struct sock *sock, struct address *name);

/* Gives a listener the door that it needs, if it does (state/door.h). */
void stream_open_door(struct sock *listener, bool inherited);

/* The errno with which TCP rejects an address before it tries it; 0: it doesn't. */
int stream_wrong_address(const struct sock *sock, const struct sockaddr *address, socklen_t length);

/* connect() to an address that is left to IP. From then on the socket isn't tracked. */
int stream_leave_to_ip(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length);

/* Replaces the transport's socket by a fresh INET one, with all that the program had set. */
int stream_to_ip(int fd, struct sock *sock);

/* Logs one line for a connection, if that is wanted: what was done, with which address, by which rule (NULL:
 * none, which is logged only at LOG_DEBUG), at which endpoint (NULL: none), and the outcome. */
void stream_log(const char *what, const struct address *address, const struct rule *rule,
	const struct endpoint *endpoint, const char *outcome);

/* A seccomp filter may allow only the program's own calls; calls that aren't essential are left out then. */
static inline bool passive(void)
{
	return atomic_load_explicit(&stream_filtered, memory_order_relaxed);
}

/* SO_ERROR of an fd of ours, as one of TCP's errors. It is returned once. */
int stream_take_error(int fd, struct sock *sock);

#endif
