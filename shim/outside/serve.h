/* SPDX-License-Identifier: MIT */
/* What the files that serve calls share. Each serve_… is its system call: it answers it, lets the kernel
 * carry it out, or holds it until it can be answered. */
#ifndef IP2VSOCK_SERVE_H
#define IP2VSOCK_SERVE_H

#include "call.h"
#include "wait.h"
#include "watched.h"

#include "core/shim.h"
#include "system/libc.h"
#include "system/log.h"

#include <errno.h>
#include <sys/syscall.h>

/* One call on a socket. */
struct subject {
	struct call *call;
	int number;	/* the program's fd */
	int fd;		/* a duplicate of what stands there, closed after the call unless it is -1 by then */
	uint64_t inode; /* of it */
	struct watched *watched; /* NULL: nothing is known of it */
};

void serve_accept(struct subject *subject);
void serve_bind(struct subject *subject);
void serve_connect(struct subject *subject);
void serve_getpeername(struct subject *subject);
void serve_getsockname(struct subject *subject);
void serve_getsockopt(struct subject *subject);
void serve_ioctl(struct subject *subject);
void serve_listen(struct subject *subject);
void serve_recvfrom(struct subject *subject);
void serve_sendto(struct subject *subject);
void serve_setsockopt(struct subject *subject);
void serve_shutdown(struct subject *subject);

/* The next call. false: there are no more, since the last supervised process has ended. */
bool serve_next(void);

/* Finds the socket that a call is about. false: answered. The subject is to be closed in any case. */
bool subject_open(struct subject *subject, struct call *call);
void subject_close(struct subject *subject);

/* Answers; a restart of the call by a signal that came before the answer gets the same one. */
void answer(struct subject *subject, int64_t value, int error);
static inline void fail(struct subject *subject, int error)
{
	answer(subject, 0, error);
}
/* What can't be read of a program fails, and never goes over IP: `error` is why. */
void fail_closed(struct subject *subject, const char *what, int error);

/* The TCP socket (or UDP, if datagrams) that this is; finds out what it is if nothing is known of it. NULL:
 * none, or there is no memory (*error). */
struct watched *subject_know(struct subject *subject, int *error);

/* `fresh` takes the place of what the subject's fd is, with its epoll registrations. 0 or an errno; ENOENT:
 * nobody waits for the call any more, nothing was changed. `close_on_exec` as the program's fd has it. */
int subject_replace(struct subject *subject, int fresh, bool close_on_exec);
/* O_NONBLOCK and O_CLOEXEC as the program's fd has them now; -1: it is another socket's by now, or gone (the
 * call is answered). */
int subject_flags(struct subject *subject);
/* A fresh INET socket takes the place of the transport's. 0, or an errno. */
int subject_to_ip(struct subject *subject);

/* What became of a connect() that the program didn't wait for. */
enum stage subject_settle(struct subject *subject);
int subject_take_error(struct subject *subject);

/* Memory of the call's thread; answers and returns false if it can't be reached. */
bool subject_read(struct subject *subject, uint64_t address, void *to, size_t size);
bool subject_write(struct subject *subject, uint64_t address, const void *from, size_t size);
/* A sockaddr of the program, whole; false: answered. */
bool subject_read_address(struct subject *subject, uint64_t address, uint64_t length,
	struct sockaddr_storage *whole, socklen_t *size);
/* An address given back as the kernel does: its whole length told, the shorter of the two copied. 0 or an
 * errno. */
int subject_tell_address(struct subject *subject, int family, const struct address *told, uint32_t scope,
	uint64_t address, uint64_t length);
/* The same for a value of getsockopt(2). */
int subject_tell_value(
	struct subject *subject, const void *value, socklen_t size, uint64_t to, uint64_t length);

/* What the map means for an address that a socket connects or sends to. */
enum way { WAY_IP, WAY_RESERVED, WAY_REFUSED, WAY_NAMES, WAY_MAPPED };
struct decision {
	enum way way;
	const struct rule *rule; /* NULL: none takes it */
};
struct decision decide(enum side side, const struct address *address);
/* Where a rule leads for this address. 0 or an errno. */
int decide_place(const struct rule *rule, const struct address *address, uint16_t port, struct place *place,
	struct endpoint *endpoint);

/* One line a connection, as the library's. */
void report(const char *what, const struct address *address, const struct rule *rule,
	const struct endpoint *endpoint, const char *outcome);
void report_unreachable(const struct address *address, bool datagram);

/* A connect() that no thread waits for any more: what it came to takes its place now. */
void attempt_settle(struct subject *subject);
bool attempt_cancel(struct watched *watched); /* shutdown(): false, there is none */
void accept_cancel(const struct watched *watched);

/* This end of a connection, as the program would have found it on TCP. */
struct address own_address(int fd, const struct watched *watched);
/* What an INET socket is bound to. false: the kernel doesn't say. */
bool bound_address(int fd, const struct watched *watched, struct address *name);
/* What is queued to be read. */
bool is_readable(int fd);
bool closed_both_ways(int fd, const struct watched *watched);

/* The map's name server at the other end of a socket. */
int nameserver_open(bool datagram, int flags); /* the program's end; -1 and errno */
/* Such a socket takes the place of a UDP one. 0 or an errno. */
int nameserver_replace(
	struct subject *subject, const struct rule *rule, const struct address *asked, uint32_t scope);

enum { PORT_TRIES = 16 }; /* of ports_next(), before the kernel's own choice serves */

static inline int int_option(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof value;
	return libc.getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

static inline bool is_nameserver(const struct watched *watched)
{
	return watched->transport == &transport_names;
}

static inline uint64_t argument(const struct subject *subject, int index)
{
	return subject->call->arguments[index];
}

#endif
