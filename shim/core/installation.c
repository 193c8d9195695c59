/* SPDX-License-Identifier: MIT */
#include "installation.h"

#include "text.h"

#include <string.h>

static const char BUILT[] = "/.libs";

/* The length of the first component with the slash before it. */
static size_t component(const char *path)
{
	size_t slashes = strspn(path, "/");
	return slashes + strcspn(path + slashes, "/");
}

static bool join(char result[PATH_MAX], const char *here, size_t length, const char *rest)
{
	struct text text = text_in(result, PATH_MAX);
	text_add_bytes(&text, here, length);
	text_add(&text, rest);
	return !text.cut;
}

bool installation_relocate(const char *here, const char *from, const char *to, char result[PATH_MAX])
{
	size_t length = strlen(here), step;
	while (*from && (step = component(from)) == component(to) && strncmp(from, to, step) == 0) {
		from += step;
		to += step;
	}
	for (; *from; from += component(from)) {
		if (!length)
			return false;
		while (here[--length] != '/')
			;
	}
	return join(result, here, length, to);
}

bool installation_library(const char *here, char library[PATH_MAX])
{
	return installation_relocate(here, BINDIR, PKGLIBDIR "/" LIBRARY_NAME, library);
}

bool installation_built_library(const char *here, char library[PATH_MAX])
{
	return join(library, here, strlen(here), "/.libs/" LIBRARY_NAME);
}

bool installation_command(const char *here, char command[PATH_MAX])
{
	return installation_relocate(here, PKGLIBDIR, BINDIR "/" COMMAND_NAME, command);
}

bool installation_built_command(const char *here, char command[PATH_MAX])
{
	size_t length = strlen(here), built = sizeof BUILT - 1;
	return length >= built && strcmp(here + length - built, BUILT) == 0 &&
	       join(command, here, length - built, "/" COMMAND_NAME);
}
