/* SPDX-License-Identifier: MIT */
/* Look-ups. An address or a name has few patterns that can match it (one for each prefix length, or number of labels,
 * that the map uses); each is looked up in a hash table, and the smallest rule number among them wins. */
#include "map_internal.h"

#include "text.h"

#include <string.h>

const struct prefix loopback4 = {{[10] = 0xff, 0xff, 127}, 104};
const struct prefix loopback6 = {{[15] = 1}, 128};

/* ---- keys ---- */

struct key {
	uint64_t hash;
	uint64_t ip[2];
	const char *text;
	enum side side;
	enum entry_kind kind;
	unsigned length;
};

static uint64_t mix(uint64_t hash)
{
	hash ^= hash >> 32;
	hash *= 0x9e3779b97f4a7c15;
	return hash ^ hash >> 29;
}

/* Names are hashed from their end, so that the hashes of all suffixes come on the way. */
#define NAME_HASH_START 0xcbf29ce484222325
static uint64_t name_hash_add(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 0x100000001b3;
}

static struct key name_key(enum side side, enum entry_kind kind, const char *text, size_t length, uint64_t hash)
{
	return (struct key){
		.hash = mix(hash + (uint64_t)kind * 2 + side),
		.text = text,
		.side = side,
		.kind = kind,
		.length = (unsigned)length,
	};
}

static uint64_t name_hash(const char *text, size_t length)
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

static struct key prefix_key(enum side side, uint64_t high, uint64_t low, unsigned length)
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

/* ---- tables ---- */

static struct entry *entry_at(const struct map *map, uint32_t slot) /* of a slot that isn't free */
{
	return &map->entries[(slot & ((1u << ENTRY_BITS) - 1)) - 1];
}

static uint32_t slot_tag(const struct key *key)
{
	return (uint32_t)(key->hash >> 32) & ~((1u << ENTRY_BITS) - 1);
}

static bool entry_is(const struct entry *entry, const struct key *key)
{
	if (entry->side != key->side || entry->kind != key->kind || entry->length != key->length)
		return false;
	if (key->kind == ENTRY_PREFIX)
		return entry->ip[0] == key->ip[0] && entry->ip[1] == key->ip[1];
	return memcmp(entry_text(entry), key->text, key->length) == 0;
}

/* Where the key's entry is, or would be; the table is never full. */
static uint32_t *slot_of(const struct map *map, const struct key *key)
{
	uint32_t tag = slot_tag(key), tag_bits = ~((1u << ENTRY_BITS) - 1);
	for (uint32_t i = (uint32_t)key->hash & map->slot_mask;; i = (i + 1) & map->slot_mask) {
		uint32_t *slot = &map->slots[i];
		if (!*slot || ((*slot & tag_bits) == tag && entry_is(entry_at(map, *slot), key)))
			return slot;
	}
}

static uint64_t block_name(uint32_t entry, uint32_t first, unsigned size)
{
	return ((uint64_t)entry << 16 | first) << BLOCK_SIZE_BITS | size;
}

/* The same for blocks. */
static uint64_t *block_of(const struct map *map, uint32_t entry, uint32_t first, unsigned size)
{
	uint64_t name = block_name(entry, first, size);
	uint32_t i = (uint32_t)mix(name) & map->block_mask;
	while (map->blocks[i] && map->blocks[i] >> RULE_BITS != name)
		i = (i + 1) & map->block_mask;
	return &map->blocks[i];
}

/* ---- matching ---- */

static uint32_t entry_first(const struct map *map, const struct entry *entry, uint32_t port)
{
	if (port >= entry->port_first && port <= entry->port_last)
		return entry->rule;
	uint32_t best = RULE_NONE, index = (uint32_t)(entry - map->entries);
	for (uint32_t sizes = entry->sizes; sizes; sizes &= sizes - 1) {
		unsigned size = (unsigned)__builtin_ctz(sizes);
		uint32_t rule = *block_of(map, index, port >> size << size, size) & ((1u << RULE_BITS) - 1);
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
		found[count++] = entry_at(map, slot);
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

/* The patterns that hold a whole block of addresses of this length (128: one address). */
static size_t entries_of_ip(const struct map *map, enum side side, const uint8_t ip[16], unsigned length,
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
			struct key key = prefix_key(side, high, low, bit);
			count = entry_add(map, &key, found, count);
		}
	}
	return count;
}

/* ---- building ---- */

struct builder {
	struct map *map;
	const struct map_source *source;
};

static void *memory(const struct builder *builder, size_t count, size_t size)
{
	return builder->source->memory(builder->source->context, count * size);
}

static bool blocks_grow(const struct builder *builder)
{
	struct map *map = builder->map, old = *map;
	uint32_t size = old.blocks ? 2 * (old.block_mask + 1) : 64;
	map->blocks = memory(builder, size, sizeof *map->blocks);
	if (!map->blocks)
		return false;
	map->block_mask = size - 1;
	for (uint32_t i = 0; old.blocks && i <= old.block_mask; i++) {
		uint64_t name = old.blocks[i] >> RULE_BITS;
		unsigned size_of_block = name & ((1u << BLOCK_SIZE_BITS) - 1);
		uint32_t first = name >> BLOCK_SIZE_BITS & UINT16_MAX;
		if (old.blocks[i])
			*block_of(map, (uint32_t)(name >> (BLOCK_SIZE_BITS + 16)), first, size_of_block) = old.blocks[i];
	}
	return true;
}

static bool add_blocks(const struct builder *builder, struct entry *entry, const struct rule *rule)
{
	struct map *map = builder->map;
	uint32_t index = (uint32_t)(entry - map->entries), first = rule->port_first, end = rule->port_last + 1u;
	while (first < end) {
		unsigned size = first ? (unsigned)__builtin_ctz(first) : 16;
		while (first + (1u << size) > end)
			size--;
		if (2 * map->block_count >= map->block_mask && !blocks_grow(builder))
			return false;
		uint64_t *block = block_of(map, index, first, size);
		if (!*block) {
			*block = block_name(index, first, size) << RULE_BITS | rule->number;
			map->block_count++;
		}
		entry->sizes |= 1u << size;
		first += 1u << size;
	}
	return true;
}

static void fill_entry(struct entry *entry, const struct key *key, const struct rule *rule)
{
	entry->rule = rule->number;
	entry->port_first = rule->port_first;
	entry->port_last = rule->port_last;
	entry->side = key->side;
	entry->kind = key->kind;
	entry->length = (uint8_t)key->length;
	if (key->kind == ENTRY_PREFIX)
		memcpy(entry->ip, key->ip, sizeof entry->ip);
	else if (key->length < ENTRY_TEXT)
		memcpy(entry->text, key->text, key->length);
	else
		entry->long_text = key->text;
}

/* The entry of the rule's pattern; *is_new: this is its first rule. */
static struct entry *add_entry(
	const struct builder *builder, const struct key *key, const struct rule *rule, bool *is_new)
{
	struct map *map = builder->map;
	uint32_t *slot = slot_of(map, key);
	*is_new = !*slot;
	if (*is_new) {
		*slot = slot_tag(key) | ++map->entry_count;
		fill_entry(entry_at(map, *slot), key, rule);
	} else if (!add_blocks(builder, entry_at(map, *slot), rule)) {
		return NULL;
	}
	struct entry *entry = entry_at(map, *slot);
	entry->host_in_path |= rule->target.host_in_path;
	return entry;
}

static bool add_prefix(const struct builder *builder, const struct rule *rule, const struct prefix *prefix)
{
	struct key key = prefix_key(rule->side, load64(prefix->ip), load64(prefix->ip + 8), prefix->length);
	bool is_new;
	builder->map->sides[rule->side].prefixes[prefix->length / 64] |= UINT64_C(1) << prefix->length % 64;
	return add_entry(builder, &key, rule, &is_new);
}

/* A pattern that both sides have is numbered once. */
static void number_name(struct map *map, struct entry *entry, uint64_t hash)
{
	struct key other = name_key(!entry->side, entry->kind, entry_text(entry), entry->length, hash);
	uint32_t slot = *slot_of(map, &other);
	entry->named = slot ? entry_at(map, slot)->named : ++map->named_count;
	map->named[entry->named] = (uint32_t)(entry - map->entries);
}

static bool add_name(const struct builder *builder, const struct rule *rule)
{
	struct map *map = builder->map;
	struct side_index *index = &map->sides[rule->side];
	bool glob = rule->host.kind != HOST_NAME, is_new;
	const char *text = rule->host.kind == HOST_ANY ? "" : rule->host.name;
	size_t length = rule->host.name_length;
	uint64_t hash = name_hash(text, length);
	struct key key = name_key(rule->side, glob ? ENTRY_SUFFIX : ENTRY_NAME, text, length, hash);
	struct entry *entry = add_entry(builder, &key, rule, &is_new);
	if (!entry)
		return false;
	if (!is_new) { /* the entry's first rule heads the list */
		map->next[rule->number] = map->next[entry->rule];
		map->next[entry->rule] = rule->number;
		return true;
	}
	if (rule->host.kind == HOST_ANY) {
		index->any = entry;
		return true;
	}
	number_name(map, entry, hash);
	if (glob) {
		unsigned labels = 1;
		for (size_t i = 0; i < length; i++)
			labels += text[i] == '.';
		index->depths[labels / 64] |= UINT64_C(1) << labels % 64;
	}
	return true;
}

static bool add_rule(const struct builder *builder, const struct rule *rule)
{
	switch (rule->host.kind) {
	case HOST_PREFIX:
		return add_prefix(builder, rule, &rule->host.prefix);
	case HOST_LOCALHOST:
		return add_prefix(builder, rule, &loopback4) && add_prefix(builder, rule, &loopback6);
	default:
		return add_name(builder, rule);
	}
}

static bool too_many_names(struct map_error *error, const struct map *map, const struct rule *rule)
{
	char range[PREFIX_TEXT];
	prefix_format(&map->ranges.names, range, sizeof range);
	*error = (struct map_error){.rule = rule->number, .line = rule->line, .column = rule->column};
	struct text source = text_in(error->source, sizeof error->source);
	text_add(&source, rule->source);
	struct text line = text_in(error->line_text, sizeof error->line_text);
	text_add_bytes(&line, rule->text, rule->text_length);
	struct text what = text_in(error->what, sizeof error->what);
	text_add(&what, "expected at most ");
	text_add_number(&what, names_capacity(map));
	text_add(&what, " host names and globs, for which ");
	text_add(&what, range);
	text_add(&what, " has room");
	struct text hint = text_in(error->hint, sizeof error->hint);
	text_add(&hint, "IP2VSOCK_NAMES=PREFIX names a larger range");
	return false;
}

static bool build_index(const struct builder *builder, const char *name, struct map_error *error)
{
	struct map *map = builder->map;
	uint32_t entries = map->count + 4, slots = 16; /* a rule has one entry, localhost two on each side */
	while (slots / 4 * 3 < entries)
		slots *= 2;
	map->slot_mask = slots - 1;
	map->slots = memory(builder, slots, sizeof *map->slots);
	map->entries = memory(builder, entries + 1, sizeof *map->entries);
	if (map->entries) /* each in one cache line */
		map->entries = (struct entry *)(((uintptr_t)map->entries + sizeof *map->entries - 1) &
			-(uintptr_t)sizeof *map->entries);
	map->next = memory(builder, map->count + 1, sizeof *map->next);
	map->named = memory(builder, map->count + 1, sizeof *map->named);
	if (!map->slots || !map->entries || !map->next || !map->named)
		return out_of_memory(error, name);
	for (uint32_t i = 0; i < map->count; i++) {
		if (!add_rule(builder, &map->rules[i]))
			return out_of_memory(error, name);
		if (map->named_count > names_capacity(map))
			return too_many_names(error, map, &map->rules[i]);
	}
	return true;
}

const struct map *map_build(const char *name, const char *text, size_t length, const struct ranges *ranges,
	const struct map_source *source, struct map_error *error)
{
	struct builder builder = {.source = source};
	struct map *map = builder.map = memory(&builder, 1, sizeof *map);
	if (!map) {
		out_of_memory(error, name);
		return NULL;
	}
	map->ranges = *ranges;
	if (!rules_parse(map, name, text, length, source, error) || !build_index(&builder, name, error))
		return NULL;
	return map;
}

/* ---- look-ups ---- */

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

/* What an address of the names range stands for; RULE_NONE also if it stands for nothing and no * takes it.
 */
static uint32_t find_numbered(const struct map *map, enum side side, uint32_t number, uint16_t port)
{
	if (number <= map->named_count) {
		const struct entry *entry = &map->entries[map->named[number]];
		return find_name(
			map, side, entry_text(entry), entry->length, entry->kind == ENTRY_SUFFIX, port);
	}
	const char *name = names_dynamic(map, number);
	if (name)
		return find_name(map, side, name, strlen(name), false, port);
	const struct entry *any = map->sides[side].any;
	return any ? entries_first(map, &any, 1, port) : RULE_NONE;
}

const struct rule *map_find(const struct map *map, enum side side, const struct address *address)
{
	static const uint8_t ipv4_wildcard[16] = {[10] = 0xff, 0xff}, ipv6_wildcard[16];
	uint16_t port = address->port;
	uint32_t number = names_number(map, address), rule;
	if (number)
		rule = find_numbered(map, side, number, port);
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
	if (strcmp(name, "localhost") == 0) /* by whichever address a program takes */
		return rule_numbered(map, smaller(find_ip(map, side, address_ipv4(0x7f000001, port).ip, port),
						  find_ip(map, side, loopback6.ip, port)));
	return rule_numbered(map, find_name(map, side, name, length, false, port));
}

/* ---- shadows ---- */

/* The patterns that are the rule's own or wider. */
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
	enum { PIECES = 16 }; /* of the ports that are looked at: enough for maps that people write */
	const struct entry *found[ENTRIES_LIMIT];
	size_t count = entries_wider(map, rule, prefix, found);
	uint32_t port = rule->port_first;
	for (int i = 0; i < PIECES && port <= rule->port_last; i++) {
		const struct rule *first = rule_numbered(map, entries_first(map, found, count, port));
		if (first == rule)
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
