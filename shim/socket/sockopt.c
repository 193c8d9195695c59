/* SPDX-License-Identifier: MIT */
/* Socket options and ioctls of a mapped socket. Every option that the program sets is recorded, and given to
 * a scratch TCP socket to learn what TCP would answer (options.h). Options that mean the same on every socket
 * (timeouts, low water mark) are also set on the real one. What describes the connection, such as SO_ERROR,
 * SO_DOMAIN or TCP_INFO, is answered from the record. The kernel examines the program's pointers first, so
 * that they fail as on TCP. FIONREAD must be exact, so kernels that can't count on AF_VSOCK are asked by
 * peeking. */
#include "protocol.h"
#include "stream_end.h"
#include "stream_internal.h"
#include "system/unread.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

static int give_int(int number, void *value, socklen_t *length)
{
	if (!length || !value)
		return fail(EFAULT);
	if ((int)*length < 0)
		return fail(EINVAL);
	socklen_t size = *length < sizeof number ? *length : sizeof number;
	memcpy(value, &number, size);
	*length = size;
	return 0;
}

/* IPV6_ADDRFORM turns a socket with an IPv4 connection into one of AF_INET. */
static int become_ipv4(struct sock *sock, const void *value, socklen_t length)
{
	int family;
	if (length < sizeof family)
		return fail(EINVAL);
	memcpy(&family, value, sizeof family);
	if (family != AF_INET)
		return fail(EINVAL);
	sock->family = AF_INET;
	return 0;
}

/* TCP has SO_PEEK_OFF since Linux 6.9, and Unix sockets had it long before. */
static bool tcp_lacks(const struct sock *sock, int level, int name)
{
	KEEP_ERRNO;
	int offset;
	socklen_t length = sizeof offset;
	return level == SOL_SOCKET && name == SO_PEEK_OFF &&
	       options_get(&sock->options, sock->family, level, name, &offset, &length) < 0;
}

int stream_setsockopt(int fd, struct sock *sock, int level, int name, const void *value, socklen_t length)
{
	enum sock_state state = stream_settle(fd, sock);
	if (level == SOL_SOCKET &&
		name == SO_ZEROCOPY) /* nothing would report its completion; as TCP before Linux 4.14 */
		return fail(EOPNOTSUPP);
	if (state == STATE_IP) {
		int result = libc.setsockopt(fd, level, name, value, length);
		struct linger linger;
		socklen_t size = sizeof linger;
		if (result == 0 && level == SOL_SOCKET && name == SO_LINGER &&
			libc.getsockopt(fd, level, name, &linger, &size) ==
				0) /* which this call may have completed */
			options_remember(&sock->options, level, name, &linger, size);
		else if (result == 0 && value)
			options_remember(&sock->options, level, name, value, length);
		return result;
	}
	if (is_tcp_level(sock, level) &&
		name == TCP_ULP) /* kernel TLS can't work on something that isn't TCP */
		return fail(state == STATE_CONNECTED ? ENOENT : ENOTCONN);
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && sock->family == AF_INET6 && length >= sizeof(int))
		return fail(EINVAL); /* it has an address, or a connection */
	if (is_tcp_level(sock, level) && name == TCP_FASTOPEN && state == STATE_CONNECTED)
		return fail(EINVAL);
	if (level == IPPROTO_IPV6 && name == IPV6_ADDRFORM && state == STATE_CONNECTED &&
		address_is_ipv4(&sock->asked))
		return become_ipv4(sock, value, length);
	if (options_universal(level, name) && !tcp_lacks(sock, level, name)) {
		int result = libc.setsockopt(fd, level, name, value, length);
		if (result == 0 && value)
			options_remember(&sock->options, level, name, value, length);
		return result;
	}
	/* Some of TCP's options are accepted without asking the kernel, so an option without effect makes it
	 * check the pointer. */
	if (level == IPPROTO_TCP && libc.setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, value, length) < 0 &&
		errno == EFAULT)
		return -1;
	if (options_set(&sock->options, sock->family, level, name, value, length) < 0)
		return -1;
	if (level == SOL_SOCKET)
		options_apply_one(&sock->options, name, fd, sock->rule ? sock->rule->buffer : 0);
	if (level == SOL_SOCKET && name == SO_REUSEPORT && (state == STATE_BOUND || state == STATE_LISTENING))
		stream_mark(fd, sock);
	return 0;
}

static int socket_error(int fd, struct sock *sock, void *value, socklen_t *length)
{
	bool connecting = state_of(sock) == STATE_CONNECTING;
	int error = stream_take_error(fd, sock);
	if (connecting && error)
		sock->report.aborted = true;
	return give_int(error, value, length);
}

/* TCP_INFO of a scratch socket, with what a connection on a perfect network would have added to it. */
static int tcp_info(int fd, const struct sock *sock, enum sock_state state, void *value, socklen_t *length)
{
	union {
		struct tcp_info info;
		uint8_t whole[512]; /* the kernel's has more members than libc's (232 bytes in Linux 5.10) */
	} all = {.whole = {0}};
	struct tcp_info *info = &all.info;
	socklen_t size = sizeof all;
	if (!value || !length)
		return fail(EFAULT);
	if ((int)*length < 0)
		return fail(EINVAL);
	if (options_get(&sock->options, sock->family, IPPROTO_TCP, TCP_INFO, &all, &size) < 0)
		return -1;
	switch (state) {
	case STATE_LISTENING:
		info->tcpi_state = TCP_LISTEN;
		break;
	case STATE_CONNECTING:
		info->tcpi_state = TCP_SYN_SENT;
		break;
	case STATE_CONNECTED:
		info->tcpi_state = stream_tcp_state(fd, sock);
		info->tcpi_snd_mss = info->tcpi_rcv_mss = info->tcpi_advmss = LOOPBACK_MSS;
		info->tcpi_pmtu = LOOPBACK_MTU;
		info->tcpi_snd_cwnd = 10;
		break;
	default:
		info->tcpi_state = TCP_CLOSE;
	}
	if (*length < size)
		size = *length;
	memcpy(value, &all, size);
	*length = size;
	return 0;
}

/* For kernels that can't peek: the size of the buffer, if there is any data. A program that gets too large a
 * count reads until there is no more. */
static int most_unread(int fd, const struct sock *sock)
{
	struct pollfd queue = {.fd = fd, .events = POLLIN};
	uint32_t most = sock->rule ? sock->rule->buffer : BUFFER_DEFAULT;
	if (libc.poll(&queue, 1, 0) <= 0 || !(queue.revents & POLLIN))
		return 0;
	return most < INT32_MAX ? (int)most : INT32_MAX;
}

static int unread(int fd, const struct sock *sock)
{
	int count = unread_bytes(fd);
	if (count < 0 && atomic_load(&stream_cannot_peek))
		return most_unread(fd, sock);
	return count > 0 ? count : 0;
}

static bool answered_here(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_ERROR || name == SO_LINGER || name == SO_ACCEPTCONN ||
					      name == SO_DOMAIN || name == SO_TYPE || name == SO_PROTOCOL);
}

int stream_getsockopt(int fd, struct sock *sock, int level, int name, void *value, socklen_t *length)
{
	enum sock_state state = stream_settle(fd, sock);
	bool connected = state == STATE_CONNECTED;
	if (state == STATE_IP && !(sock->report.error && level == SOL_SOCKET && name == SO_ERROR))
		return libc.getsockopt(fd, level, name, value, length);
	/* What is answered here goes through the kernel first, which checks the pointers. */
	if (answered_here(level, name) &&
		libc.getsockopt(fd, SOL_SOCKET, name == SO_LINGER ? SO_LINGER : SO_TYPE, value, length) < 0)
		return -1;
	if (level == SOL_SOCKET && name == SO_ERROR)
		return socket_error(fd, sock, value, length);
	if (level == SOL_SOCKET && name == SO_DOMAIN)
		return give_int(sock->family, value, length);
	if (level == SOL_SOCKET && name == SO_TYPE)
		return give_int(protocol_of(sock)->type, value, length);
	if (level == SOL_SOCKET && name == SO_PROTOCOL)
		return give_int(protocol_of(sock)->number, value, length);
	if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
		return give_int(state == STATE_LISTENING && !sock->shut.listener, value, length);
	if (level == SOL_SOCKET && name == SO_PEERNAME) {
		if (!connected)
			return fail(ENOTCONN);
		struct sockaddr_storage
			peer; /* even when both ends are shut down; never more than there is */
		socklen_t size = sizeof peer;
		if (!value || !length)
			return fail(EFAULT);
		stream_answer(sock->family, &sock->asked, sock->scope, (struct sockaddr *)&peer, &size);
		if (*length > size)
			return fail(EINVAL);
		memcpy(value, &peer, *length);
		return 0;
	}
	if ((options_universal(level, name) && !tcp_lacks(sock, level, name)) ||
		(level == SOL_SOCKET && name == SO_COOKIE))
		return libc.getsockopt(fd, level, name, value, length);
	if (level == IPPROTO_TCP && name == TCP_INFO)
		return tcp_info(fd, sock, state, value, length);
	int number, known = connected ? options_of_connection(&sock->options, sock->family,
						address_is_ipv4(&sock->asked), level, name, &number)
				      : -1;
	if (known >= 0)
		return known ? fail(known) : give_int(number, value, length);
	int result = options_get(&sock->options, sock->family, level, name, value, length);
	if (!is_tcp_level(sock, level) || name != OPTION_ZEROCOPY_RECEIVE)
		return result;
	return options_zerocopy(
		result, state == STATE_LISTENING, value, length, result == 0 ? unread(fd, sock) : 0);
}

static int report_unread(int fd, struct sock *sock, int *count)
{
	if (state_of(sock) == STATE_LISTENING)
		return fail(EINVAL);
	*count = unread(fd, sock);
	return 0;
}

static int unsent(int fd, struct sock *sock, unsigned long request, int *count)
{
	if (request != SIOCATMARK && state_of(sock) == STATE_LISTENING)
		return fail(EINVAL);
	if (libc.ioctl(fd, request, count) < 0)
		*count = 0; /* no kernel has SIOCATMARK or SIOCOUTQNSD for AF_VSOCK, nor SIOCOUTQ before 6.12
			     */
	return 0;
}

/* The network's own ioctls (SIOCGIFCONF …), and unknown ones: a TCP socket answers. */
static int ask_tcp(const struct sock *sock, unsigned long request, void *argument)
{
	int scratch = options_scratch(&sock->options, sock->family);
	if (scratch < 0)
		return -1;
	int result = libc.ioctl(scratch, request, argument);
	close_quietly(scratch);
	return result;
}

int stream_ioctl(int fd, struct sock *sock, unsigned long request, void *argument)
{
	int saved = errno, result;
	if (!argument && (request == FIONREAD || request == SIOCOUTQ || request == SIOCOUTQNSD ||
				 request == SIOCATMARK))
		return fail(EFAULT);
	switch (request) {
	case FIONREAD:
		result = report_unread(fd, sock, argument);
		break;
	case SIOCOUTQ:
	case SIOCOUTQNSD:
	case SIOCATMARK:
		result = unsent(fd, sock, request, argument);
		break;
	case FIONBIO:
	case FIOASYNC:
	case FIOCLEX:
	case FIONCLEX:
	case FIOSETOWN:
	case FIOGETOWN:
	case SIOCSPGRP:
	case SIOCGPGRP:
	case SIOCGSKNS: /* returns an fd, so no scratch socket may have the lowest number meanwhile */
		result = libc.ioctl(fd, request, argument);
		break;
	default:
		result = ask_tcp(sock, request, argument);
	}
	if (result >= 0)
		errno = saved;
	return result;
}
