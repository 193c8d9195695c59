/* SPDX-License-Identifier: MIT */
/* getsockname() and getpeername(). A program must see the addresses that it would see on TCP, whatever the
 * kernel has for the transport's socket. Its peer is the address that it called connect() with, or the peer's
 * CID as an address. Its own address is what bind() asked for; on an accepted connection the listener's
 * address, and otherwise this end's CID as an address. The kernel writes to the program's buffer first, so
 * pointers fail as they fail on TCP. */
#include "stream_internal.h"
#include "system/nowhere.h"

#include <netinet/in.h>
#include <string.h>

int stream_answer(
	int family, const struct address *found, uint32_t scope, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_storage whole;
	if (is_nowhere(length))
		return fail(EFAULT);
	if ((int)*length < 0)
		return fail(EINVAL);
	if (!address && *length)
		return fail(EFAULT);
	socklen_t size = address_to_sockaddr(found, family, &whole);
	if (family == AF_INET6)
		((struct sockaddr_in6 *)&whole)->sin6_scope_id = scope;
	if (*length)
		memcpy(address, &whole, *length < size ? *length : size);
	*length = size;
	return 0;
}

/* Lets the kernel write to the program's buffer first: what it rejects, TCP would reject. */
bool stream_can_write(int fd, struct sockaddr *address, socklen_t size)
{
	return !size || libc.getsockname(fd, address, &size) == 0 || errno != EFAULT;
}

static int answer_checked(int fd, int family, const struct address *found, uint32_t scope,
	struct sockaddr *address, socklen_t *length)
{
	socklen_t size = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	bool has_room = address && !is_nowhere(length);
	if (has_room && *length < size)
		size = *length;
	if (has_room && (int)*length >= 0 && !stream_can_write(fd, address, size))
		return -1;
	return stream_answer(family, found, scope, address, length);
}

/* This end of a connection, as the program would have found it on TCP. */
struct address stream_own_address(int fd, struct sock *sock)
{
	int family = sock->family == AF_INET6 && !address_is_ipv4(&sock->asked) ? AF_INET6 : AF_INET;
	return transport_own_address(
		fd, sock->transport, &sock->claim.name, &sock->local, &sock->peer, family);
}

bool stream_bound_to(int fd, const struct sock *sock, struct address *name)
{
	struct sockaddr_storage its;
	socklen_t length = sizeof its;
	if (libc.getsockname(fd, (struct sockaddr *)&its, &length) < 0 ||
		!address_from_sockaddr(name, (struct sockaddr *)&its, length))
		return false;
	if (!name->port && (sock->claim.bound || !address_is_wildcard(&sock->claim.name)))
		*name = sock->claim.name;
	else if (sock->claim.bound && address_is_wildcard(name))
		memcpy(name->ip, sock->claim.name.ip, sizeof name->ip);
	return true;
}

int stream_name(int fd, struct sock *sock, struct sockaddr *address, socklen_t *length)
{
	struct address found = sock->claim.name;
	enum sock_state state = stream_settle(fd, sock);
	if (state == STATE_IP) { /* an attempt that failed has left its port, as on TCP */
		if (!stream_bound_to(fd, sock, &found))
			return -1;
		if (!found.port)
			found.port = sock->claim.tried;
	}
	if (state == STATE_CONNECTED || state == STATE_CONNECTING || state == STATE_FAILED)
		found = stream_own_address(fd, sock);
	return answer_checked(fd, sock->family, &found, 0, address, length);
}

/* As far as anybody knows: the bytes that a peer which had closed was sent were answered by a reset on TCP.
 */
static bool was_reset(int fd, const struct sock *sock)
{
	KEEP_ERRNO;
	return sock->report.broken || (!passive() && has_error(fd));
}

int stream_peer(int fd, struct sock *sock, struct sockaddr *address, socklen_t *length)
{
	if (stream_settle(fd, sock) != STATE_CONNECTED || stream_closed_both_ways(fd, sock) ||
		was_reset(fd, sock))
		return fail(ENOTCONN);
	return answer_checked(fd, sock->family, &sock->asked, sock->scope, address, length);
}
