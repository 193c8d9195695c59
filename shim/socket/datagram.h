/* SPDX-License-Identifier: MIT */
/* UDP sockets. They are IP's, but for what goes to a name server that the map stands in for (nameserver.h),
 * and nothing of theirs goes to the reserved ranges. They are kept track of only if the map has a rule with
 * the target `names`. Async-signal-safe. */
#ifndef IP2VSOCK_DATAGRAM_H
#define IP2VSOCK_DATAGRAM_H

#include "stream.h"

/* The UDP socket behind an fd, opened here or found out now; NULL: something else. errno is untouched. */
struct sock *datagram_of(int fd);

/* connect(2) and listen(2). The caller holds the sock. */
int datagram_connect(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length);
int datagram_listen(int fd, struct sock *sock, int backlog);

/* Where a datagram to `address` goes. DATAGRAM_REFUSED: nowhere, errno says why; DATAGRAM_ANSWERED: to the
 * map's name server, whose socket fd is now: stream_send() it. */
enum datagram_way { DATAGRAM_IP, DATAGRAM_REFUSED, DATAGRAM_ANSWERED };
enum datagram_way datagram_way(int fd, const struct sockaddr *address, socklen_t length);

/* recv(2) with STREAM_ODD_FLAGS, and recvfrom(2), recvmsg(2), recvmmsg(2) where the sender's address is asked
 * for, which is the name server's. */
ssize_t datagram_recv(int fd, const struct sock *sock, void *data, size_t size, int flags);
ssize_t datagram_recvfrom(int fd, const struct sock *sock, void *data, size_t size, int flags,
	struct sockaddr *address, socklen_t *length);
ssize_t datagram_recvmsg(int fd, const struct sock *sock, struct msghdr *message, int flags);
int datagram_recvmmsg(int fd, const struct sock *sock, struct mmsghdr *messages, unsigned count, int flags,
	struct timespec *timeout);

#endif
