/* SPDX-License-Identifier: MIT */
/* An address, a side and a kind of socket come in, and what the map means for them goes out. The first rule
 * that matches decides by its target; if no rule matches, a connection may still be meant for this machine's
 * own listener, whose name it used. What remains is left to IP, unless the address is in a reserved range,
 * which must never go over IP. Everything is decided here, so that the hooks, the supervisor and --explain
 * can't disagree. */
#include "verdict.h"

#include "map_internal.h"

#include <errno.h>

/* A name that only a listen rule has is this machine's own. `*` isn't a name. */
static const struct rule *own_listener(const struct map *map, const struct address *address)
{
	if (names_ordinal(map, address) == 0)
		return NULL;
	const struct rule *rule = map_find(map, SIDE_LISTEN, address);
	return rule && rule->host.kind != HOST_ANY && target_has(rule, TARGET_LEADS) ? rule : NULL;
}

/* The verdict for an address that no rule sends anywhere. */
static void leave_to_ip(struct verdict *verdict, const struct map *map, enum side side)
{
	if (!ranges_reserve(&map->ranges, &verdict->address))
		return;
	verdict->kind = VERDICT_RESERVED;
	verdict->error = side == SIDE_LISTEN ? EADDRNOTAVAIL : EHOSTUNREACH;
}

static enum verdict_kind kind_of(const struct rule *rule)
{
	if (target_has(rule, TARGET_CARRIED))
		return VERDICT_MAPPED;
	if (target_has(rule, TARGET_LEADS))
		return VERDICT_NAMES;
	return rule->target.kind == TARGET_REFUSE ? VERDICT_REFUSED : VERDICT_IP;
}

static void judge_stream(struct verdict *verdict, const struct map *map, enum side side)
{
	const struct rule *rule = map_find(map, side, &verdict->address);
	if (!rule && side == SIDE_CONNECT)
		rule = own_listener(map, &verdict->address);
	verdict->rule = rule;
	verdict->kind = rule ? kind_of(rule) : VERDICT_IP;
	if (verdict->kind == VERDICT_IP)
		leave_to_ip(verdict, map, side);
	else if (verdict->kind == VERDICT_REFUSED)
		verdict->error = rule->target.error;
}

/* Of UDP, only queries to the map's name server are ours. */
static void judge_datagram(struct verdict *verdict, const struct map *map)
{
	const struct rule *rule =
		map->summary.names_rules ? map_find(map, SIDE_CONNECT, &verdict->address) : NULL;
	if (!rule || rule->target.kind != TARGET_NAMES) {
		leave_to_ip(verdict, map, SIDE_CONNECT);
		return;
	}
	verdict->kind = VERDICT_NAMES;
	verdict->rule = rule;
}

struct verdict verdict_of(
	const struct map *map, enum side side, enum socket_kind kind, const struct address *address)
{
	struct verdict verdict = {.kind = VERDICT_IP, .address = *address};
	if (side == SIDE_CONNECT)
		address_wildcard_to_loopback(&verdict.address);
	if (kind == SOCKET_STREAM)
		judge_stream(&verdict, map, side);
	else if (side == SIDE_CONNECT && kind == SOCKET_DATAGRAM)
		judge_datagram(&verdict, map);
	else if (side == SIDE_CONNECT)
		leave_to_ip(&verdict, map, side);
	return verdict;
}
