/* SPDX-License-Identifier: MIT */
/* What map_parse.c, map_build.c, map_table.c, map.c and names.c share, and nobody else needs. */
#ifndef IP2VSOCK_MAP_INTERNAL_H
#define IP2VSOCK_MAP_INTERNAL_H

#include "map.h"
#include "names.h"
#include "text.h"

/* Larger than any rule's number, so that the first rule is the smallest number. */
#define RULE_NONE UINT32_MAX

enum entry_kind { ENTRY_PREFIX, ENTRY_NAME, ENTRY_SUFFIX };

/* A host pattern of one side. Its first rule is here, so that most look-ups end with this one cache line.
 * Later rules are in `blocks`: a range of ports is a few aligned blocks of 2^n ports, just as a range of
 * addresses is a few CIDR blocks. */
struct entry {
	uint32_t rule; /* the first rule's number */
	uint16_t port_first, port_last;
	uint32_t named; /* its ordinal among the named patterns of both sides, from 1; 0: it isn't a name */
	uint32_t side : 1, kind : 2, length : 8; /* length: of a prefix in bits, of a text in bytes */
	uint32_t needs_host : 1;		 /* one of its rules does */
	uint32_t sizes : 17;			 /* bit n: blocks of 2^n ports are in use */
	uint64_t ip[2]; /* ENTRY_PREFIX: in host byte order; otherwise the text, however long it is */
};

/* The text of a name, or of a glob without its "*."; "" for *. Ends in NUL. */
static inline char *entry_text(const struct entry *entry)
{
	return (char *)entry + offsetof(struct entry, ip);
}

/* Both hash tables consist of words, which are 0 if they are free, so a look-up in a large map stays in the
 * cache until it reaches its entry. There are at most MAP_TEXT_LIMIT / RULE_SHORTEST rules. */
enum {
	RULE_SHORTEST = 6, /* bytes, with a comma: "1=3:1," */
	RULE_BITS = 21,	   /* of a rule's number */
	ENTRY_BITS = 22, /* of an entry's position, from 1; above these, in `slots`, are the first bits of its
			    hash */
	ENTRY_UNIT = 32, /* bytes; an entry begins at a multiple of it */
	BLOCK_SIZE_BITS = 5 /* in `blocks`: entry, first port, size, rule */
};
_Static_assert(MAP_TEXT_LIMIT / RULE_SHORTEST + 1 < 1 << RULE_BITS, "rules fit");

/* A pattern in the form in which it is looked up. */
struct key {
	uint64_t hash;
	uint64_t ip[2];
	const char *text;
	enum side side;
	enum entry_kind kind;
	unsigned length;
};

struct side_index {
	const struct entry *any; /* the pattern *; NULL: none */
	uint64_t prefixes[3];	 /* bit n: patterns of n bits are in use */
	uint64_t depths[2];	 /* bit n: *.suffix patterns whose suffix has n labels are in use */
};

struct map {
	struct ranges ranges;
	struct rule *rules;
	uint32_t *next; /* for each rule, the number of the next one with the same name pattern; 0: there are
			   no more */
	uint32_t count;
	char *entries;
	uint32_t entries_used; /* in units of ENTRY_UNIT bytes */
	uint32_t *slots;       /* entries by the hash of their keys */
	uint32_t slot_mask;
	uint64_t *blocks;
	uint32_t block_mask, block_count;
	uint32_t *named; /* places of entries by their `named`; [0] is unused */
	uint32_t named_count;
	struct side_index sides[2];
	struct summary summary;
};

void summarize(struct map *map); /* fills in the summary of the rules */

static inline struct entry *entry_at(const struct map *map, uint32_t position)
{
	return (struct entry *)(map->entries + (size_t)(position - 1) * ENTRY_UNIT);
}

/* Reads the rules into map->rules. false: *error is filled in. */
bool rules_parse(struct map *map, const char *name, const char *text, size_t length,
	const struct map_source *source, struct map_error *error);
bool out_of_memory(struct map_error *error, const char *name); /* fills in *error, returns false */

/* As rule_format() and rule_explain() write them, with only those options that differ from the default. */
void format_target(struct text *text, const struct rule *rule);
void format_options(struct text *text, const struct rule *rule);
void explain_options(struct text *text, const struct rule *rule);

enum { NAME_LIMIT = 253, LABEL_LIMIT = 63 }; /* RFC 1035 */
char name_character(char c);		     /* in lower case; 0: it can't be in a label of a host name */
/* Writes the name in lower case, without its final dot. Returns the length; 0: it isn't a host name. */
size_t name_normalize(char to[NAME_TEXT], const char *name, size_t length);
bool name_is_numeric(const char *name, size_t length); /* digits and dots only */

/* Names are hashed from their end, so the hashes of all suffixes are by-products. */
uint64_t name_hash(const char *text, size_t length);
struct key name_key(enum side side, enum entry_kind kind, const char *text, size_t length, uint64_t hash);
struct key prefix_key(enum side side, const struct prefix *prefix);

/* The slot of the key's entry, or the slot where it would be. A slot is 0, or contains the first bits of the
 * hash (slot_tag) and the entry's position (position_bits). */
uint32_t *slot_of(const struct map *map, const struct key *key);
uint32_t slot_tag(const struct key *key);
static const uint32_t position_bits = (1u << ENTRY_BITS) - 1;
uint32_t position_of(const struct map *map, const struct entry *entry);
/* The word of a block of an entry's ports, or where it would be. A word is 0, or contains the block's key
 * and the rule's number. */
uint64_t *block_of(const struct map *map, uint64_t key);
uint64_t block_key(uint32_t position, uint32_t first, unsigned size);

/* The patterns that match: at most one for each prefix length or label, and *. */
enum { ENTRIES_LIMIT = 130 };
size_t entries_of_name(const struct map *map, enum side side, const char *name, size_t length, bool glob,
	const struct entry *found[ENTRIES_LIMIT]); /* for a name, or for the glob *.NAME */
size_t entries_of_ip(const struct map *map, enum side side, const uint8_t ip[16], unsigned length,
	const struct entry
		*found[ENTRIES_LIMIT]); /* for all of a CIDR block; of length 128: for one address */
/* The number of the first rule of these patterns that takes the port, or RULE_NONE. */
uint32_t entries_first(const struct map *map, const struct entry *const found[], size_t count, uint32_t port);

extern const struct prefix loopback4, loopback6;

uint32_t names_capacity(const struct map *map); /* for how many patterns and names the names range has room */
uint32_t names_ordinal(const struct map *map, const struct address *address); /* 0: not in the names range */
/* The name under a {host} glob with this ordinal, counted after the patterns; NULL: none. */
const char *names_dynamic(const struct map *map, uint32_t ordinal);

#endif
