/* SPDX-License-Identifier: MIT */
/* The text of a map, which may include files, becomes a list of rules. The text is cut into items (a rule,
 * @FILE, a comment) at commas and newlines outside quotes; a rule is cut at its keyword and its =, and its
 * parts go to parse_pattern() and parse_target(). At the first mistake everything stops, with the place of
 * the mistake in *error: a map with a mistake is never used in part. */
#include "map_parse.h"

#include <errno.h>
#include <stdio.h>

char *store_text(struct parser *p, struct span span)
{
	char *copy = p->input->store;
	memcpy(copy, span.at, size(span));
	copy[size(span)] = '\0';
	p->input->store += size(span) + 1;
	return copy;
}

bool read_file(struct parser *p, const char *at, const char *path, const char **text, size_t *length)
{
	int error = p->source->read(p->source->context, path, text, length);
	if (error == 0)
		return true;
	if (error == EFBIG)
		return fail(
			p, at, "expected a file of at most %d MiB, %s is larger", MAP_TEXT_LIMIT >> 20, path);
	return fail(p, at, "expected a file that can be read, %s can't: %s", path,
		error == EINVAL ? "not a regular file" : strerror(error));
}

/* ---- rules ---- */

/* connect or listen, followed by a blank; without the blank it may be the name of a host. */
static void cut_keyword(struct rule *rule, struct span *text)
{
	static const char *const keywords[] = {[SIDE_CONNECT] = "connect", [SIDE_LISTEN] = "listen"};
	for (enum side side = SIDE_CONNECT; side <= SIDE_LISTEN; side++) {
		const char *end = text->at + strlen(keywords[side]);
		if (begins(*text, keywords[side]) && end < text->end && is_blank(*end)) {
			rule->side = side;
			*text = trim((struct span){end, text->end});
			return;
		}
	}
}

/* The first = after a quoted host. */
static const char *find_equals(struct span text)
{
	if (size(text) && *text.at == '"')
		text.at = (const char *)memchr(text.at + 1, '"', size(text) - 1) + 1;
	return find(text, '=');
}

/* A blank in a pattern means a wrong keyword, a missing comma or a missing "=". */
static bool bad_words(struct parser *p, struct span pattern)
{
	struct span first = word(pattern), second = trim((struct span){first.end, pattern.end});
	second = word(second);
	if (is(first, "connect") || is(first, "listen"))
		return expected(p, "connect or listen once", first);
	if (find(first, ':') || is_bare_port(first)) {
		expected(p, "\"=\" after HOST:PORT", second);
		return *second.at == '#' ? hint(p, "%s", own_line)
					 : hint(p, "a rule is HOST:PORT=TARGET; %s", separators);
	}
	expected(p, "connect, listen or HOST:PORT", first);
	if (*first.at == '#')
		return hint(p, "%s", own_line);
	if (begins_any_case(first, "connect") || begins_any_case(first, "listen"))
		return hint(p, "keywords are in lower case: connect, listen");
	return hint(p, "a rule is [connect|listen] HOST:PORT=TARGET");
}

static bool parse_rule(struct parser *p)
{
	struct rule *rule = &p->map->rules[p->map->count];
	struct span text = p->item, pattern;
	*rule = (struct rule){
		.number = p->map->count + 1,
		.line = p->input->line,
		.column = (uint32_t)(text.at - p->input->line_start) + 1,
		.source = p->input->name,
		.text = text.at,
		.text_length = (uint32_t)size(text),
		.buffer = BUFFER_DEFAULT,
	};
	cut_keyword(rule, &text);
	const char *equals = find_equals(text);
	pattern = trim((struct span){text.at, equals ? equals : text.end});
	if (!parse_pattern(p, rule, pattern))
		return *pattern.at != '"' && word(pattern).end < pattern.end ? bad_words(p, pattern) : false;
	if (!equals) {
		expected(p, "\"=\" after HOST:PORT", (struct span){text.end, text.end});
		return hint(p, "a rule is HOST:PORT=TARGET, such as api.example.com:443=3:8443");
	}
	text = trim((struct span){equals + 1, text.end});
	if (size(text) == 0)
		return expected_target(p, rule, text);
	if (!parse_target(p, rule, &text) || !parse_options(p, rule, text))
		return false;
	p->map->count++;
	return true;
}

static bool make_room(struct parser *p, uint32_t count)
{
	struct map *map = p->map;
	if (count <= p->capacity)
		return true;
	uint32_t capacity = count > 2 * p->capacity ? count : 2 * p->capacity;
	struct rule *rules = p->source->memory(p->source->context, capacity * sizeof *rules);
	if (!rules)
		return out_of_memory(p->error, p->input->name);
	if (map->count)
		memcpy(rules, map->rules, map->count * sizeof *rules);
	map->rules = rules;
	p->capacity = capacity;
	return true;
}

/* ---- texts ---- */

enum { ORDINARY, CONTROL, RETURN, NEWLINE, COMMA, QUOTE };

static const uint8_t character_class[256] = {
	[0 ... '\t' - 1] = CONTROL,
	['\n'] = NEWLINE,
	['\n' + 1 ... '\r' - 1] = CONTROL,
	['\r'] = RETURN,
	['\r' + 1 ... ' ' - 1] = CONTROL,
	[0x7f] = CONTROL,
	[','] = COMMA,
	['"'] = QUOTE,
};

static bool bad_control(struct parser *p, const char *at)
{
	return fail(p, at, "expected text, found the control character 0x%02x", (unsigned char)*at);
}

/* Finds where the item that begins at `at` ends. */
static bool find_end(struct parser *p, const char *at, bool comment, const char **end)
{
	const char *stop = p->input->end, *quote = NULL;
	for (;; at++) {
		while (at < stop && character_class[(unsigned char)*at] == ORDINARY)
			at++;
		int class = at < stop ? character_class[(unsigned char)*at] : NEWLINE;
		if (class == NEWLINE || (class == COMMA && !quote && !comment))
			break;
		if (class == QUOTE)
			quote = quote || comment ? NULL : at;
		else if (class == CONTROL || (class == RETURN && at + 1 < stop && at[1] != '\n'))
			return bad_control(p, at);
	}
	*end = at;
	if (!quote)
		return true;
	return fail(p, quote, "expected a closing quote on this line");
}

static bool parse_input(struct parser *p, const char *name, bool is_file, const char *text, size_t length);

/* @PATH or @"PATH" */
static bool parse_include(struct parser *p)
{
	struct span path = {p->item.at + 1, p->item.end};
	if (p->input->is_file) {
		expected(p, "a rule", p->item);
		return hint(p, "a file can't name another file");
	}
	if (size(path) >= 2 && path.at[0] == '"' && path.end[-1] == '"')
		path = (struct span){path.at + 1, path.end - 1};
	if (size(path) == 0 || find(path, '"'))
		return expected(p, "the absolute path of a file after @", path);
	if (*path.at != '/') {
		expected(p, "the absolute path of a file after @", path);
		return hint(p, "programs that change their directory would look for another file");
	}
	const char *file = store_text(p, path), *text;
	size_t length;
	return read_file(p, p->item.at, file, &text, &length) && parse_input(p, file, true, text, length);
}

/* #source "NAME", a line that the command writes: what follows, up to the next such line, comes from there.
 */
static void parse_source(struct parser *p)
{
	static const char keyword[] = "#source \"";
	struct span name = {p->item.at + sizeof keyword - 1, p->item.end - 1};
	if (p->input->is_file || !begins(p->item, keyword) || size(p->item) <= sizeof keyword ||
		*name.end != '"')
		return;
	p->input->name = store_text(p, name);
	p->input->line = 0; /* the line of the comment itself */
}

static bool parse_item(struct parser *p, bool comment)
{
	if (comment)
		parse_source(p);
	if (comment || !size(p->item))
		return true;
	return p->in_rule ? make_room(p, p->map->count + 1) && parse_rule(p) : parse_include(p);
}

static bool parse_items(struct parser *p)
{
	struct input *input = p->input;
	while (input->at < input->end) {
		const char *start = input->at, *end = start;
		bool line_starts = start == input->line_start;
		while (start < input->end && is_blank(*start))
			start++;
		bool comment = line_starts && start < input->end && *start == '#';
		p->in_rule = !comment;
		p->item = (struct span){start, start};
		if (!find_end(p, input->at, comment, &end))
			return false;
		p->item = trim((struct span){input->at, end});
		p->in_rule = size(p->item) && *p->item.at != '@';
		if (!parse_item(p, comment))
			return false;
		if (end < input->end && *end == '\n') {
			input->line++;
			input->line_start = end + 1;
		}
		input->at = end + 1;
	}
	return true;
}

static uint32_t count_equals(const char *text, const char *end)
{
	uint32_t count = 0;
	while ((text = memchr(text, '=', (size_t)(end - text)))) {
		count++;
		text++;
	}
	return count;
}

static bool parse_input(struct parser *p, const char *name, bool is_file, const char *text, size_t length)
{
	struct input input = {name, is_file, text, text + length, text, 1, NULL};
	p->text_size += length;
	if (p->text_size > MAP_TEXT_LIMIT) {
		*p->error = (struct map_error){.rule = 0};
		struct text source = text_in(p->error->source, sizeof p->error->source);
		text_add(&source, name);
		snprintf(p->error->what, sizeof p->error->what,
			"expected at most %d MiB of rules, found %zu bytes", MAP_TEXT_LIMIT >> 20,
			p->text_size);
		return false;
	}
	if (length == 0)
		return true;
	uint32_t rules = count_equals(text, input.end), most = (uint32_t)(length / RULE_SHORTEST + 1);
	input.store = p->source->memory(
		p->source->context, length + 1); /* one more, for a NUL after the last word */
	if (!input.store)
		return out_of_memory(p->error, name);
	struct input *outer = p->input;
	p->input = &input;
	bool good = make_room(p, p->map->count + (rules < most ? rules : most)) && parse_items(p);
	p->input = outer;
	return good;
}

bool rules_parse(struct map *map, const char *name, const char *text, size_t length,
	const struct map_source *source, struct map_error *error)
{
	struct parser parser = {.map = map, .source = source, .error = error};
	return parse_input(&parser, name, false, text, length);
}
