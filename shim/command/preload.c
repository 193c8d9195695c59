/* SPDX-License-Identifier: MIT */
#include "preload.h"

#include "core/installation.h"
#include "core/preload_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEPARATORS " :\t\n\v\f\r" /* glibc splits LD_PRELOAD at the first two, musl at all of them */

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
	char here[PATH_MAX], installed[PATH_MAX] = "", built[PATH_MAX];
	if (!own_directory(here)) {
		snprintf(message, PRELOAD_MESSAGE,
			"can't find where the command lies, since /proc/self/exe can't be "
			"read: mount /proc");
		return false;
	}
	bool relocated = installation_library(here, installed);
	installation_built_library(here, built);
	const char *found = relocated && !access(installed, R_OK) ? installed : built;
	if (access(found, R_OK)) {
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

char *preload_value(const char *library, const char *present)
{
	char *value = malloc(strlen(library) + (present ? strlen(present) : 0) + 3);
	if (value)
		preload_list_complete(library, present, value);
	return value;
}

char *preload_without(const char *present)
{
	char *value = strdup(present);
	if (value)
		preload_list_remove(value, value);
	return value;
}
