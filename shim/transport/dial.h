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
	uint32_t port;		     /* that the greeting asks for */
};

/* Where a rule leads for this IP address and port. false with errno: the rule has no place for it. */
bool destination_of(
	const struct rule *rule, const struct address *address, uint16_t port, struct destination *to);

/* Gives `fd`, a fresh socket that is to connect to `peer`, a port that both ends will see: `wanted` (0:
 * none), or one of ours. *port is that port. If none is free the transport chooses one of 32 bits, and *port
 * stays. 0, and errno is untouched; -1: EADDRNOTAVAIL. */
int dial_bind(int fd, const struct transport *transport, const struct endpoint *peer, enum port_kind kind,
	uint16_t wanted, uint32_t *port);

/* Says what there is to say on `fd`, which is connected, and reads the answer and not a byte more. 0, or -1:
 * ECONNREFUSED (it was hung up, or something else came, which a line in the log quotes), ETIMEDOUT at the
 * deadline (now_ms()), EINTR, ECANCELED (`gate`, -1: none, was hung up). After ETIMEDOUT and EINTR it can be
 * called again: *greeting knows how far it got. Cancellation may come in it; fd is the caller's still. */
int dial_greet(int fd, const struct destination *to, struct greeting *greeting, int64_t deadline, int gate);

/* A socket that looks to the program like a TCP socket whose connection is under way: neither readable nor
 * writable, until *gate is closed, when it is hung up and in error. -1 with errno. */
int dial_stand_in(int flags, int *gate);

#endif
