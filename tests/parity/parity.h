/* SPDX-License-Identifier: MIT */
/* The parity suite: TCP is the oracle. A case is a short sequence of socket calls; every call in capitals is
 * made and recorded with all that the caller can observe (value, errno, addresses, bytes, bits, signals,
 * whether errno was touched although nothing failed). The same binary runs on TCP and through the library,
 * and `run` compares the records line by line. Ports are shown as P1, P2, … in the order in which a case met
 * them, fds as relations, times as classes. What is not in capitals is scaffolding and ends the case when it
 * fails. */
#ifndef IP2VSOCK_PARITY_H
#define IP2VSOCK_PARITY_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range /* glibc before 2.32 doesn't know Linux 5.9's calls, but the kernel's headers do */
#define SYS_close_range __NR_close_range
#endif

/* A case, run in a child of its own. CASE runs once with IPv4, CASE_EACH three times: IPv4, IPv6, and an IPv6
 * socket with v4-mapped addresses. The text says what a user would notice. */
struct parity_case {
	const char *name, *text;
	bool each_family;
	void (*run)(void);
	struct parity_case *next;
};
void case_add(struct parity_case *added);

#define CASE_(id, every, words)                                                                              \
	static void case_##id(void);                                                                         \
	__attribute__((constructor)) static void add_##id(void)                                              \
	{                                                                                                    \
		static struct parity_case self = {#id, words, every, case_##id, NULL};                       \
		case_add(&self);                                                                             \
	}                                                                                                    \
	static void case_##id(void)
#define CASE(id, words) CASE_(id, false, words)
#define CASE_EACH(id, words) CASE_(id, true, words)

/* What runs behind an exec of this binary: exec_helper("name", fd). */
struct helper {
	const char *name;
	void (*run)(int fd);
	struct helper *next;
};
void helper_add(struct helper *added);
#define HELPER(id)                                                                                           \
	static void helper_##id(int fd);                                                                     \
	__attribute__((constructor)) static void add_helper_##id(void)                                       \
	{                                                                                                    \
		static struct helper self = {#id, helper_##id, NULL};                                        \
		helper_add(&self);                                                                           \
	}                                                                                                    \
	static void helper_##id(int fd)
char **helper_arguments(const char *name, int fd); /* argv of this binary; argv[0] is its path */

/* Records */
void record(const char *format, ...) __attribute__((format(printf, 1, 2)));
size_t record_size(void);
void begin(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the call that comes */
long finish(long value);						   /* the call and its result */
int finish_fd(int fd, int lowest);
void finish_note(const char *format, ...)
	__attribute__((format(printf, 1, 2))); /* appended by the next finish */
_Noreturn void give_up(const char *what);      /* scaffolding failed */

/* Names */
const char *error_name(int error);
const char *poll_names(unsigned events);
const char *bytes_text(const void *data, size_t length);
const char *sockaddr_text(const void *address, socklen_t length, socklen_t size);
const char *port_text(unsigned port);

/* Addresses of this run's family */
struct addr {
	struct sockaddr_storage storage;
	socklen_t length;
};
extern int family;	   /* AF_INET or AF_INET6: of the sockets */
extern bool family_mapped; /* AF_INET6 sockets, ::ffff:a.b.c.d addresses */
extern bool through_vsock; /* for scaffolding that has to arrange the same thing differently; no case asks */
struct addr loopback(unsigned port);
struct addr wildcard(unsigned port);
struct addr ipv4(const char *text, unsigned port);
struct addr ipv6(const char *text, unsigned port);
struct addr unspecified(void);
unsigned port_of(const struct addr *address);
static inline struct sockaddr *sa(const struct addr *address)
{
	return (struct sockaddr *)&address->storage;
}
static inline const char *addr_text(const struct addr *address)
{
	return sockaddr_text(&address->storage, address->length, sizeof(address->storage));
}

/* Scaffolding: not recorded */
int tcp(void);	    /* a fresh socket of the family */
int listener(void); /* on loopback, any port */
int listener_at(struct addr address, int backlog);
struct addr address_of(int fd); /* where it is bound, as one would connect to it */
struct addr nobody(void);	/* loopback, a port where nobody listens */
struct pair {
	int listener, client, server;
};
struct pair pair(void);
int accept_from(int listener);
void connect_to(int fd, struct addr address);

/* A thread's connect() of a socket that others use, too: its errno, or 0. */
struct joint {
	int fd, result;
	struct addr to;
};
void *connect_jointly(void *joint);
void nonblocking(int fd);
void settle(void); /* long enough for what was sent to arrive on any transport */
void pause_ms(int ms);
int lowest_free(void);
void after(int ms, void (*action)(int), int argument); /* in a thread */
void after_signal(int ms, int signal);		       /* to this thread */
void on_signal(int signal, int flags);		       /* count it (flags: SA_RESTART or 0) */
int signals_seen(int signal);
pid_t child(void); /* fork; the child must end with done() */
_Noreturn void done(void);
void wait_for(pid_t pid); /* and record it if the child ended badly */
void clock_start(void);
void TOOK(int expected_ms); /* since clock_start, as a class */
uint64_t pattern_check(const void *data, size_t length, uint64_t offset);
void pattern_fill(void *data, size_t length, uint64_t offset);
void send_all(int fd, uint64_t bytes);	  /* a pattern */
void RECEIVE_ALL(int fd, uint64_t bytes); /* checks the pattern and records what came */
/* A peer that takes about a second before it lets anybody connect. */
struct slow_peer {
	struct addr address;
	int listener;
};
struct slow_peer slow_peer(void);

/* Calls: each is made and recorded */
#define SOCKET(af, type, protocol)                                                                           \
	({                                                                                                   \
		int lowest_ = lowest_free();                                                                 \
		begin("socket(%s, %s, %s)", #af, #type, #protocol);                                          \
		finish_fd(socket(af, type, protocol), lowest_);                                              \
	})
#define CONNECT(fd, to)                                                                                      \
	({                                                                                                   \
		const struct addr to_ = (to);                                                                \
		begin("connect(%s, %s)", #fd, addr_text(&to_));                                              \
		finish(connect(fd, sa(&to_), to_.length));                                                   \
	})
#define BIND(fd, to)                                                                                         \
	({                                                                                                   \
		const struct addr to_ = (to);                                                                \
		begin("bind(%s, %s)", #fd, addr_text(&to_));                                                 \
		finish(bind(fd, sa(&to_), to_.length));                                                      \
	})
#define LISTEN(fd, backlog)                                                                                  \
	({                                                                                                   \
		begin("listen(%s, %d)", #fd, backlog);                                                       \
		finish(listen(fd, backlog));                                                                 \
	})
int do_accept(const char *name, int fd, int flags, bool four);
#define ACCEPT(fd) do_accept(#fd, fd, 0, false)
#define ACCEPT4(fd, flags) do_accept(#fd ", " #flags, fd, flags, true)
#define ACCEPT_NULL(fd)                                                                                      \
	({                                                                                                   \
		int lowest_ = lowest_free();                                                                 \
		begin("accept(%s, NULL, NULL)", #fd);                                                        \
		finish_fd(accept(fd, NULL, NULL), lowest_);                                                  \
	})
/* size: what the caller says that its buffer holds; the buffer is larger and its rest is watched */
typedef int name_call(int fd, struct sockaddr *address, socklen_t *length);
long do_name(const char *call, name_call *function, const char *name, int fd, socklen_t size);
#define GETSOCKNAME(fd) do_name("getsockname", getsockname, #fd, fd, sizeof(struct sockaddr_storage))
#define GETPEERNAME(fd) do_name("getpeername", getpeername, #fd, fd, sizeof(struct sockaddr_storage))
#define GETSOCKNAME_SIZE(fd, size) do_name("getsockname", getsockname, #fd, fd, size)
#define GETPEERNAME_SIZE(fd, size) do_name("getpeername", getpeername, #fd, fd, size)
#define ACCEPT_SIZE(fd, size) do_name("accept", accept, #fd, fd, size)

long do_getsockopt(const char *text, int fd, int level, int option, socklen_t size);
#define GETSOCKOPT(fd, level, option) do_getsockopt(#fd ", " #option, fd, level, option, sizeof(int))
#define GETSOCKOPT_SIZE(fd, level, option, size) do_getsockopt(#fd ", " #option, fd, level, option, size)
long do_setsockopt(const char *text, int fd, int level, int option, int value);
#define SETSOCKOPT(fd, level, option, value) do_setsockopt(#fd ", " #option, fd, level, option, value)
#define SETSOCKOPT_DATA(fd, level, option, data, size)                                                       \
	({                                                                                                   \
		begin("setsockopt(%s, %s, %s, %d)", #fd, #option, #data, (int)(size));                       \
		finish(setsockopt(fd, level, option, data, size));                                           \
	})

long do_send(const char *name, int fd, const char *text, int flags, const char *flags_text);
#define SEND(fd, text, flags) do_send(#fd, fd, text, flags, #flags)
#define WRITE(fd, text)                                                                                      \
	({                                                                                                   \
		begin("write(%s, \"%s\")", #fd, text);                                                       \
		finish(write(fd, text, strlen(text)));                                                       \
	})
#define SENDTO(fd, text, flags, to)                                                                          \
	({                                                                                                   \
		const struct addr to_ = (to);                                                                \
		begin("sendto(%s, \"%s\", %s, %s)", #fd, text, #flags, addr_text(&to_));                     \
		finish(sendto(fd, text, strlen(text), flags, sa(&to_), to_.length));                         \
	})
long do_recv(const char *name, int fd, size_t size, int flags, const char *flags_text);
#define RECV(fd, size, flags) do_recv(#fd, fd, size, flags, #flags)
long do_read(const char *name, int fd, size_t size);
#define READ(fd, size) do_read(#fd, fd, size)
/* poll_now: the bits once things have settled. POLL_WAIT: waits up to two seconds for one of them. */
long do_poll(const char *name, int fd, short events, int timeout);
#define POLL_ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)
#define POLL(fd) do_poll(#fd, fd, POLL_ALL, 0)
#define POLL_WAIT(fd, events) do_poll(#fd, fd, events, 2000)
int do_epoll_ctl(const char *text, int epoll, int operation, int fd, unsigned events, uint64_t data);
#define EPOLL_ADD(ep, fd, events, data)                                                                      \
	do_epoll_ctl("ADD, " #fd ", " #events, ep, EPOLL_CTL_ADD, fd, events, data)
#define EPOLL_MOD(ep, fd, events, data)                                                                      \
	do_epoll_ctl("MOD, " #fd ", " #events, ep, EPOLL_CTL_MOD, fd, events, data)
#define EPOLL_DEL(ep, fd) do_epoll_ctl("DEL, " #fd, ep, EPOLL_CTL_DEL, fd, 0, 0)
#define EPOLL_ALL (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP)
int do_epoll_wait(const char *name, int epoll);
#define EPOLL_WAIT(ep) do_epoll_wait(#ep, ep)
int epoll_new(void);
#define SHUTDOWN(fd, how)                                                                                    \
	({                                                                                                   \
		begin("shutdown(%s, %s)", #fd, #how);                                                        \
		finish(shutdown(fd, how));                                                                   \
	})
#define CLOSE(fd)                                                                                            \
	({                                                                                                   \
		begin("close(%s)", #fd);                                                                     \
		finish(close(fd));                                                                           \
	})
#define DUP(fd)                                                                                              \
	({                                                                                                   \
		int lowest_ = lowest_free();                                                                 \
		begin("dup(%s)", #fd);                                                                       \
		finish_fd(dup(fd), lowest_);                                                                 \
	})
#define DUP2(fd, over)                                                                                       \
	({                                                                                                   \
		begin("dup2(%s, %s)", #fd, #over);                                                           \
		finish_fd(dup2(fd, over), over);                                                             \
	})
#define DUP3(fd, over, flags)                                                                                \
	({                                                                                                   \
		begin("dup3(%s, %s, %s)", #fd, #over, #flags);                                               \
		finish_fd(dup3(fd, over, flags), over);                                                      \
	})
#define FCNTL(fd, command, argument)                                                                         \
	({                                                                                                   \
		begin("fcntl(%s, %s, %s)", #fd, #command, #argument);                                        \
		finish(fcntl(fd, command, argument));                                                        \
	})
long do_ioctl_int(const char *text, int fd, unsigned long request, int value);
#define IOCTL_INT(fd, request, value) do_ioctl_int(#fd ", " #request, fd, request, value)
#define VALUE(expression) record("%s: %ld", #expression, (long)(expression))
void FLAGS(const char *name, int fd); /* fd flags and file flags */
#define SHOW_FLAGS(fd) FLAGS(#fd, fd)
/* One line each way: does the connection carry data? */
void do_carries(const char *text, int a, int b);
#define CARRIES(a, b) do_carries(#a " and " #b, a, b)

#endif
