/* SPDX-License-Identifier: MIT */
/* What the files that serve calls share. Each serve_… stands for a system call: it answers the call, lets the
 * kernel carry it out, or holds it until it can be answered. */
#ifndef IP2VSOCK_SERVE_H
#define IP2VSOCK_SERVE_H

#include "call.h"
#include "wait.h"
#include "watched.h"

#include "core/shim.h"
#include "system/libc.h"
#include "system/log.h"
#include "system/option.h"

#include <errno.h>
#include <sys/syscall.h>

/* One call on a socket. */
struct subject {
	struct call *call;
	int number;	/* the program's fd */
	int fd;		/* a duplicate of it, which is closed after the call unless it is -1 by then */
	uint64_t inode; /* the socket's inode */
	struct watched *watched; /* the socket's record; NULL: there is none */
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

/* Serves the next call. false: there are no more, because the last supervised process has ended. */
bool serve_next(void);

/* Finds the socket that a call is about. false: answered. The subject must be closed in either case. */
bool subject_open(struct subject *subject, struct call *call);
void subject_close(struct subject *subject);

/* Answers the call. If a signal came before the answer, and the call is restarted, it gets the same answer.
 */
void answer(struct subject *subject, int64_t value, int error);
static inline void fail(struct subject *subject, int error)
{
	answer(subject, 0, error);
}
/* Ends a call whose arguments can't be read. It fails, and never goes over IP. `error` is the reason. */
void fail_closed(struct subject *subject, const char *what, int error);

/* The record of the TCP socket (or, if datagrams are seen, UDP socket) that this is; if there is none yet,
 * finds out what the socket is. NULL: it is another kind of file, or there is no memory (*error). */
struct watched *subject_know(struct subject *subject, int *error);

/* Replaces the subject's socket by `fresh`, on the program's fd. 0 or an errno; ENOENT: nobody waits for the
 * call any more, and nothing was changed. `close_on_exec`: that flag of the program's fd. */
int subject_replace(struct subject *subject, int fresh, bool close_on_exec);
/* subject->fd becomes a duplicate of what stands on the program's fd now; -1: it can't be had. */
void subject_reopen(struct subject *subject);
/* O_NONBLOCK and O_CLOEXEC as the program's fd has them now. -1: the fd is another socket's by now, or is
 * gone (the call is answered). */
int subject_flags(struct subject *subject);
/* Remembers what the program set on its socket without our being shown that: SO_KEEPALIVE. */
void subject_learn_options(struct subject *subject);
/* Replaces the transport's socket by a fresh INET socket. 0 or an errno. */
int subject_to_ip(struct subject *subject);
/* The same for a socket that others may have, too (SO_REUSEPORT, fork()), and go on with: *others is what
 * they have from here on; NULL: out of memory. */
int subject_part(struct subject *subject, struct watched **others);

/* Finds out the outcome of a connect() that the program didn't wait for. */
enum stage subject_settle(struct subject *subject);
int subject_take_error(struct subject *subject);

/* Reads memory of the call's thread. If it can't be reached, answers and returns false. */
bool subject_read(struct subject *subject, uint64_t address, void *to, size_t size);
bool subject_write(struct subject *subject, uint64_t address, const void *from, size_t size);
/* Reads a complete sockaddr of the program. false: answered. */
bool subject_read_address(struct subject *subject, uint64_t address, uint64_t length,
	struct sockaddr_storage *whole, socklen_t *size);
/* Returns an address to the program as the kernel does: *length becomes its whole length, and no more is
 * copied than the buffer holds. 0 or an errno. */
int subject_return_address(struct subject *subject, int family, const struct address *found, uint32_t scope,
	uint64_t address, uint64_t length);
/* The same for a value of getsockopt(2). */
int subject_return_value(
	struct subject *subject, const void *value, socklen_t size, uint64_t to, uint64_t length);

/* Logs one line for a connection, as the library does. */
void report(const char *what, const struct address *address, const struct rule *rule,
	const struct endpoint *endpoint, const char *outcome);
void report_unreachable(const struct address *address, bool datagram);

/* For a connect() that no thread waits for any more: its outcome, or its socket if that needn't be greeted,
 * now replaces the program's. */
void attempt_settle(struct subject *subject);
bool attempt_cancel(struct watched *watched); /* by shutdown(); false: there is none */
/* shutdown() of a listener ends the calls of its process that wait for it; those of other processes wait for
 * what is left to `others` (NULL: it couldn't be). */
void accept_cancel(const struct subject *subject, struct watched *others);

/* This end of a connection, as the program would have found it on TCP. */
struct address own_address(int fd, const struct watched *watched);
/* What an INET socket is bound to. false: the kernel doesn't report it. */
bool bound_address(int fd, const struct watched *watched, struct address *name);
/* Is anything queued to be read? */
bool is_readable(int fd);

/* The map's name server at the other end of a socket. */
int nameserver_open(bool datagram, int flags); /* the program's end; -1 and errno */
/* Replaces a UDP socket by such a socket. 0 or an errno. */
int nameserver_replace(
	struct subject *subject, const struct rule *rule, const struct address *asked, uint32_t scope);

static inline bool is_nameserver(const struct watched *watched)
{
	return watched->transport == &transport_names;
}

static inline uint64_t argument(const struct subject *subject, int index)
{
	return subject->call->arguments[index];
}

#endif
