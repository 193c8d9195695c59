/* SPDX-License-Identifier: MIT */
#include "transport.h"

#include "system/libc.h"
#include "transport_unix.h"

static const struct transport *cid_transport = &transport_vsock;

bool transport_hangs_up_early;

void transport_start(const struct settings *settings)
{
	transport_hangs_up_early = settings->emulated || map_summary(settings->map)->unix_rules;
	if (!settings->emulated)
		return;
	transport_unix_start(settings);
	cid_transport = &transport_unix;
}

const struct transport *transport_of(const struct rule *rule)
{
	if (target_has(rule, TARGET_HAS_PATH))
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

const struct transport *transport_of_fd(int fd)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	if (libc.getsockname(fd, (struct sockaddr *)&name, &length) < 0)
		return NULL;
	if (name.ss_family == AF_VSOCK)
		return &transport_vsock;
	return transport_unix_is_ours((struct sockaddr *)&name, length) ? &transport_unix : NULL;
}
