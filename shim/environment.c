/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static const char PRELOAD[] = "LD_PRELOAD=";
static const char OURS[] = "IP2VSOCK_";
static const char LIBRARY[] = "libip2vsock.so";
enum { KEPT = 16 };

static char *kept[KEPT]; /* "IP2VSOCK_…=…" */
static size_t kept_count;
static char *library; /* our entry of LD_PRELOAD; NULL: loaded in another way */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool same_variable(const char *one, const char *other)
{
	size_t name = strcspn(one, "=");
	return strncmp(one, other, name + 1) == 0;
}

/* The entry of a list like LD_PRELOAD's that is this library; *length 0: there is none. */
static const char *find_library(const char *list, size_t *length)
{
	while (*list) {
		*length = strcspn(list, ": ");
		if (*length >= sizeof LIBRARY - 1 &&
			memcmp(list + *length - (sizeof LIBRARY - 1), LIBRARY, sizeof LIBRARY - 1) == 0)
			return list;
		list += *length + (list[*length] != '\0');
	}
	*length = 0;
	return list;
}

void environment_start(char *const *environment)
{
	size_t size = 0, length;
	for (char *const *one = environment; *one; one++)
		if (begins(*one, OURS) || begins(*one, PRELOAD))
			size += strlen(*one) + 1;
	char *copy = size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : NULL;
	if (!copy || copy == MAP_FAILED)
		return;
	for (char *const *one = environment; *one; one++) {
		if (begins(*one, OURS) && kept_count < KEPT) {
			kept[kept_count++] = strcpy(copy, *one);
			copy += strlen(*one) + 1;
		} else if (begins(*one, PRELOAD)) {
			const char *entry = find_library(*one + sizeof PRELOAD - 1, &length);
			if (!length)
				continue;
			library = memcpy(copy, entry, length);
			copy += length + 1;
		}
	}
}

size_t environment_room(char *const *envp)
{
	size_t pointers = KEPT + 2, preload = sizeof PRELOAD + (library ? strlen(library) : 0) + 1;
	for (; envp && *envp; envp++, pointers++)
		if (begins(*envp, PRELOAD))
			preload += strlen(*envp);
	return pointers * sizeof *envp + preload;
}

/* "LD_PRELOAD=ours" before what the list had, in `text`; the same pointer if we are in it. */
static char *with_library(char *variable, char *text)
{
	size_t length = 0;
	if (variable)
		find_library(variable + sizeof PRELOAD - 1, &length);
	if (length)
		return variable;
	strcpy(text, PRELOAD);
	strcat(text, library);
	if (variable && variable[sizeof PRELOAD - 1]) {
		strcat(text, ":");
		strcat(text, variable + sizeof PRELOAD - 1);
	}
	return text;
}

char *const *environment_complete(char *const *envp, void *room)
{
	static char *const none[] = {NULL};
	if (!envp)
		envp = none;
	if (!kept_count)
		return envp;
	char **complete = room;
	size_t count = 0, preload = SIZE_MAX;
	for (; envp[count]; count++) {
		complete[count] = envp[count];
		if (begins(envp[count], PRELOAD) && preload == SIZE_MAX)
			preload = count;
	}
	size_t own = count;
	for (size_t i = 0; i < kept_count; i++) {
		size_t at = 0;
		while (at < own && !same_variable(kept[i], envp[at]))
			at++;
		if (at == own)
			complete[count++] = kept[i];
	}
	if (library) {
		char *text = (char *)(complete + own + KEPT + 2);
		char *variable = with_library(preload == SIZE_MAX ? NULL : envp[preload], text);
		complete[preload == SIZE_MAX ? count++ : preload] = variable;
	}
	complete[count] = NULL;
	return complete;
}

bool environment_is_complete(char *const *envp)
{
	size_t found = 0, length = 0;
	for (; envp && *envp; envp++) {
		for (size_t i = 0; i < kept_count; i++)
			found += same_variable(kept[i], *envp);
		if (library && !length && begins(*envp, PRELOAD))
			find_library(*envp + sizeof PRELOAD - 1, &length);
	}
	return found >= kept_count && (!library || length);
}
