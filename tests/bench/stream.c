/* SPDX-License-Identifier: MIT */
/* A stream client and server in one source for TCP and for AF_VSOCK, so that the two differ in their
 * addresses only:
 *
 *   stream serve sink|echo|cycle ADDRESS PORT      until it is killed
 *   stream sink ADDRESS PORT SIZE SECONDS COUNT    MB/s of writes of SIZE bytes, of COUNT connections
 *                                                  together (at most 4); of one also how often its sender
 *                                                  waited, each MB
 *   stream echo ADDRESS PORT CONNECTIONS SECONDS   microseconds a round trip of 64 bytes, all connections
 *   stream cycle ADDRESS PORT COUNT                microseconds a connect, one byte each way, and close
 *   stream reach ADDRESS PORT                      only connects
 *   stream ask ADDRESS PORT QUESTION               prints what the server answers until it closes
 *
 * The clients that measure do so once for each line of stdin, and print a line: so several take turns.
 * ADDRESS is an IPv4 address, or vsock:CID. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 64, LARGEST = 1 << 20, CONNECTIONS = 1024, TOGETHER = 4 };
static char bytes[LARGEST];

static long check(const char *what, long result)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

union where {
	struct sockaddr any;
	struct sockaddr_in ip;
	struct sockaddr_vm vm;
};

static socklen_t read_address(union where *where, const char *address, const char *port)
{
	memset(where, 0, sizeof *where);
	if (strncmp(address, "vsock:", 6) == 0) {
		where->vm.svm_family = AF_VSOCK;
		where->vm.svm_cid = (unsigned)strtoul(address + 6, NULL, 10);
		where->vm.svm_port = (unsigned)strtoul(port, NULL, 10);
		return sizeof where->vm;
	}
	where->ip.sin_family = AF_INET;
	where->ip.sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, address, &where->ip.sin_addr) != 1) {
		fprintf(stderr, "stream: %s is neither an IPv4 address nor vsock:CID\n", address);
		exit(2);
	}
	return sizeof where->ip;
}

static void no_delay(int fd, const union where *where)
{
	if (where->any.sa_family == AF_INET)
		check("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
}

static int connect_to(const union where *where, socklen_t length)
{
	int fd = (int)check("socket", socket(where->any.sa_family, SOCK_STREAM, 0));
	check("connect", connect(fd, &where->any, length));
	return fd;
}

/* Waits for a line of stdin; false: that was all. */
static bool my_turn(void)
{
	int c;
	while ((c = getchar()) != '\n')
		if (c == EOF)
			return false;
	return true;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* For round trips: how long it takes to wake the other CPU varies more than what is measured. */
static void stay_on_one_cpu(void)
{
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	check("sched_setaffinity", sched_setaffinity(0, sizeof first, &first));
}

/* ---- servers ---- */

/* Processes that are all there before the first connection comes. */
static void serve_sink(int listener)
{
	for (int i = 1; i < TOGETHER && check("fork", fork()) != 0; i++)
		;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = (int)check("accept", accept(listener, NULL, NULL));
		while (recv(fd, bytes, sizeof bytes, 0) > 0)
			;
		send(fd, bytes, 1, MSG_NOSIGNAL);
		close(fd);
	}
}

static void serve_cycle(int listener)
{
	for (;;) {
		int fd = (int)check("accept", accept(listener, NULL, NULL));
		recv(fd, bytes, 1, 0);
		send(fd, bytes, 1, MSG_NOSIGNAL);
		close(fd);
	}
}

static void serve_echo(int listener, const union where *where)
{
	struct epoll_event events[64], event = {.events = EPOLLIN, .data.fd = listener};
	stay_on_one_cpu();
	int epfd = (int)check("epoll_create1", epoll_create1(0));
	check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event));
	for (;;) {
		int ready = (int)check("epoll_wait", epoll_wait(epfd, events, 64, -1));
		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) {
				event.data.fd =
					(int)check("accept4", accept4(listener, NULL, NULL, SOCK_NONBLOCK));
				no_delay(event.data.fd, where);
				check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, event.data.fd, &event));
				continue;
			}
			ssize_t size = recv(fd, bytes, sizeof bytes, 0);
			if (size <= 0 || send(fd, bytes, (size_t)size, MSG_NOSIGNAL) < 0)
				close(fd);
		}
	}
}

static void serve(const char *what, const union where *where, socklen_t length)
{
	int listener = (int)check("socket", socket(where->any.sa_family, SOCK_STREAM, 0));
	if (where->any.sa_family == AF_INET)
		check("SO_REUSEADDR", setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
	check("bind", bind(listener, &where->any, length));
	check("listen", listen(listener, 1024));
	if (strcmp(what, "sink") == 0)
		serve_sink(listener);
	else if (strcmp(what, "cycle") == 0)
		serve_cycle(listener);
	else
		serve_echo(listener, where);
}

/* ---- clients ---- */

static long waits(void)
{
	struct rusage usage;
	check("getrusage", getrusage(RUSAGE_SELF, &usage));
	return usage.ru_nvcsw;
}

/* MB/s; *waited is how often a write had to wait, each MB. */
static double sink(const union where *where, socklen_t length, size_t size, double seconds, double *waited)
{
	int fd = connect_to(where, length);
	long waits_before = waits();
	double began = now(), sent = 0;
	for (unsigned i = 1; i % 64 || now() - began < seconds; i++) {
		for (size_t at = 0; at < size;)
			at += (size_t)check("send", send(fd, bytes + at, size - at, MSG_NOSIGNAL));
		sent += (double)size;
		if (size >= 1 << 16 && now() - began >= seconds)
			break;
	}
	*waited = (double)(waits() - waits_before) / sent * 1e6;
	check("shutdown", shutdown(fd, SHUT_WR));
	check("recv", recv(fd, bytes, 1, 0)); /* the server has it all */
	double rate = sent / (now() - began) / 1e6;
	close(fd);
	return rate;
}

/* 0: one of them failed, or never ended. */
static double sink_together(
	const union where *where, socklen_t length, size_t size, double seconds, int connections)
{
	enum { PATIENCE = 20 };
	double sum = 0, rate = 0, waited;
	bool all = true;
	int results[2];
	check("pipe", pipe(results));
	for (int i = 0; i < connections; i++)
		if (check("fork", fork()) == 0) {
			alarm(PATIENCE);
			rate = sink(where, length, size, seconds, &waited);
			_exit(write(results[1], &rate, sizeof rate) != sizeof rate);
		}
	close(results[1]);
	for (int i = 0; i < connections; i++) {
		all = all && check("read", read(results[0], &rate, sizeof rate)) == sizeof rate;
		sum += rate;
	}
	close(results[0]);
	while (wait(NULL) > 0)
		;
	return all ? sum : 0;
}

/* Four native connections, too, have stood still for ever between parent and enclave: they are tried again.
 */
static void sinks(const union where *where, socklen_t length, size_t size, double seconds, int connections)
{
	while (my_turn())
		if (connections > 1) {
			double rate = 0;
			for (int tries = 0; tries < 3 && rate == 0; tries++)
				rate = sink_together(where, length, size, seconds, connections);
			printf("%.3f\n", rate);
		} else {
			double waited, rate = sink(where, length, size, seconds, &waited);
			printf("%.3f %.3f\n", rate, waited);
		}
}

/* Returns the number of round trips in `seconds`. */
static long exchange(int epfd, const int *fds, int connections, double seconds)
{
	struct epoll_event events[64];
	long trips = 0;
	for (int i = 0; i < connections; i++)
		check("send", send(fds[i], bytes, MESSAGE, MSG_NOSIGNAL));
	for (double until = now() + seconds; now() < until;) {
		int ready = (int)check("epoll_wait", epoll_wait(epfd, events, 64, -1));
		for (int i = 0; i < ready; i++, trips++) {
			int fd = events[i].data.fd;
			if (check("recv", recv(fd, bytes, MESSAGE, MSG_WAITALL)) != MESSAGE)
				check("echo", -1);
			check("send", send(fd, bytes, MESSAGE, MSG_NOSIGNAL));
		}
	}
	for (int i = 0; i < connections; i++) /* what is still on its way */
		check("recv", recv(fds[i], bytes, MESSAGE, MSG_WAITALL));
	return trips;
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;
	return (difference > 0) - (difference < 0);
}

static void echo(const union where *where, socklen_t length, int connections, double seconds)
{
	static int fds[CONNECTIONS];
	stay_on_one_cpu();
	int epfd = (int)check("epoll_create1", epoll_create1(0));
	for (int i = 0; i < connections; i++) {
		fds[i] = connect_to(where, length);
		no_delay(fds[i], where);
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
		check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &event));
	}
	while (my_turn()) {
		double took[5];
		exchange(epfd, fds, connections, seconds / 5); /* warm, and all of them accepted */
		for (int i = 0; i < 5; i++) { /* the median: something else may run meanwhile */
			double began = now();
			long trips = exchange(epfd, fds, connections, seconds / 5);
			took[i] = (now() - began) / (double)trips * 1e6;
		}
		qsort(took, 5, sizeof *took, compare);
		printf("%.3f\n", took[2]);
	}
}

static void cycle(const union where *where, socklen_t length, int count)
{
	double began = now();
	for (int i = 0; i < count; i++) {
		int fd = connect_to(where, length);
		check("send", send(fd, bytes, 1, MSG_NOSIGNAL));
		check("recv", recv(fd, bytes, 1, 0));
		close(fd);
	}
	printf("%.3f\n", (now() - began) / count * 1e6);
}

static void ask(const union where *where, socklen_t length, const char *question)
{
	int fd = connect_to(where, length);
	ssize_t size;
	check("send", send(fd, question, strlen(question), MSG_NOSIGNAL));
	while ((size = check("recv", recv(fd, bytes, sizeof bytes, 0))) > 0)
		check("write", write(STDOUT_FILENO, bytes, (size_t)size));
}

int main(int count, char **arguments)
{
	union where where;
	const char *what = count > 3 ? arguments[1] : "";
	bool server = strcmp(what, "serve") == 0;
	if (count < 4 + server) {
		fputs("usage: see the top of stream.c\n", stderr);
		return 2;
	}
	socklen_t length = read_address(&where, arguments[2 + server], arguments[3 + server]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (server)
		serve(arguments[2], &where, length);
	else if (strcmp(what, "reach") == 0)
		connect_to(&where, length);
	else if (strcmp(what, "sink") == 0 && count == 7)
		sinks(&where, length, strtoul(arguments[4], NULL, 10), atof(arguments[5]),
			atoi(arguments[6]));
	else if (strcmp(what, "echo") == 0 && count == 6)
		echo(&where, length, atoi(arguments[4]), atof(arguments[5]));
	else if (strcmp(what, "cycle") == 0 && count == 5)
		while (my_turn())
			cycle(&where, length, atoi(arguments[4]));
	else if (strcmp(what, "ask") == 0 && count == 5)
		ask(&where, length, arguments[4]);
	return 0;
}
