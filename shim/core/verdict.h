/* SPDX-License-Identifier: MIT */
/* What the map means for an address. Every hook, the supervisor and --explain act on this one decision. Pure,
 * as the map is: no system call, no allocation, errno untouched; safe in any thread and signal handler. */
#ifndef IP2VSOCK_VERDICT_H
#define IP2VSOCK_VERDICT_H

#include "map.h"

/* SOCKET_OTHER is a socket that is neither TCP nor UDP (raw, Unix, …): nothing is mapped for it, and it can't
 * reach the reserved ranges either. */
enum socket_kind { SOCKET_STREAM, SOCKET_DATAGRAM, SOCKET_OTHER };

enum verdict_kind {
	VERDICT_IP,	  /* left to IP: no rule takes the address, or the first one that does says direct */
	VERDICT_RESERVED, /* the same, but the address is in a reserved range, which never goes over IP */
	VERDICT_REFUSED,  /* the rule's target is refuse */
	VERDICT_NAMES,	  /* the rule's target is names: the map itself answers as a name server */
	VERDICT_MAPPED,	  /* the rule's target is a CID or unix: */
};

struct verdict {
	enum verdict_kind kind;
	int error; /* VERDICT_RESERVED, VERDICT_REFUSED: the errno with which connect() or bind() fails;
		      otherwise 0 */
	/* The rule that decided. NULL: none takes the address, or none applies to this kind of socket. For
	 * SIDE_CONNECT it may be a listen rule: the name that the address stands for is this machine's own,
	 * and a connection to it ends at that listener. */
	const struct rule *rule;
	struct address address; /* the address that is meant: a connection to 0.0.0.0 or :: means loopback, as
				   in TCP */
};

/* For SIDE_LISTEN, a socket that isn't TCP's is always left to IP, because only TCP listens. VERDICT_RESERVED
 * doesn't take this end's own CID into account: a caller that knows it may let a client bind to its own
 * address. */
struct verdict verdict_of(
	const struct map *map, enum side side, enum socket_kind kind, const struct address *address);

#endif
