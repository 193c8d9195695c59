/* SPDX-License-Identifier: MIT */
/* What the kernel can't tell about the program's TCP sockets: a cache beside the kernel, indexed by fd
 * number.
 *
 * Async-signal-safe throughout, no lock, no malloc: entries live in pools that are never given back, so that
 * a reader that races with a close() (the program's own bug) reads something stale but never faults. A vfork
 * child shares its parent's memory, but not its fds: it changes nothing here. Errno is untouched. */
#ifndef IP2VSOCK_FD_H
#define IP2VSOCK_FD_H

#include "system/cancel.h"
#include "transport/options.h"
#include "transport/transport.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/types.h>

enum sock_state {
	STATE_IP,    /* still the INET socket that the program opened */
	STATE_BOUND, /* from here on the fd is a socket of our transport */
	STATE_LISTENING,
	STATE_CONNECTING, /* a connect() is under way, or its end was not yet seen by the program */
	STATE_CONNECTED,
	STATE_FAILED,  /* a connect() that was not waited for has failed, and the program knows */
	STATE_FOREIGN, /* an AF_VSOCK socket that the program itself opened: none of our business */
};

/* An epoll registration of a socket that may yet be replaced. */
struct registration {
	int epfd; /* -1: none */
	int fd;
	pid_t process; /* that made it: a child of fork shares the epoll instance, but not what this is for */
	struct epoll_event event;
};
enum { REGISTRATIONS = 2 };

/* One open file description of the program's, however many fds it has here. */
struct sock {
	_Atomic uint32_t link;	     /* pool.h's */
	uint32_t number;	     /* of this record in its pool */
	_Atomic uint32_t references; /* fds of this process, and calls that are under way */
	uint8_t family;		     /* what the program believes in: AF_INET or AF_INET6 */
	_Atomic uint8_t state;
	bool bound;			    /* the program gave it a local address */
	bool any_port;			    /* of any port: one that TCP gives up with what it was for */
	bool had_address;		    /* it was bound to one: TCP keeps what it has from then on */
	bool accepted;			    /* it came from accept() */
	_Atomic bool shut_listen;	    /* shutdown() of a listener, while threads sleep in accept() */
	_Atomic bool attempting, cancelled; /* a thread waits in connect(); shutdown() has ended that */
	_Atomic int fresh;		    /* the fd of the socket that it tries with; -1: none */
	_Atomic uint16_t accepting;	    /* threads of this process in accept() */
	_Atomic bool shut_read, shut_write; /* shutdown() of a connection, which others may be using */
	_Atomic bool keep_read;		    /* SHUT_RD that our transport wasn't told */
	bool shares; /* its description also belongs to another sock: a second listener on one port */
	bool used;   /* as an INET socket it was inherited, or may have been connected: ask the kernel what it
			is */
	_Atomic bool told_closed; /* something was sent to a peer that had closed */
	_Atomic bool
		abort_once; /* connect() says once that an attempt failed, whose error SO_ERROR has told */
	_Atomic bool
		report_once; /* connect() says success once, of a socket that doesn't block, as TCP does */
	_Atomic int refused; /* the errno of an attempt that failed at once, to be told as SO_ERROR */
	bool overflowed;     /* it has more epoll registrations than are kept here */
	bool owner;	     /* F_SETOWN or its kin was used */
	_Atomic uint32_t partial; /* a query to a name server that came in part: nameserver.h's */
	_Atomic bool stood_in;	  /* a stand-in was on its number, in whose send() a thread may sleep */
	_Atomic uint8_t greeting; /* a task greets for it: enum greeting_state */
	struct options options;
	const struct rule *rule;
	const struct transport *transport;
	struct endpoint local, peer;
	struct address name;  /* the local IP address: what bind() asked for */
	struct address asked; /* the remote one: what connect() asked for */
	uint32_t scope;	      /* sin6_scope_id of it */
	uint16_t tried;	      /* the port of the last attempt to connect: TCP goes on showing it */
	struct registration registrations[REGISTRATIONS];
};

/* fd numbers beyond this are never mapped: connect() there fails with EMFILE. */
enum { FD_LIMIT = 1 << 20 };
extern _Atomic uint32_t fd_index[FD_LIMIT];

/* The one load and one branch that a hook costs on any other fd. */
static inline bool fd_tracked(int fd)
{
	/* cppcheck-suppress negativeIndex ; as unsigned it is beyond the limit */
	return (unsigned)fd < FD_LIMIT && atomic_load_explicit(&fd_index[fd], memory_order_relaxed) != 0;
}

static inline bool is_datagram(const struct sock *sock) /* a UDP socket */
{
	return sock->options.datagram;
}

/* While a task (socket/greeter.h) is to put another socket in this one's place, the program's own calls that
 * close it, put something on its number or register it with epoll wait for the moment that this takes, and
 * the task for them. */
enum greeting_state { GREETED, GREETING, GREETING_LOCKED };
void fd_greeting_begin(struct sock *sock);
void fd_greeting_end(struct sock *sock);
/* false: there is no task, and nothing to unlock. */
bool fd_greeting_lock(struct sock *sock);
void fd_greeting_unlock(struct sock *sock);

struct sock *fd_sock(int fd); /* NULL: not tracked */
struct sock *fd_open(
	int fd, int family); /* a new entry in STATE_IP, replaces a stale one; NULL: out of memory */
/* The two halves of fd_open(): what other threads may ask for as soon as it is there is filled in between. */
struct sock *fd_make(int fd, int family);
void fd_enter(int fd, const struct sock *sock);
bool fd_is_beyond_us(int fd);			   /* it may have no entry though it is a socket of ours */
void fd_open_foreign(int fd);			   /* the program's own AF_VSOCK socket */
struct sock *fd_open_datagram(int fd, int family); /* as fd_open(): a UDP socket */
bool fd_is_foreign(int fd);
/* Keeps a sock while a call on its fd waits, though another thread may close that. false: it is gone already.
 */
bool fd_hold(int fd, struct sock *sock);
void fd_release(struct sock *sock);
void fd_alias(int fd, int number); /* number is now a dup of fd */
void fd_forget(int fd);		   /* about to be closed, or found stale */

/* Calls visit for each fd of this process that has this sock (NULL: any). */
void fd_each(const struct sock *sock, void (*visit)(int fd, void *context), void *context);
/* The first fd whose sock `matches`, -1: none. */
int fd_find(bool (*matches)(const struct sock *sock, const void *context), const void *context);

int fd_highest(void); /* no fd above it is tracked */

/* The process that this table belongs to; known without a system call. */
void fd_start(void);
pid_t fd_process(void);

#endif
