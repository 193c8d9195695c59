/* SPDX-License-Identifier: MIT */
/* bind(), listen(), accept() and shutdown(): the server's side. bind() asks the verdict for the listen side;
 * for a mapped address it binds a fresh socket of the transport to the rule's place, and swaps it in (IP ->
 * BOUND). listen() makes that a listener with the largest backlog that the system allows (BOUND ->
 * LISTENING), and binds a socket that was never bound by the map first. accept() waits in the kernel while it
 * holds the listener's record, closes connections from CIDs that the rule doesn't allow, and makes the record
 * of the new fd complete before it enters it, because other threads may use the number at once. shutdown() of
 * a listener gives its number a fresh INET socket (LISTENING -> IP) and wakes the threads that are asleep in
 * accept(). Two listeners that TCP would allow on one port share one description, because CID any takes the
 * whole port; with SO_REUSEPORT also with another process's. Where AF_VSOCK doesn't lead from the machine to
 * itself, listen() opens a door for its own programs (state/door.h), and accept() lets in who has come to
 * either. */
#include "attempt.h"

#include "core/verdict.h"
#include "nameserver.h"
#include "protocol.h"
#include "state/door.h"
#include "system/clock.h"
#include "system/forks.h"
#include "system/sockets.h"
#include "transport/transport_door.h"
#include "transport/vsock_local.h"
#include "twin.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

static bool both_set(const struct sock *first, const struct sock *second, int name)
{
	return options_int(&first->options, SOL_SOCKET, name, 0) &&
	       options_int(&second->options, SOL_SOCKET, name, 0);
}

/* Two sockets of one process on one port, as TCP allows them: with different addresses (0.0.0.0 and an
 * IPv6-only ::), with SO_REUSEPORT on both, or with SO_REUSEADDR while neither listens. CID any takes the
 * whole port, so the second is a dup of the first. */
static bool may_share(const struct sock *first, const struct sock *second, const struct address *wanted)
{
	const struct sock *six = first->family == AF_INET6    ? first
				 : second->family == AF_INET6 ? second
							      : NULL;
	if (both_set(first, second, SO_REUSEPORT))
		return true;
	if (both_set(first, second, SO_REUSEADDR) && state_of(first) != STATE_LISTENING &&
		state_of(second) != STATE_LISTENING)
		return true;
	if (first->family != second->family && options_int(&six->options, IPPROTO_IPV6, IPV6_V6ONLY, 0))
		return true;
	return !address_is_wildcard(&first->claim.name) && !address_is_wildcard(wanted) &&
	       memcmp(first->claim.name.ip, wanted->ip, sizeof wanted->ip) != 0;
}

struct sharing {
	const struct sock *second;
	const struct address *wanted;
	const struct destination *to; /* where that is */
};

static bool is_at(const struct sock *first, const struct sharing *sharing)
{
	enum sock_state state = state_of(first);
	const struct rule *rule = first->rule; /* another thread may be closing it */
	return first != sharing->second && rule && (state == STATE_BOUND || state == STATE_LISTENING) &&
	       first->local.cid == sharing->to->endpoint.cid &&
	       first->local.port == sharing->to->endpoint.port &&
	       rule->target.kind == sharing->to->rule->target.kind &&
	       first->claim.name.port == sharing->wanted->port;
}

static bool shares(const struct sock *first, const void *context)
{
	const struct sharing *sharing = context;
	return is_at(first, sharing) && may_share(first, sharing->second, sharing->wanted);
}

static bool forbids(const struct sock *first, const void *context)
{
	const struct sharing *sharing = context;
	return is_at(first, sharing) && !may_share(first, sharing->second, sharing->wanted);
}

static bool has_the_place(int copy, const void *context)
{
	const struct sharing *sharing = context;
	return transport_is_at(copy, sharing->to->transport, &sharing->to->place);
}

static void log_refused(const struct address *wanted, int error)
{
	char text[ADDRESS_PORT_TEXT];
	address_port_format(wanted, text, sizeof text);
	log_error("bind ", text,
		": EADDRINUSE: SO_REUSEPORT shares a port with another process by a copy of ",
		"its socket, which is refused (", log_errno(error),
		"): it takes Linux 5.6, /proc, four free fds, and kernel.yama.ptrace_scope 0 or "
		"CAP_SYS_PTRACE");
}

/* With SO_REUSEPORT on both, TCP lets sockets of one user's processes share a port. Here they share the
 * socket: the second process takes a copy of the first one's. `fresh` is one that this process has just
 * opened: the kernel knows whose both are. EAGAIN: none was found. */
static int join(int fresh, struct sock *sock, const struct sharing *sharing)
{
	struct stat own;
	int refused = 0;
	if (passive() || !sock_wants_to_share(sock) || fstat(fresh, &own) < 0)
		return fail(EADDRINUSE);
	const struct sought sought = {own.st_uid, sharing->to->transport->family, has_the_place, sharing};
	int copy = sockets_find(&sought, &refused);
	if (copy < 0 && refused)
		log_refused(sharing->wanted, refused);
	if (copy < 0)
		return fail(refused ? EADDRINUSE : EAGAIN);
	sock->shares = stream_mark_shares(copy, sharing->wanted);
	if (sock->shares)
		return copy;
	libc.close(copy);
	return fail(EADDRINUSE);
}

static int share(int fresh, struct sock *sock, const struct sharing *sharing)
{
	int other;
	if (fd_find(forbids, sharing) >= 0)
		return fail(EADDRINUSE);
	struct sock *first = fd_find_held(shares, sharing, &other);
	if (!first)
		return join(fresh, sock, sharing);
	first->shares = true; /* already, since another thread may close it meanwhile */
	int dup = fd_dup(other, first);
	if (dup >= 0)
		sock->shares = true;
	fd_release(first);
	return dup < 0 && errno == EBADF ? fail(EADDRINUSE) : dup;
}

/* Binds a fresh socket, or finds one to share. On success *wanted has the port that the program sees. */
static int bind_once(
	struct sock *sock, const struct rule *rule, int flags, struct address *wanted, struct destination *to)
{
	bool any = wanted->port == 0;
	int fresh = -1;
	for (int i = 0; i < PORT_TRIES; i++) {
		uint16_t port = any ? ports_next(ports_kind(wanted)) : wanted->port;
		if (!destination_of(rule, wanted, port, to))
			break;
		if (fresh < 0)
			fresh = to->transport->open(flags, rule->buffer);
		if (fresh < 0)
			return -1;
		if (!any && sock_wants_to_share(sock))
			stream_mark_sharing(fresh, sock->family, wanted);
		if (to->transport->bind(fresh, &to->place) == 0) {
			wanted->port = port;
			options_apply(&sock->options, fresh, rule->buffer);
			return fresh;
		}
		if (errno != EADDRINUSE || !any)
			break;
	}
	const struct sharing sharing = {sock, wanted, to};
	int shared = fresh >= 0 && errno == EADDRINUSE && !any ? share(fresh, sock, &sharing) : -1;
	if (fresh >= 0)
		close_quietly(fresh);
	return shared;
}

/* Whoever had the port may have gone while it was searched for, or have put its socket on the program's
 * number (swap_in()) behind the search. */
static int bind_fresh(
	struct sock *sock, const struct rule *rule, int flags, struct address *wanted, struct destination *to)
{
	enum { TRIES = 3 };
	int fresh = bind_once(sock, rule, flags, wanted, to);
	for (int i = 1; i < TRIES && fresh < 0 && errno == EAGAIN; i++) {
		sched_yield();
		fresh = bind_once(sock, rule, flags, wanted, to);
	}
	return fresh < 0 && errno == EAGAIN ? fail(EADDRINUSE) : fresh;
}

static int bind_by_rule(int fd, struct sock *sock, const struct rule *rule, struct address *wanted)
{
	struct destination to = {.endpoint = {CID_ANY, PORT_ANY}};
	int flags = swap_flags(fd);
	if (flags < 0)
		return -1;
	bool any_port = wanted->port == 0;
	int fresh = bind_fresh(sock, rule, flags, wanted, &to);
	stream_log("bind", wanted, rule, &to.endpoint,
		fresh < 0      ? log_errno(errno)
		: sock->shares ? "bound, and shared"
			       : "bound");
	if (fresh < 0) {
		if (errno == EADDRINUSE && !sock->claim.bound) /* TCP has released the address that it had */
			memset(&sock->claim.name, 0, sizeof sock->claim.name);
		return -1;
	}
	enum sock_state before = state_of(sock);
	sock_lead(sock, rule, to.transport);
	sock->local = to.endpoint;
	sock->bound_by = fd_process();
	sock->claim.name = *wanted;
	sock->claim.bound = true;
	sock->claim.any_port = any_port;
	sock->claim.had_address |= !address_is_wildcard(wanted);
	if (sock->family == AF_INET6 && !address_is_ipv4(wanted) && !address_is_wildcard(wanted))
		options_remember(&sock->options, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1},
			sizeof(int)); /* as inet6_bind() does */
	set_state(sock, STATE_BOUND);
	if (swap_in(fd, sock, fresh) < 0) {
		sock->claim.bound = false;
		set_state(sock, before);
		return -1;
	}
	stream_mark(fd, sock);
	return 0;
}

static int bind_mapped(int fd, struct sock *sock, const struct rule *rule, struct address *wanted)
{
	forks_hold_off();
	int result = bind_by_rule(fd, sock, rule, wanted);
	forks_let();
	return result;
}

/* The address that getsockname() returns for this end of a connection: a client may bind to it before it
 * connects. */
static bool is_own(const struct address *address)
{
	struct endpoint own = {transport_own_cid(), PORT_ANY};
	struct address shown =
		endpoint_shown(&own, address_is_ipv4(address) ? AF_INET : AF_INET6, &shim.ranges);
	return own.cid != CID_ANY && memcmp(shown.ip, address->ip, sizeof shown.ip) == 0;
}

/* A client's port shows its family (ports.h), but IP might choose one of the other parity. A server's port is
 * left to IP, and so is a port that IP is to choose at connect(). */
static bool chooses_port(const struct sock *sock)
{
	return !options_int(&sock->options, SOL_SOCKET, SO_REUSEADDR, 0) &&
	       !options_int(&sock->options, SOL_SOCKET, SO_REUSEPORT, 0) &&
	       !options_int(&sock->options, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0);
}

static int bind_to_ip(int fd, struct sock *sock, const struct verdict *verdict,
	const struct sockaddr *address, socklen_t length)
{
	const struct address *wanted = &verdict->address;
	struct sockaddr_storage name;
	if (state_of(sock) != STATE_IP && stream_to_ip(fd, sock) < 0)
		return -1;
	memcpy(&name, address, length);
	if (verdict->kind == VERDICT_RESERVED) { /* IP doesn't have this address */
		struct address any = {.port = wanted->port};
		if (address_is_ipv4(wanted))
			any = address_ipv4(INADDR_ANY, wanted->port);
		length = address_to_sockaddr(&any, sock->family, &name);
	}
	struct sockaddr_in *port = (struct sockaddr_in *)&name; /* at the same offset as in sockaddr_in6 */
	int result = -1;
	for (int i = 0; result < 0 && i < PORT_TRIES && !wanted->port && chooses_port(sock); i++) {
		port->sin_port = htons(ports_next(ports_kind(wanted)));
		result = libc.bind(fd, (struct sockaddr *)&name, length);
		if (result < 0 && errno != EADDRINUSE)
			return -1;
	}
	port->sin_port = htons(wanted->port);
	if (result < 0 && libc.bind(fd, (struct sockaddr *)&name, length) < 0)
		return -1;
	sock->claim.name = *wanted;
	sock->claim.bound = true;
	sock->claim.any_port = wanted->port == 0;
	return 0;
}

int stream_bind(int fd, struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	enum sock_state state = state_of(sock);
	struct address wanted;
	if (state == STATE_CONNECTED && stream_closed_both_ways(fd, sock) && stream_to_ip(fd, sock) == 0)
		state = STATE_IP;
	if (length > sizeof(struct sockaddr_storage) || (state != STATE_IP && state != STATE_FAILED))
		return fail(EINVAL);
	struct sockaddr_in plain;
	if (address && address->sa_family == AF_UNSPEC && sock->family == AF_INET && length >= sizeof plain) {
		memcpy(&plain, address, sizeof plain); /* as Linux accepts it, for old programs */
		plain.sin_family = AF_INET;
		if (plain.sin_addr.s_addr == INADDR_ANY)
			address = (struct sockaddr *)&plain;
	}
	if (!address || address->sa_family != sock->family ||
		!address_from_sockaddr(&wanted, address, length))
		return libc.bind(fd, address, length);
	const struct verdict verdict = verdict_of(shim.map, SIDE_LISTEN, SOCKET_STREAM, &wanted);
	if (verdict.kind == VERDICT_RESERVED && !is_own(&wanted))
		return fail(verdict.error);
	if (verdict.kind == VERDICT_RESERVED || verdict.kind == VERDICT_IP) {
		stream_log("bind", &wanted, NULL, NULL,
			verdict.rule ? "direct, left to IP" : "no rule, left to IP");
		return bind_to_ip(fd, sock, &verdict, address, length);
	}
	if (sock->claim.bound && !(sock->claim.any_port && state == STATE_FAILED))
		return fail(EINVAL);
	if (sock->family == AF_INET6 && address_is_ipv4(&wanted) &&
		options_int(&sock->options, IPPROTO_IPV6, IPV6_V6ONLY, 0))
		return fail(EINVAL);
	if (verdict.kind == VERDICT_REFUSED) {
		stream_log("bind", &wanted, verdict.rule, NULL, "refused");
		return fail(verdict.error);
	}
	return bind_mapped(fd, sock, verdict.rule, &wanted);
}

/* For an INET socket that is about to listen on an address that the map takes. Either it was never bound,
 * which means any free port on every address, or a failed connect() has left it to IP. */
static int bind_by_map(int fd, struct sock *sock)
{
	struct address wanted;
	if (!stream_bound_to(fd, sock, &wanted))
		return -1;
	const struct verdict verdict = verdict_of(shim.map, SIDE_LISTEN, SOCKET_STREAM, &wanted);
	if (verdict.kind == VERDICT_RESERVED)
		return fail(EADDRINUSE); /* IP would admit everybody */
	if (verdict.kind == VERDICT_IP)
		return 0;
	if (verdict.kind == VERDICT_REFUSED)
		return fail(verdict.error);
	bool any_port = sock->claim.bound && sock->claim.any_port;
	int result = bind_mapped(fd, sock, verdict.rule, &wanted);
	sock->claim.any_port |= any_port;
	return result;
}

/* Two sockets that share a port by SO_REUSEADDR can't both listen. */
static bool conflicts(const struct sock *other, const void *context)
{
	const struct sock *sock = context;
	return other != sock && state_of(other) == STATE_LISTENING && other->local.cid == sock->local.cid &&
	       other->local.port == sock->local.port && !may_share(other, sock, &sock->claim.name);
}

static bool listens_elsewhere(const struct sock *sock)
{
	return fd_find(conflicts, sock) >= 0;
}

static bool allows(const struct rule *rule, uint32_t cid)
{
	for (uint32_t i = 0; i < rule->allow_count; i++)
		if (rule->allow[i] == cid)
			return true;
	return rule->allow_count == 0;
}

/* In allow=, this machine's own CID means this machine. */
static bool allowed(const struct rule *rule, uint32_t cid)
{
	if (allows(rule, cid))
		return true;
	uint32_t own = cid == CID_LOCAL ? transport_own_cid() : CID_ANY;
	return own != CID_ANY && allows(rule, own);
}

/* Where AF_VSOCK doesn't lead from this machine to itself, a listener that its programs may connect to has a
 * door for them. */
void stream_open_door(struct sock *sock, bool inherited)
{
	const struct rule *rule = sock->rule;
	if (sock->transport == &transport_vsock && sock->local.cid == CID_ANY && rule && vsock_needs_door() &&
		allowed(rule, CID_LOCAL))
		door_open(sock, inherited);
}

/* If the backlog is full, AF_VSOCK refuses and Unix sockets fail, whereas TCP lets clients wait. So ask for
 * as much as net.core.somaxconn allows. */
enum { BACKLOG = 1 << 16 };

int stream_listen(int fd, struct sock *sock, int backlog)
{
	enum sock_state state = stream_settle(fd, sock);
	if (sock->report.aborted)
		return fail(EINVAL); /* connect() hasn't yet reported that the attempt failed */
	if (state == STATE_FAILED && stream_to_ip(fd, sock) < 0)
		return -1;
	if (state_of(sock) == STATE_IP && bind_by_map(fd, sock) < 0)
		return -1;
	state = state_of(sock);
	if (state == STATE_IP) {
		sock->used = true;
		return libc.listen(fd, backlog);
	}
	if (state != STATE_BOUND && state != STATE_LISTENING)
		return fail(EINVAL);
	if (sock->shares && listens_elsewhere(sock))
		return fail(EADDRINUSE);
	if (libc.listen(fd, BACKLOG) < 0)
		return -1;
	twin_listens(sock);
	set_state(sock, STATE_LISTENING);
	sock->shut.listener = false;
	stream_open_door(sock, false);
	return 0;
}

/* The family of a client's connection, and the family in which its address is shown. A dual-stack IPv6
 * listener has IPv6 connections with IPv4 addresses. If a second listener takes the IPv4 clients, their
 * connections are IPv4's, whichever of the two listeners epoll has woken. */
static int family_of_peer(const struct sock *listener, const struct endpoint *peer, int *shown_in)
{
	bool only_six = options_int(&listener->options, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	*shown_in = listener->family;
	if (listener->family == AF_INET)
		return AF_INET;
	if (address_is_ipv4(&listener->claim.name) || (!only_six && ports_of_ipv4(peer->port)))
		*shown_in = AF_INET;
	if (!only_six || !listener->shares || !ports_of_ipv4(peer->port))
		return AF_INET6;
	return *shown_in = AF_INET;
}

/* Who has been accepted, and by which way. */
struct client {
	struct endpoint endpoint;
	const struct transport *transport;
};

/* Makes the record of an accepted connection. It inherits options from its listener, as in TCP; our
 * transports pass on nothing. */
static void inherit(int fd, const struct sock *listener, int family, const struct client *client,
	const struct address *shown)
{
	struct sock *sock = fd_make(fd, family);
	if (!sock)
		return; /* later calls will recognise it */
	sock_lead(sock, listener->rule, client->transport);
	sock->peer = client->endpoint;
	sock->local = (struct endpoint){CID_ANY, listener->local.port};
	sock->claim.name = listener->claim.name;
	if (family != listener->family)
		sock->claim.name = address_ipv4(INADDR_ANY, listener->claim.name.port);
	sock->accepted = true;
	sock->asked = *shown;
	if (listener->rule && !passive())
		client->transport->size(fd, listener->rule->buffer);
	if (listener->options.first) {
		options_copy(&sock->options, &listener->options);
		if (!passive())
			options_apply(&sock->options, fd, listener->rule ? listener->rule->buffer : 0);
	}
	set_state(sock, STATE_CONNECTED);
	fd_enter(fd, sock);
}

/* A child that a signal handler has forked starts its count at 0. */
static void count_down(struct sock *sock)
{
	uint16_t threads = atomic_load(&sock->accepting);
	while (threads && !atomic_compare_exchange_weak(&sock->accepting, &threads, threads - 1))
		;
}

/* The thread is cancelled while it waits for a client, or jumps out of the call. */
static void leave_accept(void *held)
{
	count_down(held);
	fd_release(held);
}

/* The function that the program called: its seccomp filter may not allow the other one. */
static int accept_of_libc(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return flags == STREAM_ACCEPT ? libc.accept(fd, address, length)
				      : libc.accept4(fd, address, length, flags);
}

/* Would accept() say EAGAIN, after a sleep that a program that doesn't block never has on TCP? A listener
 * that blocks isn't asked again, until the kernel says EAGAIN. */
static bool would_sleep(int fd, struct sock *sock)
{
	const struct transport *transport = sock->transport;
	if (sock->blocks || !transport->has_client || state_of(sock) != STATE_LISTENING ||
		transport->has_client(fd))
		return false;
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	sock->blocks = flags < 0 || !(flags & O_NONBLOCK);
	return !sock->blocks;
}

static int accept_of_kernel(int fd, struct sock *sock, struct sockaddr *from, socklen_t *size, int flags)
{
	int accepted = CANCEL_HERE(accept_of_libc(fd, from, size, flags), leave_accept, sock);
	if (accepted < 0 && errno == EAGAIN)
		sock->blocks = false;
	return accepted;
}

/* What accept() is given, and how a client of a listener with a door came. */
struct entrance {
	struct sockaddr *from;
	socklen_t *size;
	int flags;
	const struct transport *way;
};

static int enter_by(int fd, struct entrance *entrance, const struct transport *way)
{
	entrance->way = way;
	return accept_of_libc(fd, entrance->from, entrance->size, entrance->flags);
}

/* Accepts whoever has come, at the listener or at its door, in turns if somebody is at both. EAGAIN: nobody;
 * ENOENT: the door is no more, another process has ended it. */
static int enter_in_turn(int fd, struct sock *sock, int door, struct entrance *entrance)
{
	struct pollfd both[] = {{.fd = fd, .events = POLLIN}, {.fd = door, .events = POLLIN}};
	int ready = libc.poll(both, 2, 0);
	if (ready <= 0)
		return ready < 0 ? -1 : fail(EAGAIN);
	if (both[1].revents & POLLHUP)
		return fail(ENOENT);
	bool by_door = both[1].revents && !(both[0].revents && sock->door.last);
	sock->door.last = by_door;
	return by_door ? enter_by(door, entrance, &transport_door) : enter_by(fd, entrance, sock->transport);
}

static int enter_alone(int fd, struct sock *sock, int door, struct entrance *entrance)
{
	int64_t turn = door_turn_begin();
	int accepted = enter_in_turn(fd, sock, door, entrance);
	KEEP_ERRNO;
	door_turn_end(turn);
	return accepted;
}

static int enter_by_itself(int fd, struct sock *sock, struct entrance *entrance)
{
	entrance->way = sock->transport;
	return accept_of_kernel(fd, sock, entrance->from, entrance->size, entrance->flags);
}

static int enter_once(int fd, struct sock *sock, struct entrance *entrance)
{
	struct sock *pinned;
	int door = door_pin(sock, &pinned);
	if (door < 0)
		return enter_by_itself(fd, sock, entrance);
	int accepted = enter_alone(fd, sock, door, entrance), error = errno;
	door_unpin(pinned);
	if (accepted < 0 && error == ENOENT) {
		door_close(sock);
		error = EAGAIN;
	}
	errno = error;
	return accepted;
}

/* Behind a seccomp filter of the program's, which knows accept() and perhaps no poll(). */
static int enter_filtered(int fd, struct sock *sock, struct entrance *entrance)
{
	int accepted = enter_by_itself(fd, sock, entrance), door = door_of(sock);
	return accepted < 0 && errno == EAGAIN && door >= 0 ? enter_by(door, entrance, &transport_door)
							    : accepted;
}

/* Waits until somebody comes to a listener that blocks. -1: EAGAIN, it doesn't, or SO_RCVTIMEO is over;
 * EINTR. */
static int await_somebody(int fd, struct sock *sock, int64_t began)
{
	int limit = options_time(&sock->options, SO_RCVTIMEO), flags = libc.fcntl(fd, F_GETFL, NULL);
	int64_t left = limit ? began + limit - now_ms() : -1;
	struct pollfd both[] = {{.fd = fd, .events = POLLIN}, {.fd = door_of(sock), .events = POLLIN}};
	if (flags & O_NONBLOCK || (limit && left <= 0))
		return fail(EAGAIN);
	int ready = CANCEL_HERE(libc.poll(both, 2, (int)left), leave_accept, sock);
	if (ready < 0)
		return !limit && attempt_handlers_restart() ? 0 : -1;
	return ready ? 0 : fail(EAGAIN);
}

/* accept() of a listener with a door. */
static int accept_either(int fd, struct sock *sock, struct entrance *entrance)
{
	int64_t began = now_ms();
	int accepted;
	if (passive())
		return enter_filtered(fd, sock, entrance);
	while ((accepted = enter_once(fd, sock, entrance)) < 0 && errno == EAGAIN && !sock->shut.listener &&
		await_somebody(fd, sock, began) == 0)
		;
	return accepted;
}

/* The kernel writes to the program's own buffer, directly if that is large enough for the carrier's address,
 * so it rejects the pointers that TCP would reject. */
static int accept_peer(int fd, struct sock *sock, struct sockaddr *address, socklen_t *length, int flags,
	struct client *client)
{
	struct sockaddr_storage own;
	socklen_t own_length = sizeof own;
	bool door = door_of(sock) >= 0;
	bool theirs = address && length && *length >= sizeof(struct sockaddr_in) && !door &&
		      sock->transport->address_size <= sizeof(struct sockaddr_in);
	struct sockaddr *from = theirs ? address : (struct sockaddr *)&own;
	socklen_t *size = theirs ? length : &own_length;
	struct entrance entrance = {from, size, flags, sock->transport};
	if (!door && would_sleep(fd, sock))
		return fail(EAGAIN);
	if (address && !length && !door)
		return accept_of_libc(fd, address, length, flags);
	int accepted =
		door ? accept_either(fd, sock, &entrance) : accept_of_kernel(fd, sock, from, size, flags);
	if (accepted < 0)
		return accepted;
	client->transport = entrance.way;
	client->transport->endpoint(from, *size, &client->endpoint);
	client->endpoint.cid = transport_peer_cid(client->transport, client->endpoint.cid);
	if (client->transport == &transport_door)
		transport_door_check(accepted, &client->endpoint);
	if (from == address || !address || !length || (int)*length < 0)
		return accepted;
	bool whole = *length >= sizeof(struct sockaddr_in);
	if (passive() || stream_can_write(accepted, address, whole ? sizeof(struct sockaddr_in) : *length))
		return accepted;
	close_quietly(accepted);
	return -1;
}

/* The ports of those that wake a thread: see knock(). */
enum { KNOCKS = 256 };
static const uint32_t KNOCK_PORT = PORT_ANY - KNOCKS;

static bool is_knock(const struct endpoint *peer)
{
	return peer->cid == CID_LOCAL && peer->port >= KNOCK_PORT && peer->port != PORT_ANY;
}

int stream_accept(int fd, struct sock *sock, struct sockaddr *address, socklen_t *length, int flags)
{
	socklen_t room = length ? *length : 0;
	if (sock->shares && !passive() && twin_was_faster(fd, sock))
		return fail(ECONNABORTED);
	while (!sock->shut.listener) {
		struct client client = {.endpoint = {CID_ANY, PORT_ANY}};
		struct endpoint *peer = &client.endpoint;
		atomic_fetch_add(&sock->accepting, 1);
		int accepted = accept_peer(fd, sock, address, length, flags, &client);
		count_down(sock);
		if (accepted < 0)
			return -1;
		if (sock->rule && target_has(sock->rule, TARGET_FROM_AFAR))
			peer->cid = CID_ANY;
		if (sock->shut.listener) {
			libc.close(accepted);
			break;
		}
		if (is_knock(peer)) { /* at another process that shares the listener */
			libc.close(accepted);
			continue;
		}
		int shown_in, family = family_of_peer(sock, peer, &shown_in);
		struct address shown = endpoint_shown(peer, shown_in, &shim.ranges);
		bool let_in = !sock->rule || allowed(sock->rule, peer->cid);
		if (sock->rule)
			stream_log("accept", &shown, sock->rule, peer, let_in ? "accepted" : "not allowed");
		if (!let_in) {
			libc.close(accepted);
			continue;
		}
		if (length)
			*length = room;
		if (address && stream_answer(family, &shown, 0, address, length) < 0) {
			close_quietly(accepted);
			return -1;
		}
		inherit(accepted, sock, family, &client, &shown);
		if (sock->shares)
			twin_accepted(sock);
		return accepted;
	}
	return fail(EINVAL);
}

/* Connects to a listener of our own that is about to end, which wakes a thread that is asleep in accept(). A
 * listener that has just ended may not answer (Linux 5.10). The port tells another process that has the
 * listener, too, that it is no client. */
static void knock(const struct sock *sock, uint32_t port)
{
	enum { PATIENCE_MS = 50 };
	struct place place;
	struct pollfd hand = {
		.fd = sock->transport->open(SOCK_CLOEXEC | SOCK_NONBLOCK, BUFFER_DEFAULT), .events = POLLOUT};
	if (hand.fd < 0)
		return;
	const struct endpoint behind = {CID_LOCAL, sock->local.port};
	sock->transport->place(&behind, &place);
	sock->transport->bind_client(hand.fd, port, &behind);
	if (sock->transport->connect(hand.fd, &place, 0) < 0 && errno == EINPROGRESS)
		libc.poll(&hand, 1, PATIENCE_MS);
	libc.close(hand.fd);
}

/* On TCP, shutdown() ends a listener: threads in accept() and clients in the backlog are released, new
 * clients are refused, poll() returns HUP, and listen() starts again. An INET socket that is bound but
 * doesn't listen behaves in this way. Threads that are asleep in accept() still hold the old socket, and are
 * woken; if another process holds it too, that process continues to accept. */
static int shutdown_listener(int fd, struct sock *sock, int how)
{
	if (how == SHUT_WR)
		return 0;
	const struct sock was = {.transport = sock->transport, .local = sock->local};
	sock->shut.listener = true;
	bool has_door = door_of(sock) >= 0,
	     by_shutdown = has_door || (was.transport->shutdown_wakes_accept && !sock_may_live_on(sock));
	forks_hold_off();
	int old = has_door	? libc.fcntl(door_of(sock), F_DUPFD_CLOEXEC, NULL)
		  : by_shutdown ? fd_dup(fd, sock)
				: -1;
	bool done = stream_to_ip(fd, sock) == 0;
	sock->shut.listener = done;
	if (old >= 0) { /* wakes all threads that wait for it; they find its replacement */
		if (done)
			libc.shutdown(old, SHUT_RDWR);
		close_quietly(old);
	}
	forks_let();
	if (!done)
		return -1;
	for (int i = 0; i < KNOCKS && atomic_load(&sock->accepting); i++) {
		if (!by_shutdown)
			knock(&was, KNOCK_PORT + (uint32_t)i);
		sched_yield();
	}
	return 0;
}

bool stream_closed_both_ways(int fd, const struct sock *sock)
{
	struct pollfd peer = {.fd = fd, .events = POLLRDHUP};
	KEEP_ERRNO;
	return sock->shut.write && !sock->shut.read && libc.poll(&peer, 1, 0) > 0 &&
	       peer.revents & (POLLRDHUP | POLLHUP);
}

uint8_t stream_tcp_state(int fd, const struct sock *sock)
{
	struct pollfd peer = {.fd = fd, .events = POLLRDHUP};
	bool finished = libc.poll(&peer, 1, 0) > 0 && peer.revents & (POLLRDHUP | POLLHUP);
	if (sock->shut.write)
		return finished ? TCP_CLOSE : TCP_FIN_WAIT2;
	return finished ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
}

static bool readable(int fd)
{
	struct pollfd queue = {.fd = fd, .events = POLLIN};
	return libc.poll(&queue, 1, 0) != 0;
}

static bool single_threaded(void)
{
	struct stat tasks; /* a directory has one link for each subdirectory, and two of its own */
	if (libc.single_threaded)
		return *libc.single_threaded;
	return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;
}

/* TCP's SHUT_RD concerns this end only, and data that comes later can still be read. Our transports report it
 * to the peer, whose send() then fails, and AF_VSOCK discards what is queued. So it isn't passed on to them,
 * unless a thread may be asleep in recv(), which it must wake. */
static bool reader_may_sleep(int fd)
{
	if (single_threaded())
		return false;
	int flags = libc.fcntl(fd, F_GETFL, NULL);
	return flags >= 0 && !(flags & O_NONBLOCK) && !readable(fd);
}

int stream_shutdown(int fd, struct sock *sock, int how)
{
	enum sock_state state = stream_settle(fd, sock);
	if (how < SHUT_RD || how > SHUT_RDWR)
		return fail(EINVAL);
	if (sock->attempting &&
		state != STATE_CONNECTED) { /* this is how a thread cancels another's connect() */
		sock->cancelled = true;
		return 0;
	}
	if (state == STATE_IP)
		return libc.shutdown(fd, how);
	if (state == STATE_CONNECTING && fd_greets(sock)) /* TCP gives the attempt up */
		return stream_to_ip(fd, sock);
	if (state == STATE_LISTENING)
		return shutdown_listener(fd, sock, how);
	if (state != STATE_CONNECTED || stream_closed_both_ways(fd, sock))
		return fail(ENOTCONN);
	sock->report.connected = false;
	if (how == SHUT_RD && !sock->shut.write && !reader_may_sleep(fd)) {
		sock->shut.read_kept = true;
		return 0;
	}
	if (how == SHUT_WR && sock->shut.read_kept && !readable(fd))
		how = SHUT_RDWR; /* nobody reads and nobody writes: now it may be passed on */
	if (how != SHUT_RD && sock->transport->answered_here)
		protocol_of(sock)->query_end(fd);
	int result = libc.shutdown(fd, how);
	if (result == 0) {
		sock->shut.write |= how != SHUT_RD;
		sock->shut.read |= how != SHUT_WR;
	}
	return result;
}
