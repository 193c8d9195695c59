/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include "core/preload_list.h"
#include "core/settings.h"
#include "core/text.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static const char PRELOAD[] = "LD_PRELOAD=";

static char *kept[SETTINGS]; /* "IP2VSOCK_…=…" */
static size_t kept_count;
static char *library; /* our entry of LD_PRELOAD; NULL: loaded in another way */

static bool same_variable(const char *one, const char *other)
{
	size_t name = strcspn(one, "=");
	return strncmp(one, other, name + 1) == 0;
}

/* Of a variable that is there twice the first counts, as for getenv. */
static bool is_kept(const char *variable)
{
	for (size_t i = 0; i < kept_count; i++)
		if (same_variable(kept[i], variable))
			return true;
	return false;
}

void environment_start(char *const *environment)
{
	size_t size = 0, length;
	for (char *const *one = environment; *one; one++)
		if (is_setting(*one) || text_begins(*one, PRELOAD))
			size += strlen(*one) + 1;
	char *copy =
		size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : NULL;
	if (!copy || copy == MAP_FAILED)
		return;
	for (char *const *one = environment; *one; one++) {
		if (is_setting(*one) && !is_kept(*one)) {
			length = strlen(*one) + 1;
			kept[kept_count++] = memcpy(copy, *one, length);
			copy += length;
		} else if (text_begins(*one, PRELOAD)) {
			const char *entry = preload_list_find(*one + sizeof PRELOAD - 1, &length);
			if (!length)
				continue;
			library = memcpy(copy, entry, length);
			copy += length + 1;
		}
	}
}

size_t environment_room(char *const *envp)
{
	size_t own = sizeof PRELOAD + (library ? strlen(library) : 0) + 3, pointers = SETTINGS + 2,
	       texts = own;
	for (; envp && *envp; envp++, pointers++)
		if (text_begins(*envp, PRELOAD))
			texts += own + strlen(*envp);
	return pointers * sizeof *envp + texts;
}

/* Its variable with the library in it, in `text`, of which it returns the rest. `list` NULL: it had none. */
static char *put_preload(const char *list, char *text)
{
	memcpy(text, PRELOAD, sizeof PRELOAD - 1);
	text += sizeof PRELOAD - 1;
	return text + preload_list_complete(library, list, text) + 1;
}

char *const *environment_complete(char *const *envp, void *room)
{
	static char *const none[] = {NULL};
	char **complete = room;
	size_t own = 0, count, length;
	if (!envp)
		envp = none;
	if (environment_is_complete(envp))
		return envp;
	while (envp[own])
		own++;
	char *text = (char *)(complete + own + SETTINGS + 2);
	bool preloaded = !library;
	for (count = 0; count < own; count++) {
		complete[count] = envp[count];
		if (!library || !text_begins(envp[count], PRELOAD))
			continue;
		preloaded = true;
		preload_list_find(envp[count] + sizeof PRELOAD - 1, &length);
		if (length)
			continue;
		complete[count] = text;
		text = put_preload(envp[count] + sizeof PRELOAD - 1, text);
	}
	for (size_t i = 0; i < kept_count; i++) {
		size_t at = 0;
		while (at < own && !same_variable(kept[i], envp[at]))
			at++;
		if (at == own)
			complete[count++] = kept[i];
	}
	if (!preloaded) {
		complete[count++] = text;
		put_preload(NULL, text);
	}
	complete[count] = NULL;
	return complete;
}

/* Which of two variables of one name counts is the loader's choice (glibc's the last, musl's the first): all
 * must hold us. */
bool environment_is_complete(char *const *envp)
{
	size_t length;
	unsigned found = 0;
	bool preloaded = !library;
	for (; envp && *envp; envp++) {
		for (size_t i = 0; i < kept_count; i++)
			if (same_variable(kept[i], *envp))
				found |= 1u << i;
		if (!library || !text_begins(*envp, PRELOAD))
			continue;
		preload_list_find(*envp + sizeof PRELOAD - 1, &length);
		if (!length)
			return false;
		preloaded = true;
	}
	return !kept_count || (found == (1u << kept_count) - 1 && preloaded);
}

bool environment_has_map(char *const *envp)
{
	static const char name[] = "IP2VSOCK_MAP=";
	if (!kept_count)
		return false;
	for (; envp && *envp; envp++)
		if (text_begins(*envp, name))
			return (*envp)[sizeof name - 1] != '\0';
	return true; /* it is put back */
}

size_t environment_outside_room(char *const *envp)
{
	size_t pointers = 1, texts = 0;
	for (; envp && *envp; envp++, pointers++)
		if (text_begins(*envp, PRELOAD))
			texts += strlen(*envp) + 1;
	return pointers * sizeof *envp + texts;
}

char *const *environment_outside(char *const *envp, void *room)
{
	char **outside = room;
	size_t count = 0, kept_ones = 0;
	while (envp && envp[count])
		count++;
	char *text = (char *)(outside + count + 1);
	for (size_t i = 0; i < count; i++) {
		outside[kept_ones] = envp[i];
		if (text_begins(envp[i], PRELOAD)) {
			outside[kept_ones] = memcpy(text, PRELOAD, sizeof PRELOAD - 1);
			text += sizeof PRELOAD - 1;
			preload_list_remove(envp[i] + sizeof PRELOAD - 1, text);
			if (!*text)
				continue;
			text += strlen(text) + 1;
		}
		kept_ones++;
	}
	outside[kept_ones] = NULL;
	return outside;
}
