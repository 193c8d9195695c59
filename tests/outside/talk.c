/* SPDX-License-Identifier: MIT */
/* Linked statically: what a C program does that a supervisor could get wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE /* Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif

static struct sockaddr_in at(const char *ip, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, ip, &address.sin_addr);
	return address;
}

static int listener(int port)
{
	struct sockaddr_in address = at("0.0.0.0", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 100))
		perror("listen"), exit(1);
	return fd;
}

static int dial(const char *ip, int port)
{
	struct sockaddr_in address = at(ip, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static volatile int served;
static void *serve(void *listening)
{
	for (;;) {
		int fd = accept((int)(long)listening, NULL, NULL);
		char byte;
		if (fd < 0)
			return NULL;
		while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
			;
		close(fd);
		served++;
	}
}

static void serve_in_thread(int port)
{
	pthread_t thread;
	pthread_create(&thread, NULL, serve, (void *)(long)listener(port));
}

/* Connections to a server that answers, a byte each way. */
static int cycle_to(const char *ip, int port, int count)
{
	char byte = 'x';
	for (int i = 0; i < count; i++) {
		int fd = dial(ip, port);
		if (fd < 0 || write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			return perror("cycle"), 1;
		close(fd);
	}
	return 0;
}

/* cycle N: connections to itself. */
static int cycle(int count)
{
	serve_in_thread(7000);
	return cycle_to("127.0.0.1", 7000, count);
}

/* dial N: connections to another machine, which are closed. */
static int dial_often(int count)
{
	for (int i = 0; i < count; i++) {
		int fd = dial("10.0.0.1", 8080);
		if (fd < 0)
			return perror("dial"), 1;
		close(fd);
	}
	return 0;
}

/* pingpong N over one connection. */
static int pingpong(int count)
{
	char byte = 'x';
	serve_in_thread(7000);
	int fd = dial("127.0.0.1", 7000);
	for (int i = 0; i < count; i++)
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			return perror("pingpong"), 1;
	return 0;
}

static int lowest_free(void)
{
	int fd = dup(0);
	close(fd);
	return fd;
}

static int refused(const char *ip, int port, int count)
{
	for (int i = 0; i < count; i++)
		if (dial(ip, port) >= 0 || errno != ECONNREFUSED)
			return perror("refused"), 1;
	printf("%d\n", lowest_free()); /* nothing has leaked */
	return 0;
}

/* A connect() that doesn't wait is refused, and then the socket is an INET socket again. */
static int refuse_later(int fd, const char *ip, int port)
{
	struct sockaddr_in address = at(ip, port);
	struct pollfd outcome = {.fd = fd, .events = POLLOUT};
	int error = -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno != EINPROGRESS)
		return perror("connect"), 1;
	poll(&outcome, 1, 5000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
	(void)connect(fd, (struct sockaddr *)&address, sizeof address); /* ECONNABORTED */
	return error != ECONNREFUSED;
}

static unsigned long long network_of(int fd)
{
	unsigned long long cookie = 0;
	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &(socklen_t){sizeof cookie});
	return cookie;
}

/* namespace: the network namespace in which a socket is IP's again. */
static int namespace(void)
{
	int first = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (refuse_later(fd, "127.0.0.1", 7001) || !network_of(fd))
		return 1;
	printf("%s\n", network_of(fd) == network_of(first) ? "its own" : "another");
	return 0;
}

/* steady N: connections that succeed and 20 that don't, some to warm up and then N. After each of both it
 * waits for a line. */
static int steady(int count)
{
	char line[8];
	int numbers[] = {200, count};
	serve_in_thread(7000);
	for (int turn = 0; turn < 2; turn++) {
		if (cycle_to("127.0.0.1", 7000, numbers[turn]))
			return 1;
		for (int i = 0; i < 20; i++) {
			int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			if (refuse_later(fd, "127.0.0.1", 7001))
				return perror("refused"), 1;
			close(fd);
		}
		if (refused("127.0.0.1", 7001, 20) || !fgets(line, sizeof line, stdin))
			return 1;
	}
	return 0;
}

/* crowd N: so many processes, each of which listens, and connects to the next one. */
static int crowd(int count)
{
	int good = 0, status;
	for (int i = 0; i < count; i++)
		if (fork() == 0) {
			serve_in_thread(7100 + i);
			int failed = cycle_to("10.0.0.8", 7100 + (i + 1) % count, 5);
			while (!failed && served < 5)
				usleep(10000);
			_exit(failed);
		}
	while (wait(&status) > 0)
		good += status == 0;
	printf("%d\n", good);
	return 0;
}

static void *ask_often(void *listening)
{
	struct sockaddr_in address;
	socklen_t length = sizeof address;
	while (getsockname((int)(long)listening, (struct sockaddr *)&address, &length) == 0)
		;
	return NULL;
}

/* exits N: processes that end while a thread makes calls. */
static int exits(int count)
{
	for (int i = 0; i < count; i++) {
		if (fork() == 0) {
			pthread_t thread;
			pthread_create(&thread, NULL, ask_often, (void *)(long)listener(7000));
			usleep(2000 + i * 100);
			_exit(0);
		}
		wait(NULL);
	}
	return 0;
}

static volatile int alarms;
static void count_alarm(int number)
{
	(void)number;
	alarms++;
}

/* interrupted RESTART: a blocking accept() and signals. */
static int interrupted(int restart)
{
	struct sigaction action = {.sa_handler = count_alarm, .sa_flags = restart ? SA_RESTART : 0};
	struct itimerval often = {.it_interval = {.tv_usec = 100000}, .it_value = {.tv_usec = 100000}};
	sigaction(SIGALRM, &action, NULL);
	int fd = listener(7000);
	if (fork() == 0) {
		close(fd);
		usleep(550000);
		int client = dial("127.0.0.1", 7000);
		char byte;
		_exit(read(client, &byte, 1) != 0); /* the end, once the server closes */
	}
	setitimer(ITIMER_REAL, &often, NULL);
	int accepted = accept(fd, NULL, NULL), error = errno;
	printf("%s after %d\n", accepted >= 0 ? "accepted" : strerror(error), alarms);
	return 0;
}

/* slow PORT: a blocking connect() that takes its time, and signals: restarted, then interrupted and called
 * again. */
static int slow(int port)
{
	struct itimerval often = {.it_interval = {.tv_usec = 50000}, .it_value = {.tv_usec = 50000}};
	struct sockaddr_in address = at("10.0.0.7", port);
	for (int flags = SA_RESTART; flags >= 0; flags -= SA_RESTART) {
		struct sigaction action = {.sa_handler = count_alarm, .sa_flags = flags};
		int fd = socket(AF_INET, SOCK_STREAM, 0), result, interrupted = 0;
		char byte = 'x';
		alarms = 0;
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &often, NULL);
		while ((result = connect(fd, (struct sockaddr *)&address, sizeof address)) && errno == EINTR)
			interrupted++;
		int error = result ? errno : 0;
		setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_sec = 0}, NULL);
		printf("%s, %s, %s", error ? strerror(error) : "connected",
			alarms > 2 ? "signals" : "no signals",
			interrupted > 2 ? "interrupted"
			: interrupted	? "?"
					: "never interrupted");
		if (!error && write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1)
			printf(", echo %c", byte);
		printf("\n");
		close(fd);
	}
	return 0;
}

/* left PORT: a connect() that a signal ended is over when the next call comes, which isn't connect(). */
static int left(int port)
{
	struct itimerval once = {.it_value = {.tv_usec = 100000}};
	struct sigaction action = {.sa_handler = count_alarm};
	struct sockaddr_in address = at("10.0.0.7", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &once, NULL);
	int result = connect(fd, (struct sockaddr *)&address, sizeof address);
	printf("%s, ", result ? strerror(errno) : "connected");
	usleep(700000);
	printf("%s\n", shutdown(fd, SHUT_RDWR) ? strerror(errno) : "shut down");
	return 0;
}

/* storm N MS: N connections, while the client and the server get a signal every so many milliseconds. */
static int storm(int count, int ms)
{
	struct sigaction action = {.sa_handler = count_alarm, .sa_flags = SA_RESTART};
	struct timeval interval = {.tv_usec = ms * 1000};
	struct itimerval often = {.it_interval = interval, .it_value = interval};
	int fd = listener(7000), answered = 0;
	sigaction(SIGALRM, &action, NULL);
	pid_t server = fork();
	setitimer(ITIMER_REAL, &often, NULL);
	if (server == 0)
		serve((void *)(long)fd);
	close(fd);
	int before = lowest_free();
	for (int i = 0; i < count; i++) {
		char byte = 'x';
		int client = dial("127.0.0.1", 7000);
		if (client < 0)
			perror("dial");
		else if (write(client, &byte, 1) == 1 && read(client, &byte, 1) == 1)
			answered++;
		close(client);
	}
	kill(server, SIGKILL);
	printf("%d answered, %d leaked%s\n", answered, lowest_free() - before,
		alarms ? "" : ", no signal came");
	return 0;
}

/* reuse: a second listener with SO_REUSEPORT, of the same user, and of another one. */
static int reuse(void)
{
	struct sockaddr_in address = at("0.0.0.0", 7000);
	for (int user = 0; user < 2; user++) {
		int first = socket(AF_INET, SOCK_STREAM, 0), second = socket(AF_INET, SOCK_STREAM, 0), on = 1;
		setsockopt(first, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
		setsockopt(second, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
		if (bind(first, (struct sockaddr *)&address, sizeof address) || listen(first, 5))
			perror("bind");
		if (fork() == 0) {
			if (user && setuid(65534))
				perror("setuid");
			close(first);
			int result = bind(second, (struct sockaddr *)&address, sizeof address);
			printf("%s\n", result ? strerror(errno) : "bound");
			_exit(0);
		}
		wait(NULL);
		close(first);
	}
	return 0;
}

/* undumpable: nobody may read this process's memory. */
static int undumpable(void)
{
	prctl(PR_SET_DUMPABLE, 0);
	printf("%s\n", dial("127.0.0.1", 7000) < 0 ? strerror(errno) : "connected");
	return 0;
}

static void *block_in_accept(void *listening)
{
	accept((int)(long)listening, NULL, NULL);
	return NULL;
}

static volatile int waiting;
static void *block_in_connect(void *nothing)
{
	waiting = 1;
	dial("10.0.0.9", 9);
	waiting = 0;
	return nothing;
}

static int longer(const void *one, const void *other)
{
	long a = *(const long *)one, b = *(const long *)other;
	return (a > b) - (a < b);
}

/* head: what 95 % of 200 refused connections take at most while others wait, in microseconds; the rest is the
 * machine's. */
static int head(void)
{
	enum { DIALS = 200 };
	pthread_t threads[2];
	long took[DIALS];
	pthread_create(&threads[0], NULL, block_in_accept, (void *)(long)listener(7000));
	pthread_create(&threads[1], NULL, block_in_connect, NULL);
	usleep(200000);
	for (int i = 0; i < DIALS; i++) {
		struct timespec before, after;
		clock_gettime(CLOCK_MONOTONIC, &before);
		dial("127.0.0.1", 7001);
		clock_gettime(CLOCK_MONOTONIC, &after);
		took[i] = (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
	}
	qsort(took, DIALS, sizeof *took, longer);
	printf(waiting ? "%ld\n" : "%ld, while nobody else waited\n", took[DIALS * 95 / 100]);
	return 0;
}

static struct epoll_event next(int epoll, int ms)
{
	struct epoll_event event = {.events = 0, .data.u64 = 0};
	if (epoll_wait(epoll, &event, 1, ms) < 1)
		event.events = 0;
	return event;
}

static void add(int epoll, int fd, uint32_t events, uint64_t data)
{
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){events, {.u64 = data}}))
		perror("add"), exit(1);
}

/* epoll NUMBER: sockets on NUMBER and the next one are registered with two instances, by edge and by level,
 * before bind(), listen() and connect(); then what they report, and whether the program can change and delete
 * what it registered. */
static int registered(int number)
{
	int level = epoll_create1(0), edge = epoll_create1(0);
	int server = fcntl(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), F_DUPFD, number);
	int client = fcntl(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), F_DUPFD, number + 1);
	struct sockaddr_in here = at("127.0.0.1", 7000), all = at("0.0.0.0", 7000);
	add(level, server, EPOLLIN, 1);
	add(level, client, EPOLLOUT | EPOLLONESHOT, 0x200000002);
	add(edge, client, EPOLLIN | EPOLLOUT | EPOLLET, 3);
	next(edge, 0); /* that it isn't connected */
	if (bind(server, (struct sockaddr *)&all, sizeof all) || listen(server, 9))
		perror("listen"), exit(1);
	epoll_ctl(level, EPOLL_CTL_MOD, client,
		&(struct epoll_event){EPOLLOUT | EPOLLONESHOT, {.u64 = 0x200000002}});
	if (connect(client, (struct sockaddr *)&here, sizeof here) == 0 || errno != EINPROGRESS)
		perror("connect"), exit(1);
	for (int i = 0; i < 2; i++) {
		struct epoll_event event = next(level, 5000);
		printf("%llx %s\n", (unsigned long long)event.data.u64,
			event.events == EPOLLIN	   ? "in"
			: event.events == EPOLLOUT ? "out"
						   : "else");
		if (event.data.u64 != 1)
			continue;
		write(accept(server, NULL, NULL), "x", 1);
	}
	struct epoll_event event;
	int seen = 0;
	while (!(seen & EPOLLIN) && (event = next(edge, 5000)).events)
		seen |= (int)event.events;
	printf("%llu %s\n", (unsigned long long)event.data.u64,
		seen == (EPOLLIN | EPOLLOUT) ? "in out" : "else");
	int changed = epoll_ctl(level, EPOLL_CTL_MOD, client, &(struct epoll_event){EPOLLIN, {.u64 = 9}});
	int deleted =
		epoll_ctl(edge, EPOLL_CTL_DEL, client, NULL) | epoll_ctl(level, EPOLL_CTL_DEL, server, NULL);
	printf("changed %d, deleted %d, left %llu\n", changed, deleted,
		(unsigned long long)next(level, 1000).data.u64);
	return 0;
}

/* Registers a socket with an instance before it connects, and prints whether the instance reports it. */
static void connect_registered(const char *what, int epoll)
{
	struct sockaddr_in here = at("127.0.0.1", 7000);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	add(epoll, fd, EPOLLOUT, (uint64_t)fd);
	next(epoll, 0); /* that it isn't connected */
	if (connect(fd, (struct sockaddr *)&here, sizeof here))
		perror("connect");
	struct epoll_event event = next(epoll, 2000);
	printf("%s: %s\n", what,
		event.data.u64 == (uint64_t)fd && event.events == EPOLLOUT ? "out" : "nothing");
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void *connect_in_thread(void *epoll)
{
	connect_registered("in a thread", *(int *)epoll);
	return NULL;
}

/* instances: the ways in which a program gets an epoll instance. */
static int instances(void)
{
	serve_in_thread(7000);
	close(dial("127.0.0.1", 7000)); /* when there is none */
	int first = epoll_create1(EPOLL_CLOEXEC), flags = fcntl(first, F_GETFD);
	connect_registered(flags == FD_CLOEXEC ? "the first" : "close-on-exec was lost", first);
	int second = epoll_create(1);
	connect_registered(fcntl(second, F_GETFD) == 0 ? "the second" : "close-on-exec was set", second);
	printf("%s", epoll_create1(7) < 0 ? "" : "7 is no flag\n");
	printf("%s", epoll_create(0) < 0 ? "" : "0 is no size\n");
	int copy = dup(first);
	connect_registered("on two numbers", copy);
	close(first);
	connect_registered("on the other number", copy);
	pthread_t thread;
	pthread_create(&thread, NULL, connect_in_thread, &copy);
	pthread_join(thread, NULL);
	for (int i = 0; i < 20; i++)
		epoll_create1(0);
	connect_registered("among many", copy);
	if (fork() == 0) {
		connect_registered("in a child", copy);
		_exit(0);
	}
	wait(NULL);
	return 0;
}

static void *connect_late(void *socket)
{
	struct sockaddr_in late = at("10.0.0.8", 7005);
	int failed = connect((int)(long)socket, (struct sockaddr *)&late, sizeof late);
	return (void *)(long)(failed ? errno : 0);
}

/* together: two threads connect one socket, before anybody listens, and then a third that doesn't wait. */
static int together(void)
{
	pthread_t threads[2];
	long fd = socket(AF_INET, SOCK_STREAM, 0);
	void *error;
	for (int i = 0; i < 2; i++) {
		pthread_create(&threads[i], NULL, connect_late, (void *)fd);
		usleep(100000);
	}
	fcntl((int)fd, F_SETFL, O_RDWR | O_NONBLOCK);
	printf("%s\n", (long)connect_late((void *)fd) == EALREADY ? "already" : strerror(errno));
	fcntl((int)fd, F_SETFL, O_RDWR);
	serve_in_thread(7005);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &error);
		printf("%s\n", error ? strerror((int)(long)error) : "connected");
	}
	char byte = 'x';
	printf("%s\n",
		write((int)fd, &byte, 1) == 1 && read((int)fd, &byte, 1) == 1 ? "one byte" : strerror(errno));
	return 0;
}

static ssize_t receive(int fd, int way, char *byte)
{
	struct iovec part = {byte, 1};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_flags = MSG_OOB};
	switch (way) {
	case 0:
		return read(fd, byte, 1);
	case 1:
		return readv(fd, &part, 1);
	case 2:
		return recv(fd, byte, 1, 0);
	default:
		return recvmsg(fd, &header, 0) ? -1 : header.msg_flags;
	}
}

/* ends N: connections on which one byte comes, and the end after that, when nobody sleeps in a call that
 * receives. How often they are seen, and how often the byte is shown before it is read. */
static int ends(int count)
{
	int good = 0, shown = 0;
	for (int i = 0; i < count; i++) {
		char byte;
		int fd = dial("127.0.0.1", 7001);
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		if (fd < 0 || poll(&wait, 1, 5000) != 1)
			return perror("connect"), 1;
		shown += recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 || errno != EAGAIN;
		if (read(fd, &byte, 1) != 1 || poll(&wait, 1, 5000) != 1)
			return perror("read"), 1;
		good += receive(fd, i % 4, &byte) == 0;
		close(fd);
	}
	printf("%d ends, %d shown\n", good, shown);
	return 0;
}

/* credentials: the process that a connection names. TCP names none. */
static int credentials(void)
{
	struct {
		int pid, uid, gid;
	} peer = {-1, -1, -1};
	socklen_t length = sizeof peer;
	int server = listener(7000), client = dial("127.0.0.1", 7000);
	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return 1;
	printf("pid %d, user %d\n", peer.pid, peer.uid);
	close(server);
	return 0;
}

int main(int count, char **arguments)
{
	const char *what = count > 1 ? arguments[1] : "";
	int number = count > 2 ? atoi(arguments[2]) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "cycle"))
		return cycle(number);
	if (!strcmp(what, "steady"))
		return steady(number);
	if (!strcmp(what, "namespace"))
		return namespace();
	if (!strcmp(what, "crowd"))
		return crowd(number);
	if (!strcmp(what, "exits"))
		return exits(number);
	if (!strcmp(what, "dial"))
		return dial_often(number);
	if (!strcmp(what, "pingpong"))
		return pingpong(number);
	if (!strcmp(what, "refused"))
		return refused("127.0.0.1", 7001, number);
	if (!strcmp(what, "interrupted"))
		return interrupted(number);
	if (!strcmp(what, "left"))
		return left(number);
	if (!strcmp(what, "slow"))
		return slow(number);
	if (!strcmp(what, "storm"))
		return storm(number, count > 3 ? atoi(arguments[3]) : 1);
	if (!strcmp(what, "reuse"))
		return reuse();
	if (!strcmp(what, "undumpable"))
		return undumpable();
	if (!strcmp(what, "epoll"))
		return registered(number);
	if (!strcmp(what, "instances"))
		return instances();
	if (!strcmp(what, "together"))
		return together();
	if (!strcmp(what, "head"))
		return head();
	if (!strcmp(what, "ends"))
		return ends(number);
	if (!strcmp(what, "credentials"))
		return credentials();
	if (!strcmp(what, "uring"))
		return syscall(425, 1, NULL) == -1 && errno == ENOSYS ? 0 : 1;
	if (!strcmp(what, "accept"))
		return signal(SIGUSR1, count_alarm), serve((void *)(long)listener(7000)), 0;
	return 2;
}
