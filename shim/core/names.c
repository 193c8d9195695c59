/* SPDX-License-Identifier: MIT */
/* A name comes in, and an address of the names range goes out; later the program connects to that address,
 * and it is turned back into the pattern that it stands for. The address is the start of the range plus the
 * count of the pattern, so nothing needs to be stored, and every process with the same map agrees. Only under
 * a glob whose target contains {host}, or is a proxy that is asked for the name, must each name be known
 * again: these names get the numbers after those of the patterns, from a table whose slots are claimed
 * without locks, because getaddrinfo() may run in any thread and in the child of a fork(). */
#include "names.h"

#include "map_internal.h"

#include <stdatomic.h>
#include <string.h>

char name_character(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return c;
	return 0;
}

size_t name_normalize(char to[NAME_TEXT], const char *name, size_t length)
{
	size_t label = 0;
	if (length > 0 && name[length - 1] == '.')
		length--;
	if (length > NAME_LIMIT)
		return 0;
	for (size_t i = 0; i < length; i++) {
		to[i] = name_character(name[i]);
		label++;
		if (name[i] == '.' && label > 1) {
			to[i] = '.';
			label = 0;
		}
		if (!to[i] || label > LABEL_LIMIT)
			return 0;
	}
	to[length] = '\0';
	return label ? length : 0;
}

bool name_is_numeric(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (name[i] != '.' && (name[i] < '0' || name[i] > '9'))
			return false;
	return true;
}

static bool is_digit_of(char byte, bool hexadecimal)
{
	return (byte >= '0' && byte <= '9') || (hexadecimal && byte >= 'a' && byte <= 'f');
}

/* As inet_aton() reads an address: parts in decimal, octal, or hexadecimal with 0x. In lower case. */
static bool is_address(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		bool hexadecimal = i + 2 < length && name[i] == '0' && name[i + 1] == 'x';
		for (i += hexadecimal ? 2 : 0; i < length && name[i] != '.'; i++)
			if (!is_digit_of(name[i], hexadecimal))
				return false;
	}
	return true;
}

/* Names under a glob that needs the host. A slot is claimed by its mark, filled in, and then published; it is
 * never released. A thread that finds a slot being filled in continues with the next one, so nothing waits (a
 * fork may have lost the thread that was filling it in). At worst, a name gets two addresses, which both
 * stand for it. */
enum { MARK_FREE, MARK_TAKEN, MARK_READY = 2 /* with the name's hash in the other bits */ };
static _Atomic uint32_t marks[NAMES_DYNAMIC_LIMIT];
static char texts[NAMES_DYNAMIC_LIMIT][NAME_TEXT];

static uint32_t range_size(const struct prefix *range) /* addresses of an IPv4 range */
{
	return UINT32_C(1) << (128 - range->length);
}

uint32_t names_capacity(const struct map *map)
{
	return range_size(&map->ranges.names) - 1; /* counting begins at 1 */
}

static uint32_t dynamic_capacity(const struct map *map)
{
	uint32_t room = names_capacity(map) - map->named_count;
	return room < NAMES_DYNAMIC_LIMIT ? room : NAMES_DYNAMIC_LIMIT;
}

static uint32_t mark_of(const char *name)
{
	uint32_t hash = 0x811c9dc5;
	while (*name)
		hash = (hash ^ (unsigned char)*name++) * 0x01000193;
	return hash << 2 | MARK_READY;
}

/* The ordinal of the name, counted after the patterns; 0: there is no room. */
static uint32_t dynamic_ordinal(const struct map *map, const char *name, size_t length)
{
	uint32_t capacity = dynamic_capacity(map), mark = mark_of(name);
	for (uint32_t probe = 0; probe < capacity; probe++) {
		uint32_t i = ((mark >> 2) + probe) % capacity;
		uint32_t seen = atomic_load_explicit(&marks[i], memory_order_acquire);
		if (seen == MARK_FREE && atomic_compare_exchange_strong(&marks[i], &seen, MARK_TAKEN)) {
			memcpy(texts[i], name, length + 1);
			atomic_store_explicit(&marks[i], mark, memory_order_release);
			return map->named_count + 1 + i;
		}
		if (seen == mark && strcmp(texts[i], name) == 0)
			return map->named_count + 1 + i;
	}
	return 0;
}

const char *names_dynamic(const struct map *map, uint32_t ordinal)
{
	uint32_t i = ordinal - map->named_count - 1;
	if (i >= dynamic_capacity(map) ||
		!(atomic_load_explicit(&marks[i], memory_order_acquire) & MARK_READY))
		return NULL;
	return texts[i];
}

static uint32_t low32(const uint8_t ip[16])
{
	return (uint32_t)ip[12] << 24 | (uint32_t)ip[13] << 16 | (uint32_t)ip[14] << 8 | ip[15];
}

uint32_t names_ordinal(const struct map *map, const struct address *address)
{
	static const uint8_t zeros[4];
	if (prefix_contains(&map->ranges.names, address->ip))
		return low32(address->ip) - low32(map->ranges.names.ip);
	if (prefix_contains(&map->ranges.names6, address->ip) &&
		memcmp(address->ip + 8, zeros, sizeof zeros) == 0)
		return low32(address->ip);
	return 0;
}

static struct address ordinal_address(const struct prefix *range, uint32_t ordinal)
{
	struct address address = {.port = 0};
	memcpy(address.ip, range->ip, sizeof address.ip);
	ordinal += low32(range->ip);
	for (int i = 15; i >= 12; i--, ordinal >>= 8)
		address.ip[i] = (uint8_t)ordinal;
	return address;
}

/* Does the first rule that takes the name and this port lead somewhere? */
static bool port_taken(const struct map *map, const struct entry *const found[], size_t count, uint32_t port)
{
	uint32_t number = port <= UINT16_MAX ? entries_first(map, found, count, port) : RULE_NONE;
	if (number == RULE_NONE)
		return false;
	const struct rule *rule = &map->rules[number - 1];
	return target_has(rule, rule->host.kind == HOST_ANY ? TARGET_TAKES_NAMES : TARGET_LEADS);
}

/* Which rule wins can change only at a port where some rule begins or ends, so only those ports are tried. */
static bool any_port_taken(const struct map *map, const struct entry *const found[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (uint32_t number = found[i]->rule; number; number = map->next[number]) {
			const struct rule *rule = &map->rules[number - 1];
			if (port_taken(map, found, count, rule->port_first) ||
				port_taken(map, found, count, rule->port_last + 1u))
				return true;
		}
	}
	return false;
}

static bool is_deeper(const struct entry *entry, const struct entry *than)
{
	return !than || entry->kind < than->kind ||
	       (entry->kind == than->kind && entry->length > than->length);
}

enum names_answer names_address(
	const struct map *map, const char *name, int port, struct address *ipv4, struct address *ipv6)
{
	char lower[NAME_TEXT];
	size_t length = name_normalize(lower, name, strlen(name));
	if (length == 0 || is_address(lower, length) || strcmp(lower, "localhost") == 0)
		return NAMES_NOT_TAKEN;

	const struct entry *deepest = NULL;
	bool taken = false, needs_host = false;
	for (enum side side = SIDE_CONNECT; side <= SIDE_LISTEN; side++) {
		const struct entry *found[ENTRIES_LIMIT];
		size_t count = entries_of_name(map, side, lower, length, false, found);
		taken = taken || (port < 0 ? any_port_taken(map, found, count)
					   : port_taken(map, found, count, (uint32_t)port));
		for (size_t i = 0; i < count; i++) {
			needs_host |= found[i]->needs_host;
			if (found[i]->named && is_deeper(found[i], deepest))
				deepest = found[i];
		}
	}
	if (!taken)
		return NAMES_NOT_TAKEN;
	uint32_t ordinal = deepest ? deepest->named : 0;
	if (!deepest || (needs_host && deepest->kind == ENTRY_SUFFIX)) {
		ordinal = dynamic_ordinal(map, lower, length);
		if (ordinal == 0)
			return NAMES_FULL;
	}
	*ipv4 = ordinal_address(&map->ranges.names, ordinal);
	*ipv6 = ordinal_address(&map->ranges.names6, ordinal);
	return NAMES_TAKEN;
}

bool names_host(const struct map *map, const struct address *address, char name[NAME_TEXT], bool *is_pattern)
{
	uint32_t ordinal = names_ordinal(map, address);
	if (ordinal == 0)
		return false;
	*is_pattern = false;
	if (ordinal > map->named_count) {
		const char *dynamic = names_dynamic(map, ordinal);
		if (!dynamic)
			return false;
		memcpy(name, dynamic, strlen(dynamic) + 1);
		return true;
	}
	const struct entry *entry = entry_at(map, map->named[ordinal]);
	*is_pattern = entry->kind == ENTRY_SUFFIX;
	if (*is_pattern)
		strcpy(name, "*.");
	memcpy(name + (*is_pattern ? 2 : 0), entry_text(entry), entry->length + 1u);
	return true;
}

void names_host_text(const struct map *map, const struct address *address, char host[NAME_TEXT])
{
	bool is_pattern;
	if (!names_host(map, address, host, &is_pattern))
		address_format(address, host, NAME_TEXT);
}

bool names_numeric(const struct map *map, const char *host)
{
	const struct entry *found[ENTRIES_LIMIT];
	struct prefix prefix;
	struct address address = {.port = 0};
	if (strchr(host, '/') || !prefix_parse(&prefix, host, strlen(host)))
		return false;
	memcpy(address.ip, prefix.ip, sizeof address.ip);
	return entries_of_ip(map, SIDE_CONNECT, address.ip, 128, found) > 0 ||
	       ranges_reserve(&map->ranges, &address);
}
