/* SPDX-License-Identifier: MIT */
/* calls: makes each call a hundred times on a kind of fd, under callgrind, which counts the instructions of
 * each batch (client requests); the system calls themselves are not counted. The kinds: "other" is a pipe or
 * a Unix socket, "ip" a TCP connection that the map leaves to IP, "mapped" one that it takes; without the
 * library the last two are the same.
 *
 * The map: 127.0.0.2 is mapped, 127.0.0.1 isn't. Prints nothing; callgrind's files are the result. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

enum { CALLS = 100, PORT = 5000 };

static int fds[2]; /* two ends, connected */
static int epfd, spare[CALLS];
static char byte;
static struct iovec part = {&byte, 1};
static struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

static void check(const char *what, long result)
{
	if (result >= 0)
		return;
	fprintf(stderr, "calls: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void open_pair(const char *kind)
{
	if (strcmp(kind, "other") == 0) {
		check("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
		return;
	}
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (strcmp(kind, "mapped") == 0));
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	check("bind", bind(listener, (struct sockaddr *)&address, sizeof address));
	check("listen", listen(listener, 5));
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	check("connect", connect(fds[0], (struct sockaddr *)&address, sizeof address));
	fds[1] = accept(listener, NULL, NULL);
	check("accept", fds[1]);
	close(listener);
}

static void fill_spare(void)
{
	for (int i = 0; i < CALLS; i++)
		check("dup", spare[i] = dup(fds[0]));
}

static void drop_spare(void)
{
	for (int i = 0; i < CALLS; i++)
		close(spare[i]);
}

/* Runs CALL once, so that whatever is looked up is known, and then counts a hundred. */
#define COUNT(name, prepare, call, after)                                                                    \
	do {                                                                                                 \
		prepare;                                                                                     \
		{                                                                                            \
			const int i = 0;                                                                     \
			(void)i;                                                                             \
			check(name, call);                                                                   \
		}                                                                                            \
		CALLGRIND_ZERO_STATS;                                                                        \
		for (int i = 1; i < CALLS; i++)                                                              \
			result = call;                                                                       \
		CALLGRIND_DUMP_STATS_AT(name);                                                               \
		check(name, result);                                                                         \
		after;                                                                                       \
	} while (0)

static void drain(int fd)
{
	char bytes[4096];
	while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
}

static void stuff(int fd)
{
	char bytes[2 * CALLS] = "";
	check("stuff", send(fd, bytes, sizeof bytes, 0));
}

int main(int count, char **arguments)
{
	long result;
	if (count != 2)
		return 2;
	open_pair(arguments[1]);
	epfd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	check("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &event));
	struct sockaddr_storage address;
	socklen_t length;
	int value = 1, available;

	COUNT("close", fill_spare(), close(spare[i]), );
	COUNT("dup", , spare[i] = dup(fds[0]), drop_spare());
	COUNT("dup2", fill_spare(), dup2(fds[0], spare[i]), drop_spare());
	COUNT("fcntl", , fcntl(fds[0], F_GETFL), );
	COUNT("ioctl", , ioctl(fds[0], FIONBIO, &(int){0}), );
	COUNT("ioctl(FIONREAD)", , ioctl(fds[0], FIONREAD, &available), );
	COUNT("epoll_ctl", , epoll_ctl(epfd, EPOLL_CTL_MOD, fds[0], &event), );
	COUNT("setsockopt", , setsockopt(fds[0], SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value), );
	COUNT("getsockopt", length = sizeof value,
		getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &value, &length), );
	COUNT("getsockname", length = sizeof address,
		getsockname(fds[0], (struct sockaddr *)&address, &length), );
	COUNT("getpeername", length = sizeof address,
		getpeername(fds[0], (struct sockaddr *)&address, &length), );
	COUNT("write", , write(fds[0], &byte, 1), drain(fds[1]));
	COUNT("writev", , writev(fds[0], &part, 1), drain(fds[1]));
	COUNT("send", , send(fds[0], &byte, 1, 0), drain(fds[1]));
	COUNT("sendto", , sendto(fds[0], &byte, 1, 0, NULL, 0), drain(fds[1]));
	COUNT("sendmsg", , sendmsg(fds[0], &message, 0), drain(fds[1]));
	COUNT("read", stuff(fds[1]), read(fds[0], &byte, 1), drain(fds[0]));
	COUNT("recv", stuff(fds[1]), recv(fds[0], &byte, 1, 0), drain(fds[0]));
	COUNT("recvfrom", stuff(fds[1]), recvfrom(fds[0], &byte, 1, 0, NULL, NULL), drain(fds[0]));
	COUNT("recvmsg", stuff(fds[1]), recvmsg(fds[0], &message, 0), drain(fds[0]));
	COUNT("poll", , poll(&(struct pollfd){fds[0], POLLOUT, 0}, 1, 0), );
	fd_set set;
	FD_ZERO(&set);
	COUNT("select", FD_SET(fds[0], &set), select(fds[0] + 1, NULL, &set, NULL, &(struct timeval){0}), );
	COUNT("syscall", , syscall(SYS_getppid), );
	COUNT("socket(AF_UNIX)", , spare[i] = socket(AF_UNIX, SOCK_STREAM, 0), drop_spare());
	COUNT("shutdown", , shutdown(fds[0], SHUT_WR), );
	return 0;
}
