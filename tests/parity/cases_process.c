/* SPDX-License-Identifier: MIT */
/* Descriptors and processes: flags, dup, close, fork, vfork, exec, passing over Unix sockets, stdio. */
#include "parity.h"

#include <sched.h>
#include <stdatomic.h>

#ifdef __GLIBC__
#define HAS_CLOSE_RANGE __GLIBC_PREREQ(2, 34)
#else
#define HAS_CLOSE_RANGE 0
#endif

#if !HAS_CLOSE_RANGE /* nor closefrom */
static int close_range(unsigned first, unsigned last, int flags)
{
	return syscall(SYS_close_range, first, last, flags);
}

static void closefrom(int first)
{
	close_range(first, ~0u, 0);
}
#endif

/* Flags */

CASE(flags_of_socket, "SOCK_NONBLOCK and SOCK_CLOEXEC at creation, each alone and both")
{
	int a = SOCKET(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
	    b = SOCKET(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int c = SOCKET(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	SHOW_FLAGS(a);
	SHOW_FLAGS(b);
	SHOW_FLAGS(c);
}

CASE(flags_kept_by_connect, "CLOEXEC, O_NONBLOCK and O_ASYNC are what they were after connect")
{
	int s = listener();
	for (int i = 0; i < 4; i++) {
		int c = socket(
			AF_INET, SOCK_STREAM | (i & 1 ? SOCK_CLOEXEC : 0) | (i & 2 ? SOCK_NONBLOCK : 0), 0);
		SHOW_FLAGS(c);
		CONNECT(c, address_of(s));
		POLL_WAIT(c, POLLOUT);
		SHOW_FLAGS(c);
	}
}

CASE(flags_set_before_connect, "CLOEXEC set and cleared in every way before connect is the same after it")
{
	int s = listener(), plain = SOCK_STREAM, closing = SOCK_STREAM | SOCK_CLOEXEC;
	int by_fcntl[] = {SOCKET(AF_INET, plain, 0), SOCKET(AF_INET, closing, 0)};
	FCNTL(by_fcntl[0], F_SETFD, FD_CLOEXEC);
	FCNTL(by_fcntl[1], F_SETFD, 0);
	int by_ioctl[] = {SOCKET(AF_INET, plain, 0), SOCKET(AF_INET, closing, 0)};
	IOCTL_INT(by_ioctl[0], FIOCLEX, 0);
	IOCTL_INT(by_ioctl[1], FIONCLEX, 0);
	int by_range[] = {SOCKET(AF_INET, plain, 0), SOCKET(AF_INET, plain, 0)};
	begin("close_range(CLOEXEC)");
	finish(close_range((unsigned)by_range[0], (unsigned)by_range[0], 4));
	begin("syscall(SYS_close_range, CLOEXEC)");
	finish(syscall(SYS_close_range, by_range[1], by_range[1], 4));
	int of_dup[] = {SOCKET(AF_INET, closing, 0), SOCKET(AF_INET, plain, 0)};
	int by_dup[] = {DUP(of_dup[0]), FCNTL(of_dup[1], F_DUPFD_CLOEXEC, 100)};
	int *all[] = {by_fcntl, by_ioctl, by_range, by_dup};
	for (int way = 0; way < 4; way++)
		for (int i = 0; i < 2; i++) {
			CONNECT(all[way][i], address_of(s));
			SHOW_FLAGS(all[way][i]);
			CLOSE(ACCEPT(s));
		}
	SHOW_FLAGS(of_dup[0]);
	SHOW_FLAGS(of_dup[1]);
}

CASE(flags_kept_by_bind, "CLOEXEC and O_NONBLOCK are what they were after bind and listen")
{
	for (int i = 0; i < 4; i++) {
		int s = socket(
			AF_INET, SOCK_STREAM | (i & 1 ? SOCK_CLOEXEC : 0) | (i & 2 ? SOCK_NONBLOCK : 0), 0);
		BIND(s, loopback(0));
		SHOW_FLAGS(s);
		LISTEN(s, 5);
		SHOW_FLAGS(s);
	}
}

CASE(flags_kept_by_refusal, "the flags after a refused connect, blocking and not")
{
	int c = SOCKET(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    d = SOCKET(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CONNECT(c, nobody());
	SHOW_FLAGS(c);
	CONNECT(d, nobody());
	POLL_WAIT(d, POLLOUT);
	SHOW_FLAGS(d);
}

CASE(flags_set_after_connect, "F_SETFD and F_SETFL on a connection")
{
	struct pair p = pair();
	FCNTL(p.client, F_SETFD, FD_CLOEXEC);
	FCNTL(p.client, F_SETFL, O_NONBLOCK);
	SHOW_FLAGS(p.client);
	FCNTL(p.client, F_SETFD, 0);
	FCNTL(p.client, F_SETFL, 0);
	SHOW_FLAGS(p.client);
}

CASE(flags_kept_by_unspec, "the flags after a connection was dissolved")
{
	struct pair p = pair();
	FCNTL(p.client, F_SETFD, FD_CLOEXEC);
	FCNTL(p.client, F_SETFL, O_NONBLOCK);
	CONNECT(p.client, unspecified());
	SHOW_FLAGS(p.client);
}

CASE(socket_protocols, "what socket() takes and refuses")
{
	SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP);
	SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_IP);
	SOCKET(AF_INET, SOCK_STREAM, IPPROTO_UDP);
	SOCKET(AF_INET, SOCK_SEQPACKET, 0);
	SOCKET(AF_INET, 99, 0);
	SOCKET(AF_INET, SOCK_STREAM | 0x100, 0);
	SOCKET(AF_INET, SOCK_STREAM, 9999);
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	SOCKET(99, SOCK_STREAM, 0);
	int pair[2];
	begin("socketpair(AF_INET)");
	finish(socketpair(AF_INET, SOCK_STREAM, 0, pair));
	begin("socketpair(AF_UNIX)");
	finish(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CARRIES(pair[0], pair[1]);
}

CASE(socket_explicit_protocol, "a socket made with IPPROTO_TCP connects and accepts")
{
	int s = SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP), c = SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	GETSOCKOPT(c, SOL_SOCKET, SO_PROTOCOL);
	CARRIES(c, a);
}

CASE(socket_is_a_socket, "fstat and lseek see a socket")
{
	struct pair p = pair();
	struct stat status;
	begin("fstat(p.client)");
	finish(fstat(p.client, &status));
	VALUE(S_ISSOCK(status.st_mode));
	begin("lseek(p.client)");
	finish(lseek(p.client, 0, SEEK_CUR));
	char link[64] = "", path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p.client);
	if (readlink(path, link, sizeof(link) - 1) < 0)
		give_up("readlink");
	link[8] = '\0';
	record("%s", link);
}

CASE(socket_inode_kept, "the socket's inode is the same before connect and after")
{
	int s = listener(), c = tcp();
	struct stat before, after;
	fstat(c, &before);
	CONNECT(c, address_of(s));
	fstat(c, &after);
	VALUE(before.st_ino == after.st_ino);
}

/* dup */

CASE_EACH(dup_before_connect, "a dup made before connect is connected with it")
{
	int s = listener(), c = tcp(), d = DUP(c);
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	GETPEERNAME(d);
	CARRIES(d, a);
	CLOSE(c);
	RECV(a, 1, MSG_DONTWAIT);
	CARRIES(d, a);
	CLOSE(d);
	RECV(a, 1, 0);
}

CASE(dup_connected_through_copy, "connect through the dup connects the original")
{
	int s = listener(), c = tcp(), d = DUP(c);
	CONNECT(d, address_of(s));
	int a = ACCEPT(s);
	GETPEERNAME(c);
	CARRIES(c, a);
}

CASE(dup_many_before_connect, "four dups, by dup, dup2, dup3 and F_DUPFD, all connected at once")
{
	int s = listener(), c = tcp();
	int d = DUP(c), e = DUP2(c, 60), f = DUP3(c, 61, O_CLOEXEC), g = fcntl(c, F_DUPFD_CLOEXEC, 70);
	CONNECT(f, address_of(s));
	int a = ACCEPT(s), all[] = {c, d, e, f, g};
	for (int i = 0; i < 5; i++) {
		SHOW_FLAGS(all[i]);
		CARRIES(all[i], a);
	}
	for (int i = 0; i < 5; i++) {
		RECV(a, 1, MSG_DONTWAIT);
		CLOSE(all[i]);
	}
	RECV(a, 1, 0);
}

CASE(dup_before_bind, "bind on one, listen on the other, accept on either")
{
	int s = tcp(), t = DUP(s);
	BIND(s, loopback(0));
	GETSOCKNAME(t);
	LISTEN(t, 5);
	connect_to(tcp(), address_of(s));
	connect_to(tcp(), address_of(s));
	ACCEPT(s);
	ACCEPT(t);
	CLOSE(s);
	connect_to(tcp(), address_of(t));
	ACCEPT(t);
}

CASE(dup_refused, "a dup of a socket that was refused connects later")
{
	int c = tcp(), d = DUP(c);
	CONNECT(c, nobody());
	int s = listener();
	CONNECT(d, address_of(s));
	GETPEERNAME(c);
}

CASE(dup_closed_before_connect, "a dup that was closed again stays closed")
{
	int s = listener(), c = tcp(), d = DUP(c);
	CLOSE(d);
	CONNECT(c, address_of(s));
	VALUE(fcntl(d, F_GETFD));
	int a = ACCEPT(s);
	CLOSE(c);
	RECV(a, 1, 0);
}

CASE(dup_replaced_before_connect, "a dup's number that became something else stays that")
{
	int s = listener(), c = tcp(), d = DUP(c), ends[2];
	if (pipe(ends))
		give_up("pipe");
	DUP2(ends[1], d);
	CONNECT(c, address_of(s));
	WRITE(d, "through the pipe");
	READ(ends[0], 50);
}

CASE(dup2_connected, "dup2 of a connection over a file, over itself, over another connection")
{
	struct pair p = pair(), q = pair();
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	DUP2(p.client, file);
	CARRIES(file, p.server);
	DUP2(p.client, p.client);
	CARRIES(p.client, p.server);
	DUP2(p.client, q.client);
	RECV(q.server, 1, 0);
	GETPEERNAME(q.client);
	CARRIES(q.client, p.server);
}

CASE(dup2_over_connected, "a file dup2'ed over a connection ends it, and the number is no socket")
{
	struct pair p = pair();
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	DUP2(file, p.client);
	RECV(p.server, 1, 0);
	GETPEERNAME(p.client);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_DOMAIN);
	WRITE(p.client, "x");
}

CASE(dup3_arguments, "dup3 over itself is EINVAL, as are unknown flags")
{
	struct pair p = pair();
	DUP3(p.client, p.client, 0);
	DUP3(p.client, 50, 1);
	DUP3(p.client, 50, O_CLOEXEC);
	SHOW_FLAGS(50);
	DUP2(p.client, 50);
	SHOW_FLAGS(50);
	DUP2(p.client, -1);
	DUP2(p.client, 5000);
}

CASE(dup_to_standard_input, "a connection as fd 0 and 1, as inetd does")
{
	struct pair p = pair();
	DUP2(p.server, 0);
	DUP2(p.server, 1);
	CLOSE(p.server);
	GETPEERNAME(0);
	SEND(p.client, "line", 0);
	READ(0, 10);
	WRITE(1, "answer");
	RECV(p.client, 10, 0);
	CLOSE(0);
	RECV(p.client, 1, MSG_DONTWAIT);
	CLOSE(1);
	RECV(p.client, 1, 0);
}

CASE(dup_close_keeps_connection, "the connection ends with its last fd, not before")
{
	struct pair p = pair();
	int d = DUP(p.client);
	CLOSE(p.client);
	RECV(p.server, 1, MSG_DONTWAIT);
	CARRIES(d, p.server);
	CLOSE(d);
	RECV(p.server, 1, 0);
}

CASE(dup_flags_are_its_own, "CLOEXEC is the fd's, O_NONBLOCK is shared")
{
	struct pair p = pair();
	int d = DUP(p.client);
	FCNTL(p.client, F_SETFD, FD_CLOEXEC);
	FCNTL(d, F_SETFL, O_NONBLOCK);
	SHOW_FLAGS(p.client);
	SHOW_FLAGS(d);
	int s = listener(), c = tcp(), e = DUP(c);
	FCNTL(c, F_SETFD, FD_CLOEXEC);
	CONNECT(c, address_of(s));
	SHOW_FLAGS(c);
	SHOW_FLAGS(e);
}

CASE(dup_by_syscall, "a dup made by syscall(2) before connect is connected too")
{
	int s = listener(), c = tcp();
	int lowest = lowest_free();
	begin("syscall(SYS_dup)");
	int d = finish_fd(syscall(SYS_dup, c), lowest);
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	GETPEERNAME(d);
	CARRIES(d, a);
}

CASE(dup_high_numbers, "descriptors of high numbers")
{
	int s = listener(), c = tcp();
	int d = fcntl(c, F_DUPFD, 1000);
	VALUE(d);
	CLOSE(c);
	CONNECT(d, address_of(s));
	int a = ACCEPT(s);
	GETPEERNAME(d);
	CARRIES(d, a);
}

/* close */

CASE(close_reused_number, "a number closed and used again starts fresh, whatever it was")
{
	struct pair p = pair();
	int number = p.server;
	CLOSE(p.server);
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	VALUE(file == number);
	GETPEERNAME(file);
	CLOSE(file);
	int fresh = SOCKET(AF_INET6, SOCK_STREAM, 0);
	VALUE(fresh == number);
	GETSOCKOPT(fresh, SOL_SOCKET, SO_DOMAIN);
	GETSOCKNAME(fresh);
	CLOSE(fresh);
	int datagram = SOCKET(AF_INET, SOCK_DGRAM, 0);
	VALUE(datagram == number);
	GETSOCKOPT(datagram, SOL_SOCKET, SO_TYPE);
	GETSOCKOPT(datagram, SOL_SOCKET, SO_PROTOCOL);
}

CASE(close_by_syscall, "a socket closed by syscall(2), its number used again")
{
	struct pair p = pair();
	int number = p.client;
	begin("syscall(SYS_close)");
	finish(syscall(SYS_close, p.client));
	RECV(p.server, 1, 0);
	int c = SOCKET(AF_INET, SOCK_STREAM, 0);
	VALUE(c == number);
	GETPEERNAME(c);
	GETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY);
	CONNECT(c, address_of(p.listener));
	GETPEERNAME(c);
	syscall(SYS_close, c);
	int file = open("/dev/null", O_RDWR);
	VALUE(file == c);
	GETPEERNAME(file);
	WRITE(file, "x");
}

CASE(close_twice, "a second close is EBADF and hits nobody")
{
	struct pair p = pair();
	CLOSE(p.client);
	CLOSE(p.client);
	CARRIES(p.listener, p.listener);
	GETSOCKNAME(p.listener);
}

CASE(close_range_of_sockets, "close_range closes connections, and CLOSE_RANGE_CLOEXEC marks them")
{
	struct pair p = pair();
	int first = p.listener, last = p.server;
	begin("close_range(CLOEXEC)");
	finish(syscall(SYS_close_range, p.listener, p.listener, 4));
	SHOW_FLAGS(p.listener);
	begin("close_range");
	finish(close_range(p.client, p.client, 0));
	RECV(p.server, 1, 0);
	GETPEERNAME(p.client);
	begin("close_range");
	finish(close_range(first, last, 0));
	VALUE(fcntl(p.server, F_GETFD));
	int c = SOCKET(AF_INET, SOCK_STREAM, 0);
	GETSOCKNAME(c);
}

CASE(close_everything, "closefrom(3) as daemons do, then a new listener")
{
	struct pair p = pair();
	closefrom(3);
	VALUE(fcntl(p.server, F_GETFD));
	int s = SOCKET(AF_INET, SOCK_STREAM, 0);
	VALUE(s);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	int c = tcp();
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	CARRIES(c, a);
}

CASE(close_standard_three, "fds 0, 1 and 2 closed: sockets get those numbers and work")
{
	close(0), close(1), close(2);
	int s = SOCKET(AF_INET, SOCK_STREAM, 0), c = SOCKET(AF_INET, SOCK_STREAM, 0);
	VALUE(s);
	VALUE(c);
	BIND(s, loopback(0));
	LISTEN(s, 5);
	CONNECT(c, address_of(s));
	int a = ACCEPT(s);
	VALUE(a);
	CARRIES(c, a);
}

static int its_peer;

static void close_before_its_peer_sends(int fd)
{
	close(fd);
	send(its_peer, "x", 1, 0);
}

CASE(close_thread_blocked, "what a thread asleep in recv sees when another closes the fd and the peer sends")
{
	struct pair p = pair();
	int d = DUP(p.server);
	its_peer = p.client;
	after(100, close_before_its_peer_sends, p.server);
	RECV(p.server, 1, 0);
	VALUE(fcntl(p.server, F_GETFD));
	SEND(p.client, "x", 0);
	RECV(d, 1, 0);
}

CASE(close_no_leak, "a thousand connections made and closed leave no fd behind")
{
	int s = listener(), good = 0;
	for (int i = 0; i < 1000; i++) {
		int c = tcp();
		struct addr to = address_of(s);
		good += connect(c, sa(&to), to.length) == 0;
		close(accept_from(s));
		close(c);
	}
	VALUE(good);
}

/* fork, vfork, exec */

CASE(fork_child_talks, "a child talks on the connection that its parent made, and both see the same names")
{
	struct pair p = pair();
	pid_t pid = child();
	if (!pid) {
		GETPEERNAME(p.client);
		GETSOCKNAME(p.client);
		SEND(p.client, "from the child", 0);
		done();
	}
	wait_for(pid);
	GETPEERNAME(p.client);
	RECV(p.server, 50, 0);
	RECV(p.server, 1, MSG_DONTWAIT);
}

CASE(fork_child_closes, "a child's close leaves the parent's connection alone")
{
	struct pair p = pair();
	pid_t pid = child();
	if (!pid) {
		CLOSE(p.client);
		int c = SOCKET(AF_INET, SOCK_STREAM, 0);
		GETPEERNAME(c);
		done();
	}
	wait_for(pid);
	GETPEERNAME(p.client);
	CARRIES(p.client, p.server);
}

enum { FILES = 8 };
static int missing_in_a_child(const int *files)
{
	int status, missing = 0;
	pid_t pid = fork();
	if (!pid) {
		for (int i = 0; i < FILES; i++)
			missing += fcntl(files[i], F_GETFD) < 0;
		_exit(missing);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static int missing_once_connected(int listener)
{
	int c = tcp(), files[FILES], missing;
	struct addr to = address_of(listener);
	struct pollfd wait = {.fd = c, .events = POLLOUT};
	nonblocking(c);
	if (connect(c, sa(&to), to.length) < 0 && errno != EINPROGRESS)
		give_up("connect");
	poll(&wait, 1, 2000);
	for (int i = 0; i < FILES; i++) /* they get the numbers that were last closed, by whomever */
		files[i] = open("/dev/null", O_RDONLY);
	missing = missing_in_a_child(files);
	for (int i = 0; i < FILES; i++)
		close(files[i]);
	close(accept_from(listener));
	close(c);
	return missing;
}

CASE(fork_once_connected,
	"a child that is forked as soon as a connection is there has all of its parent's files")
{
	int s = listener(), missing = 0;
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof one, &one); /* whoever is woken comes first */
	for (int i = 0; i < 100; i++)
		missing += missing_once_connected(s);
	VALUE(missing);
}

CASE(fork_child_connects_its_own, "a child connects sockets of its own beside its parent's")
{
	struct pair p = pair();
	pid_t pid = child();
	if (!pid) {
		int c = SOCKET(AF_INET, SOCK_STREAM, 0);
		CONNECT(c, address_of(p.listener));
		GETPEERNAME(c);
		SEND(c, "child", 0);
		done();
	}
	wait_for(pid);
	int a = ACCEPT(p.listener);
	RECV(a, 10, MSG_WAITALL);
	CARRIES(p.client, p.server);
}

CASE(fork_child_connects_shared,
	"a socket made before fork and connected by the child is connected in the parent")
{
	int s = listener(), c = tcp();
	pid_t pid = child();
	if (!pid) {
		CONNECT(c, address_of(s));
		done();
	}
	wait_for(pid);
	GETPEERNAME(c);
}

CASE(fork_child_binds_shared, "a socket made before fork and bound by the child is bound in the parent")
{
	int s = tcp();
	pid_t pid = child();
	if (!pid) {
		BIND(s, loopback(0));
		LISTEN(s, 5);
		done();
	}
	wait_for(pid);
	GETSOCKOPT(s, SOL_SOCKET, SO_ACCEPTCONN);
}

CASE(fork_parent_connects_after, "a socket made before fork and connected by the parent keeps its options")
{
	int s = listener(), c = tcp();
	SETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY, 1);
	pid_t pid = child();
	if (!pid) {
		CLOSE(c);
		done();
	}
	wait_for(pid);
	CONNECT(c, address_of(s));
	GETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY);
	int a = ACCEPT(s);
	CLOSE(c);
	RECV(a, 1, 0);
}

static atomic_bool connecting_ends;

static void *connect_and_listen_in_turn(void *to)
{
	const struct addr *at = to;
	struct addr own = loopback(0);
	while (!atomic_load(&connecting_ends)) {
		int c = tcp();
		(void)connect(c, sa(at), at->length);
		close(c);
		int s = tcp();
		(void)bind(s, sa(&own), own.length);
		close(s);
	}
	return NULL;
}

static int sockets_open(void)
{
	int count = 0;
	struct stat file;
	for (int fd = 0; fd < 100; fd++)
		count += fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode);
	return count;
}

CASE(fork_while_connecting, "a child of fork() has the sockets that the program has, and none besides")
{
	struct addr at = nobody();
	pthread_t thread;
	int before = sockets_open(), most = 0;
	pthread_create(&thread, NULL, connect_and_listen_in_turn, &at);
	for (int i = 0; i < 200; i++) {
		int status = 0;
		pid_t pid = child();
		if (!pid)
			_exit(sockets_open() - before);
		waitpid(pid, &status, 0);
		if (WEXITSTATUS(status) > most)
			most = WEXITSTATUS(status);
	}
	atomic_store(&connecting_ends, true);
	pthread_join(thread, NULL);
	VALUE(most > 1);
}

CASE(fork_options_in_child, "a child reads the options that its parent set, and sets its own")
{
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY, 1);
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_KEEPIDLE, 17);
	pid_t pid = child();
	if (!pid) {
		GETSOCKOPT(p.client, IPPROTO_TCP, TCP_NODELAY);
		GETSOCKOPT(p.client, IPPROTO_TCP, TCP_KEEPIDLE);
		SETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE, 1);
		done();
	}
	wait_for(pid);
	GETSOCKOPT(p.client, SOL_SOCKET, SO_KEEPALIVE);
}

CASE(fork_prefork_server, "four workers accept on an inherited listener, twelve clients are served")
{
	int s = listener(), served = 0;
	pid_t workers[4];
	for (int i = 0; i < 4; i++) {
		workers[i] = child();
		if (!workers[i]) {
			for (;;) {
				int a = accept_from(s);
				send(a, "hi", 2, MSG_NOSIGNAL);
				close(a);
			}
		}
	}
	for (int i = 0; i < 12; i++) {
		char data[2];
		int c = tcp();
		connect_to(c, address_of(s));
		served += recv(c, data, 2, MSG_WAITALL) == 2;
	}
	VALUE(served);
	for (int i = 0; i < 4; i++) {
		kill(workers[i], SIGKILL);
		waitpid(workers[i], NULL, 0);
	}
}

HELPER(show_connection)
{
	GETSOCKOPT(fd, SOL_SOCKET, SO_DOMAIN);
	GETSOCKOPT(fd, SOL_SOCKET, SO_PROTOCOL);
	GETSOCKOPT(fd, SOL_SOCKET, SO_ERROR);
	GETPEERNAME(fd);
	GETSOCKNAME(fd);
	SETSOCKOPT(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
	GETSOCKOPT(fd, IPPROTO_TCP, TCP_KEEPIDLE);
	SHOW_FLAGS(fd);
	SEND(fd, "from the new program", 0);
	RECV(fd, 10, 0);
}

static void run_program(char **arguments, char **environment)
{
	pid_t pid = child();
	if (!pid) {
		execve(arguments[0], arguments, environment);
		give_up("execve");
	}
	wait_for(pid);
}

CASE_EACH(exec_client, "a program that inherits a client's connection sees TCP")
{
	struct pair p = pair();
	SEND(p.server, "hello", 0);
	run_program(helper_arguments("show_connection", p.client), environ);
	RECV(p.server, 50, 0);
	GETPEERNAME(p.client);
}

CASE_EACH(exec_server, "a program that inherits an accepted connection sees TCP (inetd, gunicorn)")
{
	struct pair p = pair();
	SEND(p.client, "hello", 0);
	run_program(helper_arguments("show_connection", p.server), environ);
	RECV(p.client, 50, 0);
}

CASE_EACH(exec_after_half_close,
	"a program that inherits a connection whose write side is shut sees its addresses")
{
	struct pair p = pair(), q = pair();
	SHUTDOWN(p.client, SHUT_WR);
	SHUTDOWN(q.server, SHUT_WR);
	SEND(p.server, "hello", 0);
	SEND(q.client, "hello", 0);
	run_program(helper_arguments("show_half_closed", p.client), environ);
	run_program(helper_arguments("show_half_closed", q.server), environ);
	int s = listener_at(wildcard(0), 5), c = tcp();
	struct addr at = address_of(s);
	connect_to(c, loopback(port_of(&at)));
	int a = accept_from(s);
	SHUTDOWN(a, SHUT_WR);
	SEND(c, "hello", 0);
	run_program(helper_arguments("show_half_closed", a), environ);
}

HELPER(show_half_closed)
{
	GETSOCKNAME(fd);
	GETPEERNAME(fd);
	RECV(fd, 10, 0);
	SHUTDOWN(fd, SHUT_RD);
	GETPEERNAME(fd);
}

CASE(exec_clean_environment, "the same with an empty environment (env -i)")
{
	struct pair p = pair();
	char *none[] = {NULL};
	SEND(p.server, "hello", 0);
	run_program(helper_arguments("show_connection", p.client), none);
	RECV(p.server, 50, 0);
}

HELPER(serve_one)
{
	GETSOCKOPT(fd, SOL_SOCKET, SO_DOMAIN);
	GETSOCKOPT(fd, SOL_SOCKET, SO_ACCEPTCONN);
	GETSOCKNAME(fd);
	int a = ACCEPT(fd);
	GETSOCKNAME(a);
	GETPEERNAME(a);
	GETSOCKOPT(a, SOL_SOCKET, SO_DOMAIN);
	SETSOCKOPT(a, IPPROTO_TCP, TCP_NODELAY, 1);
	SEND(a, "served", 0);
}

CASE_EACH(exec_listener, "a program that inherits a listener serves on it (socket activation)")
{
	int s = listener(), c = tcp();
	connect_to(c, address_of(s));
	run_program(helper_arguments("serve_one", s), environ);
	RECV(c, 10, 0);
	ACCEPT_NULL((nonblocking(s), s));
}

CASE(exec_listener_wildcard, "an inherited listener on 0.0.0.0")
{
	int s = listener_at(wildcard(0), 5), c = tcp();
	struct addr at = address_of(s);
	connect_to(c, loopback(port_of(&at)));
	run_program(helper_arguments("serve_one", s), environ);
	RECV(c, 10, 0);
}

CASE(exec_listener_clean_environment, "an inherited listener with an empty environment")
{
	int s = listener(), c = tcp();
	char *none[] = {NULL};
	connect_to(c, address_of(s));
	run_program(helper_arguments("serve_one", s), none);
	RECV(c, 10, 0);
}

HELPER(connect_inherited)
{
	struct addr to = nobody();
	CONNECT(fd, to);
	int s = listener();
	CONNECT(fd, address_of(s));
	GETPEERNAME(fd);
	int a = ACCEPT(s);
	CARRIES(fd, a);
	GETSOCKOPT(fd, IPPROTO_TCP, TCP_NODELAY);
	GETSOCKOPT(fd, IPPROTO_TCP, TCP_KEEPIDLE);
	GETSOCKOPT(fd, SOL_SOCKET, SO_KEEPALIVE);
}

CASE(exec_fresh_socket,
	"an inherited socket that isn't connected yet connects in the new program, options kept")
{
	int c = tcp();
	SETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY, 1);
	SETSOCKOPT(c, IPPROTO_TCP, TCP_KEEPIDLE, 44);
	SETSOCKOPT(c, SOL_SOCKET, SO_KEEPALIVE, 1);
	run_program(helper_arguments("connect_inherited", c), environ);
}

HELPER(is_open)
{
	VALUE(fcntl(fd, F_GETFD) >= 0);
	int s = listener(), c = tcp();
	CONNECT(c, address_of(s));
	ACCEPT(s);
}

CASE(exec_cloexec, "a CLOEXEC connection isn't there in the new program, others are")
{
	struct pair p = pair();
	FCNTL(p.client, F_SETFD, FD_CLOEXEC);
	run_program(helper_arguments("is_open", p.client), environ);
	run_program(helper_arguments("is_open", p.server), environ);
	RECV(p.server, 1, MSG_DONTWAIT);
}

CASE(exec_cloexec_before_connect, "CLOEXEC set before connect holds after it")
{
	int s = listener(), c = SOCKET(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CONNECT(c, address_of(s));
	run_program(helper_arguments("is_open", c), environ);
}

HELPER(list_descriptors)
{
	(void)fd;
	for (int each = 0; each < 1024; each++)
		if (fcntl(each, F_GETFD) >= 0)
			record("fd %d is open", each);
}

CASE(exec_no_stray_descriptors, "a new program inherits just the descriptors that it should")
{
	int s = listener(), c = tcp(), d = tcp();
	CONNECT(c, address_of(s));
	CONNECT(d, nobody());
	ACCEPT(s);
	FCNTL(s, F_SETFD, FD_CLOEXEC);
	run_program(helper_arguments("list_descriptors", 0), environ);
}

CASE(vfork_exec, "vfork and exec with a connection")
{
	struct pair p = pair();
	char **arguments = helper_arguments("show_connection", p.client);
	SEND(p.server, "hello", 0);
	pid_t pid = vfork();
	if (!pid) {
		execve(arguments[0], arguments, environ);
		_exit(9);
	}
	wait_for(pid);
	RECV(p.server, 50, 0);
	GETPEERNAME(p.client);
}

CASE(vfork_child_moves_descriptors, "a vfork child that closes and dups disturbs nothing in its parent")
{
	struct pair p = pair();
	char **arguments = helper_arguments("show_connection", 40);
	SEND(p.server, "hello", 0);
	pid_t pid = vfork();
	if (!pid) {
		dup2(p.client, 40);
		close(p.client);
		close(p.listener);
		execve(arguments[0], arguments, environ);
		_exit(9);
	}
	wait_for(pid);
	RECV(p.server, 50, 0);
	GETPEERNAME(p.client);
	GETSOCKNAME(p.listener);
	CARRIES(p.client, p.server);
	int c = tcp();
	CONNECT(c, address_of(p.listener));
	ACCEPT(p.listener);
}

CASE(vfork_child_closes_sockets,
	"a vfork child closes sockets: its parent has their options and registrations still")
{
	int s = listener(), c = tcp(), ep = epoll_new();
	char **arguments = helper_arguments("is_open", c);
	EPOLL_ADD(ep, c, EPOLLOUT, 7);
	struct pair p = pair();
	SETSOCKOPT(p.client, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	pid_t pid = vfork();
	if (!pid) {
		close(c);
		close(p.client);
		execve(arguments[0], arguments, environ);
		_exit(9);
	}
	wait_for(pid);
	GETSOCKOPT(p.client, IPPROTO_TCP, TCP_KEEPIDLE);
	CONNECT(c, address_of(s));
	EPOLL_WAIT(ep);
}

/* What a program calls before any constructor has run, as some allocators do. */
static int early_fd, early_results[4];
static void before_constructors(int count, char **arguments, char **environment)
{
	(void)environment;
	if (count != 5 || strcmp(arguments[3], "early") != 0)
		return;
	int on = 1, copy;
	early_fd = socket(AF_INET, SOCK_STREAM, 0);
	early_results[0] = setsockopt(early_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	early_results[1] = (copy = dup(early_fd)) > early_fd;
	early_results[2] = close(copy);
	early_results[3] = close(copy) < 0 ? errno : 0;
}
__attribute__((section(".preinit_array"), used)) static void (*before)(
	int, char **, char **) = before_constructors;

HELPER(early)
{
	if (!early_fd)
		return; /* musl runs no .preinit_array */
	for (int i = 0; i < 4; i++)
		VALUE(early_results[i]);
	GETSOCKOPT(early_fd, IPPROTO_TCP, TCP_NODELAY);
	CONNECT(early_fd, address_of(fd));
	int a = ACCEPT(fd);
	CARRIES(early_fd, a);
}

CASE(exec_calls_before_constructors,
	"calls that are made before the constructors work, and their socket is mapped later")
{
	int s = listener();
	run_program(helper_arguments("early", s), environ);
}

CASE(spawn_with_actions, "posix_spawn with dup2 and close actions")
{
	struct pair p = pair();
	char **arguments = helper_arguments("show_connection", 41);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, p.client, 41);
	posix_spawn_file_actions_addclose(&actions, p.client);
	SEND(p.server, "hello", 0);
	pid_t pid;
	int error = posix_spawn(&pid, arguments[0], &actions, NULL, arguments, environ);
	wait_for(pid);
	VALUE(error);
	RECV(p.server, 50, 0);
	CARRIES(p.client, p.server);
}

CASE(exec_variants, "execv, execvp, execl and fexecve, each with the connection")
{
	struct pair p = pair();
	char **arguments = helper_arguments("show_connection", p.client);
	for (int i = 0; i < 4; i++) {
		SEND(p.server, "hello", 0);
		pid_t pid = child();
		if (!pid) {
			if (i == 0)
				execv(arguments[0], arguments);
			else if (i == 1)
				execvp(arguments[0], arguments);
			else if (i == 2)
				execl(arguments[0], arguments[0], arguments[1], arguments[2], arguments[3],
					arguments[4], NULL);
			else
				fexecve(open(arguments[0], O_RDONLY), arguments, environ);
			give_up("exec");
		}
		wait_for(pid);
		RECV(p.server, 50, 0);
	}
}

CASE(exec_failed, "an exec that fails leaves everything as it was")
{
	struct pair p = pair();
	begin("execve(a file that isn't there)");
	finish(execve("/nonexistent", (char *[]){"x", NULL}, environ));
	begin("execve(a file that isn't there), empty environment");
	finish(execve("/nonexistent", (char *[]){"x", NULL}, (char *[]){NULL}));
	begin("execvp(a name that isn't there)");
	finish(execvp("no-such-program", (char *[]){"x", NULL}));
	CARRIES(p.client, p.server);
}

/* Passing descriptors */

static void pass(int over, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec part = {"f", 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(over, &message, 0) != 1)
		give_up("sendmsg(SCM_RIGHTS)");
}

static int take(int over)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int fd;
	if (recvmsg(over, &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		give_up("recvmsg(SCM_RIGHTS)");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void ways(int over[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, over))
		give_up("socketpair");
}

CASE_EACH(pass_connection, "a connection passed over a Unix socket to another process keeps its names")
{
	int over[2];
	ways(over);
	pid_t pid = child();
	if (!pid) {
		int c = take(over[1]);
		GETPEERNAME(c);
		GETSOCKNAME(c);
		GETSOCKOPT(c, SOL_SOCKET, SO_DOMAIN);
		SETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY, 1);
		SEND(c, "from the receiver", 0);
		done();
	}
	struct pair p = pair();
	pass(over[0], p.client);
	wait_for(pid);
	RECV(p.server, 50, 0);
}

CASE(pass_listener, "a listener passed over a Unix socket accepts there")
{
	int over[2];
	ways(over);
	pid_t pid = child();
	if (!pid) {
		int s = take(over[1]);
		GETSOCKNAME(s);
		GETSOCKOPT(s, SOL_SOCKET, SO_ACCEPTCONN);
		int a = ACCEPT(s);
		GETSOCKNAME(a);
		SEND(a, "served", 0);
		done();
	}
	int s = listener(), c = tcp();
	CONNECT(c, address_of(s));
	pass(over[0], s);
	wait_for(pid);
	RECV(c, 10, 0);
}

CASE(pass_accepted, "an accepted connection passed to a worker (HAProxy, php-fpm)")
{
	int over[2];
	ways(over);
	pid_t pid = child();
	if (!pid) {
		int a = take(over[1]);
		GETPEERNAME(a);
		GETSOCKNAME(a);
		RECV(a, 10, 0);
		SEND(a, "answer", 0);
		done();
	}
	struct pair p = pair();
	SEND(p.client, "request", 0);
	pass(over[0], p.server);
	close(p.server);
	wait_for(pid);
	RECV(p.client, 10, 0);
	RECV(p.client, 10, 0);
}

CASE(pass_to_itself, "a connection passed to the same process is a dup")
{
	int over[2];
	ways(over);
	struct pair p = pair();
	pass(over[0], p.client);
	int d = take(over[1]);
	GETPEERNAME(d);
	GETSOCKNAME(d);
	CLOSE(p.client);
	CARRIES(d, p.server);
}

CASE(pass_fresh_socket, "a socket passed before it is connected connects at the receiver")
{
	int over[2];
	ways(over);
	int s = listener();
	pid_t pid = child();
	if (!pid) {
		int c = take(over[1]);
		CONNECT(c, address_of(s));
		GETPEERNAME(c);
		SEND(c, "hello", 0);
		done();
	}
	int c = tcp();
	pass(over[0], c);
	close(c);
	wait_for(pid);
	int a = ACCEPT(s);
	RECV(a, 10, 0);
}

/* stdio */

CASE(stdio_conversation, "fdopen, fprintf and fgets on a connection")
{
	struct pair p = pair();
	char line[64];
	FILE *in = fdopen(p.client, "r"), *out = fdopen(dup(p.client), "w");
	fprintf(out, "GET %d\n", 7);
	begin("fflush");
	finish(fflush(out));
	RECV(p.server, 50, 0);
	SEND(p.server, "one\ntwo\n", 0);
	record("fgets: %s", fgets(line, sizeof(line), in) ? bytes_text(line, strlen(line)) : "NULL");
	record("fgets: %s", fgets(line, sizeof(line), in) ? bytes_text(line, strlen(line)) : "NULL");
	begin("fclose");
	finish(fclose(out));
	RECV(p.server, 1, MSG_DONTWAIT);
	fclose(in);
	RECV(p.server, 1, 0);
}

CASE(stdio_fclose_reuse, "fclose closes the connection, and its number's next owner starts fresh")
{
	struct pair p = pair();
	int number = p.client;
	FILE *stream = fdopen(p.client, "r+");
	begin("fclose");
	finish(fclose(stream));
	RECV(p.server, 1, 0);
	int c = SOCKET(AF_INET6, SOCK_STREAM, 0);
	VALUE(c == number);
	GETPEERNAME(c);
	GETSOCKNAME(c);
	GETSOCKOPT(c, SOL_SOCKET, SO_DOMAIN);
	CONNECT(c, ipv6("::1", 0));
}

CASE(stdio_fclose_reuse_connected, "a number freed by fclose and connected again, registered in epoll")
{
	struct pair p = pair();
	int ep = epoll_new();
	EPOLL_ADD(ep, p.client, EPOLLOUT, 1);
	fclose(fdopen(p.client, "r"));
	EPOLL_WAIT(ep);
	int c = SOCKET(AF_INET, SOCK_STREAM, 0);
	EPOLL_ADD(ep, c, EPOLLIN, 2);
	CONNECT(c, address_of(p.listener));
	GETPEERNAME(c);
	EPOLL_WAIT(ep);
	int a = accept_from(p.listener);
	SEND(a, "x", 0);
	EPOLL_WAIT(ep);
}

CASE(stdio_fclose_fresh, "fclose of a socket that was never connected, its number connected next")
{
	int s = listener(), c = tcp(), number = c;
	SETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY, 1);
	fclose(fdopen(c, "r"));
	c = tcp();
	VALUE(c == number);
	GETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY);
	CONNECT(c, address_of(s));
	GETSOCKOPT(c, IPPROTO_TCP, TCP_NODELAY);
}

CASE(stdio_fclose_then_file, "a file that gets the number of a socket that fclose has closed is no socket")
{
	int s = listener(), number = s;
	fclose(fdopen(s, "r"));
	int file = open("/dev/null", O_RDWR);
	VALUE(file == number);
	GETSOCKNAME(file);
	GETSOCKOPT(file, SOL_SOCKET, SO_ACCEPTCONN);
	SHUTDOWN(file, SHUT_RDWR);
	LISTEN(file, 5);
	struct pair p = pair();
	fclose(fdopen(p.client, "r"));
	file = open("/dev/null", O_RDWR);
	GETPEERNAME(file);
	WRITE(file, "x");
	SEND(file, "x", 0);
}

CASE(stdio_listener_fclose, "fclose of a listener frees its port")
{
	int s = listener(), c = tcp(), t = tcp();
	struct addr at = address_of(s);
	fclose(fdopen(s, "r"));
	CONNECT(c, at);
	BIND(t, at);
	LISTEN(t, 1);
}

CASE(stdio_dprintf, "dprintf to a connection")
{
	struct pair p = pair();
	begin("dprintf");
	finish(dprintf(p.client, "%s-%d", "number", 5));
	RECV(p.server, 50, 0);
}

CASE(stdio_popen, "popen's child runs with its connection inherited")
{
	struct pair p = pair();
	char command[64], line[64] = "";
	snprintf(command, sizeof(command), "printf child >&%d; echo shell", p.client);
	FILE *shell = popen(command, "r");
	record("%s", fgets(line, sizeof(line), shell) ? bytes_text(line, strlen(line)) : "NULL");
	VALUE(pclose(shell));
	RECV(p.server, 10, 0);
}

/* Threads */

static void *churn(void *address)
{
	struct addr to = *(struct addr *)address;
	long wrong = 0;
	for (int i = 0; i < 100; i++) {
		int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
		struct addr peer = {.length = sizeof(peer.storage)};
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(c, sa(&to), to.length) || getpeername(c, sa(&peer), &peer.length) ||
			memcmp(&peer.storage, &to.storage, sizeof(struct sockaddr_in)) != 0)
			wrong++;
		int d = dup(c);
		close(c);
		wrong += send(d, "x", 1, MSG_NOSIGNAL) != 1;
		close(d);
	}
	return (void *)wrong;
}

CASE(thread_churn, "four threads open, connect, dup and close on the same numbers, nothing is mixed up")
{
	int s = listener_at(loopback(0), 512);
	struct addr to = address_of(s);
	pthread_t threads[4];
	long wrong = 0, bytes = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, &to);
	for (int i = 0; i < 400; i++) {
		char byte;
		int a = accept_from(s);
		bytes += recv(a, &byte, 1, 0) == 1;
		close(a);
	}
	for (int i = 0; i < 4; i++) {
		void *each;
		pthread_join(threads[i], &each);
		wrong += (long)each;
	}
	VALUE(wrong);
	VALUE(bytes);
}

static void *fork_often(void *unused)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		if (!pid) {
			struct addr to = nobody();
			alarm(2);
			_exit(connect(tcp(), sa(&to), to.length) != -1);
		}
		wait_for(pid);
	}
	return unused;
}

CASE(thread_fork_while_connecting, "a thread forks while another connects, and the children connect too")
{
	int s = listener(), good = 0;
	struct addr to = address_of(s);
	pthread_t thread;
	pthread_create(&thread, NULL, fork_often, NULL);
	for (int i = 0; i < 100; i++) {
		int c = tcp();
		good += connect(c, sa(&to), to.length) == 0;
		close(accept_from(s));
		close(c);
	}
	pthread_join(thread, NULL);
	VALUE(good);
}

static void *connect_slowly(void *address)
{
	int c = tcp();
	const struct addr *to = address;
	(void)connect(c, sa(to), to->length);
	close(c);
	return NULL;
}

CASE(thread_connect_same_socket,
	"two threads connect one socket, and a third, which doesn't wait, says EALREADY")
{
	struct slow_peer peer = slow_peer();
	int c = tcp();
	struct joint joint[2] = {{c, -1, peer.address}, {c, -1, peer.address}};
	pthread_t threads[2];
	for (int i = 0; i < 2; i++) {
		pthread_create(&threads[i], NULL, connect_jointly, &joint[i]);
		pause_ms(100);
	}
	nonblocking(c);
	CONNECT(c, peer.address);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		VALUE(joint[i].result);
	}
	GETPEERNAME(c);
	CONNECT(c, peer.address);
}

CASE(thread_fork_during_connect, "a child that was forked while a thread waits in connect connects at once")
{
	struct slow_peer peer = slow_peer();
	int s = listener();
	pthread_t thread;
	pthread_create(&thread, NULL, connect_slowly, &peer.address);
	pause_ms(200);
	pid_t pid = child();
	if (!pid) {
		int c = tcp();
		alarm(5);
		clock_start();
		CONNECT(c, address_of(s));
		TOOK(0);
		done();
	}
	wait_for(pid);
	pthread_join(thread, NULL);
}
