/* SPDX-License-Identifier: MIT */
/* ends WAY: a client sends "abc" and closes; the server reads to the end by WAY and must see TCP's: 3 bytes,
 * then 0 as often as it asks, with errno as it was. Exits 0 if it does; else says what it saw. Without WAY:
 * prints all of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char bytes[16];
static struct iovec part = {bytes, sizeof bytes};

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(const char *what, long result)
{
	if (result < 0)
		fail(what);
}

static ssize_t by_read(int fd)
{
	return read(fd, bytes, sizeof bytes);
}

static ssize_t by_readv(int fd)
{
	return readv(fd, &part, 1);
}

static ssize_t by_recv(int fd)
{
	return recv(fd, bytes, sizeof bytes, 0);
}

static ssize_t by_recv_dontwait(int fd)
{
	return recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
}

static ssize_t by_recv_waitall(int fd)
{
	return recv(fd, bytes, sizeof bytes, MSG_WAITALL);
}

static ssize_t by_recvfrom(int fd)
{
	return recvfrom(fd, bytes, sizeof bytes, 0, NULL, NULL);
}

static ssize_t by_recvfrom_address(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	return recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&address, &length);
}

static ssize_t by_recvmsg(int fd)
{
	char control[64];
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
		.msg_flags = 0x4242};
	ssize_t got = recvmsg(fd, &message, 0);
	if (got == 0 && (message.msg_flags || message.msg_controllen))
		fail("recvmsg left something in msg_flags or msg_controllen");
	return got;
}

static ssize_t by_recvmmsg(int fd)
{
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}, .msg_len = 42};
	int got = recvmmsg(fd, &message, 1, 0, NULL);
	return got == 1 ? (ssize_t)message.msg_len : got;
}

static ssize_t by_syscall_read(int fd)
{
	return syscall(SYS_read, fd, bytes, sizeof bytes);
}

static ssize_t by_syscall_recvfrom(int fd)
{
	return syscall(SYS_recvfrom, fd, bytes, sizeof bytes, 0, NULL, NULL);
}

ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
static ssize_t by_checked_read(int fd)
{
	return __read_chk(fd, bytes, sizeof bytes, sizeof bytes);
}

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags);
static ssize_t by_checked_recv(int fd)
{
	return __recv_chk(fd, bytes, sizeof bytes, sizeof bytes, 0);
}

/* Another program's, which inherits the connection, and knows only what the kernel reports. */
static ssize_t by_cat(int fd)
{
	char command[64];
	static int times;
	if (times++)
		return 0;
	snprintf(command, sizeof command, "cat <&%d", fd);
	FILE *cat = popen(command, "r");
	check("popen", cat ? 0 : -1);
	size_t got = fread(bytes, 1, sizeof bytes, cat);
	if (pclose(cat) != 0)
		fail("cat failed");
	return (ssize_t)got;
}

/* "Is it alive?" of a client that keeps connections: nothing is taken, and the end is seen. */
static ssize_t by_peek(int fd)
{
	ssize_t got = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	int error = errno, count = -1;
	if (got < 0 && error != EAGAIN)
		return -1;
	check("FIONREAD", ioctl(fd, FIONREAD, &count));
	got = recv(fd, bytes, sizeof bytes, 0);
	if (got > count)
		fail("FIONREAD said less than there was");
	return got;
}

static const struct {
	const char *name;
	ssize_t (*receive)(int fd);
} ways[] = {
	{"read", by_read},
	{"readv", by_readv},
	{"recv", by_recv},
	{"recv_dontwait", by_recv_dontwait},
	{"recv_waitall", by_recv_waitall},
	{"recvfrom", by_recvfrom},
	{"recvfrom_address", by_recvfrom_address},
	{"recvmsg", by_recvmsg},
	{"recvmmsg", by_recvmmsg},
	{"syscall_read", by_syscall_read},
	{"syscall_recvfrom", by_syscall_recvfrom},
	{"checked_read", by_checked_read},
	{"checked_recv", by_checked_recv},
	{"cat", by_cat},
	{"peek", by_peek},
};

static int other; /* the listener */

static int connection(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(5000)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check("bind", bind(other, (struct sockaddr *)&address, sizeof address));
	check("listen", listen(other, 1));
	check("connect", connect(client, (struct sockaddr *)&address, sizeof address));
	int server = accept(other, NULL, NULL);
	check("accept", server);
	check("send", send(client, "abc", 3, 0));
	close(client);
	return server;
}

static void read_to_the_end(int server, ssize_t (*receive)(int fd))
{
	struct pollfd ready = {.fd = server, .events = POLLIN};
	check("poll", poll(&ready, 1, 5000));
	if (receive(server) != 3 || memcmp(bytes, "abc", 3) != 0)
		fail("what was sent");
	for (int i = 0; i < 3; i++) {
		errno = 4242;
		if (receive(server) != 0)
			fail("the end");
		if (errno != 4242)
			fail("the end has left an errno");
	}
}

int main(int count, char **arguments)
{
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		if (count < 2)
			puts(ways[i].name);
		else if (strcmp(arguments[1], ways[i].name) == 0) {
			read_to_the_end(connection(), ways[i].receive);
			if (ways[i].receive != by_cat && ways[i].receive != by_peek &&
				ways[i].receive(other) >= 0)
				fail("a listener has no end");
			return 0;
		}
	}
	return count < 2 ? 0 : 2;
}
