/* SPDX-License-Identifier: MIT */
/* The record of a socket: what is known of one open file description of the program's, however many fds it
 * has here.
 *
 * Who writes a field, and when:
 *   made    once, before the record is entered in the table (fd_make() to fd_enter()); constant from then on
 *   held    the call that holds the record (fd_hold()) and has found it in a state that allows the call. Two
 * such calls on one socket at once are a race in the program; each field then has the value that one of them
 * gave it, and none of them is a pointer to memory that goes away: rules and carriers live as long as the
 * process any     atomic; any thread, also one that doesn't hold the record, as on the data path. It reads
 * each once
 *
 * The states, what leads from each to the next, and who may do that. Whoever leaves CONNECTING does it by
 * sock_change(), since each of several calls may be the one that sees its end:
 *
 *   from        to          by
 *   (made)      IP          socket(), an INET socket that was inherited
 *   (made)      FOREIGN     socket(AF_VSOCK); final
 *   (made)      CONNECTED   accept(), a connection that was inherited
 *   (made)      BOUND, LISTENING    a server's socket that was inherited
 *   IP, FAILED  BOUND       bind(); listen() of one that IP holds on an address of the map
 *   BOUND       LISTENING   listen()
 *   LISTENING   IP          shutdown()
 *   IP, BOUND, FAILED   CONNECTED   connect() that waits, and succeeds
 *   IP, BOUND, FAILED   CONNECTING  connect() that doesn't wait, or waits no longer, or waits with its socket
 *                               in place; that one leads on to CONNECTED, or back to IP if it fails
 *   CONNECTING  CONNECTED   whatever asks the kernel and finds the connection made (stream_settle())
 *   CONNECTING  FAILED      whatever takes the error (stream_take_error())
 *   any of ours IP          connect(AF_UNSPEC); connect() or bind() to an address of IP's; connect() that
 * reports an error; bind() of a connection that both ends have shut (stream_to_ip()) any of ours as before a
 * change whose replacement (swap_in()) has failed is taken back */
#ifndef IP2VSOCK_SOCK_H
#define IP2VSOCK_SOCK_H

#include "transport/options.h"
#include "transport/transport.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/types.h>

enum sock_state {
	STATE_IP,    /* still the INET socket that the program opened */
	STATE_BOUND, /* from here on the fd is a socket of our transport */
	STATE_LISTENING,
	STATE_CONNECTING, /* a connect() is under way, or the program has not yet seen its end */
	STATE_CONNECTED,
	STATE_FAILED,  /* a connect() that was not waited for has failed, and the program knows */
	STATE_FOREIGN, /* none of our business: an AF_VSOCK socket that the program itself opened; a door */
};

/* The local address that the program has given the socket. Held. */
struct claim {
	_Atomic bool bound;	/* bind() gave it one */
	bool any_port;		/* with port 0: TCP gives such a port up together with what it was for */
	bool had_address;	/* it was bound to a certain IP address: TCP keeps what it has from then on */
	struct address name;	/* what bind() asked for, or was given */
	_Atomic uint16_t tried; /* the port of the last attempt to connect: TCP goes on showing it */
};

/* What is still to be reported of an attempt to connect, and of the connection. Any. */
struct report {
	_Atomic int error; /* of an attempt that failed at once; SO_ERROR, connect() or send() takes it */
	_Atomic bool
		connected;    /* connect() is to return 0 once, as TCP does on a socket that doesn't block */
	_Atomic bool aborted; /* connect() is to fail with ECONNABORTED once: SO_ERROR has reported why */
	_Atomic bool broken;  /* bytes for a peer that had closed were taken, as TCP takes them, or SO_ERROR
				 has reported a reset; the next ones are EPIPE */
};

/* What shutdown() did. Any. */
struct shut {
	_Atomic bool read, write; /* each direction of a connection */
	_Atomic bool read_kept;	  /* SHUT_RD that wasn't passed on to our transport */
	_Atomic bool listener;	  /* while threads sleep in accept() */
};

/* A listener's second socket: door.h. The record is held; any. */
struct door {
	_Atomic int fd; /* -1: none */
	struct sock *_Atomic sock;
	_Atomic bool last; /* it was its client that was accepted last */
};

/* An epoll registration of a socket that may yet be replaced. */
struct registration {
	int epfd; /* -1: none */
	int fd;
	pid_t process; /* that made it: a child of fork shares the epoll instance, but not what this is for */
	struct epoll_event event;
};
enum { REGISTRATIONS = 2 };

struct sock {
	_Atomic uint32_t link;	     /* pool.h's; never written here: another thread may read it still */
	uint32_t number;	     /* of this record in its pool; made */
	_Atomic uint32_t references; /* fds of this process, and calls that are under way; any */
	_Atomic uint8_t pins;	     /* calls during which its fd numbers stay its own (fd_pin()); any */
	_Atomic uint8_t keepers;     /* calls during which it isn't replaced (fd_keep()); any */
	_Atomic uint8_t swaps;	     /* replacements that are under way (fd_swap_begin()); any */
	_Atomic uint8_t swapped;     /* counts those that have ended; any */
	_Atomic uint8_t state;	     /* enum sock_state; the table above */
	uint8_t family; /* what the program believes in: AF_INET or AF_INET6; made, and held (IPV6_ADDRFORM)
			 */
	bool accepted;	/* it came from accept(); made, and held */
	_Atomic bool shares; /* its description also belongs to another sock: a second listener on one port;
				whoever makes the other */
	uint32_t twin_seen;  /* the other's connections that its accept() has heard of: twin.h's; held */
	_Atomic uint64_t inode; /* of the file that it was made for, if that was found on its number
			   (fd_adopt()); 0: it came from a call, or was replaced since; any */
	bool used; /* as an INET socket it was inherited, or may have been connected: ask the kernel what it
		      is; made, and held */
	_Atomic bool blocks; /* its accept() was last seen to wait for clients. It may be out of date; any */
	bool overflowed;     /* it has more epoll registrations than are kept here; any, and only ever set */
	pid_t bound_by;	     /* the process whose bind() put our transport's socket in place; held */
	bool owner;	     /* F_SETOWN or its kin was used; any, and only ever set */

	/* Threads that wait in a call. A child of fork() has none of them, and begins anew. Any. */
	_Atomic uintptr_t attempting; /* in connect(): pthread_self() of the one that makes it; 0: none */
	_Atomic bool cancelled;	      /* shutdown() has ended that */
	_Atomic bool orphaned; /* its connect() is a thread's of the process that forked this one: what comes
				  of it may never be seen here */
	_Atomic int fresh;     /* the fd of the socket that it tries with; -1: none */
	_Atomic uint16_t accepting; /* how many are in accept() */

	struct claim claim;
	struct report report;
	struct shut shut;
	struct door door;

	/* Where it leads. Held. The pointers are atomic, since the data path reads them without holding: NULL
	 * before the first replacement. */
	const struct rule *_Atomic rule;
	const struct transport *_Atomic transport;
	_Atomic bool sends_apart; /* what is sent isn't just written: to a name server, or with chunk= */
	struct endpoint local, peer;
	struct address asked; /* the remote address: what connect() asked for */
	uint32_t scope;	      /* sin6_scope_id of it */

	_Atomic bool stood_in;	  /* a stand-in was on its number, in whose send() threads may sleep; any */
	_Atomic bool may_reset;	  /* one of them may get the stand-in's ECONNRESET; any */
	_Atomic uint8_t greeting; /* a task greets for it: enum greeting_state (fd.h); any */
	_Atomic uint32_t partial; /* a query to a name server that came in part: partial.h's; any */
	struct options options;	  /* any; options.h sees to it */
	struct registration registrations[REGISTRATIONS]; /* epoll_ctl(), by any thread */
};

/* A record that was taken from the pool, as socket() makes it, with one reference. Another thread may still
 * look at it with an outdated pointer, and finds it free until this is done. */
void sock_reset(struct sock *sock, uint32_t number, int family);

/* Where it leads. rule may be NULL: not known. */
void sock_lead(struct sock *sock, const struct rule *rule, const struct transport *transport);

void claim_reset(struct claim *claim);	 /* nothing was bound */
void claim_give_up(struct claim *claim); /* the port: it is shown until there is another */
void report_reset(
	struct report *report, int error); /* nothing is left to report, except error (0: nothing) */
void shut_reset(struct shut *shut);	   /* both directions are open */

static inline enum sock_state state_of(const struct sock *sock)
{
	return (enum sock_state)atomic_load(&sock->state);
}

static inline void set_state(struct sock *sock, enum sock_state state)
{
	atomic_store(&sock->state, (uint8_t)state);
}

/* From one state to another, for one of several threads that see the reason: true, it was this one. */
static inline bool sock_change(struct sock *sock, enum sock_state from, enum sock_state to)
{
	uint8_t before = (uint8_t)from;
	return atomic_compare_exchange_strong(&sock->state, &before, (uint8_t)to);
}

static inline bool sock_wants_to_share(const struct sock *sock)
{
	return options_int(&sock->options, SOL_SOCKET, SO_REUSEPORT, 0);
}

/* Bound with SO_REUSEPORT: any process of the same user may have taken a copy (stream_bind()). */
static inline bool sock_is_open_to_others(const struct sock *sock)
{
	enum sock_state state = state_of(sock);
	return (state == STATE_BOUND || state == STATE_LISTENING) && sock_wants_to_share(sock);
}

/* Does the description live on when this sock's numbers are closed? */
static inline bool sock_may_live_on(const struct sock *sock)
{
	return sock->shares || sock_is_open_to_others(sock);
}

static inline bool is_datagram(const struct sock *sock) /* a UDP socket */
{
	return sock->options.datagram;
}

#endif
