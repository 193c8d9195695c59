/* SPDX-License-Identifier: MIT */
/* UDP isn't mapped, with one exception: a program that asks a name server for which the map stands in. The
 * first connect() or sendto() to such an address replaces the UDP socket by a socket of the map's name server
 * (nameserver.h); from then on it is a mapped socket. All other addresses are left to IP, except the reserved
 * ranges, to which nothing is sent: a datagram there would leave the machine. */
#include "datagram.h"

#include "core/names.h"
#include "core/verdict.h"
#include "nameserver.h"
#include "stream_internal.h"
#include "system/cancel.h"
#include "system/forks.h"

#include <netinet/in.h>

static struct sock *adopt(int fd)
{
	uint64_t inode = fd_inode(fd);
	int family = int_option(fd, SO_DOMAIN);
	if ((family != AF_INET && family != AF_INET6) || int_option(fd, SO_TYPE) != SOCK_DGRAM ||
		int_option(fd, SO_PROTOCOL) != IPPROTO_UDP)
		return NULL;
	struct sock *sock = fd_make(fd, family);
	if (!sock)
		return NULL;
	sock->inode = inode;
	sock->options.datagram = true;
	sock->overflowed = true; /* only the kernel knows which epoll instances watch it */
	return fd_adopt(fd, sock);
}

struct sock *datagram_of(int fd)
{
	struct sock *sock = fd_sock(fd);
	if (!sock) {
		KEEP_ERRNO;
		sock = adopt(fd);
	}
	return sock && is_datagram(sock) ? sock : NULL;
}

/* A socket of the map's name server replaces IP's socket. */
static int replace_by_names(int fd, struct sock *sock, const struct address *asked)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	struct place place;
	int flags = swap_flags(fd);
	int fresh = flags < 0 ? -1 : transport_names.open(flags, 0);
	if (fresh < 0)
		return -1;
	transport_names.place(NULL, &place);
	if (transport_names.connect(fresh, &place, 0) < 0 ||
		libc.getsockname(fd, (struct sockaddr *)&name, &length) < 0) {
		close_quietly(fresh);
		return -1;
	}
	address_from_sockaddr(&sock->claim.name, (struct sockaddr *)&name, length);
	sock->claim.bound = sock->claim.name.port != 0;
	if (!sock->claim.bound)
		sock->claim.name.port = (uint16_t)ports_next(ports_kind(asked));
	options_learn(&sock->options, sock->family, fd);
	options_apply(&sock->options, fresh, 0);
	sock_lead(sock, NULL, &transport_names);
	sock->peer = (struct endpoint){CID_LOCAL, asked->port};
	sock->local = (struct endpoint){CID_LOCAL, sock->claim.name.port};
	sock->asked = *asked;
	set_state(sock, STATE_BOUND);
	if (swap_in(fd, sock, fresh) == 0)
		return 0;
	set_state(sock, STATE_IP);
	return -1;
}

static int replace(int fd, struct sock *sock, const struct address *asked)
{
	forks_hold_off();
	int result = replace_by_names(fd, sock, asked);
	forks_let();
	return result;
}

static uint32_t scope_of(const struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	return address && sock->family == AF_INET6 && length >= sizeof(struct sockaddr_in6)
		       ? ((const struct sockaddr_in6 *)address)->sin6_scope_id
		       : 0;
}

static int ask(int fd, struct sock *sock, const char *what, const struct verdict *verdict, uint32_t scope)
{
	const struct address *server = &verdict->address;
	bool fresh = state_of(sock) == STATE_IP;
	if (fresh && replace(fd, sock, server) < 0)
		return -1;
	if (fresh || memcmp(&sock->asked, server, sizeof *server) != 0)
		stream_log(what, server, verdict->rule, NULL, "answered from the map");
	sock->asked = *server;
	sock->scope = scope;
	return 0;
}

/* The log explains what users would otherwise have to guess, for example when a browser tries QUIC. */
static int unreachable(const struct address *address)
{
	char text[ADDRESS_PORT_TEXT], host[NAME_TEXT] = "an address of the reserved ranges";
	bool pattern;
	address_port_format(address, text, sizeof text);
	names_host(shim.map, address, host, &pattern);
	log_error(text, " is ", host, ": UDP isn't carried, and it never goes over IP");
	return fail(EHOSTUNREACH);
}

static bool is_udp(int fd, const struct sock *sock)
{
	(void)sock;
	return int_option(fd, SO_TYPE) == SOCK_DGRAM;
}

int datagram_connect(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	bool replaced = state_of(sock) != STATE_IP;
	struct address server;
	bool unspecified = address && length >= sizeof address->sa_family && address->sa_family == AF_UNSPEC;
	if (unspecified)
		return replaced ? stream_to_ip(fd, sock) : libc.connect(fd, address, length);
	int wrong = stream_wrong_address(sock, address, length);
	if (wrong)
		return replaced ? fail(wrong) : libc.connect(fd, address, length);
	address_from_sockaddr(&server, address, length);
	const struct verdict verdict = verdict_of(shim.map, SIDE_CONNECT, SOCKET_DATAGRAM, &server);
	if (verdict.kind == VERDICT_NAMES) {
		if (ask(fd, sock, "connect", &verdict, scope_of(sock, address, length)) < 0)
			return -1;
		set_state(sock, STATE_CONNECTED);
		return 0;
	}
	if (verdict.kind == VERDICT_RESERVED)
		return unreachable(&server);
	if (replaced && stream_to_ip(fd, sock) < 0)
		return -1;
	if (verdict_of(shim.map, SIDE_CONNECT, SOCKET_STREAM, &server).kind == VERDICT_IP)
		return stream_leave_to_ip(fd, sock, address, length);
	int result;
	return stream_connect_itself(fd, sock, is_udp, address, length, &result) ? result : fail(EBADF);
}

static enum datagram_way way_of(int fd, struct sock *sock, const struct verdict *verdict, uint32_t scope)
{
	if (verdict->kind == VERDICT_NAMES)
		return ask(fd, sock, "send", verdict, scope) == 0 ? DATAGRAM_ANSWERED : DATAGRAM_REFUSED;
	bool replaced = state_of(sock) != STATE_IP;
	return replaced && stream_to_ip(fd, sock) < 0 ? DATAGRAM_REFUSED : DATAGRAM_IP;
}

enum datagram_way datagram_way(int fd, const struct sockaddr *address, socklen_t length)
{
	struct address server;
	if (!address_from_sockaddr(&server, address, length))
		return DATAGRAM_IP;
	struct verdict verdict = verdict_of(shim.map, SIDE_CONNECT, SOCKET_DATAGRAM, &server);
	bool ours = verdict.kind == VERDICT_NAMES || (verdict.kind == VERDICT_IP && fd_tracked(fd));
	struct sock *sock = ours ? stream_held(fd, datagram_of) : NULL;
	if (!sock && ours) /* it isn't a UDP socket */
		verdict = verdict_of(shim.map, SIDE_CONNECT, SOCKET_OTHER, &server);
	if (!sock)
		return verdict.kind == VERDICT_RESERVED ? unreachable(&server),
		       DATAGRAM_REFUSED			: DATAGRAM_IP;
	int saved = errno, outer_state = cancel_later();
	enum datagram_way way = way_of(fd, sock, &verdict, scope_of(sock, address, length));
	cancel_as_before(outer_state);
	fd_release(sock);
	if (way != DATAGRAM_REFUSED)
		errno = saved;
	return way;
}

int datagram_listen(int fd, struct sock *sock, int backlog)
{
	(void)fd, (void)sock, (void)backlog;
	return fail(EOPNOTSUPP);
}

ssize_t datagram_recv(int fd, const struct sock *sock, void *data, size_t size, int flags)
{
	(void)sock;
	if (flags & MSG_ERRQUEUE) /* nothing is ever in it */
		return fail(EAGAIN);
	return flags & MSG_OOB ? fail(EOPNOTSUPP) : libc.recv(fd, data, size, flags);
}

ssize_t datagram_recvfrom(int fd, const struct sock *sock, void *data, size_t size, int flags,
	struct sockaddr *address, socklen_t *length)
{
	ssize_t got = datagram_recv(fd, sock, data, size, flags);
	if (got >= 0 && address &&
		stream_answer(sock->family, &sock->asked, sock->scope, address, length) < 0)
		return -1;
	return got;
}

static void name_sender(const struct sock *sock, struct msghdr *message, socklen_t room)
{
	message->msg_namelen = room;
	if (!message->msg_name || stream_answer(sock->family, &sock->asked, sock->scope, message->msg_name,
					  &message->msg_namelen) < 0)
		message->msg_namelen = 0;
}

ssize_t datagram_recvmsg(int fd, const struct sock *sock, struct msghdr *message, int flags)
{
	if (flags & (MSG_ERRQUEUE | MSG_OOB))
		return stream_recv(fd, sock, NULL, 0, flags);
	socklen_t room = message->msg_namelen;
	ssize_t got = libc.recvmsg(fd, message, flags);
	if (got >= 0)
		name_sender(sock, message, room);
	return got;
}

int datagram_recvmmsg(int fd, const struct sock *sock, struct mmsghdr *messages, unsigned count, int flags,
	struct timespec *timeout)
{
	enum { MOST = 64 }; /* in one call: it is always allowed to return fewer than were asked for */
	socklen_t rooms[MOST] = {0};
	if (count > MOST)
		count = MOST;
	for (unsigned i = 0; i < count; i++)
		rooms[i] = messages[i].msg_hdr.msg_namelen;
	int got = libc.recvmmsg(fd, messages, count, flags, timeout);
	for (int i = 0; i < got; i++)
		name_sender(sock, &messages[i].msg_hdr, rooms[i]);
	return got;
}
