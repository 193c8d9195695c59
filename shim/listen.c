/* SPDX-License-Identifier: MIT */
/* bind(), listen(), accept(): a server's side. */
#include "stream_internal.h"

#include "transport_unix.h"

#include <netinet/in.h>
#include <string.h>

/* Two listeners of one process on one port, as TCP allows them: other addresses (0.0.0.0 beside an IPv6-only ::), or
 * SO_REUSEPORT on both. CID any takes a port whole, so the second is a dup of the first. */
static bool may_share(const struct sock *first, const struct sock *second, const struct address *wanted)
{
	const struct sock *six = first->family == AF_INET6 ? first : second->family == AF_INET6 ? second : NULL;
	if (options_int(&first->options, SOL_SOCKET, SO_REUSEPORT, 0) &&
		options_int(&second->options, SOL_SOCKET, SO_REUSEPORT, 0))
		return true;
	if (first->family != second->family && options_int(&six->options, IPPROTO_IPV6, IPV6_V6ONLY, 0))
		return true;
	return !address_is_wildcard(&first->name) && !address_is_wildcard(wanted) &&
		memcmp(first->name.ip, wanted->ip, sizeof wanted->ip) != 0;
}

struct sharing {
	const struct sock *second;
	const struct address *wanted;
	struct endpoint local;
	const struct rule *rule;
};

static bool shares(const struct sock *first, const void *context)
{
	const struct sharing *sharing = context;
	enum sock_state state = state_of(first);
	return first != sharing->second && (state == STATE_BOUND || state == STATE_LISTENING) &&
		first->local.cid == sharing->local.cid && first->local.port == sharing->local.port &&
		first->rule->target.kind == sharing->rule->target.kind && first->name.port == sharing->wanted->port &&
		may_share(first, sharing->second, sharing->wanted);
}

static int share(struct sock *sock, const struct rule *rule, const struct address *wanted,
	const struct endpoint *local)
{
	struct sharing sharing = {.second = sock, .wanted = wanted, .local = *local, .rule = rule};
	int other = fd_find(shares, &sharing);
	if (other < 0)
		return fail(EADDRINUSE);
	fd_sock(other)->shares = sock->shares = true;
	return libc.fcntl(other, F_DUPFD_CLOEXEC, NULL);
}

/* Binds a fresh socket, or finds one to share. On success *wanted has the port that the program is told. */
static int bind_fresh(struct sock *sock, const struct rule *rule, int flags, struct address *wanted,
	struct endpoint *local)
{
	const struct transport *transport = transport_of(rule);
	bool any = wanted->port == 0;
	int fresh = transport->open(flags, rule->buffer);
	if (fresh < 0)
		return -1;
	for (int i = 0; i < PORT_TRIES; i++) {
		struct place place;
		uint16_t port = any ? stream_free_port() : wanted->port;
		if (!stream_place(rule, wanted, port, &place, local))
			break;
		if (transport->bind(fresh, &place) == 0) {
			wanted->port = port;
			options_apply(&sock->options, fresh, rule->buffer);
			return fresh;
		}
		if (errno != EADDRINUSE || !any)
			break;
	}
	close_quietly(fresh);
	return errno == EADDRINUSE && !any ? share(sock, rule, wanted, local) : -1;
}

static int bind_mapped(int fd, struct sock *sock, const struct rule *rule, struct address *wanted)
{
	struct endpoint local;
	int flags = swap_flags(fd);
	if (flags < 0)
		return -1;
	int fresh = bind_fresh(sock, rule, flags, wanted, &local);
	stream_log("bind", wanted, rule, fresh < 0 ? log_errno(errno) : "bound");
	if (fresh < 0)
		return -1;
	enum sock_state before = state_of(sock);
	sock->rule = rule;
	sock->transport = transport_of(rule);
	sock->local = local;
	sock->name = *wanted;
	sock->bound = true;
	set_state(sock, STATE_BOUND);
	if (swap_in(fd, sock, fresh) < 0) {
		sock->bound = false;
		set_state(sock, before);
		return -1;
	}
	stream_mark(fd, sock);
	return 0;
}

static int bind_to_ip(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	if (state_of(sock) != STATE_IP && stream_to_ip(fd, sock) < 0)
		return -1;
	int result = libc.bind(fd, address, length);
	if (result == 0 && address_from_sockaddr(&sock->name, address, length))
		sock->bound = true;
	return result;
}

int stream_bind(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	enum sock_state state = state_of(sock);
	struct address wanted;
	if (state != STATE_IP && state != STATE_FAILED)
		return fail(EINVAL);
	struct sockaddr_in plain;
	if (address && address->sa_family == AF_UNSPEC && sock->family == AF_INET && length >= sizeof plain) {
		memcpy(&plain, address, sizeof plain); /* as Linux takes it, for old programs */
		plain.sin_family = AF_INET;
		if (plain.sin_addr.s_addr == INADDR_ANY)
			address = (struct sockaddr *)&plain;
	}
	if (!address || address->sa_family != sock->family || !address_from_sockaddr(&wanted, address, length))
		return libc.bind(fd, address, length);
	const struct rule *rule = map_find(shim.map, SIDE_LISTEN, &wanted);
	if (!rule || rule->target.kind == TARGET_DIRECT) {
		if (ranges_reserve(&shim.ranges, &wanted))
			return fail(EADDRNOTAVAIL);
		return bind_to_ip(fd, sock, address, length);
	}
	if (sock->bound)
		return fail(EINVAL);
	if (rule->target.kind == TARGET_REFUSE) {
		stream_log("bind", &wanted, rule, "refused");
		return fail(rule->target.error);
	}
	return bind_mapped(fd, sock, rule, &wanted);
}

/* listen() without bind() listens on any free port, of every address. */
static int bind_anywhere(int fd, struct sock *sock)
{
	struct sockaddr_storage any;
	struct address wanted = address_ipv4(INADDR_ANY, 0);
	if (sock->family == AF_INET6)
		memset(wanted.ip, 0, sizeof wanted.ip);
	socklen_t length = address_to_sockaddr(&wanted, sock->family, &any);
	return stream_bind(fd, sock, (struct sockaddr *)&any, length);
}

/* A full backlog makes AF_VSOCK refuse and Unix sockets fail, where TCP lets clients wait: ask for all that
 * net.core.somaxconn allows. */
enum { BACKLOG = 1 << 16 };

int stream_listen(int fd, struct sock *sock, int backlog)
{
	enum sock_state state = stream_settle(fd, sock);
	if (state == STATE_FAILED && bind_anywhere(fd, sock) < 0)
		return -1;
	if (state == STATE_IP && !sock->bound && bind_anywhere(fd, sock) < 0)
		return -1;
	state = state_of(sock);
	if (state == STATE_IP) {
		sock->used = true;
		return libc.listen(fd, backlog);
	}
	if (state != STATE_BOUND && state != STATE_LISTENING)
		return fail(EINVAL);
	if (libc.listen(fd, BACKLOG) < 0)
		return -1;
	set_state(sock, STATE_LISTENING);
	sock->shut_listen = false;
	return 0;
}

static bool allowed(const struct rule *rule, uint32_t cid)
{
	for (uint32_t i = 0; i < rule->allow_count; i++)
		if (rule->allow[i] == cid)
			return true;
	return rule->allow_count == 0;
}

/* What the accepted connection inherits from its listener, as in TCP; on our transports, nothing. */
static void inherit(int fd, const struct sock *listener, const struct endpoint *peer)
{
	struct sock *sock = fd_open(fd, listener->family);
	if (!sock)
		return; /* later calls will find out what it is */
	sock->rule = listener->rule;
	sock->transport = listener->transport;
	sock->peer = *peer;
	sock->local = (struct endpoint){CID_ANY, listener->local.port};
	sock->name = listener->name;
	sock->accepted = true;
	sock->asked = endpoint_shown(peer, listener->family, &shim.ranges);
	if (listener->options.first) {
		options_copy(&sock->options, &listener->options);
		options_apply(&sock->options, fd, listener->rule ? listener->rule->buffer : 0);
	}
	set_state(sock, STATE_CONNECTED);
}

int stream_accept(int fd, struct sock *sock, struct sockaddr *address, socklen_t *length, int flags)
{
	if (address && length && (int)*length < 0)
		return fail(EINVAL);
	for (;;) {
		struct sockaddr_storage from;
		socklen_t size = sizeof from;
		int accepted = libc.accept4(fd, (struct sockaddr *)&from, &size, flags);
		if (accepted < 0) {
			if (errno == EOPNOTSUPP && state_of(sock) != STATE_LISTENING)
				errno = EINVAL;
			return -1;
		}
		struct endpoint peer;
		sock->transport->endpoint((struct sockaddr *)&from, size, &peer);
		if (sock->shut_listen) {
			libc.close(accepted);
			return fail(EINVAL);
		}
		struct address shown = endpoint_shown(&peer, sock->family, &shim.ranges);
		if (sock->rule && !allowed(sock->rule, peer.cid)) {
			stream_log("accept", &shown, sock->rule, "not allowed");
			libc.close(accepted);
			continue;
		}
		if (sock->rule)
			stream_log("accept", &shown, sock->rule, "accepted");
		inherit(accepted, sock, &peer);
		if (address)
			stream_answer(sock, &shown, 0, address, length);
		return accepted;
	}
}

/* TCP wakes what sleeps in accept(), with EINVAL; AF_VSOCK doesn't. A connection of our own does. */
static int shutdown_listener(int fd, struct sock *sock, int how)
{
	struct place place;
	if (how == SHUT_WR)
		return 0;
	sock->shut_listen = true;
	struct sockaddr_storage name;
	socklen_t size = sizeof name;
	if (libc.getsockname(fd, (struct sockaddr *)&name, &size) < 0)
		return -1;
	if (name.ss_family == AF_UNIX) {
		memcpy(&place.sockaddr, &name, size);
		place.length = size;
	} else {
		sock->transport->place(&(struct endpoint){CID_LOCAL, sock->local.port}, &place);
	}
	int knock = sock->transport->open(SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (knock < 0)
		return 0;
	sock->transport->connect(knock, &place, 0);
	libc.close(knock);
	return 0;
}

int stream_shutdown(int fd, struct sock *sock, int how)
{
	enum sock_state state = stream_settle(fd, sock);
	if (how < SHUT_RD || how > SHUT_RDWR)
		return fail(EINVAL);
	if (state == STATE_LISTENING)
		return shutdown_listener(fd, sock, how);
	if (state != STATE_CONNECTED)
		return state == STATE_IP ? libc.shutdown(fd, how) : fail(ENOTCONN);
	if (how == SHUT_RD) /* AF_VSOCK would throw away what is queued and break the peer's send() */
		return 0;
	return libc.shutdown(fd, how);
}
