/* SPDX-License-Identifier: MIT */
#include "transport.h"

#include "core/shim.h"
#include "system/libc.h"
#include "transport_door.h"
#include "transport_unix.h"

#include <string.h>

static const struct transport *cid_transport = &transport_vsock;

_Atomic bool transport_hangs_up_early;

void transport_start(const struct settings *settings)
{
	transport_hangs_up_early =
		settings->emulated || (settings->map && map_summary(settings->map)->unix_rules);
	if (!settings->emulated)
		return;
	transport_unix_start(settings);
	cid_transport = &transport_unix;
}

const struct transport *transport_of(const struct rule *rule)
{
	if (rule->target.path)
		return &transport_unix;
	return rule->target.kind == TARGET_NAMES ? &transport_names : cid_transport;
}

uint32_t transport_own_cid(void)
{
	return cid_transport->own_cid(CID_ANY);
}

uint32_t transport_peer_cid(const struct transport *transport, uint32_t shown)
{
	return transport->is_local && transport->is_local(shown) ? CID_LOCAL : shown;
}

bool transport_is_at(int fd, const struct transport *transport, const struct place *place)
{
	struct sockaddr_storage name = {0};
	socklen_t length = sizeof name;
	return transport->is_at && libc.getsockname(fd, (struct sockaddr *)&name, &length) == 0 &&
	       name.ss_family == transport->family &&
	       transport->is_at((struct sockaddr *)&name, length, place);
}

const struct transport *transport_of_fd(int fd)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	if (libc.getsockname(fd, (struct sockaddr *)&name, &length) < 0)
		return NULL;
	if (name.ss_family == AF_VSOCK)
		return &transport_vsock;
	if (transport_door_is_ours((struct sockaddr *)&name, length)) {
		transport_hangs_up_early = true;
		return &transport_door;
	}
	return transport_unix_is_ours((struct sockaddr *)&name, length) ? &transport_unix : NULL;
}

struct address transport_own_address(int fd, const struct transport *transport, const struct address *name,
	const struct endpoint *local, const struct endpoint *peer, int family)
{
	bool bound = !address_is_wildcard(name);
	if (bound && name->port)
		return *name;
	struct sockaddr_storage its;
	socklen_t length = sizeof its;
	struct endpoint own = {CID_ANY, PORT_ANY};
	if (libc.getsockname(fd, (struct sockaddr *)&its, &length) == 0 && its.ss_family == transport->family)
		transport->endpoint((struct sockaddr *)&its, length, &own);
	if (own.port == PORT_ANY)
		own.port = local->port;
	if (peer->cid == CID_LOCAL)
		own.cid = CID_LOCAL;
	else if (own.cid == CID_ANY)
		own.cid = transport->own_cid(peer->cid);
	if (own.cid == peer->cid) /* this machine is connected to itself */
		own.cid = CID_LOCAL;
	struct address shown = endpoint_shown(&own, family, &shim.ranges);
	if (name->port)
		shown.port = name->port; /* the map may have changed it */
	if (bound)
		memcpy(shown.ip, name->ip, sizeof shown.ip);
	return shown;
}
