/* SPDX-License-Identifier: MIT */
#include "preload_list.h"

#include <stdbool.h>
#include <string.h>

static const char SEPARATORS[] = ": ";
static const char LIBRARY[] = "libip2vsock.so";

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
	for (list += strspn(list, SEPARATORS); *list; list += *length, list += strspn(list, SEPARATORS)) {
		*length = strcspn(list, SEPARATORS);
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
	const char *rest = list + strspn(list, SEPARATORS);
	char *at = to;
	while ((length = strcspn(rest, SEPARATORS)) && is_sanitizer(rest, length)) {
		memcpy(at, rest, length);
		at += length;
		*at++ = ':';
		rest += length;
		rest += strspn(rest, SEPARATORS);
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
