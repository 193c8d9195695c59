/* SPDX-License-Identifier: MIT */
/* A preloaded library that uses sockets before anybody else's constructor has run, and after all destructors.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void use_sockets(void)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	(void)bind(fd, (struct sockaddr *)&name, sizeof name);
	getsockname(fd, (struct sockaddr *)&name, &length);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	close(dup(fd));
	close(fd);
}

__attribute__((constructor(101))) static void begin(void)
{
	use_sockets();
}

__attribute__((destructor(101))) static void end(void)
{
	use_sockets();
}
