/* SPDX-License-Identifier: MIT */
/* What is known of the supervised programs' sockets, by inode number, which is the same for all fds and
 * processes that share a socket, and no other's while it lives. Nobody says when one is closed: what has gone
 * is swept out when the table has doubled. One thread; not for signal handlers; errno is untouched except
 * where said. */
#ifndef IP2VSOCK_WATCHED_H
#define IP2VSOCK_WATCHED_H

#include "transport/options.h"
#include "transport/transport.h"

#include <stdbool.h>
#include <stdint.h>

enum stage {
	STAGE_IP,    /* still the INET socket that the program opened */
	STAGE_BOUND, /* from here on it is a socket of our transport */
	STAGE_LISTENING,
	STAGE_CONNECTING, /* a connect() is under way, or its end was not yet seen by the program */
	STAGE_CONNECTED,
	STAGE_FAILED, /* a connect() that was not waited for has failed, and the program knows */
};

struct attempt;

/* A connection that accept() took, and whose thread went away before it could be given. */
struct unclaimed {
	bool present;
	int fd;
	struct endpoint peer;
};

struct watched {
	struct watched *next; /* in the table */
	uint64_t inode;
	uint8_t family; /* what the program believes in: AF_INET or AF_INET6 */
	uint8_t stage;
	bool mark;	  /* seen while the table is swept */
	bool used;	  /* as an INET socket it may have been connected: ask the kernel what it is */
	bool bound;	  /* the program gave it a local address */
	bool any_port;	  /* of any port */
	bool had_address; /* it was bound to one: TCP keeps what it has from then on */
	bool accepted;	  /* it came from accept() */
	bool shut_read, shut_write;
	bool keep_read;	  /* SHUT_RD that our transport wasn't told */
	bool abort_once;  /* connect() says once that an attempt failed, whose error SO_ERROR has told */
	bool report_once; /* connect() says success once, of a socket that doesn't block, as TCP does */
	int refused;	  /* the errno of an attempt that failed at once, to be told as SO_ERROR */
	struct options options; /* .datagram: a UDP socket */
	const struct rule *rule;
	const struct transport *transport;
	struct endpoint local, peer;
	struct address name;	 /* the local IP address: what bind() asked for */
	struct address asked;	 /* the remote one: what connect() asked for */
	uint32_t scope;		 /* sin6_scope_id of it */
	uint16_t tried;		 /* the port of the last attempt to connect: TCP goes on showing it */
	struct attempt *attempt; /* under way, and not in the socket's place yet; NULL: none */
	struct unclaimed unclaimed;
};

struct watched *watched_find(uint64_t inode);
/* A new entry, in STAGE_IP. NULL: out of memory. */
struct watched *watched_open(uint64_t inode, int family);
/* The socket has given way to another one. */
void watched_move(struct watched *watched, uint64_t inode);
/* The first one that `matches`; NULL: none. */
struct watched *watched_first(
	bool (*matches)(const struct watched *watched, const void *context), const void *context);

uint32_t watched_count(void);

#endif
