/* SPDX-License-Identifier: MIT */
/* Writes text into a caller's buffer, and reads numbers from one. No stdio, no locale, no allocation, no
 * errno: safe in signal handlers. */
#ifndef IP2VSOCK_TEXT_H
#define IP2VSOCK_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Always ends in NUL. What doesn't fit is dropped, and `cut` is set. */
struct text {
	char *start;
	size_t size, length;
	bool cut;
};

struct text text_in(char *start, size_t size); /* size at least 1 */
void text_add(struct text *text, const char *string);
void text_add_bytes(struct text *text, const char *bytes, size_t count);
void text_add_number(struct text *text, uint64_t number);

bool text_begins(const char *text, const char *with);

/* Parses decimal digits and nothing else, with a value of at most `last`. */
bool number_parse(const char *text, size_t length, uint32_t last, uint32_t *number);

#endif
