/* SPDX-License-Identifier: MIT */
/* Where a rule leads, and what is said there before the connection is the program's. Async-signal-safe. */
#ifndef IP2VSOCK_DIAL_H
#define IP2VSOCK_DIAL_H

#include "core/greeting.h"
#include "ports.h"
#include "transport.h"

struct destination {
	const struct transport *transport;
	struct place place;	     /* the carrier's address of it */
	struct endpoint endpoint;    /* as the program's peer; of a Unix socket's path: local */
	enum greeting_kind greeting; /* GREETING_NONE: what is connected is the program's at once */
	const struct rule *rule;     /* that leads there */
	struct address asked;	     /* with the program's port */
};

/* Where a rule leads for this IP address and port. false with errno: the rule has no place for it. */
bool destination_of(
	const struct rule *rule, const struct address *address, uint16_t port, struct destination *to);
/* The same for a connection: a listener of this machine that was meant by its name is reached at CID_LOCAL.
 */
bool destination_to_connect(const struct rule *rule, const struct address *asked, struct destination *to);

/* Gives `fd`, a fresh socket that is to connect to `peer`, a port that both ends will see: `wanted` (0:
 * none), or one of ours. *port is that port. If none is free the transport chooses one of 32 bits, and *port
 * stays. 0, and errno is untouched; -1: EADDRNOTAVAIL. */
int dial_bind(int fd, const struct transport *transport, const struct endpoint *peer, enum port_kind kind,
	uint16_t wanted, uint32_t *port);

/* When a greeting that begins now must be over, in the time of now_ms(). */
int64_t dial_deadline(const struct destination *to);

/* Goes on with the greeting on `fd`, which is connected or connecting, as far as it can without waiting, and
 * reads not a byte more than the answer. 0: the connection is the program's; -1 with errno. EAGAIN: wait for
 * *events of poll(2), and go on. Else it has failed: the errno of a connection, of the other end's refusal,
 * or ECONNREFUSED (hung up, or something else came, which a line in the log quotes). */
int dial_greet_on(int fd, const struct destination *to, struct greeting *greeting, short *events);

/* The same, with the waiting: -1 also with ETIMEDOUT at the deadline (now_ms()), EINTR, ECANCELED (`gate`,
 * -1: none, was hung up). After ETIMEDOUT and EINTR it can be called again: *greeting knows how far it got.
 * Cancellation may come in it; fd is the caller's still. */
int dial_greet(int fd, const struct destination *to, struct greeting *greeting, int64_t deadline, int gate);

/* A socket that looks to the program like a TCP socket whose connection is under way: neither readable nor
 * writable, until *gate is closed, when it is hung up and in error. -1 with errno. */
int dial_stand_in(int flags, int *gate);

#endif
