/* SPDX-License-Identifier: MIT */
/* What a mapped socket does where a TCP socket would: the system calls of a TCP stream, on one of our
 * transports.
 *
 * Each function stands for a system call, with the same arguments, and the return value and errno that TCP
 * gives (docs/parity.md lists the exceptions). Async-signal-safe, and safe in any thread; no lock is held
 * across a system call. `sock` is the record of the fd. */
#ifndef IP2VSOCK_STREAM_H
#define IP2VSOCK_STREAM_H

#include "state/fd.h"

#include <netinet/in.h>

/* The TCP socket behind an fd, which was opened here, or was inherited (through exec or SCM_RIGHTS) and is
 * recognised now; or a UDP socket that is a name server's (datagram.h). NULL: something else. errno is
 * untouched. */
struct sock *stream_of(int fd);
/* The same, if the socket has already been replaced by one of ours; NULL while it is an INET socket. */
struct sock *stream_replaced(int fd);
/* Recognises all that was inherited now, because behind a seccomp filter the kernel can't be asked. */
void stream_find_all(void);
/* The same, or an INET socket whose past attempts we know and the kernel doesn't. */
struct sock *stream_named(int fd);

/* What one of these finds, held while a call is under way (until fd_release()), because another thread may
 * close the fd. */
struct sock *stream_held(int fd, struct sock *(*find)(int fd));

bool stream_is_tcp(int fd); /* asks the kernel; errno is untouched */

/* The process has put itself under a seccomp filter, which allows what the program itself calls. From then on
 * the data path makes no system calls but the program's own. (sshd's pre-authentication child may call
 * write(), but not sendto().) */
extern _Atomic bool stream_filtered;

/* Is it one of ours? Doesn't ask the kernel: this is for the data path. */
static inline struct sock *stream_known(int fd)
{
	if (!fd_tracked(fd))
		return NULL;
	struct sock *sock = fd_sock(fd);
	enum sock_state state =
		sock ? (enum sock_state)atomic_load_explicit(&sock->state, memory_order_relaxed) : STATE_IP;
	bool passive = atomic_load_explicit(&stream_filtered, memory_order_relaxed);
	return state != STATE_IP && state != STATE_FOREIGN && !passive ? sock : NULL;
}

int stream_connect(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length);
int stream_bind(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length);
int stream_listen(int fd, struct sock *sock, int backlog);
enum { STREAM_ACCEPT = 1 << 30 }; /* in place of flags, none of which accept4(2) has: accept(2) */
int stream_accept(int fd, struct sock *sock, struct sockaddr *address, socklen_t *length, int flags);
int stream_shutdown(int fd, struct sock *sock, int how);
int stream_name(int fd, struct sock *sock, struct sockaddr *address, socklen_t *length);
int stream_peer(int fd, struct sock *sock, struct sockaddr *address, socklen_t *length);
int stream_setsockopt(int fd, struct sock *sock, int level, int name, const void *value, socklen_t length);
int stream_getsockopt(int fd, struct sock *sock, int level, int name, void *value, socklen_t *length);
int stream_ioctl(int fd, struct sock *sock, unsigned long request, void *argument);

/* send(2) and sendmsg(2) without an address. Cancellation points, as those are. */
ssize_t stream_send(int fd, struct sock *sock, const void *data, size_t size, int flags);
ssize_t stream_sendmsg(int fd, struct sock *sock, const struct msghdr *message, int flags);

/* recv(2) and recvmsg(2) with any of these flags. Not cancelled halfway: what was received is returned. */
enum { STREAM_ODD_FLAGS = MSG_ERRQUEUE | MSG_OOB | MSG_TRUNC | MSG_WAITALL };
ssize_t stream_recv(int fd, const struct sock *sock, void *data, size_t size, int flags);
ssize_t stream_recvmsg(int fd, const struct sock *sock, struct msghdr *message, int flags);
/* recvfrom(2) where the sender's address is asked for, too; recvmmsg(2), on any of our sockets. */
ssize_t stream_recvfrom(int fd, const struct sock *sock, void *data, size_t size, int flags,
	struct sockaddr *address, socklen_t *length);
int stream_recvmmsg(int fd, const struct sock *sock, struct mmsghdr *messages, unsigned count, int flags,
	struct timespec *timeout);

/* The kernel's connect() on the file that fd is, if `judge` agrees (the caller holds sock, which may be
 * NULL). This is for an address that a rule takes, so no other socket may get the call. false: `judge`
 * disagreed, and nothing was done. */
bool stream_connect_itself(int fd, struct sock *sock, bool (*judge)(int fd, const struct sock *sock),
	const struct sockaddr *address, socklen_t length, int *result);

/* For an address of a reserved range that no rule takes: returns -1 with EHOSTUNREACH, and logs a line. */
int stream_unreachable(const struct address *address);

/* Once, at start: registers what a child of fork() must forget about the threads that it doesn't have. */
void stream_start(void);

/* Before exec: leaves a mark on each socket that the next program inherits (adopt.c). */
void stream_mark_inherited(void);
/* The same for the sockets that a message takes elsewhere (SCM_RIGHTS). */
void stream_mark_sent(const struct msghdr *message);

#endif
