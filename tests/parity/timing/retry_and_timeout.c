/* SPDX-License-Identifier: MIT */
/* retry_and_timeout NAME: what the rules' options retry= and timeout= say about time, of which TCP knows
 * nothing. The map is the script's (`retry_and_timeout`): each port below has a rule of its own. Prints
 * nothing if all is well, else what isn't. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	RETRY_5S = 7001,
	RETRY_1S = 7002,
	TIMEOUT_700MS = 7003,
	NO_SUCH_CID = 7004,
	FULL = 7009, /* its backlog is (emulated CIDs only); timeout=700ms */
	SERVED = 7100,
};

static bool failed;

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	puts("");
	failed = true;
}

static void must(long value, const char *what)
{
	if (value < 0) {
		wrong("%s: %s", what, strerror(errno));
		exit(1);
	}
}

static long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void took(const char *what, long since, long least, long most)
{
	long ms = now_ms() - since;
	if (ms < least || ms > most)
		wrong("%s took %ld ms, expected %ld to %ld", what, ms, least, most);
}

static int tcp(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
	must(fd, "socket");
	return fd;
}

static struct sockaddr_in at(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_to(int fd, int port)
{
	struct sockaddr_in to = at(port);
	return connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static void expect(const char *what, int result, int error)
{
	int got = result < 0 ? errno : 0;
	if (got != error)
		wrong("%s: %s, expected %s", what, strerror(got), strerror(error));
}

static int listener(int port)
{
	struct sockaddr_in own = at(port);
	int fd = tcp(0);
	must(bind(fd, (struct sockaddr *)&own, sizeof(own)), "bind");
	must(listen(fd, 64), "listen");
	return fd;
}

/* A child that serves one client, beginning `after` ms from now. */
static pid_t serve_later(int port, int after)
{
	pid_t pid = fork();
	must(pid, "fork");
	if (pid)
		return pid;
	usleep(after * 1000);
	int client = accept(listener(port), NULL, NULL);
	must(client, "accept");
	must(write(client, "late", 4), "write");
	exit(failed);
}

static void ended_well(pid_t pid)
{
	int status = 0;
	waitpid(pid, &status, 0);
	if (status)
		wrong("the server failed");
}

static void retry_reaches_a_peer_that_is_two_seconds_late(void)
{
	char data[8] = "";
	long since = now_ms();
	pid_t server = serve_later(RETRY_5S, 2000);
	int fd = tcp(0);
	expect("connect", connect_to(fd, RETRY_5S), 0);
	took("connect", since, 1900, 3600);
	if (read(fd, data, sizeof(data)) != 4 || strcmp(data, "late") != 0)
		wrong("what came isn't what the server sent: '%s'", data);
	ended_well(server);
}

static void retry_gives_up_when_its_time_is_over(void)
{
	long since = now_ms();
	expect("connect", connect_to(tcp(0), RETRY_1S), ECONNREFUSED);
	took("connect", since, 300, 1500);
}

static void retry_waits_for_a_cid_that_is_not_there(void)
{
	long since = now_ms();
	int result = connect_to(tcp(0), NO_SUCH_CID);
	expect("connect", result,
		getenv("IP2VSOCK_TRANSPORT") ? ECONNREFUSED
		: getenv("PARITY_OWN_CID") ? ETIMEDOUT /* before Linux 5.6 a guest sends it out, to nobody */
					   : EHOSTUNREACH);
	took("connect", since, 300, 1500);
}

static void retry_is_not_for_non_blocking(void)
{
	int fd = tcp(SOCK_NONBLOCK), error = 0;
	socklen_t length = sizeof(error);
	long since = now_ms();
	expect("connect", connect_to(fd, RETRY_5S), EINPROGRESS);
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	if (poll(&wait, 1, 1000) != 1)
		wrong("no end of the attempt within a second");
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error != ECONNREFUSED)
		wrong("SO_ERROR is %s", strerror(error));
	took("all of it", since, 0, 200);
}

static void timeout_leaves_a_served_connection_alone(void)
{
	pid_t server = serve_later(TIMEOUT_700MS, 0);
	int fd, tries = 0;
	do {
		usleep(10000);
		fd = tcp(0);
	} while (connect_to(fd, TIMEOUT_700MS) < 0 && tries++ < 100);
	char data[8];
	usleep(900000); /* the attempt's limit is over, the connection isn't */
	if (read(fd, data, sizeof(data)) != 4)
		wrong("read: %s", strerror(errno));
	ended_well(server);
}

/* A listener that takes nobody, of the emulated CIDs' own kind, with as many clients as its backlog holds. */
static void fill(void)
{
	struct sockaddr_un own = {.sun_family = AF_UNIX};
	snprintf(own.sun_path, sizeof(own.sun_path), "%s/1.%d",
		getenv("IP2VSOCK_TRANSPORT") + strlen("unix:"), FULL);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client;
	must(bind(fd, (struct sockaddr *)&own, sizeof(own)), "bind a Unix socket");
	must(listen(fd, 0), "listen");
	do {
		client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (connect(client, (struct sockaddr *)&own, sizeof(own)) == 0);
}

static void timeout_limits_a_blocking_connect(void)
{
	fill();
	long since = now_ms();
	alarm(5);
	expect("connect", connect_to(tcp(0), FULL), ETIMEDOUT);
	took("connect", since, 600, 1500);
}

static void timeout_limits_a_non_blocking_connect(void)
{
	fill();
	int fd = tcp(SOCK_NONBLOCK), error = 0;
	socklen_t length = sizeof(error);
	long since = now_ms();
	expect("connect", connect_to(fd, FULL), EINPROGRESS);
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	if (poll(&wait, 1, 2000) != 1)
		wrong("no end of the attempt within two seconds");
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error != ETIMEDOUT)
		wrong("SO_ERROR is %s", strerror(error));
	took("all of it", since, 0, 1500);
}

/* For strace: what is set in the kernel before each kind of attempt. */
static void timeout_is_passed_to_the_kernel(void)
{
	connect_to(tcp(0), TIMEOUT_700MS);
	connect_to(tcp(SOCK_NONBLOCK), TIMEOUT_700MS);
	connect_to(tcp(0), SERVED);
}

/* A timer every 20 ms, and at each of its beats a non-blocking connect to where the next rule leads. */
static void timer_keeps_its_beat(void)
{
	enum { BEAT = 20, BEATS = 100, LATE = 250 /* the shortest waiting of a rule here is longer */ };
	struct itimerspec every = {{0, BEAT * 1000000}, {0, BEAT * 1000000}};
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), server = listener(SERVED), open_fds[BEATS];
	if (getenv("IP2VSOCK_TRANSPORT"))
		fill();
	fcntl(server, F_SETFL, O_NONBLOCK);
	must(timerfd_settime(timer, 0, &every, NULL), "timerfd_settime");
	long before = now_ms();
	for (int beat = 0; beat < BEATS; beat++) {
		unsigned long long expired;
		static const int ports[] = {
			RETRY_5S, RETRY_1S, TIMEOUT_700MS, NO_SUCH_CID, 7005, 7006, 7007, 7008, FULL, SERVED};
		must(read(timer, &expired, sizeof(expired)), "read the timer");
		long now = now_ms();
		if (now - before > BEAT + LATE)
			wrong("%ld ms between two beats, the one before connected to port %d", now - before,
				ports[(beat + 9) % 10]);
		before = now;
		open_fds[beat] = tcp(SOCK_NONBLOCK);
		connect_to(open_fds[beat], ports[beat % 10]);
		int client = accept(server, NULL, NULL);
		if (client >= 0)
			close(client);
	}
	for (int beat = 0; beat < BEATS; beat++)
		close(open_fds[beat]);
}

int main(int count, char **arguments)
{
#define TEST(name) #name, name
	static const struct {
		const char *name;
		void (*run)(void);
	} tests[] = {
		{TEST(retry_reaches_a_peer_that_is_two_seconds_late)},
		{TEST(retry_gives_up_when_its_time_is_over)},
		{TEST(retry_waits_for_a_cid_that_is_not_there)},
		{TEST(retry_is_not_for_non_blocking)},
		{TEST(timeout_leaves_a_served_connection_alone)},
		{TEST(timeout_limits_a_blocking_connect)},
		{TEST(timeout_limits_a_non_blocking_connect)},
		{TEST(timeout_is_passed_to_the_kernel)},
		{TEST(timer_keeps_its_beat)},
	};
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		if (count == 2 && !strcmp(arguments[1], tests[i].name)) {
			tests[i].run();
			return failed;
		}
	fprintf(stderr, "usage: retry_and_timeout NAME\n");
	return 2;
}
