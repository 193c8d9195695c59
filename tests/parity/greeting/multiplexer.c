/* SPDX-License-Identifier: MIT */
/* multiplexer PATH DIR COMMAND...: runs COMMAND, and at PATH meanwhile what Firecracker has there, as exact
 * as tests/greeting/stand_in.py: the first read must find 10 bytes at once and the whole line within 32, a
 * bare close refuses, OK has a port of 10 digits. But it relays nothing: the very socket that was greeted is
 * handed to the server, DIR/1.PORT, where `guest` takes it. So what differs from TCP is the greeting's doing,
 * not a relay's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *path, *directory;

static void give_up(const char *what)
{
	perror(what);
	exit(2);
}

static int listen_there(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1023) < 0 ||
		chmod(path, 0666) < 0)
		give_up(path);
	return fd;
}

/* The port of "CONNECT <port>\n"; 0: something else. */
static unsigned asked_for(int client)
{
	char line[33] = "";
	unsigned port = 0;
	ssize_t size = recv(client, line, 10, 0);
	if (size < 10)
		return 0;
	while (size < 32 && line[size - 1] != '\n')
		if (recv(client, line + size++, 1, MSG_DONTWAIT) != 1)
			return 0;
	return sscanf(line, "CONNECT %u\n", &port) == 1 ? port : 0;
}

/* Waits for a place in the backlog, as Firecracker before FC#6208. The name is what `guest` knows it by. */
static int reach(unsigned port)
{
	static const char ours[] = "\0multiplexer/";
	struct sockaddr_un name = {.sun_family = AF_UNIX}, server = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(name.sun_path, ours, sizeof ours);
	int length = snprintf(name.sun_path + sizeof ours - 1, 40, "%s.%d", strrchr(directory, '.'), fd);
	snprintf(server.sun_path, sizeof server.sun_path, "%s/1.%u", directory, port);
	socklen_t size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof ours - 1) + (socklen_t)length;
	if (bind(fd, (struct sockaddr *)&name, size) == 0 &&
		connect(fd, (struct sockaddr *)&server, sizeof server) == 0)
		return fd;
	close(fd);
	return -1;
}

/* For `guest`'s getsockname(). */
static void leave_its_name(int client, unsigned port)
{
	char link[128], name[128];
	struct stat socket;
	fstat(client, &socket);
	snprintf(link, sizeof link, "%s.%lu", path, (unsigned long)socket.st_ino);
	snprintf(name, sizeof name, "%s/1.%u", directory, port);
	unlink(link);
	if (symlink(name, link) < 0)
		give_up(link);
}

static void hand_over(int client, int server)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec byte = {"", 1};
	struct msghdr message = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	memcpy(CMSG_DATA(&control.header), &client, sizeof client);
	sendmsg(server, &message, MSG_NOSIGNAL);
}

static void *serve(void *argument)
{
	static const char ok[] = "OK 1073741824\n";
	int client = (int)(long)argument, server = -1;
	unsigned port = asked_for(client);
	if (port && (server = reach(port)) >= 0) {
		leave_its_name(client, port);
		send(client, ok, sizeof ok - 1, MSG_NOSIGNAL); /* first: the server may speak at once */
		hand_over(client, server);
	}
	close(client);
	if (server >= 0)
		close(server); /* for `guest`: nobody else has the connection now */
	return NULL;
}

static void *accept_all(void *argument)
{
	for (;;) {
		pthread_t thread;
		int client = accept4((int)(long)argument, NULL, NULL, SOCK_CLOEXEC);
		if (client >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)client) == 0)
			pthread_detach(thread);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int status;
	if (argc < 4)
		return 2;
	path = argv[1];
	directory = argv[2];
	long listener = listen_there();
	pid_t command = fork();
	if (command == 0) {
		execvp(argv[3], argv + 3);
		give_up(argv[3]);
	}
	if (pthread_create(&thread, NULL, accept_all, (void *)listener) != 0)
		give_up("pthread_create");
	while (waitpid(command, &status, 0) < 0)
		if (errno != EINTR)
			give_up("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
