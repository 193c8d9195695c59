/* SPDX-License-Identifier: MIT */
/* getsockname() and getpeername(). The supervisor answers both for a mapped socket, with the addresses that
 * the program would see on TCP; those of other sockets go to the kernel. */
#include "serve.h"
#include "system/option.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>

bool is_readable(int fd)
{
	struct pollfd queue = {.fd = fd, .events = POLLIN};
	return libc.poll(&queue, 1, 0) != 0;
}

struct address own_address(int fd, const struct watched *watched)
{
	int family = watched->family == AF_INET6 && !address_is_ipv4(&watched->asked) ? AF_INET6 : AF_INET;
	return transport_own_address(
		fd, watched->transport, &watched->name, &watched->local, &watched->peer, family);
}

bool bound_address(int fd, const struct watched *watched, struct address *name)
{
	struct sockaddr_storage its;
	socklen_t length = sizeof its;
	if (libc.getsockname(fd, (struct sockaddr *)&its, &length) < 0 ||
		!address_from_sockaddr(name, (struct sockaddr *)&its, length))
		return false;
	if (!name->port && (watched->bound || !address_is_wildcard(&watched->name)))
		*name = watched->name;
	else if (watched->bound && address_is_wildcard(name))
		memcpy(name->ip, watched->name.ip, sizeof name->ip);
	return true;
}

static void give(struct subject *subject, const struct address *found, uint32_t scope)
{
	fail(subject, subject_return_address(subject, subject->watched->family, found, scope,
			      argument(subject, 1), argument(subject, 2)));
}

void serve_getsockname(struct subject *subject)
{
	struct watched *watched = subject->watched;
	if (!watched) {
		call_pass(subject->call);
		return;
	}
	struct address found = watched->name;
	enum stage stage = subject_settle(subject);
	if (stage == STAGE_IP) { /* an attempt that failed has left its port, as on TCP */
		if (watched->options.datagram || !bound_address(subject->fd, watched, &found)) {
			call_pass(subject->call);
			return;
		}
		if (!found.port)
			found.port = watched->tried;
	}
	if (stage == STAGE_CONNECTED || stage == STAGE_CONNECTING || stage == STAGE_FAILED)
		found = own_address(subject->fd, watched);
	give(subject, &found, 0);
}

void serve_getpeername(struct subject *subject)
{
	struct watched *watched = subject->watched;
	if (!watched || watched->stage == STAGE_IP)
		call_pass(subject->call);
	else if (subject_settle(subject) != STAGE_CONNECTED || has_error(subject->fd))
		fail(subject, ENOTCONN);
	else
		give(subject, &watched->asked, watched->scope);
}
