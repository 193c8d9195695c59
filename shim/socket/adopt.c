/* SPDX-License-Identifier: MIT */
/* Sockets that came from elsewhere: through exec, SCM_RIGHTS, or a service manager. The first call on an fd
 * that the table doesn't know asks the kernel what it is. If it is a socket of our transports, a record is
 * made for it, complete before it is entered. The kernel reports the state and the endpoints, a mark on the
 * socket the family and the address that the previous program saw; without a mark, the map is searched for an
 * address that leads there. A listener of which no record can be made accepts nobody, because the
 * `allow=` of its rule isn't known. Before exec, and before a message passes fds on, stream_mark() leaves
 * the mark. */
#include "stream_internal.h"

#include "core/verdict.h"
#include "state/door.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/uio.h>

/* The mark is kept in two options that have no effect on our transports, that no program uses on them, and
 * that travel with the description through exec and over sockets. Each keeps 32 bits unchanged on Linux 4.4
 * and newer: SO_MAX_PACING_RATE, which has more bits only since 4.20 and on 64-bit kernels, and
 * SO_INCOMING_CPU. */
enum { MARK = 0x76, MARK_ACCEPTED = 0x80, MARK_SHUT = 0x40, MARK_SHARES = 0x20, MARK_KIND = 0x1f };
enum mark_kind { MARK_IPV4 = 4, MARK_IPV4_MAPPED, MARK_IPV6, MARK_IPV6_LOOPBACK };

/* kind: what kind of socket it is, and the port; number: an IPv4 address or a CID. */
struct mark_words {
	uint32_t kind, number;
};

static enum mark_kind mark_kind(int family, const struct address *address)
{
	return family == AF_INET	      ? MARK_IPV4
	       : address_is_ipv4(address)     ? MARK_IPV4_MAPPED
	       : address_is_loopback(address) ? MARK_IPV6_LOOPBACK
					      : MARK_IPV6;
}

static struct mark_words mark_of(const struct sock *sock)
{
	bool client = state_of(sock) == STATE_CONNECTED && !sock->accepted;
	const struct address *address = client ? &sock->asked : &sock->claim.name;
	enum mark_kind kind = mark_kind(sock->family, address);
	unsigned flags = (sock->accepted ? MARK_ACCEPTED : 0) | (sock->shut.write ? MARK_SHUT : 0) |
			 (sock_is_open_to_others(sock) ? MARK_SHARES : 0);
	uint32_t number = address_ip4(address);
	uint16_t port = address->port;
	if (sock->accepted && sock->shut.write) { /* AF_VSOCK no longer reports the peer */
		number = sock->peer.cid;
		port = (uint16_t)sock->peer.port;
	}
	return (struct mark_words){(uint32_t)MARK << 24 | (uint32_t)(kind | flags) << 16 | port, number};
}

static void put_mark(int fd, struct mark_words mark)
{
	KEEP_ERRNO;
	if (libc.setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &mark.number, sizeof mark.number) == 0)
		libc.setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &mark.kind, sizeof mark.kind);
}

void stream_mark(int fd, const struct sock *sock)
{
	put_mark(fd, mark_of(sock));
}

void stream_mark_sharing(int fd, int family, const struct address *name)
{
	uint32_t kind = (uint32_t)MARK << 24 | (mark_kind(family, name) | MARK_SHARES) << 16 | name->port;
	put_mark(fd, (struct mark_words){kind, address_ip4(name)});
}

struct mark {
	bool there, accepted, shut, shares;
	int family;
	struct address address; /* of an accepted connection that is shut down, this instead: */
	struct endpoint peer;
};

static bool read_word(int fd, int option, uint32_t *word)
{
	socklen_t length = sizeof *word;
	return libc.getsockopt(fd, SOL_SOCKET, option, word, &length) == 0 && length == sizeof *word;
}

static bool read_words(int fd, struct mark_words *words)
{
	return read_word(fd, SO_MAX_PACING_RATE, &words->kind) && words->kind >> 24 == MARK &&
	       read_word(fd, SO_INCOMING_CPU, &words->number);
}

bool stream_mark_shares(int fd, const struct address *wanted)
{
	struct mark_words words;
	if (!read_words(fd, &words) || words.number != address_ip4(wanted) ||
		(uint16_t)words.kind != wanted->port)
		return false;
	unsigned flags = words.kind >> 16 & 0xff;
	bool same = (flags & MARK_KIND) <= MARK_IPV4_MAPPED
			    ? address_is_ipv4(wanted)
			    : (flags & MARK_KIND) == mark_kind(AF_INET6, wanted);
	return flags & MARK_SHARES && (address_is_wildcard(wanted) || same);
}

static struct mark read_mark(int fd)
{
	struct mark_words words;
	if (!read_words(fd, &words))
		return (struct mark){.family = AF_INET, .address = address_ipv4(INADDR_ANY, 0)};
	unsigned flags = words.kind >> 16 & 0xff;
	enum mark_kind kind = flags & MARK_KIND;
	uint16_t port = (uint16_t)words.kind;
	struct mark mark = {
		.there = true,
		.accepted = flags & MARK_ACCEPTED,
		.shut = flags & MARK_SHUT,
		.shares = flags & MARK_SHARES,
		.family = kind == MARK_IPV4 ? AF_INET : AF_INET6,
		.address = address_ipv4(words.number, port),
		.peer = {words.number, port},
	};
	if (kind == MARK_IPV6 || kind == MARK_IPV6_LOOPBACK) {
		memset(mark.address.ip, 0, sizeof mark.address.ip);
		mark.address.ip[15] = kind == MARK_IPV6_LOOPBACK;
	}
	return mark;
}

static const struct rule *rule_of_listener(const struct address *name)
{
	const struct verdict verdict = verdict_of(shim.map, SIDE_LISTEN, SOCKET_STREAM, name);
	return verdict.kind == VERDICT_MAPPED ? verdict.rule : NULL;
}

static struct endpoint endpoint_of(const struct transport *transport, int fd,
	int (*name)(int fd, struct sockaddr *address, socklen_t *length), bool *there)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	struct endpoint endpoint = {CID_ANY, PORT_ANY};
	*there = name(fd, (struct sockaddr *)&address, &length) == 0;
	if (*there)
		transport->endpoint((struct sockaddr *)&address, length, &endpoint);
	return endpoint;
}

static struct sock *adopt_replaced(int fd)
{
	int listening = 0;
	bool named, connected;
	uint64_t inode = fd_inode(fd); /* what is found from here on is this file's, or fd_adopt() sees it */
	const struct transport *transport = transport_of_fd(fd);
	struct mark mark = read_mark(fd);
	struct sock *sock = transport ? fd_make(fd, mark.family) : NULL;
	if (!sock)
		return NULL;
	sock->inode = inode;
	log_debug("a mapped socket was inherited");
	socklen_t length = sizeof listening;
	libc.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length);
	sock_lead(sock, NULL, transport);
	sock->local = endpoint_of(transport, fd, libc.getsockname, &named);
	sock->peer = endpoint_of(transport, fd, libc.getpeername, &connected);
	sock->peer.cid = transport_peer_cid(transport, sock->peer.cid);
	if (mark.shut && !connected) { /* then AF_VSOCK returns ENOTCONN (Linux 6.1) */
		connected = true;
		if (mark.accepted)
			sock->peer = mark.peer;
	}
	bool has_name = mark.there && (mark.accepted ? !mark.shut : !connected);
	sock->shut.write = mark.shut;
	uint16_t port = (uint16_t)sock->local.port;
	const struct rule *rule = has_name ? rule_of_listener(&mark.address) : NULL;
	if (!rule) /* the mark may have no room for the address, and the rule decides who is allowed */
		rule = map_listener(shim.map, sock->local.port, UINT16_MAX + 1, &port);
	sock->claim.name = address_ipv4(INADDR_ANY, port);
	if (mark.family == AF_INET6)
		memset(sock->claim.name.ip, 0, sizeof sock->claim.name.ip);
	if (connected) {
		sock->accepted = mark.there ? mark.accepted : rule != NULL;
		sock_lead(sock, rule, transport);
		bool six = mark.family == AF_INET6 && !ports_of_ipv4(sock->peer.port);
		sock->asked = endpoint_shown(&sock->peer, six ? AF_INET6 : AF_INET, &shim.ranges);
		if (has_name)
			sock->claim.name = mark.address;
		else if (mark.there && !mark.accepted && !address_is_wildcard(&mark.address))
			sock->asked = mark.address;
		if (!sock->accepted)
			sock->claim.name.port = 0;
		set_state(sock, STATE_CONNECTED);
	} else {
		sock_lead(sock, rule, transport);
		sock->claim.bound = true;
		if (has_name)
			sock->claim.name = mark.address;
		if (mark.shares)
			options_remember(&sock->options, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
		set_state(sock, listening ? STATE_LISTENING : STATE_BOUND);
	}
	sock = fd_adopt(fd, sock);
	if (listening && sock)
		stream_open_door(sock, true);
	return sock;
}

bool stream_is_tcp(int fd)
{
	KEEP_ERRNO;
	int domain = int_option(fd, SO_DOMAIN);
	return (domain == AF_INET || domain == AF_INET6) && int_option(fd, SO_TYPE) == SOCK_STREAM &&
	       is_tcp_protocol(int_option(fd, SO_PROTOCOL));
}

static struct sock *adopt_ip(int fd)
{
	uint64_t inode = fd_inode(fd);
	if (!stream_is_tcp(fd))
		return NULL;
	struct sock *sock = fd_make(fd, int_option(fd, SO_DOMAIN));
	if (!sock)
		return NULL;
	sock->inode = inode;
	log_debug("a TCP socket was found");
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	if (libc.getsockname(fd, (struct sockaddr *)&name, &length) == 0 &&
		address_from_sockaddr(&sock->claim.name, (struct sockaddr *)&name, length))
		sock->claim.bound = sock->claim.name.port != 0;
	options_learn(&sock->options, sock->family, fd);
	sock->used = true;
	sock->overflowed = true; /* only the kernel knows which epoll instances watch it */
	return fd_adopt(fd, sock);
}

static bool is_replaced(const struct sock *sock)
{
	return state_of(sock) != STATE_IP && state_of(sock) != STATE_FOREIGN;
}

struct sock *stream_replaced(int fd)
{
	struct sock *sock = fd_sock(fd);
	if (!sock && !passive()) {
		KEEP_ERRNO;
		sock = transport_of_fd(fd) ? adopt_replaced(fd) : NULL;
	}
	return sock && is_replaced(sock) ? sock : NULL;
}

void stream_find_all(void)
{
	enum { FDS = 1024 };
	if (!shim_active() || passive())
		return;
	for (int fd = 0; fd < FDS; fd++)
		stream_replaced(fd);
}

struct sock *stream_named(int fd)
{
	struct sock *sock = fd_sock(fd);
	bool more = sock && (sock->claim.tried || sock->report.error || sock->claim.bound);
	return more && state_of(sock) == STATE_IP ? sock : stream_replaced(fd);
}

struct sock *stream_of(int fd)
{
	struct sock *sock = fd_sock(fd);
	if (!sock) {
		KEEP_ERRNO;
		sock = stream_replaced(fd);
		if (!sock)
			sock = adopt_ip(fd);
	}
	if (!sock || state_of(sock) == STATE_FOREIGN || (is_datagram(sock) && state_of(sock) == STATE_IP))
		return NULL;
	return sock;
}

struct sock *stream_held(int fd, struct sock *(*find)(int fd))
{
	struct sock *sock;
	do
		sock = find(fd);
	while (sock && !fd_hold(fd, sock));
	return sock;
}

static void mark_inherited(int fd, void *context)
{
	(void)context;
	const struct sock *sock = fd_sock(fd);
	if (!sock || !is_replaced(sock))
		return;
	int flags = libc.fcntl(fd, F_GETFD, NULL);
	bool inherited = flags >= 0 && !(flags & FD_CLOEXEC);
	if (inherited)
		stream_mark(fd, sock);
	door_pass_on(sock, inherited);
}

void stream_mark_inherited(void)
{
	KEEP_ERRNO;
	fd_each(NULL, mark_inherited, NULL);
}

void stream_mark_sent(const struct msghdr *message)
{
	if (passive())
		return;
	_Alignas(struct cmsghdr) char copy[512];
	size_t size = message->msg_controllen < sizeof copy ? message->msg_controllen : sizeof copy;
	struct iovec from = {message->msg_control, size}, to = {copy, size};
	/* The pointer may be wrong; the kernel is to report that. */
	if (process_vm_readv(fd_process(), &to, 1, &from, 1, 0) != (ssize_t)size)
		return;
	for (size_t at = 0, step; at + sizeof(struct cmsghdr) <= size; at += step) {
		const struct cmsghdr *part = (const struct cmsghdr *)(copy + at);
		if (part->cmsg_len < sizeof *part || part->cmsg_len > size - at)
			return;
		step = CMSG_ALIGN(part->cmsg_len);
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t number = CMSG_LEN(0); number + sizeof(int) <= part->cmsg_len;
			number += sizeof(int)) {
			int fd;
			memcpy(&fd, copy + at + number, sizeof fd);
			const struct sock *sock = fd_sock(fd);
			if (sock && is_replaced(sock))
				stream_mark(fd, sock);
		}
	}
}
