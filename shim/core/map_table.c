/* SPDX-License-Identifier: MIT */
/* The tables in which a map is looked up. Only few patterns can match an address or a name: one for each
 * prefix length, or count of labels, that the map uses. Each is looked up by its hash. Of the rules that are
 * found, the one with the smallest number, which was written first, wins. So the cost doesn't depend on how
 * many rules there are. */
#include "map_internal.h"

#include <string.h>

/* ---- keys ---- */

static uint64_t mix(uint64_t hash)
{
	hash ^= hash >> 32;
	hash *= 0x9e3779b97f4a7c15;
	return hash ^ hash >> 29;
}

#define NAME_HASH_START 0xcbf29ce484222325
static uint64_t name_hash_add(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 0x100000001b3;
}

struct key name_key(enum side side, enum entry_kind kind, const char *text, size_t length, uint64_t hash)
{
	return (struct key){
		.hash = mix(hash + (uint64_t)kind * 2 + side),
		.text = text,
		.side = side,
		.kind = kind,
		.length = (unsigned)length,
	};
}

uint64_t name_hash(const char *text, size_t length)
{
	uint64_t hash = NAME_HASH_START;
	while (length-- > 0)
		hash = name_hash_add(hash, text[length]);
	return hash;
}

static uint64_t load64(const uint8_t *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap64(value);
#endif
	return value;
}

static uint64_t high_bits(uint64_t value, unsigned count) /* the first count bits, the others 0 */
{
	return count == 0 ? 0 : count >= 64 ? value : value & ~UINT64_C(0) << (64 - count);
}

static struct key ip_key(enum side side, uint64_t high, uint64_t low, unsigned length)
{
	high = high_bits(high, length);
	low = high_bits(low, length > 64 ? length - 64 : 0);
	return (struct key){
		.hash = mix(mix(high + length * 2 + side) ^ low),
		.ip = {high, low},
		.side = side,
		.kind = ENTRY_PREFIX,
		.length = length,
	};
}

struct key prefix_key(enum side side, const struct prefix *prefix)
{
	return ip_key(side, load64(prefix->ip), load64(prefix->ip + 8), prefix->length);
}

/* ---- tables ---- */

uint32_t slot_tag(const struct key *key)
{
	return (uint32_t)(key->hash >> 32) & ~position_bits;
}

static bool entry_is(const struct entry *entry, const struct key *key)
{
	if (entry->side != key->side || entry->kind != key->kind || entry->length != key->length)
		return false;
	if (key->kind == ENTRY_PREFIX)
		return entry->ip[0] == key->ip[0] && entry->ip[1] == key->ip[1];
	return memcmp(entry_text(entry), key->text, key->length) == 0;
}

uint32_t *slot_of(const struct map *map, const struct key *key)
{
	uint32_t tag = slot_tag(key);
	for (uint32_t i = (uint32_t)key->hash & map->slot_mask;; i = (i + 1) & map->slot_mask) {
		uint32_t *slot = &map->slots[i];
		if (!*slot || ((*slot & ~position_bits) == tag &&
				      entry_is(entry_at(map, *slot & position_bits), key)))
			return slot;
	}
}

uint32_t position_of(const struct map *map, const struct entry *entry)
{
	return (uint32_t)(((const char *)entry - map->entries) / ENTRY_UNIT) + 1;
}

uint64_t block_key(uint32_t entry, uint32_t first, unsigned size)
{
	return ((uint64_t)entry << 16 | first) << BLOCK_SIZE_BITS | size;
}

uint64_t *block_of(const struct map *map, uint64_t key)
{
	uint32_t i = (uint32_t)mix(key) & map->block_mask;
	while (map->blocks[i] && map->blocks[i] >> RULE_BITS != key)
		i = (i + 1) & map->block_mask;
	return &map->blocks[i];
}

/* ---- matching ---- */

static uint32_t entry_first(const struct map *map, const struct entry *entry, uint32_t port)
{
	if (port >= entry->port_first && port <= entry->port_last)
		return entry->rule;
	uint32_t best = RULE_NONE, position = position_of(map, entry);
	for (uint32_t sizes = entry->sizes; sizes; sizes &= sizes - 1) {
		unsigned size = (unsigned)__builtin_ctz(sizes);
		uint64_t block = *block_of(map, block_key(position, port >> size << size, size));
		uint32_t rule = block & ((1u << RULE_BITS) - 1);
		if (rule && rule < best)
			best = rule;
	}
	return best;
}

uint32_t entries_first(const struct map *map, const struct entry *const found[], size_t count, uint32_t port)
{
	uint32_t best = RULE_NONE;
	for (size_t i = 0; i < count; i++) {
		if (found[i]->rule > best)
			continue;
		uint32_t rule = entry_first(map, found[i], port);
		if (rule < best)
			best = rule;
	}
	return best;
}

static size_t entry_add(
	const struct map *map, const struct key *key, const struct entry *found[], size_t count)
{
	uint32_t slot = *slot_of(map, key);
	if (slot)
		found[count++] = entry_at(map, slot & position_bits);
	return count;
}

size_t entries_of_name(const struct map *map, enum side side, const char *name, size_t length, bool glob,
	const struct entry *found[ENTRIES_LIMIT])
{
	const struct side_index *index = &map->sides[side];
	uint64_t hash = NAME_HASH_START;
	size_t count = 0;
	unsigned labels = 0;
	if (index->any)
		found[count++] = index->any;
	for (size_t at = length; at-- > 0;) {
		if (name[at] == '.' && ++labels && index->depths[labels / 64] >> labels % 64 & 1) {
			struct key key = name_key(side, ENTRY_SUFFIX, name + at + 1, length - at - 1, hash);
			count = entry_add(map, &key, found, count);
		}
		hash = name_hash_add(hash, name[at]);
	}
	struct key key = name_key(side, glob ? ENTRY_SUFFIX : ENTRY_NAME, name, length, hash);
	return entry_add(map, &key, found, count);
}

size_t entries_of_ip(const struct map *map, enum side side, const uint8_t ip[16], unsigned length,
	const struct entry *found[ENTRIES_LIMIT])
{
	const struct side_index *index = &map->sides[side];
	const struct prefix ipv4 = {.ip = {[10] = 0xff, 0xff}, .length = 96};
	unsigned shortest = prefix_contains(&ipv4, ip) && length >= ipv4.length ? ipv4.length : 0;
	uint64_t high = load64(ip), low = load64(ip + 8);
	size_t count = 0;
	if (index->any)
		found[count++] = index->any;
	for (unsigned word = shortest / 64; word <= length / 64; word++) {
		for (uint64_t bits = index->prefixes[word]; bits; bits &= bits - 1) {
			unsigned bit = word * 64 + (unsigned)__builtin_ctzll(bits);
			if (bit < shortest || bit > length)
				continue;
			struct key key = ip_key(side, high, low, bit);
			count = entry_add(map, &key, found, count);
		}
	}
	return count;
}
