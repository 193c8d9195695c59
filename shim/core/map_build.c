/* SPDX-License-Identifier: MIT */
/* Builds the tables of a map from its parsed rules. Each host pattern of a side gets one entry, with its
 * first rule in it; later rules of the same pattern go into blocks of ports. Patterns that are names are
 * counted in the order in which they are written, and the count becomes their address (names.h). Everything
 * is allocated in a few pieces, whose size is known beforehand, and is read-only afterwards. */
#include "map_internal.h"

#include "text.h"

#include <string.h>

enum { LINE_UNITS = 64 / ENTRY_UNIT };

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
	for (uint32_t i = 0; old.blocks && i <= old.block_mask; i++)
		if (old.blocks[i])
			*block_of(map, old.blocks[i] >> RULE_BITS) = old.blocks[i];
	return true;
}

static bool add_blocks(const struct builder *builder, struct entry *entry, const struct rule *rule)
{
	struct map *map = builder->map;
	uint32_t position = position_of(map, entry), first = rule->port_first, end = rule->port_last + 1u;
	while (first < end) {
		unsigned size = first ? (unsigned)__builtin_ctz(first) : 16;
		while (first + (1u << size) > end)
			size--;
		if (2 * map->block_count >= map->block_mask && !blocks_grow(builder))
			return false;
		uint64_t key = block_key(position, first, size), *block = block_of(map, key);
		if (!*block) {
			*block = key << RULE_BITS | rule->number;
			map->block_count++;
		}
		entry->sizes |= 1u << size;
		first += 1u << size;
	}
	return true;
}

static size_t entry_units(size_t key_size)
{
	size_t size = offsetof(struct entry, ip) + key_size;
	return size <= sizeof(struct entry) ? 1 : (size + ENTRY_UNIT - 1) / ENTRY_UNIT;
}

static size_t key_size(const struct key *key)
{
	return key->kind == ENTRY_PREFIX ? sizeof key->ip : key->length + 1;
}

/* Takes a position for the key's entry. An entry that fits into one cache line isn't spread over two. */
static uint32_t new_entry(struct map *map, const struct key *key)
{
	uint32_t units = (uint32_t)entry_units(key_size(key)), position = map->entries_used + 1;
	if (units == LINE_UNITS && position % LINE_UNITS == 0)
		position++;
	map->entries_used = position + units - 1;
	struct entry *entry = entry_at(map, position);
	entry->side = key->side;
	entry->kind = key->kind;
	entry->length = (uint8_t)key->length;
	if (key->kind == ENTRY_PREFIX)
		memcpy(entry->ip, key->ip, sizeof entry->ip);
	else
		memcpy(entry_text(entry), key->text, key->length);
	return position;
}

/* The entry of the rule's pattern; *is_new: the rule is its first. NULL: out of memory. */
static struct entry *add_entry(
	const struct builder *builder, const struct key *key, const struct rule *rule, bool *is_new)
{
	struct map *map = builder->map;
	uint32_t *slot = slot_of(map, key);
	*is_new = !*slot;
	if (*is_new)
		*slot = slot_tag(key) | new_entry(map, key);
	struct entry *entry = entry_at(map, *slot & position_bits);
	if (*is_new) {
		entry->rule = rule->number;
		entry->port_first = rule->port_first;
		entry->port_last = rule->port_last;
	} else if (!add_blocks(builder, entry, rule)) {
		return NULL;
	}
	entry->needs_host |= rule->target.needs_host;
	return entry;
}

static bool add_prefix(const struct builder *builder, const struct rule *rule, const struct prefix *prefix)
{
	struct key key = prefix_key(rule->side, prefix);
	bool is_new;
	builder->map->sides[rule->side].prefixes[prefix->length / 64] |= UINT64_C(1) << prefix->length % 64;
	return add_entry(builder, &key, rule, &is_new);
}

/* A pattern that both sides have is counted once. */
static void count_name(struct map *map, struct entry *entry, uint64_t hash)
{
	struct key other = name_key(!entry->side, entry->kind, entry_text(entry), entry->length, hash);
	uint32_t slot = *slot_of(map, &other);
	entry->named = slot ? entry_at(map, slot & position_bits)->named : ++map->named_count;
	map->named[entry->named] = position_of(map, entry);
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
	count_name(map, entry, hash);
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

/* The size of all rules' entries if no two rules share one. */
static size_t most_units(const struct map *map)
{
	size_t units = 4;
	for (uint32_t i = 0; i < map->count; i++)
		units += entry_units(map->rules[i].host.name_length + 1u) + 1;
	return units;
}

static bool build_index(const struct builder *builder, const char *name, struct map_error *error)
{
	struct map *map = builder->map;
	uint32_t entries = map->count + 4, slots = 16; /* a rule has one entry, localhost two on each side */
	while (slots / 5 * 4 < entries)
		slots *= 2;
	map->slot_mask = slots - 1;
	map->slots = memory(builder, slots, sizeof *map->slots);
	map->entries = memory(builder, most_units(map) + LINE_UNITS, ENTRY_UNIT);
	if (map->entries)
		map->entries += -(uintptr_t)map->entries % (LINE_UNITS * ENTRY_UNIT);
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
	summarize(map);
	return map;
}
