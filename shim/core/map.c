/* SPDX-License-Identifier: MIT */
/* Look-ups in a map: which rule decides about an address or a name, where it leads, and which rules no
 * address can reach. The tables (map_table.c) give the few patterns that can match; of their rules, the one
 * that was written first wins. An address of the names range stands for a pattern by its offset, so it is
 * looked up by that. */
#include "map_internal.h"

#include <string.h>

const struct prefix loopback4 = {{[10] = 0xff, 0xff, 127}, 104};
const struct prefix loopback6 = {{[15] = 1}, 128};

uint32_t map_count(const struct map *map)
{
	return map->count;
}

const struct rule *map_rule(const struct map *map, uint32_t index)
{
	return &map->rules[index];
}

static const struct rule *rule_numbered(const struct map *map, uint32_t number)
{
	return number == RULE_NONE ? NULL : &map->rules[number - 1];
}

static uint32_t find_ip(const struct map *map, enum side side, const uint8_t ip[16], uint16_t port)
{
	const struct entry *found[ENTRIES_LIMIT];
	return entries_first(map, found, entries_of_ip(map, side, ip, 128, found), port);
}

static uint32_t find_name(
	const struct map *map, enum side side, const char *name, size_t length, bool glob, uint16_t port)
{
	const struct entry *found[ENTRIES_LIMIT];
	return entries_first(map, found, entries_of_name(map, side, name, length, glob, found), port);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The rule for what an address of the names range stands for; RULE_NONE also if it stands for nothing and no
 * * takes it. */
static uint32_t find_ordinal(const struct map *map, enum side side, uint32_t ordinal, uint16_t port)
{
	if (ordinal <= map->named_count) {
		const struct entry *entry = entry_at(map, map->named[ordinal]);
		return find_name(
			map, side, entry_text(entry), entry->length, entry->kind == ENTRY_SUFFIX, port);
	}
	const char *name = names_dynamic(map, ordinal);
	if (name)
		return find_name(map, side, name, strlen(name), false, port);
	const struct entry *any = map->sides[side].any;
	return any ? entries_first(map, &any, 1, port) : RULE_NONE;
}

const struct rule *map_find(const struct map *map, enum side side, const struct address *address)
{
	static const uint8_t ipv4_wildcard[16] = {[10] = 0xff, 0xff}, ipv6_wildcard[16];
	uint16_t port = address->port;
	uint32_t ordinal = names_ordinal(map, address), rule;
	if (ordinal)
		rule = find_ordinal(map, side, ordinal, port);
	else if (!address_is_wildcard(address))
		rule = find_ip(map, side, address->ip, port);
	else if (side == SIDE_LISTEN)
		rule = smaller(
			find_ip(map, side, ipv4_wildcard, port), find_ip(map, side, ipv6_wildcard, port));
	else if (address_is_ipv4(address))
		rule = find_ip(map, side, address_ipv4(0x7f000001, port).ip, port);
	else
		rule = find_ip(map, side, loopback6.ip, port);
	return rule_numbered(map, rule);
}

const struct rule *map_find_host(
	const struct map *map, enum side side, const char *host, size_t length, uint16_t port)
{
	struct prefix prefix;
	struct address address = {.port = port};
	if (!memchr(host, '/', length) && prefix_parse(&prefix, host, length)) {
		memcpy(address.ip, prefix.ip, sizeof address.ip);
		return map_find(map, side, &address);
	}
	char name[NAME_TEXT];
	length = name_normalize(name, host, length);
	if (length == 0)
		return NULL;
	if (strcmp(name, "localhost") == 0) /* whichever of its addresses a program uses */
		return rule_numbered(map, smaller(find_ip(map, side, address_ipv4(0x7f000001, port).ip, port),
						  find_ip(map, side, loopback6.ip, port)));
	return rule_numbered(map, find_name(map, side, name, length, false, port));
}

/* ---- shadows ---- */

/* The patterns that are the same as the rule's own, or wider. */
static size_t entries_wider(const struct map *map, const struct rule *rule, const struct prefix *prefix,
	const struct entry *found[ENTRIES_LIMIT])
{
	if (prefix)
		return entries_of_ip(map, rule->side, prefix->ip, prefix->length, found);
	if (rule->host.kind != HOST_ANY)
		return entries_of_name(map, rule->side, rule->host.name, rule->host.name_length,
			rule->host.kind == HOST_SUFFIX, found);
	found[0] = map->sides[rule->side].any;
	return 1;
}

static const struct rule *shadow(const struct map *map, const struct rule *rule, const struct prefix *prefix)
{
	enum { PIECES = 16 }; /* into which the ports are divided: enough for maps that people write */
	const struct entry *found[ENTRIES_LIMIT];
	size_t count = entries_wider(map, rule, prefix, found);
	uint32_t port = rule->port_first;
	for (int i = 0; i < PIECES && port <= rule->port_last; i++) {
		const struct rule *first = rule_numbered(map, entries_first(map, found, count, port));
		if (!first || first == rule)
			return NULL;
		if (first->port_first <= rule->port_first && first->port_last >= rule->port_last)
			return first;
		port = first->port_last + 1u;
	}
	return NULL;
}

const struct rule *map_shadowed_by(const struct map *map, const struct rule *rule)
{
	if (rule->host.kind == HOST_LOCALHOST) {
		const struct rule *ipv4 = shadow(map, rule, &loopback4),
				  *ipv6 = shadow(map, rule, &loopback6);
		return ipv4 && ipv6 ? ipv4 : NULL;
	}
	if (rule->host.kind != HOST_PREFIX)
		return shadow(map, rule, NULL);
	struct address address = {.port = 0};
	memcpy(address.ip, rule->host.prefix.ip, sizeof address.ip);
	if (rule->side == SIDE_CONNECT && rule->host.prefix.length == 128 && address_is_wildcard(&address))
		return rule;
	return shadow(map, rule, &rule->host.prefix);
}
