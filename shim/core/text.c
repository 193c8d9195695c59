/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <string.h>

struct text text_in(char *start, size_t size)
{
	*start = '\0';
	return (struct text){start, size, 0, false};
}

void text_add_bytes(struct text *text, const char *bytes, size_t count)
{
	size_t room = text->size - 1 - text->length;
	if (count > room) {
		count = room;
		text->cut = true;
	}
	memcpy(text->start + text->length, bytes, count);
	text->length += count;
	text->start[text->length] = '\0';
}

void text_add(struct text *text, const char *string)
{
	text_add_bytes(text, string, strlen(string));
}

void text_add_number(struct text *text, uint64_t number)
{
	char digits[20], *first = digits + sizeof digits;
	do
		*--first = (char)('0' + number % 10);
	while (number /= 10);
	text_add_bytes(text, first, (size_t)(digits + sizeof digits - first));
}

bool text_begins(const char *text, const char *with)
{
	while (*with && *text == *with)
		text++, with++;
	return !*with;
}

bool number_parse(const char *text, size_t length, uint32_t last, uint32_t *number)
{
	uint64_t value = 0;
	if (length == 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
		if (value > last)
			return false;
	}
	*number = (uint32_t)value;
	return true;
}
