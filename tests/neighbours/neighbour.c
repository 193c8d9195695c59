/* SPDX-License-Identifier: MIT */
/* Programs that do unusual things to their fds, their libc and themselves, in one: neighbour NAME runs one of
 * them under the library, on emulated CIDs; without a name it lists them. A far end that isn't under the
 * library sees every byte. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAR = 7001, OWN = 7002, REPORT = 100 };

/* stdout may be closed: what is wrong is said on a copy of it. */
static void fail(int line, const char *what)
{
	dprintf(REPORT, "line %d: %s (errno %s)\n", line, what, strerrorname_np(errno));
	_exit(1);
}
#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static struct sockaddr_un place_of(int port)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *transport = getenv("IP2VSOCK_TRANSPORT");
	CHECK(transport && strncmp(transport, "unix:", 5) == 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/1.%d", transport + 5, port);
	return address;
}

static struct sockaddr_in inet(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_to(int fd, int port)
{
	struct sockaddr_in address = inet(port);
	return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static void end_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it has ended already */
		_exit(0);
}

/* The far end gives back every byte, and ends the program if it gets one that this didn't send. */
static void start_far_end(void)
{
	struct sockaddr_un address = place_of(FAR);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 10) == 0);
	pid_t parent = getpid();
	if (fork() == 0) {
		pid_t far_end = getpid();
		end_with(parent);
		signal(SIGCHLD, SIG_IGN);
		for (;;) {
			char byte;
			int peer = accept(fd, NULL, NULL);
			if (fork() != 0) {
				close(peer);
				continue;
			}
			end_with(far_end);
			while (recv(peer, &byte, 1, 0) == 1) {
				if (byte < 'a' || byte > 'z') {
					dprintf(REPORT, "the far end got a byte %x that nobody sent\n",
						(unsigned)byte);
					kill(parent, SIGKILL);
				}
				send(peer, &byte, 1, MSG_NOSIGNAL);
			}
			_exit(0);
		}
	}
	close(fd);
}

static void exchange(int fd)
{
	for (const char *sent = "abcde"; *sent; sent++) {
		char got = 0;
		CHECK(write(fd, sent, 1) == 1);
		CHECK(read(fd, &got, 1) == 1);
		CHECK(got == *sent);
	}
}

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	return fd;
}

static int connected(void)
{
	int fd = tcp_socket();
	CHECK(connect_to(fd, FAR) == 0);
	return fd;
}

static int own_server(void)
{
	struct sockaddr_in address = inet(OWN);
	int fd = tcp_socket();
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 10) == 0);
	return fd;
}

/* A server and its client in one, on whatever numbers are free. */
static void serve_and_connect(void)
{
	struct sockaddr_in peer = {0};
	socklen_t length = sizeof peer;
	char byte;
	int server = own_server(), client = tcp_socket();
	CHECK(connect_to(client, OWN) == 0);
	int accepted = accept(server, (struct sockaddr *)&peer, &length);
	CHECK(accepted >= 0 && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	CHECK(write(client, "x", 1) == 1 && read(accepted, &byte, 1) == 1 && byte == 'x');
	close(accepted);
	close(client);
	close(server);
}

/* ---- fds ---- */

static void closes_all_fds_one_by_one(void)
{
	for (int fd = 0; fd < REPORT; fd++)
		close(fd);
	for (int fd = REPORT + 1; fd < 1024; fd++)
		close(fd);
	int fd = connected();
	CHECK(fd == 0);
	exchange(fd);
	serve_and_connect();
}

static void closes_all_fds_at_once(void)
{
	connected();
	own_server();
	close_range(0, REPORT - 1, 0);
	closefrom(REPORT + 1);
	serve_and_connect();
	exchange(connected());
}

static void closes_all_fds_by_number(void)
{
	connected();
	own_server();
	syscall(SYS_close_range, 0, REPORT - 1, 0);
	syscall(SYS_close_range, REPORT + 1, ~0u, 0);
	serve_and_connect();
	exchange(connected());
}

/* With messages of the library's that have nowhere to go: number 2 is a socket, and the far end sees every
 * byte. */
static void has_sockets_as_0_to_2(void)
{
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	for (int fd = 0; fd < 3; fd++)
		CHECK(connected() == fd);
	CHECK(connect_to(tcp_socket(), FAR + 500) == -1 && errno == ECONNREFUSED); /* which is logged */
	for (int fd = 0; fd < 3; fd++)
		exchange(fd);
}

/* As inetd starts it: the connection is 0, 1 and 2, over exec. */
static void is_started_by_inetd(void)
{
	int fd = connected();
	for (int number = 0; number < 3; number++)
		CHECK(dup2(fd, number) == number);
	close(fd);
	execl("/bin/sh", "sh", "-c",
		"printf abc; read -r -n 3 x 2>/dev/null || x=$(head -c 3); [ \"$x\" = abc ]", NULL);
	CHECK(false);
}

/* The library has something to say, and its stderr is the peer, who ends us for it. */
static void is_started_by_inetd_and_complains(void)
{
	CHECK(dup2(connected(), STDERR_FILENO) == STDERR_FILENO);
	execlp("python3", "python3", "-c",
		"import socket\n"
		"assert socket.socket().connect_ex(('127.0.0.1', 7501)) == 111\n"
		"peer = socket.socket(fileno=2)\n"
		"peer.sendall(b'abc')\n"
		"assert peer.recv(3, socket.MSG_WAITALL) == b'abc'",
		NULL);
	CHECK(false);
}

static void becomes_a_daemon(void)
{
	int server = own_server(), gate[2];
	CHECK(pipe(gate) == 0);
	pid_t child = fork();
	if (child == 0) {
		char byte;
		CHECK(daemon(0, 0) == 0);
		CHECK(write(gate[1], "!", 1) == 1);
		int peer = accept(server, NULL, NULL);
		CHECK(read(peer, &byte, 1) == 1 && write(peer, &byte, 1) == 1);
		_exit(0);
	}
	char byte;
	close(server);
	CHECK(read(gate[0], &byte, 1) == 1);
	int client = tcp_socket();
	CHECK(connect_to(client, OWN) == 0);
	CHECK(write(client, "d", 1) == 1 && read(client, &byte, 1) == 1 && byte == 'd');
	waitpid(child, NULL, 0);
}

/* ---- libc, by other ways ---- */

static void finds_functions_with_rtld_next(void)
{
	int (*next_connect)(int, const struct sockaddr *, socklen_t);
	int (*default_socket)(int, int, int);
	*(void **)&next_connect = dlsym(RTLD_NEXT, "connect");
	*(void **)&default_socket = dlsym(RTLD_DEFAULT, "socket");
	struct sockaddr_in address = inet(FAR);
	int fd = default_socket(AF_INET, SOCK_STREAM, 0);
	CHECK(next_connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	exchange(fd);
}

/* What it does so goes past the library: it must see the numbers that come and go, and touch no file on them.
 */
static void opens_and_closes_with_libc_itself(void *libc)
{
	int (*libc_close)(int), (*libc_socket)(int, int, int), (*libc_dup2)(int, int);
	*(void **)&libc_close = dlsym(libc, "close");
	*(void **)&libc_socket = dlsym(libc, "socket");
	*(void **)&libc_dup2 = dlsym(libc, "dup2");
	char path[] = "/tmp/ip2vsock-neighbour-XXXXXX", got[4] = "";
	int fd = connected();
	CHECK(libc_close(fd) == 0);
	int file = mkstemp(path);
	CHECK(file == fd);
	CHECK(write(file, "abc", 3) == 3 && pread(file, got, 3, 0) == 3 && strcmp(got, "abc") == 0);
	CHECK(connect_to(file, FAR) == -1 && errno == ENOTSOCK);
	struct stat status;
	CHECK(fstat(file, &status) == 0 && S_ISREG(status.st_mode));
	unlink(path);
	close(file);

	fd = libc_socket(AF_INET, SOCK_STREAM, 0); /* as one that was inherited */
	CHECK(connect_to(fd, FAR) == 0);
	exchange(fd);
	CHECK(libc_dup2(fd, 50) == 50);
	exchange(50);
	CHECK(libc_close(fd) == 0 && close(50) == 0);
	CHECK(connected() == fd);
	exchange(fd);
}

static void opens_libc_with_dlopen(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_LOCAL);
	CHECK(libc);
	opens_and_closes_with_libc_itself(libc);
}

static void has_a_second_libc(void)
{
	void *libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_LAZY | RTLD_LOCAL);
	CHECK(libc);
	opens_and_closes_with_libc_itself(libc);
}

/* ---- seccomp ---- */

static void is_strict_with_itself(void)
{
	int fd = connected();
	pid_t child = fork();
	if (child == 0) {
		char byte = 0;
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		bool good = write(fd, "s", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 's';
		syscall(SYS_exit, !good);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(status == 0);
}

static void filter_itself(const int *allowed, size_t count, bool by_number)
{
	struct sock_filter code[40] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	size_t at = 1;
	for (size_t i = 0; i < count; i++) {
		code[at++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
		code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	struct sock_fprog program = {(unsigned short)at, code};
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (by_number)
		CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
	else
		CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* As sshd's child before authentication: only what it calls. */
static void filters_its_data(void)
{
	static const int allowed[] = {SYS_read, SYS_write, SYS_close, SYS_exit_group};
	int fd = connected();
	filter_itself(allowed, sizeof allowed / sizeof *allowed, false);
	exchange(fd);
	close(fd);
	_exit(0);
}

/* A server that has its listener, and may only accept, read, write and close. */
static void filters_its_server(void)
{
	static const int allowed[] = {SYS_read, SYS_write, SYS_close, SYS_accept, SYS_exit_group};
	int server = own_server();
	pid_t child = fork();
	if (child == 0) {
		char byte;
		struct sockaddr_in peer;
		socklen_t length = sizeof peer;
		filter_itself(allowed, sizeof allowed / sizeof *allowed, true);
		for (int i = 0; i < 3; i++) {
			int fd = accept(server, (struct sockaddr *)&peer, &length);
			if (read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1)
				_exit(1);
			close(fd);
		}
		_exit(0);
	}
	for (int i = 0; i < 3; i++) {
		char byte = 0;
		int client = tcp_socket(), status;
		CHECK(connect_to(client, OWN) == 0);
		CHECK(write(client, "f", 1) == 1 && read(client, &byte, 1) == 1 && byte == 'f');
		close(client);
		if (i == 2)
			CHECK(waitpid(child, &status, 0) == child && status == 0);
	}
}

/* It may make one call, on what isn't ours, and the library may make no other on its behalf. */
static void may_make_only_its_call(void)
{
	static const int calls[] = {SYS_sendmsg, SYS_getsockopt, SYS_setsockopt, SYS_shutdown,
		SYS_getpeername, SYS_accept4, SYS_ioctl};
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		int pair[2], value = 4096, status;
		struct sockaddr_un name;
		socklen_t length = sizeof name, size = sizeof value;
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(sizeof(int))];
		} control = {{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
		struct iovec data = {"x", 1};
		struct msghdr message = {.msg_iov = &data,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof control};
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		pid_t child = fork();
		if (child == 0) {
			bool good = false;
			filter_itself((const int[]){calls[i], SYS_exit_group}, 2, i % 2);
			switch (calls[i]) {
			case SYS_sendmsg: /* of its number 0 */
				good = sendmsg(pair[0], &message, 0) == 1;
				break;
			case SYS_getsockopt:
				good = getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &value, &size) == 0;
				break;
			case SYS_setsockopt:
				good = setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &value, size) == 0;
				break;
			case SYS_shutdown:
				good = shutdown(pair[0], SHUT_WR) == 0;
				break;
			case SYS_getpeername:
				good = getpeername(pair[0], (struct sockaddr *)&name, &length) == 0;
				break;
			case SYS_accept4:
				good = accept4(pair[0], NULL, NULL, 0) == -1 && errno == EINVAL;
				break;
			case SYS_ioctl:
				good = ioctl(pair[0], FIONREAD, &value) == 0 && value == 0;
				break;
			}
			_exit(good ? 0 : 1);
		}
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(status == 0);
		close(pair[0]);
		close(pair[1]);
	}
}

/* ---- the environment ---- */

/* The library completes the shell's environment by commands; what a variable is called isn't one. */
static void has_a_command_in_a_name(void)
{
	char name[160], path[] = "/tmp/ip2vsock-neighbour-XXXXXX";
	struct stat file;
	close(mkstemp(path));
	snprintf(name, sizeof name, "IP2VSOCK_$(echo INJECTED >%s)", path);
	CHECK(setenv(name, "1", 1) == 0 && unsetenv("LD_PRELOAD") == 0);
	CHECK(system("exit 7") == 7 << 8);
	CHECK(stat(path, &file) == 0 && file.st_size == 0);
	unlink(path);
}

/* ---- small stacks ---- */

static void *spawn(void *status)
{
	pid_t child;
	CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, (char *[]){"true", NULL}, environ) == 0);
	CHECK(waitpid(child, status, 0) == child);
	return NULL;
}

static void *all_calls(void *done)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct addrinfo *list, wanted = {.ai_socktype = SOCK_STREAM};
	struct sockaddr_in name;
	socklen_t length = sizeof name;
	int one = 1, epoll = epoll_create1(0), fd = tcp_socket(), other = dup(fd);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
	for (int i = 0; i < 3; i++) /* more than are kept: the kernel is asked */
		CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, dup(fd), &event) == 0);
	CHECK(getaddrinfo("svc.example", "7001", &wanted, &list) == 0);
	CHECK(connect(fd, list->ai_addr, list->ai_addrlen) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&name, &length) == 0);
	CHECK(getpeername(fd, (struct sockaddr *)&name, &length) == 0);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &length) == 0);
	exchange(other);
	serve_and_connect();
	CHECK(connect_to(tcp_socket(), FAR + 500) == -1 && errno == ECONNREFUSED);
	*(bool *)done = true;
	return NULL;
}

static void with_a_small_stack(void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 16 << 10) == 0);
	CHECK(pthread_create(&thread, &attributes, run, argument) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void has_small_stacks(void)
{
	bool done = false;
	with_a_small_stack(all_calls, &done);
	CHECK(done);
}

static void has_a_small_stack_and_many_variables(void)
{
	int status = -1;
	for (int i = 0; i < 2500; i++) {
		char name[16];
		snprintf(name, sizeof name, "V%d", i);
		CHECK(setenv(name, "x", 1) == 0);
	}
	with_a_small_stack(spawn, &status);
	CHECK(status == 0);
}

static void has_a_small_stack_limit(void)
{
	struct rlimit limit = {64 << 10, 64 << 10};
	CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
	bool done = false;
	all_calls(&done);
	CHECK(system("exit 0") == 0);
}

static void is_plain(void)
{
	exchange(connected());
	serve_and_connect();
	bool done = false;
	all_calls(&done);
}

static const struct {
	const char *name;
	void (*run)(void);
} programs[] = {
#define PROGRAM(name)                                                                                        \
	{                                                                                                    \
#name, name                                                                                  \
	}
	PROGRAM(is_plain),
	PROGRAM(closes_all_fds_one_by_one),
	PROGRAM(closes_all_fds_at_once),
	PROGRAM(closes_all_fds_by_number),
	PROGRAM(has_sockets_as_0_to_2),
	PROGRAM(is_started_by_inetd),
	PROGRAM(is_started_by_inetd_and_complains),
	PROGRAM(becomes_a_daemon),
	PROGRAM(finds_functions_with_rtld_next),
	PROGRAM(opens_libc_with_dlopen),
	PROGRAM(has_a_second_libc),
	PROGRAM(is_strict_with_itself),
	PROGRAM(filters_its_data),
	PROGRAM(filters_its_server),
	PROGRAM(may_make_only_its_call),
	PROGRAM(has_a_command_in_a_name),
	PROGRAM(has_small_stacks),
	PROGRAM(has_a_small_stack_and_many_variables),
	PROGRAM(has_a_small_stack_limit),
};

int main(int count, char **arguments)
{
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		if (count < 2) {
			puts(programs[i].name);
		} else if (strcmp(arguments[1], programs[i].name) == 0) {
			dup2(1, REPORT);
			start_far_end();
			alarm(20);
			programs[i].run();
			return 0;
		}
	}
	return count < 2 ? 0 : 2;
}
