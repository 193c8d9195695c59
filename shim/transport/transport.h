/* SPDX-License-Identifier: MIT */
/* What carries a mapped connection: kernel vsock, or Unix sockets (emulated CIDs, `unix:` targets, doors).
 *
 * All functions are async-signal-safe, return -1 with an errno that TCP would give, and keep no state of
 * their own besides what transport_start() sets once. */
#ifndef IP2VSOCK_TRANSPORT_H
#define IP2VSOCK_TRANSPORT_H

#include "core/map.h"
#include "core/settings.h"

#include <stdatomic.h>
#include <sys/un.h>

/* Where a target is reached: the carrier's own address. */
struct place {
	struct sockaddr_storage sockaddr;
	socklen_t length;
};

struct transport {
	const char *name;
	int family;
	socklen_t address_size;	    /* the most that one of its addresses takes */
	bool hangs_up_early;	    /* POLLHUP comes as soon as the peer has closed, with data still unread */
	bool passes_fds;	    /* a peer may put fds into this process */
	bool answered_here;	    /* what is sent is a query that this process answers: names */
	bool shutdown_wakes_accept; /* else a connection of our own must */
	/* A fresh socket; flags are SOCK_NONBLOCK and SOCK_CLOEXEC. buffer: bytes each way, set before the
	 * socket is bound or connected, since the peer learns it then. */
	int (*open)(int flags, uint32_t buffer);
	/* The same for a connection that accept() gave, where it doesn't inherit that. errno is untouched. */
	void (*size)(int fd, uint32_t buffer);
	/* The place that an endpoint has. */
	void (*place)(const struct endpoint *endpoint, struct place *place);
	/* Gives a server its place. EADDRINUSE if somebody listens or is bound there. */
	int (*bind)(int fd, const struct place *place);
	/* Gives a client of `peer` a port that both ends will see; EADDRINUSE if it is taken. PORT_ANY: a
	 * free one above 65535. */
	int (*bind_client)(int fd, uint32_t port, const struct endpoint *peer);
	/* A number that is one more each time that any process of this machine asks. false: not now. errno is
	 * untouched. NULL: there is none. */
	bool (*counter)(uint32_t *value);
	/* One attempt. timeout_ms 0: the kernel's default. EINPROGRESS, EINTR as connect(2); EAGAIN never. */
	int (*connect)(int fd, const struct place *place, uint32_t timeout_ms);
	/* What an errno of this carrier means in TCP, for a connection under way. */
	int (*connect_error)(int error);
	/* Is there anything for accept() to return at once? For a listener that doesn't block, where accept()
	 * would sleep before it says EAGAIN. No cancellation point; errno is untouched. NULL: it never
	 * sleeps. */
	bool (*has_client)(int fd);
	/* The endpoint in a sockaddr of this carrier. A peer that doesn't say its own is local, with a
	 * made-up port. */
	void (*endpoint)(const struct sockaddr *address, socklen_t length, struct endpoint *endpoint);
	/* Is that the name of a socket that was bound to this place? */
	bool (*is_at)(const struct sockaddr *name, socklen_t length, const struct place *place);
	/* Is a peer with that CID this machine? NULL: only CID_LOCAL is. */
	bool (*is_local)(uint32_t cid);
	/* This end's own CID, as `peer` sees it. CID_ANY if it can't be known. */
	uint32_t (*own_cid)(uint32_t peer_cid);
};

extern const struct transport transport_vsock, transport_unix, transport_names;

extern _Atomic bool transport_hangs_up_early; /* by emulated CIDs, a `unix:` target, or a door */

/* Chooses the transport of CIDs: settings->emulated. Not async-signal-safe; once, at start. */
void transport_start(const struct settings *settings);
/* The carrier of a rule whose target is a CID, unix: or names. */
const struct transport *transport_of(const struct rule *rule);
uint32_t transport_own_cid(void); /* as remote peers see this end; CID_ANY if it can't be known */
/* The CID of a peer: this machine is CID_LOCAL, by whatever CID the kernel shows it. */
uint32_t transport_peer_cid(const struct transport *transport, uint32_t shown);
/* This end of a connection, as its program would have found it on TCP. `name`: what the program bound it to,
 * where that is known; `local` and `peer`: its endpoints; family: AF_INET or AF_INET6. */
struct address transport_own_address(int fd, const struct transport *transport, const struct address *name,
	const struct endpoint *local, const struct endpoint *peer, int family);
bool transport_is_at(int fd, const struct transport *transport, const struct place *place);
/* The carrier of an fd that nothing is known of: NULL, it isn't one of ours. */
const struct transport *transport_of_fd(int fd);

#endif
