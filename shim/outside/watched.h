/* SPDX-License-Identifier: MIT */
/* What is known of the supervised programs' sockets, by inode. All fds and processes that share a socket have
 * the same inode, and no other socket has it while that one lives. Only twins, two listeners that share a
 * port, are one socket with two entries, and differ by their numbers. Nothing reports when a socket is
 * closed, so closed ones are swept out when the table has grown, in steps between events (wait.h), or when
 * one would be in the way. One thread; not for signal handlers; errno is untouched unless stated otherwise.
 */
#ifndef IP2VSOCK_WATCHED_H
#define IP2VSOCK_WATCHED_H

#include "transport/options.h"
#include "transport/transport.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum stage {
	STAGE_IP,    /* still the INET socket that the program opened */
	STAGE_BOUND, /* from here on it is a socket of our transport */
	STAGE_LISTENING,
	STAGE_CONNECTING, /* a connect() is under way, or the program hasn't seen its end yet */
	STAGE_CONNECTED,
	STAGE_FAILED, /* a connect() that the program didn't wait for has failed, and the program knows */
};

struct attempt;

/* A connection that was accepted, but whose thread went away before it could be given to it. */
struct unclaimed {
	bool present;
	int fd;
	struct endpoint peer;
};

struct watched {
	struct watched *next; /* in the table */
	uint64_t inode;	      /* of the socket that the program has now */
	int number;	      /* the fd that it was bound on; -1: none */
	uint8_t family;	      /* the one that the program sees: AF_INET or AF_INET6 */
	uint8_t stage;	      /* enum stage */
	pid_t holder;	      /* a process that had it when the table was last swept; 0: not known */
	uint8_t missed;	      /* walks in a row that haven't found it */
	bool used;	      /* it may have been connected as an INET socket: ask the kernel what it is */
	bool bound;	      /* the program gave it a local address */
	bool any_port;	      /* and asked for any port */
	bool had_address; /* it was bound to an address once: from then on TCP keeps the address that it has
			   */
	bool shared;	  /* with another bind() (SO_REUSEPORT) */
	bool shut;	  /* by SHUT_RDWR; SHUT_WR alone isn't shown to the supervisor */
	bool abort_once;  /* connect() is to fail once with ECONNABORTED: SO_ERROR has already returned the
			     error */
	bool report_once; /* connect() is to succeed once, on a socket that doesn't block, as on TCP */
	int refused;	  /* the errno of an attempt that failed at once, for SO_ERROR */
	struct options options;		   /* as the program set them; .datagram: it is a UDP socket */
	const struct rule *rule;	   /* the rule that decided; NULL: none */
	const struct transport *transport; /* NULL: it is IP's */
	struct endpoint local, peer;	   /* the endpoints on the transport */
	struct address name;		   /* the local IP address, which bind() asked for */
	struct address asked;		   /* the remote IP address, which connect() asked for */
	uint32_t scope;			   /* its sin6_scope_id */
	uint16_t tried;		 /* the port of the last attempt to connect, which TCP continues to show */
	struct attempt *attempt; /* the attempt under way, whose socket isn't the program's yet; NULL: none */
	struct unclaimed unclaimed; /* for the next accept() */
	pid_t beaten_by;	    /* a thread that has accepted from its twin; 0: none */
};

/* The entry of a socket that stands on this number; only if it has a twin does the number matter. */
struct watched *watched_find(uint64_t inode, int number);
/* Another entry of the same socket, the one behind `last`, or the first (NULL); NULL: there is none. */
struct watched *watched_twin(const struct watched *watched, const struct watched *last);
/* Makes an entry in STAGE_IP. NULL: out of memory. */
struct watched *watched_open(uint64_t inode, int family);
/* The socket has been replaced by another one. */
void watched_move(struct watched *watched, uint64_t inode);
/* The first entry of a socket that is still open that `matches`; NULL: none does. If one seems to, closed
 * ones are swept out before the answer, which takes a walk through /proc; its holder is known then. */
struct watched *watched_first(
	bool (*matches)(const struct watched *watched, const void *context), const void *context);

#endif
