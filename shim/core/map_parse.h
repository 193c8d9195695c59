/* SPDX-License-Identifier: MIT */
/* What the files that read the map's text share: map_parse.c reads texts and rules, map_pattern.c HOST:PORT,
 * map_target.c targets, map_option.c options, and map_message.c makes the messages if something is wrong.
 * Parsing a correct map allocates a few blocks and calls no libc functions except memchr and the like;
 * messages are made with vsnprintf. */
#ifndef IP2VSOCK_MAP_PARSE_H
#define IP2VSOCK_MAP_PARSE_H

#include "map_internal.h"
#include "text.h"

#include <string.h>
#include <strings.h>

struct span {
	const char *at, *end;
};

/* A text that is being read. `store` holds what rules keep of it in another form (names in lower case, paths
 * with a NUL, lists of CIDs), which is never longer than the text itself and a NUL. */
struct input {
	const char *name;
	bool is_file;
	const char *at, *end, *line_start;
	uint32_t line;
	char *store;
};

struct parser {
	struct map *map;
	const struct map_source *source;
	struct map_error *error;
	struct input *input;
	uint32_t capacity; /* of map->rules */
	size_t text_size;  /* of all texts so far */
	struct span item;  /* the rule or @FILE */
	bool in_rule;
};

/* All of these return false, so a parsing function can return what they return. `at` and `found` are in the
 * line that is being read; an empty `found` stands for the character there, or for the end of the rule. */
bool fail(struct parser *p, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool expected(struct parser *p, const char *what, struct span found);
bool hint(struct parser *p, const char *format, ...)
	__attribute__((format(printf, 2, 3))); /* called after one of these */
int shown(struct span span);		       /* how much of it a message shows */
extern const char separators[], own_line[];    /* two hints */

bool parse_pattern(struct parser *p, struct rule *rule, struct span text);
bool parse_target(struct parser *p, struct rule *rule, struct span *text); /* removes it from the front */
bool expected_target(struct parser *p, const struct rule *rule, struct span found); /* as expected() */
bool parse_options(struct parser *p, struct rule *rule, struct span text);
/* n or n-m; `what` says in a message what was expected. */
bool parse_ports(struct parser *p, struct span text, uint32_t least, uint32_t most, const char *what,
	uint32_t *first, uint32_t *last);
bool is_bare_port(struct span text); /* 8080, 8000-8010 or * */

/* What the file holds, for as long as the map lives. */
bool read_file(struct parser *p, const char *at, const char *path, const char **text, size_t *length);
char *store_text(struct parser *p, struct span span); /* a copy with a NUL, for as long as the map lives */

/* ---- spans ---- */

static inline size_t size(struct span span)
{
	return (size_t)(span.end - span.at);
}

static inline bool is_continuation(char c) /* is it a later byte of a UTF-8 sequence? */
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r'; /* a CR comes only before a newline */
}

static inline struct span trim(struct span span)
{
	while (span.at < span.end && is_blank(*span.at))
		span.at++;
	while (span.at < span.end && is_blank(span.end[-1]))
		span.end--;
	return span;
}

static inline bool is(struct span span, const char *word)
{
	size_t length = strlen(word);
	return size(span) == length && memcmp(span.at, word, length) == 0;
}

static inline bool begins(struct span span, const char *word)
{
	if (!size(span) || *span.at != *word)
		return false;
	size_t length = strlen(word);
	return size(span) >= length && memcmp(span.at, word, length) == 0;
}

static inline bool begins_any_case(struct span span, const char *word)
{
	size_t length = strlen(word);
	return size(span) >= length && strncasecmp(span.at, word, length) == 0;
}

static inline const char *find(struct span span, char c)
{
	return memchr(span.at, c, size(span));
}

static inline const char *find_last(struct span span, char c)
{
	while (span.end > span.at)
		if (*--span.end == c)
			return span.end;
	return NULL;
}

/* Up to the first blank. */
static inline struct span word(struct span span)
{
	struct span word = {span.at, span.at};
	while (word.end < span.end && !is_blank(*word.end))
		word.end++;
	return word;
}

static inline bool number(struct span span, uint32_t last, uint32_t *value)
{
	return number_parse(span.at, size(span), last, value);
}

static inline struct span cut_front(struct span *text, const char *at)
{
	struct span front = {text->at, at};
	text->at = at;
	return front;
}

#endif
