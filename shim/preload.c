/* SPDX-License-Identifier: MIT */
#include "preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libip2vsock.so"
#define SEPARATORS " :\t\n\v\f\r" /* glibc splits LD_PRELOAD at the first two, musl at all of them */

/* The length of the first component with the slash before it. */
static size_t component(const char *path)
{
	size_t slashes = strspn(path, "/");
	return slashes + strcspn(path + slashes, "/");
}

bool preload_relocate(const char *here, const char *from, const char *to, char result[PATH_MAX])
{
	size_t length = strlen(here), step;
	while (*from && (step = component(from)) == component(to) && !strncmp(from, to, step)) {
		from += step;
		to += step;
	}
	for (; *from; from += component(from)) {
		if (!length)
			return false;
		while (here[--length] != '/')
			;
	}
	return snprintf(result, PATH_MAX, "%.*s%s", (int)length, here, to) < PATH_MAX;
}

static bool own_directory(char directory[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX);
	if (length <= 0 || length == PATH_MAX)
		return false;
	directory[length] = '\0';
	*strrchr(directory, '/') = '\0';
	return true;
}

bool preload_library(char library[PATH_MAX], char message[PRELOAD_MESSAGE])
{
	char here[PATH_MAX], installed[PATH_MAX] = "", built[PATH_MAX + sizeof("/.libs/" LIBRARY)];
	if (!own_directory(here)) {
		snprintf(message, PRELOAD_MESSAGE,
			"can't tell where the command lies, since /proc/self/exe can't be "
			"read: mount /proc");
		return false;
	}
	bool relocated = preload_relocate(here, BINDIR, PKGLIBDIR "/" LIBRARY, installed);
	snprintf(built, sizeof(built), "%s/.libs/" LIBRARY, here);
	const char *found = relocated && !access(installed, R_OK) ? installed : built;
	if (access(found, R_OK) || strlen(found) >= PATH_MAX) {
		snprintf(message, PRELOAD_MESSAGE,
			"%s can't be read: %s; the command and its library are installed "
			"together",
			relocated ? installed : built, strerror(errno));
		return false;
	}
	if (found[strcspn(found, SEPARATORS "$")]) {
		snprintf(message, PRELOAD_MESSAGE,
			"%s: LD_PRELOAD can't hold a path with a blank, a colon or a "
			"dollar sign: move the installation",
			found);
		return false;
	}
	strcpy(library, found);
	return true;
}

static bool is_sanitizer(const char *path, size_t length)
{
	static const char *const runtimes[] = {
		"libasan.", "libtsan.", "libubsan.", "liblsan.", "libhwasan.", "libclang_rt."};
	const char *name = path;
	for (size_t i = 0; i < length; i++)
		if (path[i] == '/')
			name = path + i + 1;
	for (size_t i = 0; i < sizeof(runtimes) / sizeof(*runtimes); i++)
		if (!strncmp(name, runtimes[i], strlen(runtimes[i])))
			return true;
	return false;
}

char *preload_value(const char *library, const char *present)
{
	const char *rest = present ? present : "";
	size_t first = 0; /* up to here there are sanitizers only */
	bool leading = true;
	for (size_t at = strspn(rest, SEPARATORS); rest[at]; at += strspn(rest + at, SEPARATORS)) {
		size_t length = strcspn(rest + at, SEPARATORS);
		if (length == strlen(library) && !strncmp(rest + at, library, length))
			return strdup(rest);
		leading = leading && is_sanitizer(rest + at, length);
		at += length;
		if (leading)
			first = at;
	}
	char *value = NULL;
	const char *behind = rest + first + strspn(rest + first, SEPARATORS);
	int length = asprintf(&value, "%.*s%s%s%s%s", (int)first, rest, first ? ":" : "", library,
		*behind ? ":" : "", behind);
	return length < 0 ? NULL : value;
}
