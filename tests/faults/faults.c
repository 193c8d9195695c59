/* SPDX-License-Identifier: MIT */
/* What goes wrong from outside: threads that are cancelled, signals, fork() at a bad moment, no fds, no
 * memory. Started under the library on emulated CIDs; faults NAME runs one case in this process, and without
 * a name lists them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	FULL = 7001,
	ABSENT = 7002,
	SERVER = 7003,
	STALE = 7004,
	RETRY = 7100
}; /* the map's: RETRY has retry=20s */

static void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void fail(const char *format, ...)
{
	char why[400];
	va_list list;
	va_start(list, format);
	vsnprintf(why, sizeof why, format, list);
	va_end(list);
	printf("%s\n", why);
	fflush(stdout);
	_exit(1);
}

#define CHECK(condition)                                                                                     \
	((condition) ? (void)0 : fail("line %d: %s (errno %s)", __LINE__, #condition, strerrorname_np(errno)))

static int count_fds(void)
{
	int count = 0;
	DIR *list = opendir("/proc/self/fd");
	CHECK(list);
	while (readdir(list))
		count++;
	closedir(list);
	return count;
}

static void sleep_us(int us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
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

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	return fd;
}

static int bind_to(int fd, int port)
{
	struct sockaddr_in address = inet(port);
	return bind(fd, (struct sockaddr *)&address, sizeof address);
}

static int listener(int port)
{
	int fd = tcp_socket();
	CHECK(bind_to(fd, port) == 0);
	CHECK(listen(fd, 100) == 0);
	return fd;
}

static int domain_of(int fd)
{
	struct stat file;
	char path[40], link[40] = "";
	CHECK(fstat(fd, &file) == 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof link - 1) > 0);
	FILE *list = fopen("/proc/net/unix", "r"); /* what the kernel says, not the library */
	char line[300], inode[20];
	bool is_unix = false;
	snprintf(inode, sizeof inode, " %lu", (unsigned long)file.st_ino);
	while (fgets(line, sizeof line, list))
		is_unix |= strstr(line, inode) != NULL;
	fclose(list);
	return is_unix ? AF_UNIX : AF_INET;
}

/* The carrier's own socket for a port: what is beyond the library. */
static struct sockaddr_un place_of(int port)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *transport = getenv("IP2VSOCK_TRANSPORT");
	CHECK(transport && strncmp(transport, "unix:", 5) == 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/1.%d", transport + 5, port);
	return address;
}

static int full_server, fill[64], filled;

/* A server that accepts nobody, and whose backlog is full: connect() waits. */
static void make_full_server(void)
{
	struct sockaddr_un address = place_of(FULL);
	full_server = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(full_server, (struct sockaddr *)&address, sizeof address) == 0);
	int (*listen_of_libc)(int, int) = (int (*)(int, int))dlsym(dlopen("libc.so.6", RTLD_LAZY), "listen");
	CHECK(listen_of_libc(full_server, 0) == 0); /* ours would make the backlog larger */
	for (filled = 0; filled < 64; filled++) {
		fill[filled] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fill[filled], (struct sockaddr *)&address, sizeof address) < 0)
			break;
	}
	CHECK(filled < 64 && errno == EAGAIN);
	close(fill[filled]);
}

static void empty_full_server(void)
{
	for (int i = 0; i < filled; i++) {
		close(accept(full_server, NULL, NULL));
		close(fill[i]);
	}
}

static void assert_flows(int from, int to)
{
	char byte = 0;
	struct pollfd wait = {.fd = to, .events = POLLIN};
	CHECK(send(from, "!", 1, MSG_NOSIGNAL) == 1);
	CHECK(poll(&wait, 1, 5000) == 1);
	CHECK(recv(to, &byte, 1, MSG_DONTWAIT) == 1);
	CHECK(byte == '!');
}

/* ---- cancellation ---- */

/* Runs work(fd) in a thread, cancels it once it has waited, and sees that this has ended it. */
static void cancel_while_it_waits(void *(*work)(void *), int *fd, int us)
{
	pthread_t thread;
	void *result;
	CHECK(pthread_create(&thread, NULL, work, fd) == 0);
	sleep_us(us);
	CHECK(pthread_cancel(thread) == 0);
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 5;
	CHECK(pthread_timedjoin_np(thread, &result, &end) == 0);
	CHECK(result == PTHREAD_CANCELED);
}

static void *connect_full(void *fd)
{
	connect_to(*(int *)fd, FULL);
	return NULL;
}

static void cancelled_connect(void)
{
	make_full_server();
	int fd = tcp_socket(), before = count_fds();
	for (int i = 0; i < 50; i++)
		cancel_while_it_waits(connect_full, &fd, i < 5 ? 20000 : 1000);
	CHECK(count_fds() == before);
	CHECK(domain_of(fd) == AF_INET);
	empty_full_server();
	CHECK(connect_to(fd, FULL) == 0);
	assert_flows(accept(full_server, NULL, NULL), fd);
}

static void *connect_absent(void *fd)
{
	connect_to(*(int *)fd, RETRY);
	return NULL;
}

static void cancelled_connect_with_retry(void)
{
	int fd = tcp_socket(), before = count_fds();
	for (int i = 0; i < 30; i++)
		cancel_while_it_waits(connect_absent, &fd, 1000 * i);
	CHECK(count_fds() == before);
	int server = listener(RETRY);
	CHECK(connect_to(fd, RETRY) == 0);
	assert_flows(accept(server, NULL, NULL), fd);
}

static void *accept_one(void *fd)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof peer;
	accept(*(int *)fd, (struct sockaddr *)&peer, &length);
	return NULL;
}

static void cancelled_accept(void)
{
	int server = listener(SERVER), before = count_fds();
	for (int i = 0; i < 50; i++)
		cancel_while_it_waits(accept_one, &server, i < 5 ? 20000 : 1000);
	CHECK(count_fds() == before);
	int client = tcp_socket();
	CHECK(connect_to(client, SERVER) == 0);
	int accepted = accept(server, NULL, NULL);
	assert_flows(accepted, client);
	close(client);
	close(accepted);
	CHECK(shutdown(server, SHUT_RDWR) == 0); /* which looks for threads in accept() */
}

/* ---- jumps ---- */

static __thread sigjmp_buf before_the_call;

static void jump(int number)
{
	(void)number;
	siglongjmp(before_the_call, 1);
}

struct jumper {
	void *(*work)(void *);
	int fd;
	_Atomic int id, times;
};

/* Jumps out of the call each time, and is then cancelled: what the call has left in the thread would show. */
static void *jump_out_of_it(void *context)
{
	struct jumper *jumper = context;
	jumper->id = gettid();
	if (sigsetjmp(before_the_call, 1))
		jumper->times++;
	jumper->work(&jumper->fd);
	return NULL;
}

/* Waits until the thread has made its jumps and sleeps in the call again. */
static void await_sleep_after(struct jumper *jumper, int times)
{
	for (char state = 0; jumper->times != times || state != 'S'; sleep_us(100)) {
		char path[40];
		snprintf(path, sizeof path, "/proc/self/task/%d/stat", jumper->id);
		FILE *file = jumper->id ? fopen(path, "r") : NULL;
		if (!file)
			continue;
		CHECK(fscanf(file, "%*d %*s %c", &state) == 1);
		fclose(file);
	}
}

static void jump_while_it_waits(void *(*work)(void *), int fd)
{
	enum { TIMES = 20 };
	struct jumper jumper = {.work = work, .fd = fd};
	struct sigaction action = {.sa_handler = jump};
	pthread_t thread;
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, jump_out_of_it, &jumper) == 0);
	for (int i = 0; i < TIMES; i++) {
		await_sleep_after(&jumper, i);
		CHECK(pthread_kill(thread, SIGUSR1) == 0);
	}
	await_sleep_after(&jumper, TIMES);
	CHECK(pthread_cancel(thread) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static volatile sig_atomic_t kept_file;

static void fork_open_and_jump(int number)
{
	(void)number;
	if (fork() == 0) {
		kept_file = open("/dev/null", O_RDONLY); /* takes the number of what the fork has closed */
		siglongjmp(before_the_call, 1);
	}
	_exit(0);
}

/* The child of a fork() has let go of its parent's attempt, and mustn't again when it jumps out. */
static void a_child_that_jumps_out_of_connect_keeps_its_files(void)
{
	struct sigaction action = {.sa_handler = fork_open_and_jump};
	struct itimerval soon = {.it_value.tv_usec = 50000};
	int results[2], status;
	char good = 'n';
	make_full_server();
	CHECK(pipe(results) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = tcp_socket();
		sigaction(SIGALRM, &action, NULL);
		if (sigsetjmp(before_the_call, 1) == 0) {
			setitimer(ITIMER_REAL, &soon, NULL);
			connect_to(fd, FULL);
		}
		good = fcntl(kept_file, F_GETFD) >= 0 ? 'y' : 'n';
		_exit(write(results[1], &good, 1) != 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	close(results[1]);
	CHECK(read(results[0], &good, 1) == 1);
	CHECK(good == 'y');
}

__attribute__((noinline)) static void overwrite_the_stack_and_jump(void)
{
	volatile char below[1 << 16];
	for (size_t i = 0; i < sizeof below; i++)
		below[i] = 'A';
	siglongjmp(before_the_call, 1); /* through what the thread has registered */
}

/* The child of a vfork() waits in its parent's thread, which lives on if it is killed there. */
static void a_vfork_child_that_is_killed_leaves_its_parent_whole(void)
{
	make_full_server();
	int fd = tcp_socket(), status;
	pid_t pid = vfork();
	if (pid == 0) {
		alarm(1);
		connect_to(fd, FULL);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
	if (sigsetjmp(before_the_call, 1) == 0)
		overwrite_the_stack_and_jump();
}

static void jumps_out_of_connect(void)
{
	make_full_server();
	int fd = tcp_socket(), before = count_fds();
	jump_while_it_waits(connect_full, fd);
	CHECK(count_fds() == before);
	CHECK(domain_of(fd) == AF_INET);
	empty_full_server();
	CHECK(connect_to(fd, FULL) == 0);
	assert_flows(accept(full_server, NULL, NULL), fd);
}

static void jumps_out_of_accept(void)
{
	int server = listener(SERVER), before = count_fds();
	jump_while_it_waits(accept_one, server);
	CHECK(count_fds() == before);
	int client = tcp_socket();
	CHECK(connect_to(client, SERVER) == 0);
	assert_flows(accept(server, NULL, NULL), client);
	CHECK(shutdown(server, SHUT_RDWR) == 0); /* which looks for threads in accept() */
}

static int pair_client, pair_server;

static void make_pair(void)
{
	int server = listener(SERVER);
	pair_client = tcp_socket();
	CHECK(connect_to(pair_client, SERVER) == 0);
	pair_server = accept(server, NULL, NULL);
	CHECK(pair_server >= 0);
	close(server);
}

static void *receive(void *fd)
{
	char byte;
	recv(*(int *)fd, &byte, 1, 0);
	return NULL;
}

static void *receive_all(void *fd)
{
	static char room[4 << 20];
	recv(*(int *)fd, room, sizeof room, MSG_WAITALL);
	return NULL;
}

static void *poll_it(void *fd)
{
	struct pollfd wait = {.fd = *(int *)fd, .events = POLLIN};
	poll(&wait, 1, -1);
	return NULL;
}

static void *send_much(void *fd)
{
	static char block[1 << 16];
	while (send(*(int *)fd, block, sizeof block, 0) > 0)
		;
	return NULL;
}

static void *write_much(void *fd)
{
	static char block[1 << 16];
	while (write(*(int *)fd, block, sizeof block) > 0)
		;
	return NULL;
}

static void cancelled_data(void)
{
	static void *(*const work[])(void *) = {receive, receive_all, poll_it};
	make_pair();
	int before = count_fds();
	for (size_t i = 0; i < sizeof work / sizeof *work; i++)
		for (int j = 0; j < 5; j++)
			cancel_while_it_waits(work[i], &pair_client, 5000);
	CHECK(count_fds() == before);
	assert_flows(pair_server, pair_client);
	cancel_while_it_waits(send_much, &pair_client, 20000);
	cancel_while_it_waits(write_much, &pair_client, 20000);
	CHECK(count_fds() == before);
	assert_flows(pair_server, pair_client);
}

/* With a cancellation pending, all of these do their work: on TCP none is a cancellation point. */
static void *whole_calls(void *done)
{
	int one = 1;
	struct sockaddr_in name;
	socklen_t length = sizeof name;
	pthread_cancel(pthread_self());
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int good = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0;
	good += bind_to(fd, SERVER) == 0;
	good += listen(fd, 5) == 0;
	good += getsockname(fd, (struct sockaddr *)&name, &length) == 0;
	good += getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &length) == 0;
	good += shutdown(fd, SHUT_RDWR) == 0;
	*(int *)done = good;
	dup2(fd, 900);
	pthread_testcancel();
	return NULL;
}

static void pending_cancellation(void)
{
	pthread_t thread;
	void *result;
	int done = 0, before = count_fds();
	CHECK(pthread_create(&thread, NULL, whole_calls, &done) == 0);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK(result == PTHREAD_CANCELED);
	CHECK(done == 6);
	CHECK(count_fds() == before + 2);
}

static void close_it(void *fd)
{
	close(*(int *)fd);
}

/* Connects for ever; its own clean-up closes its own socket, and nothing else must be left. */
static void *busy_client(void *unused)
{
	(void)unused;
	for (;;) {
		volatile int fd = tcp_socket();
		pthread_cleanup_push(close_it, (void *)&fd);
		connect_to(fd, SERVER);
		pthread_cleanup_pop(0);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		close(fd);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	}
}

static void *greeter(void *server)
{
	for (;;) {
		int fd = accept(*(int *)server, NULL, NULL);
		if (fd < 0)
			return NULL;
		close(fd);
	}
}

static void cancelled_anywhere(void)
{
	int server = listener(SERVER), before = count_fds();
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, greeter, &server) == 0);
	unsigned seed = 4711;
	for (int i = 0; i < 2000; i++)
		cancel_while_it_waits(busy_client, NULL, (int)(rand_r(&seed) % 200));
	CHECK(shutdown(server, SHUT_RDWR) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	int now = count_fds();
	if (now != before)
		fail("%d fds are left of 2000 cancelled threads", now - before);
}

/* ---- signals ---- */

static void on_signal(int number)
{
	int saved = errno;
	(void)number;
	errno = EOVERFLOW;
	errno = saved;
}

static void *echo(void *server)
{
	for (;;) {
		char byte;
		int fd = accept(*(int *)server, NULL, NULL);
		if (fd < 0 && errno == EINTR)
			continue;
		if (fd < 0)
			return NULL;
		while (recv(fd, &byte, 1, 0) < 0 && errno == EINTR)
			;
		while (send(fd, &byte, 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
			;
		close(fd);
	}
}

static int exchanged, interrupted;

/* One connection, whatever interrupts: an interrupted connect() goes on by itself. */
static void exchange(char byte)
{
	char got = 0;
	int fd = tcp_socket();
	if (connect_to(fd, SERVER) < 0) {
		struct pollfd wait = {.fd = fd, .events = POLLOUT};
		int error;
		socklen_t length = sizeof error;
		CHECK(errno == EINTR);
		interrupted++;
		while (poll(&wait, 1, 5000) < 0)
			CHECK(errno == EINTR);
		CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
		CHECK(error == 0);
	}
	while (send(fd, &byte, 1, MSG_NOSIGNAL) < 0)
		CHECK(errno == EINTR);
	ssize_t size;
	while ((size = recv(fd, &got, 1, 0)) < 0)
		CHECK(errno == EINTR);
	CHECK(size == 1 && got == byte);
	exchanged++;
	close(fd);
}

static void storm(int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	int server = listener(SERVER), before = count_fds();
	pthread_t thread;
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, echo, &server) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (int i = 0; i < 3000; i++)
		exchange((char)i);
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
	CHECK(shutdown(server, SHUT_RDWR) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(exchanged == 3000);
	CHECK(count_fds() == before);
}

static void signals_storm(void)
{
	storm(0);
}

static void signals_that_restart_storm(void)
{
	storm(SA_RESTART);
	CHECK(interrupted == 0);
}

/* connect() waits for a full backlog, signals come all the time, and it connects when there is room. */
static void signals_while_connect_waits(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
	make_full_server();
	int before = count_fds(), fd = tcp_socket();
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	pid_t child = fork();
	if (child == 0) {
		close(fd);
		usleep(300000);
		for (int i = 0; i < filled; i++)
			close(accept(full_server, NULL, NULL));
		_exit(0);
	}
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	CHECK(connect_to(fd, FULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
	CHECK(count_fds() == before + 1);
	CHECK(waitpid(child, NULL, 0) == child);
	assert_flows(accept(full_server, NULL, NULL), fd);
}

/* ---- fork ---- */

static void expect_end(int fd)
{
	char byte;
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	CHECK(poll(&wait, 1, 2000) == 1);
	CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) == 0);
}

/* A child that was forked while another thread was waiting in connect() has closed what the program had: then
 * nothing of it keeps the connection open. */
static void fork_while_another_thread_connects(void)
{
	make_full_server();
	int fd = tcp_socket();
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, connect_full, &fd) == 0);
	sleep_us(50000);
	pid_t child = fork();
	if (child == 0) {
		close(fd);
		pause();
	}
	empty_full_server();
	CHECK(pthread_join(thread, NULL) == 0);
	int peer = accept(full_server, NULL, NULL);
	assert_flows(peer, fd);
	close(fd);
	expect_end(peer);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static _Atomic bool enough;

static void *connect_on(void *unused)
{
	(void)unused;
	while (!enough) {
		int fd = tcp_socket();
		CHECK(connect_to(fd, SERVER) == 0);
		CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == 1);
		char byte;
		CHECK(recv(fd, &byte, 1, 0) == 1);
		close(fd);
	}
	return NULL;
}

/* Children of a program whose other threads are anywhere: each connects by itself. */
static void fork_while_others_connect(void)
{
	enum { THREADS = 6, CHILDREN = 200 };
	int server = listener(SERVER), before = count_fds();
	pthread_t threads[THREADS], servers[2];
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&servers[i], NULL, echo, &server) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, connect_on, NULL) == 0);
	for (int i = 0; i < CHILDREN; i++) {
		int status;
		pid_t child = fork();
		if (child == 0) {
			alarm(20);
			closefrom(server + 1);
			for (int j = 0; j < 3; j++)
				exchange('c');
			_exit(0);
		}
		CHECK(child > 0);
		CHECK(waitpid(child, &status, 0) == child);
		if (status)
			fail("child %d: status %x", i, (unsigned)status);
	}
	enough = true;
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(shutdown(server, SHUT_RDWR) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(servers[i], NULL) == 0);
	CHECK(count_fds() == before);
}

/* ---- nothing left ---- */

static void set_limit(int resource, rlim_t to)
{
	struct rlimit limit;
	CHECK(getrlimit(resource, &limit) == 0);
	limit.rlim_cur = to;
	CHECK(setrlimit(resource, &limit) == 0);
}

static int first_free(void)
{
	int fd = dup(0);
	close(fd);
	return fd;
}

static void no_fds(void)
{
	int server = listener(SERVER), fd = tcp_socket(), bound = tcp_socket(), client = tcp_socket(),
	    one = 1;
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name;
	CHECK(connect_to(client, SERVER) == 0);
	rlim_t limit = (rlim_t)first_free();
	set_limit(RLIMIT_NOFILE, limit);
	CHECK(connect_to(fd, SERVER) == -1 && errno == EMFILE);
	CHECK(bind_to(bound, SERVER + 1) == -1 && errno == EMFILE);
	CHECK(accept(server, NULL, NULL) == -1 && errno == EMFILE);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
	CHECK(getsockname(client, (struct sockaddr *)&name, &length) == 0);
	CHECK(getpeername(client, (struct sockaddr *)&name, &length) == 0 && ntohs(name.sin_port) == SERVER);
	CHECK(send(client, "!", 1, 0) == 1);
	CHECK(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
	one = 0;
	length = sizeof one;
	CHECK(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, &length) == 0 && one == 1);
	set_limit(RLIMIT_NOFILE, limit + 10);
	CHECK(domain_of(fd) == AF_INET && domain_of(bound) == AF_INET);
	int before = count_fds();
	CHECK(connect_to(fd, SERVER) == 0);
	CHECK(bind_to(bound, SERVER + 1) == 0);
	int first = accept(server, NULL, NULL), second = accept(server, NULL, NULL);
	char byte;
	CHECK(recv(first, &byte, 1, 0) == 1);
	assert_flows(fd, second);
	CHECK(count_fds() == before + 2);
}

/* Sockets until there is no memory for another: then ENOMEM, and what is open goes on. */
static void no_memory(void)
{
	enum { MOST = 15000 };
	static int fds[MOST];
	int count = 0;
	char line[200];
	unsigned long pages = 0;
	make_pair();
	FILE *file = fopen("/proc/self/statm", "r");
	CHECK(fgets(line, sizeof line, file) && sscanf(line, "%lu", &pages) == 1);
	fclose(file);
	struct rlimit limit;
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (limit.rlim_max < MOST)
		fail("the hard limit of open files is below %d", MOST);
	set_limit(RLIMIT_NOFILE, MOST);
	set_limit(RLIMIT_AS, pages * 4096 + (64 << 10));
	while (count < MOST && (fds[count] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		count++;
	CHECK(errno == ENOMEM);
	assert_flows(pair_client, pair_server);
	CHECK(connect_to(fds[0], ABSENT) == -1 && errno == ECONNREFUSED);
	while (count)
		close(fds[--count]);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	CHECK(connect_to(fd, ABSENT) == -1 && errno == ECONNREFUSED);
}

/* ---- the environment ---- */

extern char **environ;

static void *shells(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20; i++) {
		char got[4096] = "";
		CHECK(system("test -n \"$IP2VSOCK_MAP\" && test -n \"$LD_PRELOAD\"") == 0);
		FILE *pipe = popen("echo \"$IP2VSOCK_TRANSPORT\"", "r");
		CHECK(pipe && fgets(got, sizeof got, pipe) && strncmp(got, "unix:/", 6) == 0);
		CHECK(pclose(pipe) == 0);
	}
	return NULL;
}

/* Shells of several threads keep the map, and nobody sees the program's own environment change meanwhile. */
static void shells_of_threads(void)
{
	pthread_t threads[4];
	clearenv();
	setenv("PATH", "/usr/bin:/bin", 1);
	char **before = environ;
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, shells, NULL) == 0);
	for (int i = 0; i < 20000; i++) {
		CHECK(environ == before && !getenv("IP2VSOCK_MAP"));
		sleep_us(10);
	}
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(environ == before);
}

/* ---- a stale socket file ---- */

/* Of processes that replace one at the same time one gets it, and serves. */
static void one_of_many_replaces_a_stale_file(void)
{
	enum { PROCESSES = 8, ROUNDS = 100 };
	struct sockaddr_un address = place_of(STALE);
	for (int round = 0; round < ROUNDS; round++) {
		int gate[2], result[2], winners = 0, stale = socket(AF_UNIX, SOCK_STREAM, 0);
		unlink(address.sun_path);
		CHECK(bind(stale, (struct sockaddr *)&address, sizeof address) == 0);
		close(stale);
		CHECK(pipe(gate) == 0 && pipe(result) == 0);
		for (int i = 0; i < PROCESSES; i++) {
			if (fork() != 0)
				continue;
			char byte, said;
			close(gate[1]);
			int fd = tcp_socket();
			CHECK(read(gate[0], &byte, 1) == 0); /* all go when it's closed */
			int error = bind_to(fd, STALE) == 0 && listen(fd, 10) == 0 ? 0 : errno;
			said = error == 0 ? 'w' : error == EADDRINUSE ? 'u' : '?';
			CHECK(write(result[1], &said, 1) == 1);
			if (error)
				_exit(0);
			alarm(20);
			int peer = accept(fd, NULL, NULL);
			_exit(peer < 0);
		}
		close(gate[0]);
		close(gate[1]);
		for (int i = 0; i < PROCESSES; i++) {
			char said;
			CHECK(read(result[0], &said, 1) == 1);
			CHECK(said != '?');
			winners += said == 'w';
		}
		if (winners != 1)
			fail("%d processes have the port, round %d", winners, round);
		int client = tcp_socket();
		CHECK(connect_to(client, STALE) == 0);
		close(client);
		close(result[0]);
		close(result[1]);
		for (int i = 0; i < PROCESSES; i++) {
			int status;
			CHECK(wait(&status) > 0 && status == 0);
		}
	}
}

/* ---- messages ---- */

/* Nobody reads stderr any more: a message of the library's is lost, and nothing else. */
static void a_message_that_nobody_reads(void)
{
	sigset_t pending;
	struct sockaddr_in address = inet(443);
	address.sin_addr.s_addr =
		htonl(0xc6120001); /* 198.18.0.1: one of the names' range, which no rule takes */
	CHECK(connect(tcp_socket(), (struct sockaddr *)&address, sizeof address) == -1 &&
		errno == EHOSTUNREACH);
	CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE));
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
#define CASE(name)                                                                                           \
	{                                                                                                    \
#name, name                                                                                  \
	}
	CASE(cancelled_connect),
	CASE(cancelled_connect_with_retry),
	CASE(cancelled_accept),
	CASE(jumps_out_of_connect),
	CASE(jumps_out_of_accept),
	CASE(a_child_that_jumps_out_of_connect_keeps_its_files),
	CASE(a_vfork_child_that_is_killed_leaves_its_parent_whole),
	CASE(cancelled_data),
	CASE(pending_cancellation),
	CASE(cancelled_anywhere),
	CASE(signals_storm),
	CASE(signals_that_restart_storm),
	CASE(signals_while_connect_waits),
	CASE(fork_while_another_thread_connects),
	CASE(fork_while_others_connect),
	CASE(no_fds),
	CASE(no_memory),
	CASE(shells_of_threads),
	CASE(one_of_many_replaces_a_stale_file),
	CASE(a_message_that_nobody_reads),
};

int main(int count, char **arguments)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (count < 2)
			puts(cases[i].name);
		else if (strcmp(arguments[1], cases[i].name) == 0)
			return cases[i].run(), 0;
	}
	return count < 2 ? 0 : 2;
}
