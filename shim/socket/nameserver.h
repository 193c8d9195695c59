/* SPDX-License-Identifier: MIT */
/* Sockets to a name server for which the map stands in (target `names`): a Unix datagram socket that is bound
 * to an address of the kernel's choice and connected to itself. What the program sends is a query; its answer
 * is sent to the socket itself, so poll(), read() and recv() work without help. */
#ifndef IP2VSOCK_NAMESERVER_H
#define IP2VSOCK_NAMESERVER_H

#include "core/dns.h"
#include "state/fd.h"

/* dns_answer() from the map of this process. errno is untouched. */
size_t nameserver_answer(const uint8_t *query, size_t size, uint8_t answer[DNS_ANSWER]);

/* sendmsg(2) on such a socket, without an address. */
ssize_t nameserver_send(int fd, struct sock *sock, const struct msghdr *message, int flags);

/* The part of it that depends on the socket's protocol (protocol.h). TCP's queries have a length before them,
 * UDP's don't. The client of a TCP one that has stopped sending reads what there is, and then the end. */
ssize_t nameserver_query_stream(int fd, struct sock *sock, const struct msghdr *message, int flags);
ssize_t nameserver_query_datagram(int fd, struct sock *sock, const struct msghdr *message, int flags);
void nameserver_end_stream(int fd);
void nameserver_end_datagram(int fd);

/* Logs, once, that no address is left for another name under a glob with {host}. */
void nameserver_full(void);

#endif
