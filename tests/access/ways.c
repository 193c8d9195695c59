/* SPDX-License-Identifier: MIT */
/* Every way in which a program can open a TCP connection, or a TCP port, or send a datagram to an address of
 * the reserved ranges, through libc: ways connect|listen|datagram PORT tries each and prints a line "WAY:
 * RESULT". Without the library all must succeed; where a rule refuses, none. ways serve PORT: a server
 * without the library; prints a line a connection, and closes it. ways inherit COMMAND...: opens what the
 * next program inherits: fds 60 (IPv4), 61 (IPv6), and 62, which gives another. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static uint16_t port;

static struct sockaddr_in four(uint32_t address)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
}

static struct sockaddr_in6 mapped(uint32_t address)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
	address = htonl(address);
	memcpy(six.sin6_addr.s6_addr + 12, &address, 4);
	return six;
}

static struct sockaddr_in6 six(struct in6_addr address)
{
	return (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = address};
}

static int tcp(int family, int flags)
{
	return socket(family, SOCK_STREAM | flags, 0);
}

static int to_four(int fd, uint32_t address)
{
	struct sockaddr_in name = four(address);
	return connect(fd, (struct sockaddr *)&name, sizeof name);
}

static int to_six(int fd, struct sockaddr_in6 name)
{
	return connect(fd, (struct sockaddr *)&name, sizeof name);
}

/* Waits for an attempt that is under way. */
static int finish(int fd, int result)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t length = sizeof error;
	if (result == 0 || errno != EINPROGRESS)
		return result;
	if (poll(&wait, 1, 5000) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -1;
	errno = error;
	return error ? -1 : 0;
}

static int plain(void)
{
	return to_four(tcp(AF_INET, 0), INADDR_LOOPBACK);
}

static int wildcard(void)
{
	return to_four(tcp(AF_INET, 0), INADDR_ANY);
}

static int another_of_127(void)
{
	return to_four(tcp(AF_INET, 0), 0x7f010203);
}

static int v6(void)
{
	return to_six(tcp(AF_INET6, 0), six(in6addr_loopback));
}

static int v6_wildcard(void)
{
	return to_six(tcp(AF_INET6, 0), six(in6addr_any));
}

static int v4_mapped(void)
{
	return to_six(tcp(AF_INET6, 0), mapped(INADDR_LOOPBACK));
}

static int v4_mapped_wildcard(void)
{
	return to_six(tcp(AF_INET6, 0), mapped(INADDR_ANY));
}

static int with_a_scope(void)
{
	struct sockaddr_in6 name = six(in6addr_loopback);
	name.sin6_scope_id = 1;
	return to_six(tcp(AF_INET6, 0), name);
}

static int nonblocking(void)
{
	int fd = tcp(AF_INET, SOCK_NONBLOCK);
	return finish(fd, to_four(fd, INADDR_LOOPBACK));
}

static int dup_of_it(void)
{
	return to_four(dup(tcp(AF_INET, 0)), INADDR_LOOPBACK);
}

static int dup2_of_it(void)
{
	return to_four(dup2(tcp(AF_INET, 0), 70), INADDR_LOOPBACK);
}

static int fcntl_dup(void)
{
	return to_four(fcntl(tcp(AF_INET, 0), F_DUPFD_CLOEXEC, 80), INADDR_LOOPBACK);
}

static int syscall_connect(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	return (int)syscall(SYS_connect, tcp(AF_INET, 0), &name, sizeof name);
}

static int syscall_all(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, IPPROTO_TCP);
	return (int)syscall(SYS_connect, (int)syscall(SYS_dup, fd), &name, sizeof name);
}

static int fastopen_sendto(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	return sendto(tcp(AF_INET, 0), "x", 1, MSG_FASTOPEN, (struct sockaddr *)&name, sizeof name) < 0 ? -1
													: 0;
}

static int fastopen_sendto_mapped(void)
{
	struct sockaddr_in6 name = mapped(INADDR_LOOPBACK);
	return sendto(tcp(AF_INET6, 0), "x", 1, MSG_FASTOPEN, (struct sockaddr *)&name, sizeof name) < 0 ? -1
													 : 0;
}

static int fastopen_syscall(void)
{
	struct sockaddr_in name = four(INADDR_ANY);
	return syscall(SYS_sendto, tcp(AF_INET, 0), "x", 1, MSG_FASTOPEN, &name, sizeof name) < 0 ? -1 : 0;
}

static int fastopen_sendmsg(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	struct iovec part = {"x", 1};
	struct msghdr message = {
		.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &part, .msg_iovlen = 1};
	return sendmsg(tcp(AF_INET, 0), &message, MSG_FASTOPEN) < 0 ? -1 : 0;
}

static int fastopen_sendmmsg(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	struct iovec part = {"x", 1};
	struct mmsghdr message = {
		.msg_hdr = {
			.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &part, .msg_iovlen = 1}};
	return sendmmsg(tcp(AF_INET, 0), &message, 1, MSG_FASTOPEN) < 0 ? -1 : 0;
}

static int fastopen_connect(void)
{
	int one = 1, fd = tcp(AF_INET, 0);
	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one) < 0 ||
		to_four(fd, INADDR_LOOPBACK) < 0)
		return -1;
	return send(fd, "x", 1, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int multipath(void)
{
	return to_four(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), INADDR_LOOPBACK);
}

static int bound_before(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	int fd = tcp(AF_INET, 0);
	name.sin_port = 0;
	return bind(fd, (struct sockaddr *)&name, sizeof name) < 0 ? -1 : to_four(fd, INADDR_LOOPBACK);
}

static int after_a_failure(void)
{
	int fd = tcp(AF_INET, 0);
	port++;
	to_four(fd, INADDR_LOOPBACK); /* where nobody listens */
	port--;
	return to_four(fd, INADDR_LOOPBACK);
}

static int after_dissolving(void)
{
	int fd = tcp(AF_INET, 0);
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	to_four(fd, INADDR_LOOPBACK);
	(void)connect(fd, &nowhere, sizeof nowhere);
	return to_four(fd, INADDR_LOOPBACK);
}

static int name_of_the_machine(void)
{
	char service[8];
	struct addrinfo *list, wanted = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET};
	snprintf(service, sizeof service, "%d", port);
	if (getaddrinfo("localhost", service, &wanted, &list) != 0)
		return -1;
	return connect(tcp(AF_INET, 0), list->ai_addr, list->ai_addrlen);
}

static int of_child(pid_t child)
{
	int status;
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	errno = WEXITSTATUS(status);
	return errno ? -1 : 0;
}

static int in_a_child(void)
{
	int fd = tcp(AF_INET, 0);
	pid_t child = fork();
	if (child == 0)
		_exit(to_four(fd, INADDR_LOOPBACK) < 0 ? errno : 0);
	return of_child(child);
}

static int in_a_vfork_child(void)
{
	pid_t child = vfork();
	if (child == 0)
		_exit(to_four(tcp(AF_INET, 0), INADDR_LOOPBACK) < 0 ? errno : 0);
	return of_child(child);
}

static int fastopen_in_a_vfork_child(void)
{
	pid_t child = vfork();
	if (child == 0)
		_exit(fastopen_sendto() < 0 ? errno : 0);
	return of_child(child);
}

static int inherited(void)
{
	return to_four(60, INADDR_LOOPBACK);
}

static int inherited_wildcard(void)
{
	return to_six(61, six(in6addr_any));
}

static int received(void)
{
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	int fd;
	if (recvmsg(62, &message, 0) != 1)
		return -1;
	memcpy(&fd, CMSG_DATA((struct cmsghdr *)control), sizeof fd);
	struct sockaddr_in name = four(INADDR_ANY);
	return sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&name, sizeof name) < 0 ? -1 : 0;
}

static int listens(int fd, const void *name, socklen_t length)
{
	int one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	return name && bind(fd, name, length) < 0 ? -1 : listen(fd, 5);
}

static int bind_plain(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	return listens(tcp(AF_INET, 0), &name, sizeof name);
}

static int bind_wildcard(void)
{
	struct sockaddr_in name = four(INADDR_ANY);
	return listens(tcp(AF_INET, 0), &name, sizeof name);
}

static int bind_unspecified(void) /* as Linux takes it, for old programs */
{
	struct sockaddr_in name = four(INADDR_ANY);
	name.sin_family = AF_UNSPEC;
	return listens(tcp(AF_INET, 0), &name, sizeof name);
}

static int bind_v6(void)
{
	struct sockaddr_in6 name = six(in6addr_any);
	return listens(tcp(AF_INET6, 0), &name, sizeof name);
}

static int bind_mapped(void)
{
	struct sockaddr_in6 name = mapped(INADDR_LOOPBACK);
	return listens(tcp(AF_INET6, 0), &name, sizeof name);
}

static int bind_any_port(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	name.sin_port = 0;
	return listens(tcp(AF_INET, 0), &name, sizeof name);
}

static int listen_unbound(void)
{
	return listens(tcp(AF_INET, 0), NULL, 0);
}

static int bind_syscall(void)
{
	struct sockaddr_in name = four(INADDR_LOOPBACK);
	int fd = tcp(AF_INET, 0);
	return syscall(SYS_bind, fd, &name, sizeof name) < 0 ? -1 : (int)syscall(SYS_listen, fd, 5);
}

static int listen_inherited(void)
{
	return listens(60, NULL, 0);
}

static int bind_inherited(void)
{
	struct sockaddr_in6 name = six(in6addr_loopback);
	return listens(61, &name, sizeof name);
}

/* ---- datagrams to the reserved ranges ---- */

enum { RESERVED = 0xc6120001 }; /* 198.18.0.1 */
static const struct in6_addr reserved6 = {{{0xfd, 0x76, 0x73, 0x6f, 0x63, 0x6b, 0, 1, [15] = 1}}};

static int udp(int family)
{
	return socket(family, SOCK_DGRAM, 0);
}

static int sends_to(int fd, const void *name, socklen_t length)
{
	return sendto(fd, "x", 1, 0, name, length) < 0 ? -1 : 0;
}

static int datagram_sendto(void)
{
	struct sockaddr_in name = four(RESERVED);
	return sends_to(udp(AF_INET), &name, sizeof name);
}

static int datagram_sendto_mapped(void)
{
	struct sockaddr_in6 name = mapped(RESERVED);
	return sends_to(udp(AF_INET6), &name, sizeof name);
}

static int datagram_sendto_v6(void)
{
	struct sockaddr_in6 name = six(reserved6);
	return sends_to(udp(AF_INET6), &name, sizeof name);
}

static int datagram_sendto_dup(void)
{
	struct sockaddr_in name = four(RESERVED);
	return sends_to(dup(udp(AF_INET)), &name, sizeof name);
}

static int datagram_sendto_elsewhere_connected(void)
{
	struct sockaddr_in name = four(RESERVED);
	int fd = udp(AF_INET);
	return to_four(fd, INADDR_LOOPBACK) < 0 ? -1 : sends_to(fd, &name, sizeof name);
}

static int datagram_syscall(void)
{
	struct sockaddr_in name = four(RESERVED);
	return syscall(SYS_sendto, udp(AF_INET), "x", 1, 0, &name, sizeof name) < 0 ? -1 : 0;
}

static int datagram_sendmsg(void)
{
	struct sockaddr_in name = four(RESERVED);
	struct iovec part = {"x", 1};
	struct msghdr message = {
		.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &part, .msg_iovlen = 1};
	return sendmsg(udp(AF_INET), &message, 0) < 0 ? -1 : 0;
}

static int datagram_sendmmsg(void) /* the second of two */
{
	struct sockaddr_in names[2] = {four(INADDR_LOOPBACK), four(RESERVED)};
	struct iovec part = {"x", 1};
	struct mmsghdr messages[2];
	memset(messages, 0, sizeof messages);
	for (int i = 0; i < 2; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i],
			.msg_namelen = sizeof names[i],
			.msg_iov = &part,
			.msg_iovlen = 1};
	int sent = sendmmsg(udp(AF_INET), messages, 2, 0);
	if (sent == 1) /* a caller that continues gets the errno */
		errno = EHOSTUNREACH;
	return sent == 2 ? 0 : -1;
}

static int datagram_connect(void)
{
	return to_four(udp(AF_INET), RESERVED);
}

static int datagram_connect_syscall(void)
{
	struct sockaddr_in name = four(RESERVED);
	return (int)syscall(SYS_connect, udp(AF_INET), &name, sizeof name);
}

static int datagram_in_a_vfork_child(void)
{
	struct sockaddr_in name = four(RESERVED);
	int fd = udp(AF_INET), status;
	pid_t child = vfork();
	if (child == 0)
		_exit(sends_to(fd, &name, sizeof name) < 0 ? errno : 0);
	waitpid(child, &status, 0);
	errno = WEXITSTATUS(status);
	return errno ? -1 : 0;
}

enum what { CONNECTS, LISTENS, DATAGRAMS };

static const struct way {
	const char *name;
	int (*go)(void);
	enum what what;
} ways[] = {
#define CONNECT(name)                                                                                        \
	{                                                                                                    \
#name, name, CONNECTS                                                                        \
	}
#define LISTEN(name)                                                                                         \
	{                                                                                                    \
#name, name, LISTENS                                                                         \
	}
#define DATAGRAM(name)                                                                                       \
	{                                                                                                    \
#name, name, DATAGRAMS                                                                       \
	}
	CONNECT(plain),
	CONNECT(wildcard),
	CONNECT(another_of_127),
	CONNECT(v6),
	CONNECT(v6_wildcard),
	CONNECT(v4_mapped),
	CONNECT(v4_mapped_wildcard),
	CONNECT(with_a_scope),
	CONNECT(nonblocking),
	CONNECT(dup_of_it),
	CONNECT(dup2_of_it),
	CONNECT(fcntl_dup),
	CONNECT(syscall_connect),
	CONNECT(syscall_all),
	CONNECT(fastopen_sendto),
	CONNECT(fastopen_sendto_mapped),
	CONNECT(fastopen_syscall),
	CONNECT(fastopen_sendmsg),
	CONNECT(fastopen_sendmmsg),
	CONNECT(fastopen_connect),
	CONNECT(multipath),
	CONNECT(bound_before),
	CONNECT(after_a_failure),
	CONNECT(after_dissolving),
	CONNECT(name_of_the_machine),
	CONNECT(in_a_child),
	CONNECT(in_a_vfork_child),
	CONNECT(fastopen_in_a_vfork_child),
	CONNECT(inherited),
	CONNECT(inherited_wildcard),
	CONNECT(received),
	LISTEN(bind_plain),
	LISTEN(bind_wildcard),
	LISTEN(bind_unspecified),
	LISTEN(bind_v6),
	LISTEN(bind_mapped),
	LISTEN(bind_any_port),
	LISTEN(listen_unbound),
	LISTEN(bind_syscall),
	LISTEN(listen_inherited),
	LISTEN(bind_inherited),
	DATAGRAM(datagram_sendto),
	DATAGRAM(datagram_sendto_mapped),
	DATAGRAM(datagram_sendto_v6),
	DATAGRAM(datagram_sendto_dup),
	DATAGRAM(datagram_sendto_elsewhere_connected),
	DATAGRAM(datagram_syscall),
	DATAGRAM(datagram_sendmsg),
	DATAGRAM(datagram_sendmmsg),
	DATAGRAM(datagram_connect),
	DATAGRAM(datagram_connect_syscall),
	DATAGRAM(datagram_in_a_vfork_child),
};

static void try_all(enum what what)
{
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		if (ways[i].what != what)
			continue;
		pid_t child = fork(); /* each leaves its fds behind */
		if (child == 0) {
			alarm(10);
			int result = ways[i].go();
			printf("%s: %s\n", ways[i].name, result < 0 ? strerrorname_np(errno) : "through");
			fflush(stdout);
			_exit(0);
		}
		int status;
		waitpid(child, &status, 0);
		if (status)
			printf("%s: status %x\n", ways[i].name, (unsigned)status);
	}
}

static void serve(void)
{
	struct sockaddr_in6 name = six(in6addr_any);
	int one = 1, fd = tcp(AF_INET6, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &(int){5}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || listen(fd, 100) < 0) {
		perror("ways: serve");
		_exit(1);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	for (;;) {
		int client = accept(fd, NULL, NULL);
		puts("a connection");
		close(client);
	}
}

static void inherit(char **command)
{
	int pair[2], gift = tcp(AF_INET, 0);
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof gift)] = {0};
	struct iovec part = {"x", 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *first = CMSG_FIRSTHDR(&message);
	*first = (struct cmsghdr){CMSG_LEN(sizeof gift), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(first), &gift, sizeof gift);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	sendmsg(pair[0], &message, 0);
	dup2(tcp(AF_INET, 0), 60);
	dup2(tcp(AF_INET6, 0), 61);
	dup2(pair[1], 62);
	execvp(*command, command);
	perror(*command);
	_exit(127);
}

int main(int count, char **arguments)
{
	const char *what = count > 2 ? arguments[1] : "";
	if (strcmp(what, "inherit") == 0)
		inherit(arguments + 2);
	port = count > 2 ? (uint16_t)atoi(arguments[2]) : 0;
	if (strcmp(what, "serve") == 0)
		serve();
	else
		try_all(strcmp(what, "listen") == 0	? LISTENS
			: strcmp(what, "datagram") == 0 ? DATAGRAMS
							: CONNECTS);
	return 0;
}
