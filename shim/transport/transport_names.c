/* SPDX-License-Identifier: MIT */
/* What a socket to a name server of the map's is made of (target `names`): a Unix datagram socket that is
 * connected to itself, so that an answer that is written there is there to be read. */
#include "transport.h"

#include "system/errno.h"
#include "system/libc.h"

static int names_open(int flags, uint32_t buffer)
{
	(void)buffer;
	static const int room = 1 << 20; /* for unread answers: with the default there is less than UDP has */
	int fd = libc.socket(AF_UNIX, SOCK_DGRAM | flags, 0);
	if (fd >= 0)
		libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	return fd;
}

static void names_size(int fd, uint32_t buffer)
{
	(void)fd;
	(void)buffer;
}

static void names_place(const struct endpoint *endpoint, struct place *place)
{
	(void)endpoint;
	/* No name at all, which asks the kernel for one. */
	*place = (struct place){.sockaddr.ss_family = AF_UNIX, .length = sizeof place->sockaddr.ss_family};
}

static int names_bind(int fd, const struct place *place)
{
	return libc.bind(fd, (const struct sockaddr *)&place->sockaddr, place->length);
}

static int names_bind_client(int fd, uint32_t port, const struct endpoint *peer)
{
	(void)fd;
	(void)port; /* nobody but the program sees it */
	(void)peer;
	return 0;
}

/* Until it was connected anybody on this machine could send to it. */
static void drop_what_has_come(int fd)
{
	KEEP_ERRNO;
	while (libc.recv(fd, NULL, 0, MSG_DONTWAIT) >= 0)
		;
}

static int names_connect(int fd, const struct place *place, uint32_t timeout_ms)
{
	struct sockaddr_storage own;
	socklen_t length = sizeof own;
	(void)timeout_ms;
	if (names_bind(fd, place) < 0 || libc.getsockname(fd, (struct sockaddr *)&own, &length) < 0)
		return -1;
	if (libc.connect(fd, (struct sockaddr *)&own, length) < 0)
		return -1;
	drop_what_has_come(fd);
	return 0;
}

static int names_connect_error(int error)
{
	return error;
}

static void names_endpoint(const struct sockaddr *address, socklen_t length, struct endpoint *endpoint)
{
	(void)address;
	(void)length;
	*endpoint = (struct endpoint){CID_LOCAL, PORT_ANY};
}

static uint32_t names_own_cid(uint32_t peer_cid)
{
	(void)peer_cid;
	return CID_LOCAL;
}

const struct transport transport_names = {
	.name = "names",
	.family = AF_UNIX,
	.address_size = sizeof(struct sockaddr_un),
	.answered_here = true,
	.open = names_open,
	.size = names_size,
	.place = names_place,
	.bind = names_bind,
	.bind_client = names_bind_client,
	.connect = names_connect,
	.connect_error = names_connect_error,
	.endpoint = names_endpoint,
	.own_cid = names_own_cid,
};
