/* SPDX-License-Identifier: MIT */
/* Fault injection: in every scenario each system call in turn fails with each errno. Then the program's call
 * succeeds, or says -1 with a plain errno and leaves the program's sockets as they were; nothing is leaked or
 * closed twice; and the same call without a fault succeeds. */
#include "emulated.h"
#include "socket/stream.h"
#include "state/fd.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* ---- faults ---- */

static struct libc real;
static bool armed;
static int fail_at, fail_with; /* the number of the call that fails, from 1, and its errno */
static int calls;
static const char *failed; /* its name, once it has */
static int bad_closes;

static bool fails(const char *name)
{
	if (!armed || ++calls != fail_at)
		return false;
	failed = name;
	errno = fail_with;
	return true;
}

#define HOOK(result, name, parameters, arguments)                                                            \
	static result faulty_##name parameters                                                               \
	{                                                                                                    \
		if (fails(#name))                                                                            \
			return (result)-1;                                                                   \
		return real.name arguments;                                                                  \
	}
#include "system/symbols.h"

#define HOOK(result, name, parameters, arguments) .name = faulty_##name,
static const struct libc faulty = {
#include "system/symbols.h"
};

/* close() releases the number even where it fails. */
static int faulty_close_that_closes(int fd)
{
	int saved = errno, result = real.close(fd);
	if (result < 0 && errno == EBADF)
		bad_closes++;
	if (fails("close"))
		return -1;
	if (result == 0)
		errno = saved;
	return result;
}

/* A mask of signals that was taken before can be set again. */
static long faulty_syscall_that_sets_masks(long number, long a, long b, long c, long d, long e, long f)
{
	bool sets = number == SYS_rt_sigprocmask && !c;
	return (sets ? real : faulty).syscall(number, a, b, c, d, e, f);
}

/* What the library calls without being in front of it: the linker puts these in the way (-Wl,--wrap). */
#define WRAP(result, name, parameters, arguments)                                                            \
	result __real_##name parameters;                                                                     \
	result __wrap_##name parameters;                                                                     \
	result __wrap_##name parameters                                                                      \
	{                                                                                                    \
		return fails(#name) ? -1 : __real_##name arguments;                                          \
	}
WRAP(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
WRAP(int, socketpair, (int domain, int type, int protocol, int pair[2]), (domain, type, protocol, pair))
WRAP(int, chmod, (const char *path, mode_t mode), (path, mode))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, unlink, (const char *path), (path))
WRAP(int, flock, (int fd, int operation), (fd, operation))

/* ---- the program ---- */

enum { CLIENT_PORT = 29471, RETRY_PORT = 29472, NOBODY_PORT = 29473, SERVER_PORT = 18471 };

static int far_server; /* the far side of CLIENT_PORT, which isn't under the library */

static struct program {
	int fd, alias, epfd, other; /* -1: none */
	uint16_t port;		    /* what it bound, 0: nothing */
} program;

static struct sockaddr_in inet(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_to(int fd, uint16_t port)
{
	struct sockaddr_in address = inet(port);
	return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static int bind_to(int fd, uint16_t port)
{
	struct sockaddr_in address = inet(port);
	return bind(fd, (struct sockaddr *)&address, sizeof address);
}

static struct sockaddr_un emulated(uint16_t port)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s/1.%u", folder, port);
	return address;
}

static int far_client(uint16_t port)
{
	struct sockaddr_un address = emulated(port);
	int fd = real.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (real.connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int error = errno;
	real.close(fd);
	errno = error;
	return -1;
}

static int fresh_socket(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
	assert_true(fd >= 0);
	return fd;
}

static void close_program(void)
{
	int *fds[] = {&program.fd, &program.alias, &program.epfd, &program.other};
	for (int i = 0; i < 4; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	program.port = 0;
}

static void watch(int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1234};
	if (program.epfd < 0)
		program.epfd = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(program.epfd, EPOLL_CTL_ADD, fd, &event), 0);
}

/* Unless it was epoll_ctl() that failed: it does where the kernel has no memory, and nothing is left to try
 * then. */
static void assert_watched(int fd)
{
	if (failed && strcmp(failed, "epoll_ctl") == 0)
		return;
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1234};
	if (real.epoll_ctl(program.epfd, EPOLL_CTL_MOD, fd, &event) != 0)
		fail_msg("fd %d is no longer registered with epoll: %s", fd, strerror(errno));
}

/* A byte goes from one to the other. */
static void assert_flows(int from, int to)
{
	char byte = 'x';
	struct pollfd wait = {.fd = to, .events = POLLIN};
	assert_int_equal(send(from, "!", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(poll(&wait, 1, 1000), 1);
	assert_int_equal(recv(to, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, '!');
}

/* The far server has this connection, and perhaps some that came to nothing before. */
static void assert_reaches_far_server(int fd)
{
	bool reached = false;
	int other;
	assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
	while ((other = real.accept4(far_server, NULL, NULL, 0)) >= 0) {
		char bytes[8];
		struct pollfd wait = {.fd = other, .events = POLLIN};
		if (poll(&wait, 1, 1000) == 1 && real.recv(other, bytes, sizeof bytes, 0) == 5) {
			assert_int_equal(real.sendto(other, "!", 1, MSG_NOSIGNAL, NULL, 0), 1);
			assert_int_equal(recv(fd, bytes, 1, 0), 1);
			reached = true;
		}
		real.close(other);
	}
	assert_true(reached);
}

static void drain_far_server(void)
{
	int other;
	while ((other = real.accept4(far_server, NULL, NULL, 0)) >= 0)
		real.close(other);
}

static int family_of(int fd)
{
	int family = -1;
	socklen_t length = sizeof family;
	real.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
	return family;
}

/* A server's socket works: it listens, a far client reaches it, and it returns its address. */
static void assert_serves(int fd, uint16_t port)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name;
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(family_of(fd), AF_UNIX);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	if (port)
		assert_int_equal(ntohs(name.sin_port), port);
	assert_in_range(ntohs(name.sin_port), port ? port : 32768, port ? port : 60999);
	int client = far_client(ntohs(name.sin_port));
	assert_true(client >= 0);
	int accepted = accept(fd, NULL, NULL);
	assert_true(accepted >= 0);
	assert_flows(client, accepted);
	assert_flows(accepted, client);
	close(accepted);
	real.close(client);
}

/* ---- what a call that failed must leave as it was ---- */

static void describe_fd(char **at, const char *end, int fd, bool inodes)
{
	struct stat file;
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name;
	if (fd < 0)
		return;
	if (real.fcntl(fd, F_GETFD, NULL) < 0 || fstat(fd, &file) < 0) {
		*at += snprintf(*at, (size_t)(end - *at), "fd %d: closed\n", fd);
		return;
	}
	/* Of a socket that isn't bound an attempt may leave a port, as on TCP. */
	int named = program.port ? getsockname(fd, (struct sockaddr *)&name, &length) : 0;
	*at += snprintf(*at, (size_t)(end - *at), "fd %d: inode %lu, flags %x %x, family %d, port %d\n", fd,
		inodes ? (unsigned long)file.st_ino : 0, real.fcntl(fd, F_GETFL, NULL),
		real.fcntl(fd, F_GETFD, NULL), family_of(fd), named < 0 ? -1 : ntohs(name.sin_port));
}

static void describe(char *text, size_t size, bool inodes)
{
	char path[40], *at = text;
	const char *end = text + size;
	describe_fd(&at, end, program.fd, inodes);
	describe_fd(&at, end, program.alias, inodes);
	describe_fd(&at, end, program.other, inodes);
	if (program.epfd < 0)
		return;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", program.epfd);
	FILE *info = fopen(path, "r");
	assert_non_null(info);
	while (fgets(at, (int)(end - at), info))
		at += strlen(at);
	fclose(info);
}

/* ---- scenarios ---- */

/* What a failure leaves on the program's number: the socket that was there, one that is as new as that was,
 * or another (EINTR, or a server's place given up). */
enum leaves { SAME, ALIKE, ANOTHER };

struct scenario {
	const char *name;
	void (*prepare)(void);
	int (*act)(void);
	void (*works)(void); /* what must hold once act() has succeeded */
	enum leaves leaves;
	int most_calls; /* without a fault; 0: any number */
};

static void prepare_socket(void)
{
	program.fd = fresh_socket(SOCK_CLOEXEC);
}

static int act_connect(void)
{
	return connect_to(program.fd, CLIENT_PORT);
}

static void connect_works(void)
{
	struct sockaddr_in peer = {0};
	socklen_t length = sizeof peer;
	assert_int_equal(family_of(program.fd), AF_UNIX);
	assert_int_equal(getpeername(program.fd, (struct sockaddr *)&peer, &length), 0);
	assert_int_equal(ntohs(peer.sin_port), CLIENT_PORT);
	assert_reaches_far_server(program.fd);
	assert_true(real.fcntl(program.fd, F_GETFD, NULL) & FD_CLOEXEC);
}

static int act_connect_with_retry(void)
{
	return connect_to(program.fd, RETRY_PORT);
}

static void retry_works(void)
{
	assert_reaches_far_server(program.fd);
}

static void prepare_rich_socket(void)
{
	int one = 1;
	struct timeval time = {5, 0};
	prepare_socket();
	program.alias = dup(program.fd);
	assert_int_equal(setsockopt(program.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
	assert_int_equal(setsockopt(program.fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
	watch(program.fd);
	watch(program.alias);
}

/* A dup that can't be replaced keeps the socket that it had. */
static bool dup_failed(void)
{
	return failed && (strcmp(failed, "fcntl") == 0 || strcmp(failed, "dup3") == 0);
}

static void rich_connect_works(void)
{
	struct stat one, other;
	int value = 0;
	socklen_t length = sizeof value;
	assert_int_equal(fstat(program.fd, &one), 0);
	assert_int_equal(fstat(program.alias, &other), 0);
	if (!dup_failed())
		assert_int_equal(one.st_ino, other.st_ino);
	assert_int_equal(getsockopt(program.alias, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
	assert_int_equal(value, 1);
	connect_works();
	assert_false(real.fcntl(program.alias, F_GETFD, NULL) & FD_CLOEXEC);
	assert_watched(program.fd);
	assert_watched(program.alias);
}

/* More registrations than are kept, so that the kernel is asked. */
static void prepare_much_watched_socket(void)
{
	prepare_rich_socket();
	program.other = dup(program.fd);
	watch(program.other);
}

static void prepare_owned_socket(void)
{
	prepare_socket();
	assert_int_equal(fcntl(program.fd, F_SETOWN, getpid()), 0);
}

static void prepare_nonblocking(void)
{
	program.fd = fresh_socket(SOCK_CLOEXEC | SOCK_NONBLOCK);
	watch(program.fd);
}

static int act_start(void)
{
	int result = act_connect();
	return result < 0 && errno == EINPROGRESS ? 0 : result;
}

static int take_error(void)
{
	struct pollfd wait = {.fd = program.fd, .events = POLLOUT};
	int error = -1;
	socklen_t length = sizeof error;
	if (poll(&wait, 1, 1000) != 1 || getsockopt(program.fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -1;
	return error;
}

/* An attempt that a fault has ended says so in SO_ERROR, and another one succeeds. */
static void start_works(void)
{
	int error = take_error();
	if (failed && error) {
		assert_in_range(error, 1, 133);
		if (act_start() < 0) {
			assert_int_equal(errno, ECONNABORTED);
			assert_int_equal(act_start(), 0);
		}
		error = take_error();
	}
	assert_int_equal(error, 0);
	assert_int_equal(real.fcntl(program.fd, F_SETFL, (void *)O_RDWR), 0);
	connect_works();
	assert_watched(program.fd);
}

static void prepare_started(void)
{
	prepare_nonblocking();
	assert_int_equal(act_start(), 0);
}

static int act_finish(void)
{
	int error = -1;
	socklen_t length = sizeof error;
	return getsockopt(program.fd, SOL_SOCKET, SO_ERROR, &error, &length);
}

static void finish_works(void)
{
	assert_int_equal(real.fcntl(program.fd, F_SETFL, (void *)O_RDWR), 0);
	connect_works();
}

/* connect() again on an attempt under way: if it reports that the attempt has failed, the next call starts
 * another. */
static int act_connect_again(void)
{
	int result = act_start();
	return result < 0 && errno == EISCONN ? 0 : result;
}

static int act_bind(void)
{
	return bind_to(program.fd, SERVER_PORT);
}

static void bind_works(void)
{
	assert_serves(program.fd, SERVER_PORT);
}

/* A file that a dead server has left. */
static void prepare_stale(void)
{
	struct sockaddr_un address = emulated(SERVER_PORT);
	int fd = real.socket(AF_UNIX, SOCK_STREAM, 0);
	unlink(address.sun_path);
	assert_int_equal(real.bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	real.close(fd);
	prepare_socket();
}

static int act_bind_any(void)
{
	return bind_to(program.fd, 0);
}

static void bind_any_works(void)
{
	assert_serves(program.fd, 0);
}

/* A second server on one port, which shares the first one's socket. */
static void prepare_sharing(void)
{
	int one = 1;
	program.other = fresh_socket(0);
	program.fd = fresh_socket(SOCK_CLOEXEC);
	assert_int_equal(setsockopt(program.other, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
	assert_int_equal(setsockopt(program.fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
	assert_int_equal(bind_to(program.other, SERVER_PORT), 0);
}

static void prepare_bound(void)
{
	prepare_socket();
	assert_int_equal(act_bind(), 0);
	program.port = SERVER_PORT;
}

static int act_listen(void)
{
	return listen(program.fd, 5);
}

static void prepare_waiting(void)
{
	int one = 1;
	prepare_bound();
	assert_int_equal(setsockopt(program.fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one), 0);
	assert_int_equal(act_listen(), 0);
	assert_int_equal(fcntl(program.fd, F_SETFL, (void *)O_NONBLOCK), 0);
	program.alias = far_client(SERVER_PORT);
	assert_true(program.alias >= 0);
}

static int act_accept(void)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof peer;
	return program.other = accept4(program.fd, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
}

static void accept_works(void)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name;
	assert_true(real.fcntl(program.other, F_GETFD, NULL) & FD_CLOEXEC);
	assert_int_equal(getsockname(program.other, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(name.sin_family, AF_INET);
	assert_flows(program.alias, program.other);
	assert_flows(program.other, program.alias);
}

static void prepare_connected(void)
{
	prepare_socket();
	watch(program.fd);
	assert_int_equal(act_connect(), 0);
}

static int tos(int fd)
{
	int value = -1;
	socklen_t length = sizeof value;
	return getsockopt(fd, IPPROTO_IP, IP_TOS, &value, &length) < 0 ? -1 : value;
}

static int act_set(void)
{
	int value = 16;
	return setsockopt(program.fd, IPPROTO_IP, IP_TOS, &value, sizeof value);
}

static void set_works(void)
{
	assert_int_equal(tos(program.fd), 16);
	connect_works();
}

static int act_set_universal(void)
{
	struct timeval time = {3, 0};
	return setsockopt(program.fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

static void set_universal_works(void)
{
	struct timeval time = {0, 0};
	socklen_t length = sizeof time;
	assert_int_equal(getsockopt(program.fd, SOL_SOCKET, SO_RCVTIMEO, &time, &length), 0);
	assert_int_equal(time.tv_sec, 3);
}

static int act_get(void)
{
	int value = -1;
	socklen_t length = sizeof value;
	int result = getsockopt(program.fd, IPPROTO_TCP, TCP_SYNCNT, &value, &length);
	assert_true(result < 0 || value > 0);
	return result;
}

static int act_ask_names(void)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name, peer_length = sizeof name;
	if (getsockname(program.fd, (struct sockaddr *)&name, &length) < 0)
		return -1;
	assert_int_equal(name.sin_family, AF_INET);
	return getpeername(program.fd, (struct sockaddr *)&name, &peer_length);
}

static int act_ioctl(void)
{
	int count = -1, result = ioctl(program.fd, FIONREAD, &count);
	if (result == 0 && !failed)
		assert_int_equal(count, 0);
	return result;
}

static int act_shutdown(void)
{
	return shutdown(program.fd, SHUT_WR);
}

static void shutdown_works(void)
{
	assert_int_equal(send(program.fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	drain_far_server();
}

static void prepare_listening(void)
{
	prepare_bound();
	watch(program.fd);
	assert_int_equal(act_listen(), 0);
}

static int act_shutdown_listener(void)
{
	return shutdown(program.fd, SHUT_RDWR);
}

static void shutdown_listener_works(void)
{
	assert_int_equal(accept(program.fd, NULL, NULL), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(far_client(SERVER_PORT), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_serves(program.fd, SERVER_PORT); /* listen() begins anew */
}

static void prepare_dup2(void)
{
	prepare_connected();
	program.other = open("/dev/null", O_RDWR);
	assert_true(program.other >= 0);
}

static int act_dup2_over(void)
{
	return dup2(program.other, program.fd) == program.fd ? 0 : -1;
}

static void dup2_over_works(void)
{
	assert_int_equal(send(program.fd, "x", 1, 0), -1);
	assert_int_equal(errno, ENOTSOCK);
	drain_far_server();
}

static int act_dup2_onto(void)
{
	return dup2(program.fd, program.other) == program.other ? 0 : -1;
}

static void dup2_onto_works(void)
{
	assert_int_equal(tos(program.other), 0); /* ours: a Unix socket doesn't know it */
	assert_reaches_far_server(program.other);
	drain_far_server();
}

static int act_dissolve(void)
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	return connect(program.fd, &nowhere, sizeof nowhere);
}

static void dissolve_works(void)
{
	drain_far_server();
	assert_int_equal(family_of(program.fd), AF_INET);
	assert_watched(program.fd);
	assert_int_equal(act_connect(), 0);
	connect_works();
	assert_watched(program.fd);
}

static void prepare_udp(void)
{
	program.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(program.fd >= 0);
	watch(program.fd);
}

static struct sockaddr_in name_server(void)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0xc0000201)};
}

static const uint8_t query[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};

static int act_connect_to_name_server(void)
{
	struct sockaddr_in server = name_server();
	return connect(program.fd, (struct sockaddr *)&server, sizeof server);
}

static int act_query(void)
{
	struct sockaddr_in server = name_server();
	return (int)sendto(program.fd, query, sizeof query, 0, (struct sockaddr *)&server, sizeof server);
}

static void query_works(void)
{
	uint8_t answer[512];
	assert_int_equal(family_of(program.fd), AF_UNIX);
	assert_watched(program.fd);
	while (recv(program.fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(act_query(), sizeof query);
	assert_int_equal(recv(program.fd, answer, sizeof answer, MSG_DONTWAIT), sizeof query);
}

static const struct scenario scenarios[] = {
	{"connect", prepare_socket, act_connect, connect_works, ALIKE, 8},
	{"connect with a dup, options and epoll", prepare_rich_socket, act_connect, rich_connect_works, SAME,
		0},
	{"connect with many registrations", prepare_much_watched_socket, act_connect, rich_connect_works,
		SAME, 0},
	{"connect with an owner of signals", prepare_owned_socket, act_connect, connect_works, ALIKE, 0},
	{"connect of a bound socket", prepare_bound, act_connect, connect_works, ANOTHER, 0},
	{"connect with retry", prepare_socket, act_connect_with_retry, retry_works, SAME, 0},
	{"connect, non-blocking", prepare_nonblocking, act_start, start_works, SAME, 0},
	{"connect, the end of a non-blocking one", prepare_started, act_finish, finish_works, SAME, 0},
	{"connect, again", prepare_started, act_connect_again, start_works, ANOTHER, 0},
	{"connect to nowhere", prepare_connected, act_dissolve, dissolve_works, SAME, 0},
	{"bind", prepare_socket, act_bind, bind_works, SAME, 0},
	{"bind with a dup, options and epoll", prepare_rich_socket, act_bind, bind_works, SAME, 0},
	{"bind over a stale file", prepare_stale, act_bind, bind_works, SAME, 0},
	{"bind to port 0", prepare_socket, act_bind_any, bind_any_works, SAME, 0},
	{"bind to a shared port", prepare_sharing, act_bind, bind_works, SAME, 0},
	{"listen", prepare_bound, act_listen, bind_works, SAME, 0},
	{"listen without bind", prepare_socket, act_listen, bind_any_works, ANOTHER, 0},
	{"accept", prepare_waiting, act_accept, accept_works, SAME, 0},
	{"setsockopt", prepare_connected, act_set, set_works, SAME, 0},
	{"setsockopt of a universal option", prepare_connected, act_set_universal, set_universal_works, SAME,
		0},
	{"getsockopt", prepare_connected, act_get, connect_works, SAME, 0},
	{"getsockname and getpeername", prepare_connected, act_ask_names, connect_works, SAME, 0},
	{"ioctl", prepare_connected, act_ioctl, connect_works, SAME, 0},
	{"shutdown", prepare_connected, act_shutdown, shutdown_works, SAME, 0},
	{"shutdown of a listener", prepare_listening, act_shutdown_listener, shutdown_listener_works, SAME,
		0},
	{"connect to a name server", prepare_udp, act_connect_to_name_server, query_works, SAME, 0},
	{"a query to a name server", prepare_udp, act_query, query_works, ANOTHER, 0},
	{"dup2 over a mapped socket", prepare_dup2, act_dup2_over, dup2_over_works, SAME, 0},
	{"dup2 of a mapped socket", prepare_dup2, act_dup2_onto, dup2_onto_works, SAME, 0},
};

/* ---- the run ---- */

static const int errors[] = {EMFILE, ENOMEM, EBADF, EINTR, EAGAIN, ECONNRESET, ECONNREFUSED, EADDRINUSE,
	EACCES, EINVAL, ENOBUFS, EBUSY};
enum { ERRORS = sizeof errors / sizeof *errors, UNTOUCHED = 4242 };

static int act(const struct scenario *scenario, int which, int error)
{
	fail_at = which;
	fail_with = error;
	calls = 0;
	failed = NULL;
	errno = UNTOUCHED;
	armed = true;
	int result = scenario->act();
	armed = false;
	return result;
}

static void act_without_fault(const struct scenario *scenario, bool interrupted)
{
	const char *was = failed;
	int result = act(scenario, 0, 0), last = errno;
	failed = was;
	if (result < 0 && !(interrupted && last == EISCONN))
		fail_msg("the next call failed: %s", strerror(last));
}

/* false: the scenario makes fewer calls than that. */
static bool inject(const struct scenario *scenario, int which, int error)
{
	static char before[4096], after[4096];
	int fds = count_fds();
	scenario->prepare();
	describe(before, sizeof before, scenario->leaves == SAME);
	int open_before = count_fds(), result = act(scenario, which, error), last = errno;
	if (result < 0) {
		assert_int_equal(result, -1);
		if (last <= 0 || last > 133)
			fail_msg("errno %d", last);
		if (!failed)
			fail_msg("without a fault: %s", strerror(last));
		bool interrupted = last == EINTR;
		describe(after, sizeof after, scenario->leaves == SAME);
		if (scenario->leaves != ANOTHER && !interrupted)
			assert_string_equal(after, before);
		assert_int_equal(count_fds(), open_before);
		act_without_fault(scenario, interrupted);
	} else if (last != UNTOUCHED && last != EINPROGRESS && last != EISCONN) {
		fail_msg("errno became %s though nothing failed", strerror(last));
	}
	scenario->works();
	close_program();
	drain_far_server();
	assert_int_equal(count_fds(), fds);
	assert_int_equal(bad_closes, 0);
	return failed != NULL;
}

static const char *trying; /* what to print when an assertion fails */
static int which_call, which_error;

static void each_call_fails_with_each_error(void **state)
{
	const struct scenario *scenario = *state;
	trying = scenario->name;
	which_call = 0;
	inject(scenario, 0, 0); /* warms up */
	inject(scenario, 0, 0);
	if (scenario->most_calls)
		assert_in_range(calls, 1, scenario->most_calls);
	for (which_error = 0; which_error < ERRORS; which_error++) {
		which_call = 1;
		while (inject(scenario, which_call, errors[which_error]))
			which_call++;
		assert_true(which_call > 1);
	}
	trying = NULL;
}

static int clean_up(void **state)
{
	(void)state;
	armed = false;
	if (trying && which_call)
		print_message("%s: call %d (%s) failed with %s\n", trying, which_call,
			failed ? failed : "none", strerror(errors[which_error]));
	trying = NULL;
	bad_closes = 0;
	close_program();
	drain_far_server();
	return 0;
}

/* Before the library's own constructor, which reads the environment. */
__attribute__((constructor(101))) static void choose_map(void)
{
	char map[192], transport[128];
	make_directory(NULL);
	snprintf(map, sizeof map,
		"*:1=direct, *:53=names, *:%d=1:%d retry=5s, *:%d=1:* retry=200ms, *:*=1:*, listen *:*=any:*",
		RETRY_PORT, CLIENT_PORT, NOBODY_PORT);
	snprintf(transport, sizeof transport, "unix:%s", folder);
	setenv("IP2VSOCK_MAP", map, 1);
	setenv("IP2VSOCK_TRANSPORT", transport, 1);
}

static int set_up(void **state)
{
	(void)state;
	if (!shim_active())
		return -1;
#define HOOK(result, name, parameters, arguments) *(void **)&real.name = dlsym(RTLD_NEXT, #name);
#include "system/symbols.h"
	libc = faulty;
	libc.close = faulty_close_that_closes;
	libc.syscall = faulty_syscall_that_sets_masks;
	struct sockaddr_un address = emulated(CLIENT_PORT);
	far_server = real.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	program = (struct program){-1, -1, -1, -1, 0};
	return real.bind(far_server, (struct sockaddr *)&address, sizeof address) < 0
		       ? -1
		       : real.listen(far_server, 64);
}

static int tear_down(void **state)
{
	real.close(far_server);
	return remove_directory(state);
}

/* Once its attempt to connect has come to nothing, or its connection is dissolved, a bound socket may still
 * become a server: on its port of ours, never on IP's. */
static void a_bound_socket_keeps_its_place_when_connect_fails(void **state)
{
	(void)state;
	prepare_bound();
	assert_int_equal(connect_to(program.fd, SERVER_PORT + 1), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_serves(program.fd, SERVER_PORT);
}

static void a_bound_socket_keeps_its_place_when_its_connection_is_dissolved(void **state)
{
	(void)state;
	prepare_bound();
	assert_int_equal(act_connect(), 0);
	assert_int_equal(act_dissolve(), 0);
	assert_serves(program.fd, SERVER_PORT);
}

/* ---- numbers that were closed behind our back: an entry is a claim ---- */

static void a_dup_that_is_gone_does_not_hinder(void **state)
{
	(void)state;
	prepare_socket();
	real.close(dup(program.fd));
	assert_int_equal(act_connect(), 0);
	connect_works();
}

/* What took a number's place is left alone. */
static void a_file_in_the_place_of_a_dup_stays(void **state)
{
	(void)state;
	struct stat file;
	prepare_socket();
	int number = dup(program.fd);
	real.close(number);
	program.other = open("/dev/null", O_RDWR);
	assert_int_equal(program.other, number);
	assert_int_equal(act_connect(), 0);
	assert_int_equal(fstat(program.other, &file), 0);
	assert_true(S_ISCHR(file.st_mode));
	connect_works();
}

static int getsockopt_of_another_thread(int fd, int level, int name, void *value, socklen_t *length)
{
	libc.getsockopt = faulty.getsockopt;
	assert_int_equal(dup2(program.other, program.fd), program.fd);
	return real.getsockopt(fd, level, name, value, length);
}

/* A thread waits for its connection, and another puts what is never writable in its place. */
static void a_number_that_is_taken_meanwhile_ends_the_wait(void **state)
{
	(void)state;
	prepare_started();
	assert_int_equal(real.fcntl(program.fd, F_SETFL, (void *)O_RDWR), 0);
	program.other = fresh_socket(0);
	assert_int_equal(bind_to(program.other, SERVER_PORT), 0);
	assert_int_equal(listen(program.other, 1), 0);
	libc.getsockopt = getsockopt_of_another_thread;
	assert_int_equal(connect_to(program.fd, CLIENT_PORT), -1);
	assert_int_equal(errno, EBADF);
	assert_serves(program.other, SERVER_PORT);
}

/* ---- races, each in the order that does the harm ---- */

static int getsockopt_of_a_thread_that_was_first(int fd, int level, int name, void *value, socklen_t *length)
{
	int error = 0;
	socklen_t size = sizeof error;
	libc.getsockopt = real.getsockopt;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	assert_int_equal(error, ECONNREFUSED);
	return real.getsockopt(fd, level, name, value, length);
}

/* send() finds that an error is to be reported, and another thread takes it. */
static void an_error_that_another_thread_has_taken_is_not_reported_as_0(void **state)
{
	(void)state;
	prepare_socket();
	assert_int_equal(fcntl(program.fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	assert_int_equal(connect_to(program.fd, SERVER_PORT), -1);
	assert_int_equal(errno, EINPROGRESS);
	libc.getsockopt = getsockopt_of_a_thread_that_was_first;
	errno = 0;
	assert_int_equal(send(program.fd, "x", 1, MSG_NOSIGNAL), -1);
	libc.getsockopt = faulty.getsockopt;
	assert_int_equal(errno, EPIPE);
}

static int handled, tries;

static void note_signal(int number)
{
	(void)number;
	handled++;
}

static int socket_that_a_signal_meets(int domain, int type, int protocol)
{
	if (++tries == 2)
		raise(SIGUSR1);
	return real.socket(domain, type, protocol);
}

static int poll_that_a_signal_follows(struct pollfd *fds, nfds_t count, int timeout)
{
	int result = real.poll(fds, count, timeout);
	if (timeout > 0 && ++tries == 1)
		raise(SIGUSR1);
	return result;
}

static void meet_in_a_try(void)
{
	libc.socket = socket_that_a_signal_meets;
}

static void meet_as_a_pause_ends(void)
{
	libc.poll = poll_that_a_signal_follows;
}

static int connect_to_nobody(void (*meet)(void), int handler_flags)
{
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = handler_flags};
	handled = tries = 0;
	prepare_socket();
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	meet();
	int result = connect_to(program.fd, NOBODY_PORT), error = errno;
	libc.socket = faulty.socket;
	libc.poll = faulty.poll;
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(result, -1);
	assert_int_equal(handled, 1);
	close_program();
	return error;
}

/* It comes between two calls of ours, where the program has only one. */
static void a_signal_between_two_tries_interrupts_connect(void **state)
{
	(void)state;
	assert_int_equal(connect_to_nobody(meet_in_a_try, 0), EINTR);
	assert_int_equal(connect_to_nobody(meet_in_a_try, SA_RESTART), ECONNREFUSED);
	assert_true(tries > 3);
	assert_int_equal(connect_to_nobody(meet_as_a_pause_ends, 0), EINTR);
	assert_int_equal(connect_to_nobody(meet_as_a_pause_ends, SA_RESTART), ECONNREFUSED);
	assert_true(tries > 3);
}

static pthread_t closer;
static int file; /* what the closer has got, on whatever number */

static void *close_and_open(void *unused)
{
	(void)unused;
	close(program.fd);
	file = open("/dev/null", O_RDWR);
	return NULL;
}

/* The number has been looked at; now a thread closes it and opens a file. */
static void another_thread_closes(void)
{
	assert_int_equal(pthread_create(&closer, NULL, close_and_open, NULL), 0);
	while (fd_tracked(program.fd))
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static int dup3_that_is_late(int fd, int number, int flags)
{
	libc.dup3 = real.dup3;
	another_thread_closes();
	return real.dup3(fd, number, flags);
}

static void assert_file_is_untouched(void)
{
	struct stat status;
	assert_int_equal(pthread_join(closer, NULL), 0);
	assert_true(file >= 0);
	assert_int_equal(fstat(file, &status), 0);
	assert_true(S_ISCHR(status.st_mode));
	assert_false(fd_tracked(file));
	real.close(file);
	program.fd = -1;
}

/* connect() puts its socket on the number: the other's close() waits for that, closes it, and no file is hit.
 */
static void a_file_that_another_thread_opens_is_not_replaced(void **state)
{
	(void)state;
	prepare_socket();
	libc.dup3 = dup3_that_is_late;
	act_connect();
	libc.dup3 = faulty.dup3;
	assert_file_is_untouched();
}

static int fcntl_that_is_late(int fd, int command, void *argument)
{
	if (fd != program.fd || command != F_DUPFD_CLOEXEC)
		return real.fcntl(fd, command, argument);
	libc.fcntl = real.fcntl;
	another_thread_closes();
	return real.fcntl(fd, command, argument);
}

/* bind() shares another socket of its port, which is just closed: it gets that, or nothing, and never a file.
 */
static void a_file_that_another_thread_opens_is_not_shared(void **state)
{
	(void)state;
	struct stat status;
	program.fd = fresh_socket(0);
	program.other = fresh_socket(0);
	assert_int_equal(setsockopt(program.fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)), 0);
	assert_int_equal(setsockopt(program.other, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)), 0);
	assert_int_equal(bind_to(program.fd, SERVER_PORT), 0);
	libc.fcntl = fcntl_that_is_late;
	bind_to(program.other, SERVER_PORT);
	libc.fcntl = faulty.fcntl;
	assert_int_equal(fstat(program.other, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_file_is_untouched();
}

/* A record that was just recycled has no carrier yet; the data path looks at it without holding it. */
static void a_record_without_a_carrier_is_no_fault(void **state)
{
	(void)state;
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	prepare_socket();
	assert_null(fd_sock(program.fd)->transport);
	assert_int_equal(stream_recvmsg(program.fd, fd_sock(program.fd), &message, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ENOTCONN);
}

/* Another thread's dup2() of its TCP socket is done by the kernel before the library knows of it. */
static int taken_at, calls_on_it, ip_connects;

static void take_the_number(int fd)
{
	if (fd != program.fd || ++calls_on_it != taken_at)
		return;
	int saved = errno;
	assert_int_equal(real.dup2(program.other, program.fd), program.fd);
	errno = saved;
}

static int getsockopt_and_it_is_taken(int fd, int level, int name, void *value, socklen_t *length)
{
	int result = real.getsockopt(fd, level, name, value, length);
	take_the_number(fd);
	return result;
}

static int fcntl_and_it_is_taken(int fd, int command, void *argument)
{
	int result = real.fcntl(fd, command, argument);
	take_the_number(fd);
	return result;
}

static int connect_that_reports(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof name;
	bool unconnected = real.getpeername(fd, (struct sockaddr *)&name, &size) < 0;
	ip_connects += unconnected && address->sa_family == AF_INET && stream_is_tcp(fd);
	return real.connect(fd, address, length);
}

/* Connects where the number is taken after each call of the library on it, till there are no more. */
static void never_leaves_over_ip(int (*fresh)(void))
{
	taken_at = 0;
	do {
		program.fd = fresh();
		program.other = real.socket(AF_INET, SOCK_STREAM, 0);
		taken_at++;
		calls_on_it = 0;
		libc.getsockopt = getsockopt_and_it_is_taken;
		libc.fcntl = fcntl_and_it_is_taken;
		libc.connect = connect_that_reports;
		connect_to(program.fd, CLIENT_PORT);
		libc.getsockopt = faulty.getsockopt;
		libc.fcntl = faulty.fcntl;
		libc.connect = faulty.connect;
		close(program.fd);
		real.close(program.other);
	} while (calls_on_it >= taken_at && taken_at < 100);
	program.fd = program.other = -1;
	assert_true(taken_at > 1);
	assert_int_equal(ip_connects, 0);
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int udp_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int unknown_tcp_socket(void)
{
	return real.socket(AF_INET, SOCK_STREAM, 0);
}

/* Connected over IP, before the library came. */
static int connected_tcp_socket(void)
{
	int listener = real.socket(AF_INET, SOCK_STREAM, 0), fd = real.socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in name = inet(0);
	socklen_t length = sizeof name;
	assert_int_equal(real.bind(listener, (struct sockaddr *)&name, sizeof name), 0);
	assert_int_equal(real.listen(listener, 1), 0);
	assert_int_equal(real.getsockname(listener, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(real.connect(fd, (struct sockaddr *)&name, sizeof name), 0);
	real.close(listener);
	return fd;
}

static void a_number_that_another_thread_takes_lets_nothing_out(void **state)
{
	(void)state;
	never_leaves_over_ip(unix_socket);
	never_leaves_over_ip(udp_socket);
	never_leaves_over_ip(unknown_tcp_socket);
	never_leaves_over_ip(connected_tcp_socket);
}

/* ---- sockets that were inherited: nobody knows them yet ---- */

static int half_made; /* entries that another thread could see before they say what the socket is */

static void look_at(int fd)
{
	const struct sock *sock = fd_sock(fd);
	half_made += sock && sock->state == STATE_IP && !sock->used;
}

static int getsockopt_meanwhile(int fd, int level, int name, void *value, socklen_t *length)
{
	look_at(fd);
	return real.getsockopt(fd, level, name, value, length);
}

static int getsockname_meanwhile(int fd, struct sockaddr *address, socklen_t *length)
{
	look_at(fd);
	return real.getsockname(fd, address, length);
}

static void an_inherited_socket_is_known_as_a_whole_or_not_at_all(void **state)
{
	(void)state;
	half_made = 0;
	prepare_waiting();
	fd_forget(program.fd);
	program.epfd = unknown_tcp_socket();
	libc.getsockopt = getsockopt_meanwhile;
	libc.getsockname = getsockname_meanwhile;
	int accepted = act_accept(), bound = bind_to(program.epfd, SERVER_PORT + 1);
	libc.getsockopt = faulty.getsockopt;
	libc.getsockname = faulty.getsockname;
	assert_true(accepted >= 0);
	assert_int_equal(bound, 0);
	assert_int_equal(half_made, 0);
	accept_works();
	assert_serves(program.epfd, SERVER_PORT + 1);
}

/* Whom its rule allows can't be known then. */
static void an_inherited_listener_without_an_entry_lets_nobody_in(void **state)
{
	(void)state;
	prepare_waiting();
	fd_forget(program.fd);
	in_vfork_child = 1; /* there are no new entries */
	int accepted = act_accept(), error = errno;
	int plain = accept(program.fd, NULL, NULL), plain_error = errno;
	in_vfork_child = 0;
	assert_int_equal(accepted, -1);
	assert_int_equal(error, ENOMEM);
	assert_int_equal(plain, -1);
	assert_int_equal(plain_error, ENOMEM);
	assert_true(act_accept() >= 0);
	accept_works();
}

/* A connect() that IP gets ends all tracking, and a later one to a mapped address finds out again. */
static void a_socket_left_to_ip_costs_nothing_and_may_come_back(void **state)
{
	(void)state;
	struct sockaddr_in direct = inet(1), unspecified = {.sin_family = AF_UNSPEC};
	struct epoll_event event = {EPOLLOUT, {.u64 = 4711}}, reported = {0};
	int nodelay = 1;
	socklen_t length = sizeof nodelay;
	prepare_socket();
	program.alias = dup(program.fd);
	program.epfd = epoll_create1(0);
	assert_int_equal(setsockopt(program.fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof nodelay), 0);
	assert_int_equal(epoll_ctl(program.epfd, EPOLL_CTL_ADD, program.fd, &event), 0);
	assert_int_equal(connect(program.fd, (struct sockaddr *)&direct, sizeof direct), -1);
	assert_false(fd_tracked(program.fd));
	assert_false(fd_tracked(program.alias));
	assert_int_equal(connect(program.fd, (struct sockaddr *)&unspecified, sizeof unspecified), 0);
	assert_int_equal(act_connect(), 0);
	assert_int_equal(epoll_wait(program.epfd, &reported, 1, 0), 1);
	assert_int_equal(reported.data.u64, 4711);
	nodelay = 0;
	assert_int_equal(getsockopt(program.fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length), 0);
	assert_int_equal(nodelay, 1);
	connect_works();
}

/* valgrind finds fault with a bad pointer itself, and a sanitizer's getsockopt() follows it. */
static bool pointers_are_watched(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
	return true;
#else
	const char *preload = getenv("LD_PRELOAD");
	return preload && strstr(preload, "vgpreload");
#endif
}

/* The kernel finds fault with a pointer; so must we, and not by a crash. */
static void bad_pointers_are_faults(void **state)
{
	(void)state;
	static const struct {
		int level, name;
	} table[] = {{IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPCNT},
		{SOL_SOCKET, SO_LINGER}, {SOL_SOCKET, SO_SNDBUF}, {SOL_SOCKET, SO_ERROR},
		{IPPROTO_IP, IP_TOS}};
	if (pointers_are_watched())
		skip();
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(page != MAP_FAILED);
	prepare_connected();
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		int status = -1, level = table[i].level, name = table[i].name;
		pid_t child = fork();
		if (child == 0) {
			static const struct linger linger = {1, 5};
			socklen_t length = sizeof linger;
			signal(SIGSEGV, SIG_DFL);
			bool good = name == SO_ERROR ||
				    (setsockopt(program.fd, level, name, page, 8) == -1 && errno == EFAULT);
			if (name == SO_LINGER)
				good &= setsockopt(program.fd, level, name, &linger, sizeof linger) == 0;
			good &= getsockopt(program.fd, level, name, page, &length) == -1 && errno == EFAULT;
			good &= getsockopt(program.fd, level, name, &length, (socklen_t *)page) == -1 &&
				errno == EFAULT;
			_exit(good ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status)
			fail_msg("option %d of level %d: status %x", name, level, (unsigned)status);
	}
	munmap(page, 4096);
}

int main(void)
{
	enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };
	const struct CMUnitTest others[] = {
		cmocka_unit_test_teardown(a_bound_socket_keeps_its_place_when_connect_fails, clean_up),
		cmocka_unit_test_teardown(
			a_bound_socket_keeps_its_place_when_its_connection_is_dissolved, clean_up),
		cmocka_unit_test_teardown(a_dup_that_is_gone_does_not_hinder, clean_up),
		cmocka_unit_test_teardown(a_file_in_the_place_of_a_dup_stays, clean_up),
		cmocka_unit_test_teardown(a_number_that_is_taken_meanwhile_ends_the_wait, clean_up),
		cmocka_unit_test_teardown(a_number_that_another_thread_takes_lets_nothing_out, clean_up),
		cmocka_unit_test_teardown(an_inherited_socket_is_known_as_a_whole_or_not_at_all, clean_up),
		cmocka_unit_test_teardown(an_inherited_listener_without_an_entry_lets_nobody_in, clean_up),
		cmocka_unit_test_teardown(a_socket_left_to_ip_costs_nothing_and_may_come_back, clean_up),
		cmocka_unit_test_teardown(bad_pointers_are_faults, clean_up),
		cmocka_unit_test_teardown(
			an_error_that_another_thread_has_taken_is_not_reported_as_0, clean_up),
		cmocka_unit_test_teardown(a_signal_between_two_tries_interrupts_connect, clean_up),
		cmocka_unit_test_teardown(a_file_that_another_thread_opens_is_not_replaced, clean_up),
		cmocka_unit_test_teardown(a_file_that_another_thread_opens_is_not_shared, clean_up),
		cmocka_unit_test_teardown(a_record_without_a_carrier_is_no_fault, clean_up),
	};
	struct CMUnitTest tests[SCENARIOS + sizeof others / sizeof *others];
	memcpy(tests + SCENARIOS, others, sizeof others);
	for (int i = 0; i < SCENARIOS; i++)
		tests[i] = (struct CMUnitTest){scenarios[i].name, each_call_fails_with_each_error, NULL,
			clean_up, (void *)&scenarios[i]};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
