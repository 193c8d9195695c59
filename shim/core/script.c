/* SPDX-License-Identifier: MIT */
#include "script.h"

#include "text.h"

#include <string.h>

/* Cuts the word at *text off: returns it, and *text is behind it. */
static char *next_word(char **text)
{
	char *word = *text + strspn(*text, " \t");
	*text = word + strcspn(word, " \t");
	if (**text)
		*(*text)++ = '\0';
	return word;
}

bool script_read(struct script *script, const void *image, size_t size)
{
	char line[SCRIPT_LINE + 1] = "";
	if (size < 2 || memcmp(image, "#!", 2) != 0)
		return false;
	memcpy(line, (const char *)image + 2, size < SCRIPT_LINE ? size - 2 : SCRIPT_LINE - 2);
	line[strcspn(line, "\n")] = '\0';
	for (size_t end = strlen(line); end && strchr(" \t", line[end - 1]);)
		line[--end] = '\0';
	char *rest = line;
	strcpy(script->interpreter, next_word(&rest));
	strcpy(script->argument, rest + strspn(rest, " \t"));
	return script->interpreter[0] != '\0';
}

static void copy(char program[SCRIPT_LINE], const char *text)
{
	struct text to = text_in(program, SCRIPT_LINE);
	text_add(&to, text);
}

void script_env_program(const char *argument, char program[SCRIPT_LINE])
{
	char words[SCRIPT_LINE];
	copy(words, argument);
	char *rest = words, *word = next_word(&rest);
	char *split = word[0] == '-' && word[1] != '-' ? strchr(word, 'S') : NULL;
	if (text_begins(word, "--split-string"))
		split = word + 13;
	if (!split) { /* env gets all of the line as one word */
		copy(program, argument);
		return;
	}
	word = split[1] ? split + 1 + (split[1] == '=') : next_word(&rest);
	while (*word == '-' || strchr(word, '=')) {
		if (strcmp(word, "-u") == 0 || strcmp(word, "-C") == 0)
			next_word(&rest);
		word = next_word(&rest);
	}
	copy(program, word);
}

void script_program(const struct script *script, char program[SCRIPT_LINE])
{
	const char *slash = strrchr(script->interpreter, '/');
	if (strcmp(slash ? slash + 1 : script->interpreter, "env") == 0)
		script_env_program(script->argument, program);
	else
		copy(program, script->interpreter);
}
