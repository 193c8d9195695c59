/* SPDX-License-Identifier: MIT */
/* Rules and errors as text: for --check, which must be able to read them again, for --explain, for the log
 * and for messages. rule_port() and rule_path() run in hooks, so there is no stdio here. */
#include "map_internal.h"

#include "text.h"

#include <string.h>

uint32_t rule_port(const struct rule *rule, uint16_t port)
{
	const struct target *target = &rule->target;
	if (target->keep_port)
		return port ? port : PORT_ANY;
	if (target->port_first == target->port_last)
		return target->port_first;
	return target->port_first + port - rule->port_first;
}

static void add_host(struct text *text, const char *host)
{
	text_add(text, host ? host : "*");
}

bool rule_path(const struct rule *rule, const char *host, uint16_t port, char path[108])
{
	static const char host_word[] = "{host}", port_word[] = "{port}";
	struct text text = text_in(path, 108);
	if (rule->target.needs_host && host &&
		(strchr(host, '/') || !*host || strspn(host, ".") == strlen(host)))
		return false;
	for (const char *at = rule->target.path; *at;) {
		if (text_begins(at, host_word)) {
			add_host(&text, host);
			at += strlen(host_word);
		} else if (text_begins(at, port_word)) {
			text_add_number(&text, port);
			at += strlen(port_word);
		} else {
			text_add_bytes(&text, at++, 1);
		}
	}
	return !text.cut;
}

static void add_pattern(struct text *text, const struct rule *rule)
{
	const struct host *host = &rule->host;
	char prefix[PREFIX_TEXT];
	switch (host->kind) {
	case HOST_ANY:
		text_add(text, "*");
		break;
	case HOST_LOCALHOST:
		text_add(text, "localhost");
		break;
	case HOST_SUFFIX:
		text_add(text, "*.");
		/* fall through */
	case HOST_NAME:
		text_add(text, host->name);
		break;
	case HOST_PREFIX:
		prefix_format(&host->prefix, prefix, sizeof prefix);
		bool brackets = strchr(prefix, ':');
		text_add(text, brackets ? "[" : "");
		text_add(text, prefix);
		text_add(text, brackets ? "]" : "");
		break;
	}
	text_add(text, ":");
	if (rule->port_first == 0) {
		text_add(text, "*");
		return;
	}
	text_add_number(text, rule->port_first);
	if (rule->port_last == rule->port_first)
		return;
	text_add(text, "-");
	text_add_number(text, rule->port_last);
}

size_t rule_format(const struct rule *rule, char *to, size_t size)
{
	struct text text = text_in(to, size);
	text_add(&text, rule->side == SIDE_LISTEN ? "listen " : "connect ");
	add_pattern(&text, rule);
	text_add(&text, " = ");
	format_target(&text, rule);
	format_options(&text, rule);
	return text.length;
}

/* Up to the caret: a tab stays a tab, so that it lines up, and the bytes of one character count once. */
static void add_caret(struct text *text, const struct map_error *error)
{
	for (uint32_t i = 0; i < error->caret && error->line_text[i]; i++)
		if (((unsigned char)error->line_text[i] & 0xc0) != 0x80)
			text_add(text, error->line_text[i] == '\t' ? "\t" : " ");
	text_add(text, "^\n");
}

size_t map_error_format(const struct map_error *error, char *to, size_t size)
{
	static const char indent[] = "    ";
	struct text text = text_in(to, size);
	bool is_file = error->source[0] == '/';
	text_add(&text, "ip2vsock: ");
	text_add(&text, error->source);
	text_add(&text, ":");
	if (error->line && (is_file || error->line > 1)) {
		text_add(&text, is_file ? "" : " line ");
		text_add_number(&text, error->line);
		text_add(&text, ":");
	}
	if (error->rule) {
		text_add(&text, " rule ");
		text_add_number(&text, error->rule);
		text_add(&text, ",");
	}
	if (error->line) {
		text_add(&text, " column ");
		text_add_number(&text, error->column);
		text_add(&text, ":");
	}
	text_add(&text, " ");
	text_add(&text, error->what);
	text_add(&text, "\n");
	if (error->line) {
		text_add(&text, indent);
		text_add(&text, error->line_text);
		text_add(&text, "\n");
		text_add(&text, indent);
		add_caret(&text, error);
	}
	if (error->hint[0]) {
		text_add(&text, "hint: ");
		text_add(&text, error->hint);
		text_add(&text, "\n");
	}
	return text.length;
}
