/* SPDX-License-Identifier: MIT */
/* Sockets to a name server that the map stands in for (target `names`): a Unix datagram socket, bound to a
 * name that the kernel chose and connected to itself. What is sent is a query; its answer is sent to the
 * socket itself, so that poll(), read() and recv() do their work by themselves. */
#ifndef IP2VSOCK_NAMESERVER_H
#define IP2VSOCK_NAMESERVER_H

#include "core/dns.h"
#include "state/fd.h"

/* dns_answer() by the map of this process. errno is untouched. */
size_t nameserver_answer(const uint8_t *query, size_t size, uint8_t answer[DNS_ANSWER]);

/* sendmsg(2) on such a socket, without an address. */
ssize_t nameserver_send(int fd, struct sock *sock, const struct msghdr *message, int flags);

/* Its part for the socket's protocol (protocol.h): TCP has lengths before its queries, and an end, after
 * which the client reads what there is, and then the end. */
ssize_t nameserver_query_stream(int fd, struct sock *sock, const struct msghdr *message, int flags);
ssize_t nameserver_query_datagram(int fd, struct sock *sock, const struct msghdr *message, int flags);
void nameserver_end_stream(int fd);
void nameserver_end_datagram(int fd);

/* Logs once that no address is left for another name under a glob with {host}. */
void nameserver_full(void);

#endif
