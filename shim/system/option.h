/* SPDX-License-Identifier: MIT */
/* What the kernel says of a socket. Async-signal-safe. */
#ifndef IP2VSOCK_OPTION_H
#define IP2VSOCK_OPTION_H

#include "libc.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

/* An option of SOL_SOCKET; -1 with errno: there is none. */
static inline int int_option(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof value;
	return libc.getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

/* SO_ERROR, which is taken by this; or the errno with which it couldn't be asked for. */
static inline int take_socket_error(int fd)
{
	int error = int_option(fd, SO_ERROR);
	return error < 0 ? errno : error;
}

/* Has it an error that nobody has taken yet? On a connection that is a reset. */
static inline bool has_error(int fd)
{
	struct pollfd one = {.fd = fd};
	return libc.poll(&one, 1, 0) > 0 && one.revents & POLLERR;
}

static inline bool is_tcp_protocol(int protocol) /* SO_PROTOCOL, or socket()'s third argument */
{
	return protocol == IPPROTO_TCP || protocol == 262; /* IPPROTO_MPTCP, which not every libc has */
}

#endif
