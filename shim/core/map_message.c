/* SPDX-License-Identifier: MIT */
#include "map_parse.h"

#include <stdarg.h>
#include <stdio.h>

/* The beginning of the character of which `at` may be a later byte; a UTF-8 character has up to three. */
static const char *character_start(const char *at, const char *start)
{
	for (int i = 0; i < 3 && at > start && is_continuation(*at); i++)
		at--;
	return at;
}

/* Copies the part of the line around `at`. */
static void show_line(struct map_error *error, const struct input *input, const char *at)
{
	enum { BEFORE = 60, SHOWN = 100 };
	const char *start = input->line_start, *end = memchr(start, '\n', (size_t)(input->end - start));
	if (!end)
		end = input->end;
	if (end > start && end[-1] == '\r')
		end--;
	const char *from = start, *to = end;
	if (end - start > SHOWN) {
		if (at - start > BEFORE)
			from = at - BEFORE;
		if (end - from > SHOWN)
			to = from + SHOWN;
		from = character_start(from, start);
		if (to < end)
			to = character_start(to, at);
	}
	struct text line = text_in(error->line_text, sizeof error->line_text);
	text_add(&line, from > start ? "..." : "");
	error->caret = (uint32_t)(line.length + (size_t)(at - from));
	for (const char *byte = from; byte < to; byte++)
		text_add_bytes(&line, (unsigned char)*byte < ' ' && *byte != '\t' ? "?" : byte, 1);
	text_add(&line, to < end ? "..." : "");
}

static void place_error(struct parser *p, const char *at)
{
	struct map_error *error = p->error;
	struct text source = text_in(error->source, sizeof error->source);
	text_add(&source, p->input->name);
	error->rule = p->in_rule ? p->map->count + 1 : 0;
	error->line = p->input->line;
	error->column = (uint32_t)(at - p->input->line_start) + 1;
	error->hint[0] = '\0';
	show_line(error, p->input, at);
}

bool fail(struct parser *p, const char *at, const char *format, ...)
{
	place_error(p, at);
	va_list list;
	va_start(list, format);
	vsnprintf(p->error->what, sizeof p->error->what, format, list);
	va_end(list);
	return false;
}

bool hint(struct parser *p, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(p->error->hint, sizeof p->error->hint, format, list);
	va_end(list);
	return false;
}

/* How much of a span a message shows. */
int shown(struct span span)
{
	enum { SHOWN = 60 };
	if (size(span) <= SHOWN)
		return (int)size(span);
	return (int)(character_start(span.at + SHOWN, span.at) - span.at);
}

bool expected(struct parser *p, const char *what, struct span found)
{
	if (found.at == found.end && found.at < p->item.end)
		found.end++;
	if (found.at == found.end)
		return fail(p, found.at, "expected %s, found the end of the rule", what);
	return fail(p, found.at, "expected %s, found \"%.*s\"%s", what, shown(found), found.at,
		(size_t)shown(found) < size(found) ? "..." : "");
}

const char separators[] = "rules are separated by commas or newlines";
const char own_line[] = "a comment needs a line of its own";

bool out_of_memory(struct map_error *error, const char *name)
{
	*error = (struct map_error){.what = "out of memory"};
	struct text source = text_in(error->source, sizeof error->source);
	text_add(&source, name);
	return false;
}
