/* SPDX-License-Identifier: MIT */
/* Rules and errors as text. rule_port() and rule_path() run in hooks, so there is no stdio here. */
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
	if (rule->target.host_in_path && host &&
		(strchr(host, '/') || !*host || strspn(host, ".") == strlen(host)))
		return false;
	for (const char *at = rule->target.path; *at;) {
		if (strncmp(at, host_word, strlen(host_word)) == 0) {
			add_host(&text, host);
			at += strlen(host_word);
		} else if (strncmp(at, port_word, strlen(port_word)) == 0) {
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

static void add_cid_target(struct text *text, const struct target *target)
{
	char endpoint[ENDPOINT_TEXT];
	endpoint_format(&(struct endpoint){target->cid, target->keep_port ? PORT_ANY : target->port_first},
		endpoint, sizeof endpoint);
	text_add(text, endpoint);
	if (!target->keep_port && target->port_last != target->port_first) {
		text_add(text, "-");
		text_add_number(text, target->port_last);
	}
}

static void add_target(struct text *text, const struct target *target)
{
	bool quotes;
	switch (target->kind) {
	case TARGET_CID:
		add_cid_target(text, target);
		break;
	case TARGET_UNIX:
		quotes = target->path[strcspn(target->path, " \t,=")];
		text_add(text, quotes ? "\"unix:" : "unix:");
		text_add(text, target->path);
		text_add(text, quotes ? "\"" : "");
		break;
	case TARGET_NAMES:
		text_add(text, "names");
		break;
	case TARGET_REFUSE:
		text_add(text, "refuse:");
		text_add(text, refuse_name(target->error));
		break;
	case TARGET_DIRECT:
		text_add(text, "direct");
		break;
	}
}

static void add_time(struct text *text, const char *option, uint32_t milliseconds)
{
	bool minutes = milliseconds % 60000 == 0, seconds = milliseconds % 1000 == 0;
	if (milliseconds == 0)
		return;
	text_add(text, option);
	text_add_number(text, milliseconds / (minutes ? 60000 : seconds ? 1000 : 1));
	text_add(text, minutes ? "m" : seconds ? "s" : "ms");
}

static void add_size(struct text *text, const char *option, uint32_t bytes)
{
	static const char *const units[] = {"", "K", "M", "G"};
	int power = 0;
	if (bytes == BUFFER_DEFAULT)
		return;
	while (power < 3 && bytes % 1024 == 0) {
		bytes /= 1024;
		power++;
	}
	text_add(text, option);
	text_add_number(text, bytes);
	text_add(text, units[power]);
}

size_t rule_format(const struct rule *rule, char *to, size_t size)
{
	struct text text = text_in(to, size);
	text_add(&text, rule->side == SIDE_LISTEN ? "listen " : "connect ");
	add_pattern(&text, rule);
	text_add(&text, " = ");
	add_target(&text, &rule->target);
	add_time(&text, " retry=", rule->retry_ms);
	add_time(&text, " timeout=", rule->timeout_ms);
	add_size(&text, " buffer=", rule->buffer);
	for (uint32_t i = 0; i < rule->allow_count; i++) {
		text_add(&text, " allow=");
		text_add_number(&text, rule->allow[i]);
	}
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
