/* SPDX-License-Identifier: MIT */
#include "supervised.h"

#include "libc.h"

#include <errno.h>
#include <string.h>

bool supervised(uint64_t *identity)
{
	uint64_t answer = 0;
	socklen_t length = sizeof answer;
	int saved = errno;
	bool answered = libc.getsockopt(-1, SUPERVISED_QUESTION, 0, &answer, &length) == 0;
	errno = saved;
	*identity = answer;
	return answered;
}

/* FNV-1a. */
static uint64_t hash(uint64_t so_far, const void *bytes, size_t size)
{
	for (const uint8_t *byte = bytes; size--; byte++)
		so_far = (so_far ^ *byte) * 0x100000001b3;
	return so_far;
}

uint64_t supervised_identity(const struct settings *settings)
{
	static char text[1 << 17];
	uint64_t identity = 0xcbf29ce484222325;
	for (uint32_t i = 0; settings->map && i < map_count(settings->map); i++)
		identity = hash(identity, text, rule_format(map_rule(settings->map, i), text, sizeof text));
	prefix_format(&settings->ranges.peers, text, sizeof text);
	identity = hash(identity, text, strlen(text) + 1);
	prefix_format(&settings->ranges.names, text, sizeof text);
	identity = hash(identity, text, strlen(text) + 1);
	if (settings->emulated)
		identity = hash(identity, settings->emulated, strlen(settings->emulated));
	return hash(identity, &settings->cid, sizeof settings->cid);
}
