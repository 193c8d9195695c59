/* SPDX-License-Identifier: MIT */
#include "preload_list.h"

#include <stdbool.h>
#include <string.h>

static const char LIBRARY[] = "libip2vsock.so";

static bool is_separator(char c)
{
	return c == ':' || c == ' ';
}

static const char *next_entry(const char *list)
{
	while (is_separator(*list))
		list++;
	return list;
}

static size_t entry_length(const char *entry)
{
	size_t length = 0;
	while (entry[length] && !is_separator(entry[length]))
		length++;
	return length;
}

static const char *name_of(const char *path, size_t *length)
{
	const char *end = path + *length, *name = path;
	for (const char *at = path; at < end; at++)
		if (*at == '/')
			name = at + 1;
	*length = (size_t)(end - name);
	return name;
}

static bool is_sanitizer(const char *path, size_t length)
{
	static const char *const runtimes[] = {
		"libasan.", "libtsan.", "libubsan.", "liblsan.", "libhwasan.", "libclang_rt."};
	const char *name = name_of(path, &length);
	for (size_t i = 0; i < sizeof runtimes / sizeof *runtimes; i++)
		if (length > strlen(runtimes[i]) && memcmp(name, runtimes[i], strlen(runtimes[i])) == 0)
			return true;
	return false;
}

static bool is_library(const char *path, size_t length)
{
	const char *name = name_of(path, &length);
	return length == sizeof LIBRARY - 1 && memcmp(name, LIBRARY, length) == 0;
}

const char *preload_list_find(const char *list, size_t *length)
{
	for (list = next_entry(list); *list; list = next_entry(list + *length)) {
		*length = entry_length(list);
		if (is_library(list, *length))
			return list;
	}
	*length = 0;
	return list;
}

size_t preload_list_complete(const char *library, const char *list, char *to)
{
	size_t length;
	if (!list)
		list = "";
	preload_list_find(list, &length);
	if (length) {
		strcpy(to, list);
		return strlen(to);
	}
	const char *rest = next_entry(list);
	char *at = to;
	while ((length = entry_length(rest)) && is_sanitizer(rest, length)) {
		memcpy(at, rest, length);
		at += length;
		*at++ = ':';
		rest = next_entry(rest + length);
	}
	strcpy(at, library);
	at += strlen(library);
	if (*rest) {
		*at++ = ':';
		strcpy(at, rest);
		at += strlen(rest);
	}
	*at = '\0';
	return (size_t)(at - to);
}

void preload_list_remove(const char *list, char *to)
{
	size_t length;
	memmove(to, list, strlen(list) + 1);
	for (const char *entry; *(entry = preload_list_find(to, &length)) && length;) {
		char *at = to + (entry - to);
		const char *rest = next_entry(at + length);
		memmove(at, rest, strlen(rest) + 1);
	}
}
