/* SPDX-License-Identifier: MIT */
/* Many connections, with what both ends counted: the parent is the client, the child the server, under the
 * library both.
 *
 * load hold COUNT            that many at once
 * load short COUNT           that many one after the other, from several threads
 * load numbers SECONDS       16 threads that open, use, dup, close and fork, on the lowest fd numbers: as one
 * closes a number another one gets it. Every byte must come back to who sent it. load rude SECONDS 16 threads
 * that do this to each other's fds: no crash, no hang, nothing left
 * load programs COUNT        programs one after the other, each with one connection: no port comes back
 * (ports.h says what would be lost)
 *
 * Prints the numbers; exits 1 and says why if they aren't what they must be. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 7000, THREADS = 16, PAIRS = 4 };
static int port = PORT; /* this process's server's */

/* What both processes, and their children, count. */
static struct {
	_Atomic long connected, exchanged, client_bytes;	/* the client's side */
	_Atomic long accepted, ended, open, held, server_bytes; /* the server's */
	_Atomic long forks, listeners, calls;
	_Atomic bool failed;
	char why[300];
} * counts;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void fail(const char *format, ...)
{
	va_list list;
	if (!counts->failed) { /* the first failure is reported */
		va_start(list, format);
		vsnprintf(counts->why, sizeof counts->why, format, list);
		va_end(list);
	}
	counts->failed = true;
}

#define CHECK(condition)                                                                                     \
	((condition) ? true                                                                                  \
		     : (fail("line %d: %s (errno %s)", __LINE__, #condition, strerrorname_np(errno)),        \
			       false))

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void sleep_ms(int ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static int fds_of(pid_t process)
{
	char path[40];
	int count = -3; /* ".", "..", and the directory itself */
	snprintf(path, sizeof path, "/proc/%d/fd", process);
	DIR *list = opendir(path);
	while (list && readdir(list))
		count++;
	if (list)
		closedir(list);
	return count + (process != getpid());
}

static long rss_kib(pid_t process)
{
	char path[40];
	long whole, resident = 0;
	snprintf(path, sizeof path, "/proc/%d/statm", process);
	FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%ld %ld", &whole, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct sockaddr_in inet(int number)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)number),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_to(int fd, int number)
{
	struct sockaddr_in address = inet(number);
	return connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* ---- the server: one thread, epoll, gives back what it gets ---- */

static int make_listener(int number)
{
	struct sockaddr_in address = inet(number);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
		return -1;
	return fd;
}

static void welcome(int listener, int epoll)
{
	for (int i = 0; i < 64; i++) { /* then those that have ended get their turn */
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
		if (fd < 0) {
			CHECK(errno == EAGAIN);
			return;
		}
		counts->accepted++;
		counts->open++;
		CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
	}
}

static void serve(int fd)
{
	char bytes[4096];
	ssize_t size = recv(fd, bytes, sizeof bytes, 0);
	if (size > 0) {
		counts->server_bytes += size;
		send(fd, bytes, (size_t)size, MSG_NOSIGNAL);
	} else if (size == 0 || errno != EAGAIN) {
		close(fd);
		counts->ended++;
		counts->open--;
	}
}

static void server(int listener)
{
	struct epoll_event events[256];
	int epoll = epoll_create1(EPOLL_CLOEXEC), count;
	fcntl(listener, F_SETFL, O_NONBLOCK);
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener,
		&(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
	while ((count = epoll_wait(epoll, events, 256, -1)) >= 0 || errno == EINTR)
		for (int i = 0; i < count; i++)
			if (events[i].data.fd == listener)
				welcome(listener, epoll);
			else
				serve(events[i].data.fd);
	fail("the server's epoll_wait: %s", strerror(errno));
}

static pid_t start_server(void)
{
	int listener = make_listener(port);
	if (!CHECK(listener >= 0))
		return -1;
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		server(listener);
		_exit(1);
	}
	close(listener);
	return child;
}

/* ---- clients ---- */

static unsigned next_random(unsigned *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

/* Sends a number of its own and waits for it. */
static bool exchange(int fd, unsigned value)
{
	unsigned got = ~value;
	if (!CHECK(send(fd, &value, sizeof value, MSG_NOSIGNAL) == sizeof value))
		return false;
	counts->client_bytes += sizeof value;
	if (!CHECK(recv(fd, &got, sizeof got, MSG_WAITALL) == sizeof got))
		return false;
	if (got != value)
		fail("sent %x and got %x", value, got);
	counts->exchanged++;
	return got == value;
}

static bool connect_waiting(int fd)
{
	if (!CHECK(connect_to(fd, port) == 0))
		return false;
	counts->connected++;
	return true;
}

static bool connect_by_epoll(int fd)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.u32 = 77};
	int error = -1, epoll = epoll_create1(EPOLL_CLOEXEC);
	socklen_t length = sizeof error;
	bool good = CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0) &&
		    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) &&
		    CHECK(connect_to(fd, port) == -1 && errno == EINPROGRESS) &&
		    CHECK(epoll_wait(epoll, &event, 1, 10000) == 1 && event.data.u32 == 77) &&
		    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0) &&
		    CHECK(fcntl(fd, F_SETFL, 0) == 0);
	close(epoll);
	counts->connected += good;
	return good;
}

static bool one_connection(unsigned *random)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!CHECK(fd >= 0))
		return false;
	if (next_random(random) % 2)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	bool good = next_random(random) % 3 ? connect_waiting(fd) : connect_by_epoll(fd);
	good = good && exchange(fd, next_random(random));
	if (good && next_random(random) % 2) {
		int other = dup(fd);
		close(fd);
		fd = other;
		good = exchange(fd, next_random(random));
	}
	if (good && next_random(random) % 4 == 0) {
		int file = open("/dev/null", O_RDWR | O_CLOEXEC);
		good = CHECK(dup2(fd, file) == file) && exchange(file, next_random(random));
		close(file);
	}
	close(fd);
	return good;
}

/* A server of one client, which is this thread too. */
static bool one_listener(unsigned value)
{
	struct sockaddr_in name = {0}, peer = {0}, own = {0};
	socklen_t length = sizeof name;
	unsigned got = 0;
	int listener = make_listener(0), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    accepted = -1;
	bool good = CHECK(listener >= 0) &&
		    CHECK(getsockname(listener, (struct sockaddr *)&name, &length) == 0) &&
		    CHECK(connect_to(client, ntohs(name.sin_port)) == 0) &&
		    CHECK((accepted = accept(listener, (struct sockaddr *)&peer, &length)) >= 0) &&
		    CHECK(getsockname(client, (struct sockaddr *)&own, &length) == 0) &&
		    CHECK(own.sin_port == peer.sin_port && own.sin_addr.s_addr == peer.sin_addr.s_addr) &&
		    CHECK(send(client, &value, sizeof value, 0) == sizeof value) &&
		    CHECK(recv(accepted, &got, sizeof got, MSG_WAITALL) == sizeof got) && CHECK(got == value);
	close(listener);
	close(client);
	if (accepted >= 0)
		close(accepted);
	counts->listeners++;
	return good;
}

static bool one_fork(unsigned *random)
{
	int status = -1;
	pid_t child = fork();
	if (child == 0) {
		alarm(30);
		_exit(!one_connection(random));
	}
	counts->forks++;
	return CHECK(child > 0) && CHECK(waitpid(child, &status, 0) == child) && CHECK(status == 0);
}

static double deadline;
static _Atomic long left; /* of `short` */

static void *numbers(void *number)
{
	unsigned random = 2463534242u + (unsigned)(long)number * 7919;
	bool good = true;
	for (long i = 0; good && !counts->failed && now() < deadline; i++)
		good = i % 400 == 399 ? one_fork(&random)
		       : i % 16 == 15 ? one_listener(next_random(&random))
				      : one_connection(&random);
	return NULL;
}

static void *short_ones(void *number)
{
	(void)number;
	while (!counts->failed && left-- > 0) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!CHECK(fd >= 0) || !connect_waiting(fd) || !exchange(fd, (unsigned)left))
			break;
		close(fd);
	}
	return NULL;
}

/* ---- rude threads ---- */

enum { FIRST = 200, NUMBERS = 24 };

static bool plain(int error)
{
	static const int plain_errors[] = {EBADF, ENOTSOCK, EISCONN, EALREADY, EINPROGRESS, EPIPE, ENOTCONN,
		EINVAL, EAGAIN, ECONNRESET, ECONNREFUSED, EADDRINUSE, EADDRNOTAVAIL, ECONNABORTED, EEXIST,
		ENOENT, EPERM, EDESTADDRREQ, EOPNOTSUPP, ENOPROTOOPT, EBUSY, ETIMEDOUT, EINTR, EAFNOSUPPORT,
		EHOSTUNREACH, ENOBUFS};
	for (size_t i = 0; i < sizeof plain_errors / sizeof *plain_errors; i++)
		if (error == plain_errors[i])
			return true;
	return false;
}

static int rude_call(unsigned random, int epoll)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = random};
	struct sockaddr_in name = inet(0);
	socklen_t length = sizeof name;
	char bytes[64] = "";
	int fd = FIRST + (int)(random >> 8) % NUMBERS, other = FIRST + (int)(random >> 16) % NUMBERS, fresh,
	    result, one = 1;
	switch (random % 24) {
	case 0 ... 3:
		fresh = socket(AF_INET, SOCK_STREAM | (random & 0x40 ? SOCK_NONBLOCK : 0), 0);
		result = dup3(fresh, fd, O_CLOEXEC);
		close(fresh);
		return result;
	case 4 ... 8:
		result = connect_to(fd, port);
		counts->connected += result == 0;
		return result;
	case 9:
		return (int)send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	case 10:
		return (int)recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	case 11:
		return dup2(fd, other);
	case 12 ... 13:
		return close(fd);
	case 14:
		return shutdown(fd, (int)(random >> 4) % 3);
	case 15:
		return getsockname(fd, (struct sockaddr *)&name, &length);
	case 16:
		return getpeername(fd, (struct sockaddr *)&name, &length);
	case 17:
		return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	case 18:
		return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	case 19:
		return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event);
	case 20:
		return bind(fd, (struct sockaddr *)&name, sizeof name);
	case 21:
		return listen(fd, 5);
	case 22:
		fresh = open("/dev/null", O_RDWR | O_CLOEXEC);
		result = dup3(fresh, fd, O_CLOEXEC);
		close(fresh);
		return result;
	default:
		name.sin_family = AF_UNSPEC;
		return connect(fd, (struct sockaddr *)&name, sizeof name);
	}
}

static void *rude(void *number)
{
	unsigned random = 88172645u + (unsigned)(long)number * 104729;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	for (long i = 0; !counts->failed && now() < deadline; i++) {
		if (i % 5000 == 4999) {
			pid_t child = fork();
			if (child == 0)
				_exit(0);
			counts->forks++;
			waitpid(child, NULL, 0);
		}
		unsigned call = next_random(&random);
		if (rude_call(call, epoll) < 0 && !plain(errno))
			fail("call %u: an errno that isn't plain: %s", call % 24, strerrorname_np(errno));
		counts->calls++; /* calls */
	}
	close(epoll);
	return NULL;
}

/* ---- the runs ---- */

static void run_threads(void *(*work)(void *))
{
	pthread_t threads[THREADS];
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Until the server has seen the end of every connection. */
static void wait_for_server(void)
{
	for (int i = 0; i < 500 && (counts->open || counts->accepted < counts->connected); i++)
		sleep_ms(10);
	if (counts->open)
		fail("the server still has %ld connections: somebody holds them", counts->open);
}

/* Opens `count` connections, waits until all processes have theirs, `all`, uses each of its own, and closes
 * them. */
static void hold_some(int *fds, long count, long all)
{
	for (long i = 0; i < count && !counts->failed; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!CHECK(fds[i] >= 0) || !connect_waiting(fds[i]))
			return;
	}
	for (int i = 0; i < 6000 && counts->held < all && !counts->failed; i++) {
		counts->held = counts->open;
		sleep_ms(10);
	}
	for (long i = 0; i < count && !counts->failed; i++)
		exchange(fds[i], (unsigned)i);
	for (long i = 0; i < count; i++)
		close(fds[i]);
}

/* Several pairs of processes, so that a limit of 20000 files a process allows 20000 connections. */
static void hold(long count)
{
	long each = count / PAIRS, before = counts->open;
	pid_t clients[PAIRS], servers[PAIRS];
	int *fds = calloc((size_t)each, sizeof *fds), status;
	for (int i = 0; i < PAIRS; i++) {
		port = PORT + 1 + i;
		servers[i] = start_server();
		clients[i] = fork();
		if (clients[i] == 0) {
			hold_some(fds, each, before + each * PAIRS);
			_exit(0);
		}
	}
	for (int i = 0; i < PAIRS; i++)
		if (waitpid(clients[i], &status, 0) != clients[i] || status)
			fail("a client ended with status %x", (unsigned)status);
	wait_for_server();
	for (int i = 0; i < PAIRS; i++)
		if (fds_of(servers[i]) != fds_of(servers[0]))
			fail("a server still has %d fds, the first one %d", fds_of(servers[i]),
				fds_of(servers[0]));
	for (int i = 0; i < PAIRS; i++) {
		kill(servers[i], SIGKILL);
		waitpid(servers[i], NULL, 0);
	}
	printf("hold: at one time the servers had %ld connections\n", (long)counts->held - before);
	if (counts->held < before + each * PAIRS)
		fail("the servers had %ld of %ld connections", (long)counts->held - before, each * PAIRS);
	port = PORT;
	free(fds);
}

static void programs(long count)
{
	static bool seen[UINT16_MAX + 1];
	char *child[] = {"load", "program", "1", NULL};
	int listener = make_listener(port);
	CHECK(listener >= 0);
	for (long i = 0; i < count && !counts->failed; i++) {
		struct sockaddr_in peer = {.sin_port = 0};
		socklen_t length = sizeof peer;
		pid_t pid = fork();
		if (pid == 0) {
			execv("/proc/self/exe", child);
			_exit(127);
		}
		int fd = accept(listener, (struct sockaddr *)&peer, &length), status;
		if (!CHECK(fd >= 0) || !CHECK(waitpid(pid, &status, 0) == pid && status == 0))
			return;
		if (seen[peer.sin_port])
			fail("program %ld has port %d, which one before it had", i, ntohs(peer.sin_port));
		seen[peer.sin_port] = true;
		close(fd);
	}
	if (counts->failed)
		printf("programs: %s\n", counts->why);
	else
		printf("programs: %ld, each on a port of its own\n", count);
}

static void raise_limit(long wanted)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if ((long)limit.rlim_max < wanted)
		fail("%ld open files are needed, and %ld allowed", wanted, (long)limit.rlim_max);
}

struct usage {
	int client_fds, server_fds;
	long client_rss, server_rss;
};

static struct usage usage_now(pid_t server_process)
{
	return (struct usage){
		fds_of(getpid()), fds_of(server_process), rss_kib(getpid()), rss_kib(server_process)};
}

int main(int count, char **arguments)
{
	const char *mode = count == 3 ? arguments[1] : "";
	long amount = count == 3 ? atol(arguments[2]) : 0;
	if (amount <= 0)
		return 2;
	counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(mode, "program") == 0)
		return connect_to(socket(AF_INET, SOCK_STREAM, 0), port) < 0;
	if (strcmp(mode, "programs") == 0) {
		programs(amount);
		return counts->failed;
	}
	raise_limit(strcmp(mode, "hold") == 0 ? amount / PAIRS + 200 : 500);
	pid_t server_process = start_server();
	double began = now();
	unsigned random = 1;
	one_connection(&random); /* warms up */
	if (strcmp(mode, "short") == 0) {
		left = amount / 10;
		run_threads(short_ones);
	} else if (strcmp(mode, "numbers") == 0) {
		deadline = now() + (double)amount / 10;
		run_threads(numbers);
	}
	wait_for_server();
	struct usage before = usage_now(server_process);
	if (strcmp(mode, "hold") == 0) {
		hold(amount);
	} else if (strcmp(mode, "short") == 0) {
		left = amount - amount / 10;
		run_threads(short_ones);
	} else {
		deadline = now() + (double)amount;
		run_threads(strcmp(mode, "rude") == 0 ? rude : numbers);
		for (int fd = FIRST; fd < FIRST + NUMBERS; fd++)
			close(fd);
	}
	wait_for_server();
	struct usage after = usage_now(server_process);
	printf("%s: %ld connected, %ld accepted, %ld ended; %ld exchanges; bytes %ld sent, %ld received; %ld "
	       "forks, %ld listeners, "
	       "%ld calls; %.1f s\n",
		mode, (long)counts->connected, (long)counts->accepted, (long)counts->ended,
		(long)counts->exchanged, (long)counts->client_bytes, (long)counts->server_bytes,
		(long)counts->forks, (long)counts->listeners, (long)counts->calls, now() - began);
	printf("%s: fds %d -> %d and %d -> %d; RSS %ld -> %ld KiB and %ld -> %ld KiB\n", mode,
		before.client_fds, after.client_fds, before.server_fds, after.server_fds, before.client_rss,
		after.client_rss, before.server_rss, after.server_rss);
	bool exact = strcmp(mode, "rude") != 0;
	if (exact && (counts->connected != counts->accepted || counts->client_bytes != counts->server_bytes))
		fail("the two ends counted differently");
	if (counts->connected > counts->accepted || counts->accepted != counts->ended)
		fail("connections are missing");
	if (after.client_fds != before.client_fds || after.server_fds != before.server_fds)
		fail("fds are left");
	/* What the table has taken for the most at one time stays with it. */
	long room = strcmp(mode, "hold") == 0 ? amount * 2 : exact ? 1024 : 8192;
	if (!getenv("LOAD_MEMORY") && /* a sanitizer's runtime takes its own */
		(after.client_rss > before.client_rss + room || after.server_rss > before.server_rss + room))
		fail("memory is left");
	kill(server_process, SIGKILL);
	waitpid(server_process, NULL, 0);
	if (counts->failed)
		printf("%s: %s\n", mode, counts->why);
	return counts->failed;
}
