/* SPDX-License-Identifier: MIT */
/* What map_parse.c, map.c and names.c share and nobody else needs. */
#ifndef IP2VSOCK_MAP_INTERNAL_H
#define IP2VSOCK_MAP_INTERNAL_H

#include "map.h"
#include "names.h"

#define RULE_NONE                                                                                            \
	UINT32_MAX /* larger than any rule's number, so that the first rule is the smallest number */

enum entry_kind { ENTRY_PREFIX, ENTRY_NAME, ENTRY_SUFFIX };

/* A host pattern of one side, in a hash table. Its first rule is here, so that most look-ups end here too;
 * later ones are in `blocks`: a range of ports is a few aligned blocks of 2^n ports, as a range of addresses
 * is a few CIDR blocks. */
struct entry {
	union {
		uint64_t ip[2]; /* ENTRY_PREFIX, host byte order */
		struct {
			const char *text; /* ENTRY_NAME, ENTRY_SUFFIX; "" for * */
			uint64_t hash;
		} name;
	};
	uint32_t rule; /* the first rule's number; 0: this place is free */
	uint16_t port_first, port_last;
	uint32_t named; /* its number among the named patterns of both sides, from 1; 0: not a name */
	uint32_t side : 1, kind : 2, length : 8; /* of the prefix in bits, of the text in bytes */
	uint32_t host_in_path : 1;		 /* one of its rules has a {host} */
	uint32_t sizes : 17;			 /* bit n: blocks of 2^n ports are in use */
};

struct block {
	uint32_t entry; /* its index */
	uint32_t rule;	/* number; 0: this place is free */
	uint16_t first;
	uint16_t size; /* 2^size ports */
};

struct side_index {
	const struct entry *any; /* the pattern *; NULL: none */
	uint64_t prefixes[3];	 /* bit n: patterns of n bits are in use */
	uint64_t depths[2];	 /* bit n: *.suffix patterns whose suffix has n labels are in use */
};

struct map {
	struct ranges ranges;
	struct rule *rules;
	uint32_t *next; /* for each rule, the number of another one of its name pattern; 0: no more */
	uint32_t count;
	struct entry *entries;
	uint32_t entry_mask;
	struct block *blocks;
	uint32_t block_mask, block_count;
	uint32_t *named; /* entries by their `named`; at 0 nothing */
	uint32_t named_count;
	struct side_index sides[2];
};

/* Reads the rules into map->rules. false: *error is filled in. */
bool rules_parse(struct map *map, const char *name, const char *text, size_t length,
	const struct map_source *source, struct map_error *error);
bool out_of_memory(struct map_error *error, const char *name); /* fills in *error, returns false */

const char *refuse_name(int error); /* of the errors that refuse: takes */

enum { NAME_LIMIT = 253, LABEL_LIMIT = 63 }; /* RFC 1035 */
char name_character(char c);		     /* in lower case; 0: no host name holds it in a label */
/* Lower case, without the final dot; returns the length, 0: not a host name. */
size_t name_normalize(char to[NAME_TEXT], const char *name, size_t length);
bool name_is_numeric(const char *name, size_t length); /* digits and dots only */

/* The patterns that match a name, or the glob *.NAME; at most one per label, and *. */
enum { ENTRIES_LIMIT = 130 };
size_t entries_of_name(const struct map *map, enum side side, const char *name, size_t length, bool glob,
	const struct entry *found[ENTRIES_LIMIT]);
/* The number of the first rule of these patterns that takes the port, or RULE_NONE. */
uint32_t entries_first(const struct map *map, const struct entry *const found[], size_t count, uint32_t port);

uint32_t names_capacity(const struct map *map); /* patterns and names that the names range can number */
uint32_t names_number(const struct map *map, const struct address *address); /* 0: not in the names range */
/* The name under a {host} glob that has this number behind the patterns' numbers, or NULL. */
const char *names_dynamic(const struct map *map, uint32_t number);

#endif
