/* SPDX-License-Identifier: MIT */
/* talk serve PORT             answers each client with who it is, until it is killed; a process a client
 * talk poll PORT              the same in one process, with epoll and non-blocking sockets
 * talk fetch HOST PORT        prints what the server answers, and how the server's address is called
 * talk fetch-nonblocking …    the same with a connect() that doesn't wait */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int check(const char *what, int result)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "talk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct addrinfo *look_up(const char *host, const char *port, int flags)
{
	struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found;
	int error = getaddrinfo(host, port, &wanted, &found);
	if (error) {
		fprintf(stderr, "talk: %s: %s\n", host, gai_strerror(error));
		exit(1);
	}
	return found;
}

static int listen_at(const char *port, int flags)
{
	struct addrinfo *at = look_up("0.0.0.0", port, AI_PASSIVE);
	int fd = check("socket", socket(at->ai_family, SOCK_STREAM | flags, 0));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	check("bind", bind(fd, at->ai_addr, at->ai_addrlen));
	check("listen", listen(fd, 64));
	freeaddrinfo(at);
	return fd;
}

static void answer(int fd)
{
	char host[64], question[64];
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	check("getpeername", getpeername(fd, (struct sockaddr *)&peer, &length));
	getnameinfo((struct sockaddr *)&peer, length, host, sizeof host, NULL, 0, NI_NUMERICHOST);
	check("recv", (int)recv(fd, question, sizeof question, 0));
	dprintf(fd, "hello %s\n", host);
	close(fd);
}

static void serve(const char *port)
{
	int listener = listen_at(port, 0);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = check("accept", accept(listener, NULL, NULL));
		if (check("fork", fork()) == 0) {
			answer(fd);
			_exit(0);
		}
		close(fd);
	}
}

static void serve_by_epoll(const char *port)
{
	int listener = listen_at(port, SOCK_NONBLOCK), set = check("epoll_create1", epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
	check("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, listener, &event));
	for (;;) {
		check("epoll_wait", epoll_wait(set, &event, 1, -1));
		if (event.data.fd != listener) {
			answer(event.data.fd);
			continue;
		}
		event.data.fd = check("accept4", accept4(listener, NULL, NULL, SOCK_NONBLOCK));
		check("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, event.data.fd, &event));
	}
}

static int connect_to(const struct addrinfo *to, bool wait)
{
	int fd = check("socket", socket(to->ai_family, SOCK_STREAM | (wait ? 0 : SOCK_NONBLOCK), 0)),
	    error = 0;
	if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
		return fd;
	if (wait || errno != EINPROGRESS)
		check("connect", -1);
	struct pollfd connected = {.fd = fd, .events = POLLOUT};
	check("poll", poll(&connected, 1, 5000));
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
	errno = error;
	check("connect", error ? -1 : 0);
	fcntl(fd, F_SETFL, 0);
	return fd;
}

static void fetch(const char *host, const char *port, bool wait)
{
	char text[256], name[256];
	struct addrinfo *to = look_up(host, port, 0);
	int fd = connect_to(to, wait);
	check("send", (int)send(fd, "who am I?\n", 10, 0));
	for (ssize_t got; (got = recv(fd, text, sizeof text, 0)) > 0;)
		fwrite(text, 1, (size_t)got, stdout);
	int error = getnameinfo(to->ai_addr, to->ai_addrlen, name, sizeof name, NULL, 0, NI_NAMEREQD);
	printf("from %s\n", error ? gai_strerror(error) : name);
	freeaddrinfo(to);
}

int main(int count, char **arguments)
{
	const char *what = count > 2 ? arguments[1] : "";
	if (!strcmp(what, "serve"))
		serve(arguments[2]);
	else if (!strcmp(what, "poll"))
		serve_by_epoll(arguments[2]);
	else if (count == 4 && (!strcmp(what, "fetch") || !strcmp(what, "fetch-nonblocking")))
		fetch(arguments[2], arguments[3], !strcmp(what, "fetch"));
	else
		return 2;
	return 0;
}
