/* SPDX-License-Identifier: MIT */
/* What a socket is to its program, whatever carries it: a TCP socket, or a UDP socket whose name server is
 * the map's. What differs between the two is a row of this table; nothing else asks which of them it is,
 * except who looks for one of the two. Async-signal-safe. */
#ifndef IP2VSOCK_PROTOCOL_H
#define IP2VSOCK_PROTOCOL_H

#include "stream.h"

struct protocol {
	int type, number; /* as SO_TYPE and SO_PROTOCOL report them */
	bool has_end;	  /* a peer that closes ends it; else there are only messages */
	/* These system calls, on a socket of ours; recv and its kin with STREAM_ODD_FLAGS, or where the
	 * sender's address is asked for. */
	int (*connect)(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length);
	int (*listen)(int fd, struct sock *sock, int backlog);
	ssize_t (*recv)(int fd, const struct sock *sock, void *data, size_t size, int flags);
	ssize_t (*recvfrom)(int fd, const struct sock *sock, void *data, size_t size, int flags,
		struct sockaddr *address, socklen_t *length);
	ssize_t (*recvmsg)(int fd, const struct sock *sock, struct msghdr *message, int flags);
	int (*recvmmsg)(int fd, const struct sock *sock, struct mmsghdr *messages, unsigned count, int flags,
		struct timespec *timeout);
	/* sendmsg(2) to the map's name server. */
	ssize_t (*query)(int fd, struct sock *sock, const struct msghdr *message, int flags);
	/* shutdown(2) of the sending end, before the name server's socket itself is shut. */
	void (*query_end)(int fd);
};

extern const struct protocol protocol_tcp, protocol_udp;

static inline const struct protocol *protocol_of(const struct sock *sock)
{
	return is_datagram(sock) ? &protocol_udp : &protocol_tcp;
}

/* Is `level` that of TCP's options, and this a TCP socket to the program? */
static inline bool is_tcp_level(const struct sock *sock, int level)
{
	return level == IPPROTO_TCP && protocol_of(sock)->number == IPPROTO_TCP;
}

#endif
