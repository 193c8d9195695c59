/* SPDX-License-Identifier: MIT */
/* Names are "\0ip2vsock-local/PORT" for a listener, and "\0ip2vsock-local/PORT/client" for a client, so that
 * both ends see the other's port. They belong to nobody, so anybody may take one, as with TCP's ports on
 * loopback; but TCP's low ones are root's, so whoever has such a name is asked who he is. */
#include "transport_door.h"

#include "core/text.h"
#include "system/errno.h"
#include "system/log.h"
#include "transport_unix.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char PREFIX[] = "ip2vsock-local/"; /* behind the NUL that makes the name abstract */
enum { PATH_AT = offsetof(struct sockaddr_un, sun_path) + 1, PREFIX_SIZE = sizeof PREFIX - 1 };

static void name_of(uint32_t port, const char *end, struct place *place)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct text name = text_in(address.sun_path + 1, sizeof address.sun_path - 1);
	text_add(&name, PREFIX);
	text_add_number(&name, port);
	text_add(&name, end);
	memcpy(&place->sockaddr, &address, sizeof address);
	place->length = (socklen_t)(PATH_AT + name.length);
}

static void door_place(const struct endpoint *endpoint, struct place *place)
{
	name_of(endpoint->port, "", place);
}

bool transport_door_is_ours(const struct sockaddr *address, socklen_t length)
{
	const char *path = ((const struct sockaddr_un *)address)->sun_path;
	return address->sa_family == AF_UNIX && length > PATH_AT + PREFIX_SIZE && !path[0] &&
	       memcmp(path + 1, PREFIX, PREFIX_SIZE) == 0;
}

static uint32_t port_of(const struct sockaddr *address, socklen_t length)
{
	const char *digits = (const char *)address + PATH_AT + PREFIX_SIZE;
	size_t most = length > PATH_AT + PREFIX_SIZE ? length - PATH_AT - PREFIX_SIZE : 0, count = 0;
	uint32_t port;
	while (count < most && digits[count] != '/')
		count++;
	return transport_door_is_ours(address, length) && number_parse(digits, count, PORT_ANY, &port)
		       ? port
		       : PORT_ANY;
}

/* Whoever comes this way is on this machine, whatever his name is. */
static void door_endpoint(const struct sockaddr *address, socklen_t length, struct endpoint *endpoint)
{
	*endpoint = (struct endpoint){CID_LOCAL, port_of(address, length)};
}

static int bind_to(int fd, const struct place *place)
{
	return libc.bind(fd, (const struct sockaddr *)&place->sockaddr, place->length);
}

static int door_bind(int fd, const struct place *place)
{
	if (!transport_unix_may_bind(port_of((const struct sockaddr *)&place->sockaddr, place->length)))
		return fail(EACCES);
	return bind_to(fd, place);
}

static int door_bind_client(int fd, uint32_t port, const struct endpoint *peer)
{
	struct place place;
	(void)peer;
	if (port == PORT_ANY) /* all of them are taken: it goes without a name */
		return 0;
	name_of(port, "/client", &place);
	return bind_to(fd, &place);
}

static bool may_have(int fd, uint32_t port)
{
	struct ucred other;
	socklen_t length = sizeof other;
	if (!transport_unix_port_is_low(port))
		return true;
	return libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &length) == 0 &&
	       (other.uid == 0 || other.uid == geteuid());
}

void transport_door_check(int fd, struct endpoint *peer)
{
	KEEP_ERRNO;
	if (!may_have(fd, peer->port))
		peer->port = PORT_ANY;
}

static int door_connect(int fd, const struct place *place, uint32_t timeout_ms)
{
	if (transport_unix_connect(fd, place, timeout_ms) < 0)
		return -1;
	if (may_have(fd, port_of((const struct sockaddr *)&place->sockaddr, place->length)))
		return 0;
	log_error("local, a port below 1024: who listens there is neither root nor you, so it is refused");
	return fail(ECONNREFUSED);
}

static int door_open(int flags, uint32_t buffer)
{
	transport_hangs_up_early = true;
	return transport_unix_open(flags, buffer);
}

static uint32_t door_own_cid(uint32_t peer_cid)
{
	(void)peer_cid;
	return CID_LOCAL;
}

const struct transport transport_door = {
	.name = "door",
	.family = AF_UNIX,
	.address_size = sizeof(struct sockaddr_un),
	.hangs_up_early = true,
	.passes_fds = true,
	.shutdown_wakes_accept = true,
	.open = door_open,
	.size = transport_unix_size,
	.place = door_place,
	.bind = door_bind,
	.bind_client = door_bind_client,
	.connect = door_connect,
	.connect_error = transport_unix_connect_error,
	.endpoint = door_endpoint,
	.own_cid = door_own_cid,
};
