/* SPDX-License-Identifier: MIT */
/* One attempt of a connect() to get a connection for its rule:
 *
 *     open -> bind to a port -> connect -> (greet) -> hand over to the program's number
 *
 * It is made on a fresh socket, so that the program's own stays as it was until something has come of it: a
 * blocking connect() hands over a connection, a non-blocking one an attempt that is under way, or one that
 * has failed (a refused socket, which shows the failure as TCP's own would). Where the call waits for a
 * single try, the fresh socket takes the number before it connects, since the peer may accept before the call
 * returns; after a failure the number gets an INET socket again (attempt_take_back()). What the attempt holds
 * meanwhile is in `held` and, for the child of a fork() in a signal handler, in sock->fresh:
 *
 *     opened, bound, connecting, greeting   the fresh socket
 *     between two attempts of retry=        a timer
 *     handed over                           nothing
 *
 * A signal with SA_RESTART begins it anew within its time, one without leaves it to itself and connect()
 * fails with EINTR. A thread that is cancelled, or jumps out of a handler, abandons it. The child of a fork()
 * closes what it holds, and the parent goes on. */
#ifndef IP2VSOCK_ATTEMPT_H
#define IP2VSOCK_ATTEMPT_H

#include "stream_internal.h"
#include "system/signals.h"

struct attempt {
	int fd; /* the program's */
	struct sock *sock;
	const struct rule *rule;
	struct destination to;
	struct address asked; /* of connect() */
	uint32_t scope;
	struct endpoint local; /* PORT_ANY: it had no place yet */
	pid_t process;	       /* that makes it */
	int fresh;	       /* the socket that connects; -1: none */
	int held;      /* closed if the call is left: the fresh socket, or signals_fd(); -1: nothing */
	bool in_place; /* the fresh socket is the program's, too: bind() or this attempt has put it there */
	bool placed;   /* this attempt has */
	int stand_in;  /* a socket that shows how it ended at once (refused); -1: none */
	int refused;   /* the errno that it shows */
	struct greeting greeting; /* how far it has got on the fresh socket */
	bool greeted;		  /* to the end */
	int64_t deadline;	  /* of the greeting, now_ms() */
	bool again;		  /* with retry=: signals are held back but where it waits */
	bool holds_signals;
	signal_set signals; /* that aren't blocked otherwise */
};

/* Where the rule leads, and nothing begun. false with errno: the rule has no place for this address. */
bool attempt_begin(struct attempt *attempt, int fd, struct sock *sock, const struct rule *rule,
	const struct address *asked, uint32_t scope);

/* Makes it, with retry=. sock->attempting is this thread. `flags`: of the program's fd, swap_flags(). 0:
 * connected; -1 with EINPROGRESS or EINTR: under way; else -1 with TCP's errno. Cancellation may come in it
 * if the fd blocks. */
int attempt_make(struct attempt *attempt, int flags);

/* Is there something to hand over? */
bool attempt_has_come_to(const struct attempt *attempt);

/* What it has come to takes the place of the program's socket, and the record says what that is: `outcome` 0:
 * connected; EINPROGRESS or EINTR: under way. -1 with errno: nothing has changed, and nothing is left. */
int attempt_hand_over(struct attempt *attempt, int flags, int outcome);

/* Nothing has come of it. Gives the program its unconnected socket back, if the attempt had taken its place.
 */
void attempt_take_back(struct attempt *attempt);

/* After a call that waited was interrupted: would the kernel go on? */
bool attempt_handlers_restart(void);

#endif
