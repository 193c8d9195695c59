/* SPDX-License-Identifier: MIT */
/* The options after a rule's target. Each is a row of a table, with its name, the rules that may have it, and
 * functions that parse, format and explain it. So a new option is one row, and messages about options are
 * made from the table. */
#include "map_parse.h"

static struct span digits(struct span text)
{
	struct span digits = {text.at, text.at};
	while (digits.end < text.end && *digits.end >= '0' && *digits.end <= '9')
		digits.end++;
	return digits;
}

static bool parse_time(struct parser *p, struct span text, uint32_t *milliseconds)
{
	enum { LONGEST = 60 * 60 * 1000 };
	struct span count = digits(text), unit = {count.end, text.end};
	uint32_t value, factor = is(unit, "ms") ? 1 : is(unit, "s") ? 1000 : is(unit, "m") ? 60 * 1000 : 0;
	if (!number(count, LONGEST, &value) || factor == 0 || value == 0 || value > LONGEST / factor) {
		expected(p, "a time (1ms to 60m)", text);
		if (size(count) && size(unit) == 0)
			return hint(p, "a time has a unit: %.*sms, %.*ss or %.*sm", shown(count), count.at,
				shown(count), count.at, shown(count), count.at);
		return hint(p, "500ms, 2s and 1m are times");
	}
	*milliseconds = value * factor;
	return true;
}

static bool parse_size(struct parser *p, struct span text, uint32_t *bytes)
{
	const uint32_t smallest = 4 << 10, largest = 1 << 30;
	struct span count = digits(text), unit = {count.end, text.end};
	int shift = is(unit, "") ? 0 : is(unit, "K") ? 10 : is(unit, "M") ? 20 : is(unit, "G") ? 30 : -1;
	uint32_t value;
	if (!number(count, largest, &value) || shift < 0 || value > largest >> shift ||
		value << shift < smallest) {
		expected(p, "a size (4K to 1G)", text);
		return hint(p, "65536, 256K and 4M are sizes");
	}
	*bytes = value << shift;
	return true;
}

static bool parse_allow(struct parser *p, struct rule *rule, struct span text)
{
	uint32_t cid;
	if (!cid_parse(text.at, size(text), &cid) || cid == CID_ANY)
		return expected(p, "the CID of a peer (a number, hypervisor, local, host or parent)", text);
	struct input *input = p->input;
	if (rule->allow_count == 0) {
		input->store += -(uintptr_t)input->store % sizeof cid;
		rule->allow = (uint32_t *)input->store;
	}
	*(uint32_t *)input->store = cid;
	input->store += sizeof cid;
	rule->allow_count++;
	return true;
}

static void add_time(struct text *text, uint32_t milliseconds)
{
	bool minutes = milliseconds % 60000 == 0, seconds = milliseconds % 1000 == 0;
	text_add_number(text, milliseconds / (minutes ? 60000 : seconds ? 1000 : 1));
	text_add(text, minutes ? "m" : seconds ? "s" : "ms");
}

static void add_size(struct text *text, uint32_t bytes)
{
	static const char *const units[] = {"", "K", "M", "G"};
	int power = 0;
	while (power < 3 && bytes % 1024 == 0) {
		bytes /= 1024;
		power++;
	}
	text_add_number(text, bytes);
	text_add(text, units[power]);
}

static bool parse_retry(struct parser *p, struct rule *rule, struct span text)
{
	return parse_time(p, text, &rule->retry_ms);
}

static void format_retry(struct text *text, const struct rule *rule)
{
	if (!rule->retry_ms)
		return;
	text_add(text, " retry=");
	add_time(text, rule->retry_ms);
}

static void explain_retry(struct text *text, const struct rule *rule)
{
	if (!rule->retry_ms)
		return;
	text_add(text, "  keeps trying for ");
	text_add_number(text, rule->retry_ms);
	text_add(text, " ms while nobody listens (blocking connects)\n");
}

static bool parse_timeout(struct parser *p, struct rule *rule, struct span text)
{
	return parse_time(p, text, &rule->timeout_ms);
}

static void format_timeout(struct text *text, const struct rule *rule)
{
	if (!rule->timeout_ms)
		return;
	text_add(text, " timeout=");
	add_time(text, rule->timeout_ms);
}

static void explain_timeout(struct text *text, const struct rule *rule)
{
	if (!rule->timeout_ms)
		return;
	text_add(text, "  gives one attempt ");
	text_add_number(text, rule->timeout_ms);
	text_add(text, " ms\n");
}

static bool parse_buffer(struct parser *p, struct rule *rule, struct span text)
{
	return parse_size(p, text, &rule->buffer);
}

static void format_buffer(struct text *text, const struct rule *rule)
{
	if (rule->buffer == BUFFER_DEFAULT)
		return;
	text_add(text, " buffer=");
	add_size(text, rule->buffer);
}

static bool parse_chunk(struct parser *p, struct rule *rule, struct span text)
{
	return parse_size(p, text, &rule->chunk);
}

static void format_chunk(struct text *text, const struct rule *rule)
{
	if (!rule->chunk)
		return;
	text_add(text, " chunk=");
	add_size(text, rule->chunk);
}

static void explain_chunk(struct text *text, const struct rule *rule)
{
	if (!rule->chunk)
		return;
	text_add(text, "  writes at most ");
	text_add_number(text, rule->chunk);
	text_add(text, " bytes at once\n");
}

static void format_allow(struct text *text, const struct rule *rule)
{
	for (uint32_t i = 0; i < rule->allow_count; i++) {
		text_add(text, " allow=");
		text_add_number(text, rule->allow[i]);
	}
}

static void explain_allow(struct text *text, const struct rule *rule)
{
	for (uint32_t i = 0; i < rule->allow_count; i++) {
		text_add(text, i ? ", CID " : "  lets in CID ");
		text_add_number(text, rule->allow[i]);
	}
	if (rule->allow_count)
		text_add(text, " and no other\n");
}

static bool bad_login(struct parser *p, const char *at, const char *path)
{
	fail(p, at, "expected USER:PASSWORD in the first line of %s, each of at most %d bytes", path,
		GREETING_LOGIN);
	return hint(p, "the user has no colon, and the line no blanks at its end");
}

/* The file is read here, so that the program may give up its rights to it. What it holds is in no message. */
static bool parse_login(struct parser *p, struct rule *rule, struct span text)
{
	const char *content, *path = rule->login_path = store_text(p, text);
	size_t length;
	if (*path != '/')
		return expected(p, "the absolute path of a file with USER:PASSWORD", text);
	if (!read_file(p, text.at, path, &content, &length))
		return false;
	const char *newline = length ? memchr(content, '\n', length) : NULL;
	struct span line = {content, newline ? newline : content + length};
	const char *colon = size(line) ? find(line, ':') : NULL;
	if (!colon || colon == line.at || colon - line.at > GREETING_LOGIN ||
		line.end - colon - 1 > GREETING_LOGIN || is_blank(line.end[-1]) ||
		memchr(line.at, 0, size(line)))
		return bad_login(p, text.at, path);
	rule->login = line.at;
	rule->login_length = (uint16_t)size(line);
	return true;
}

static void format_login(struct text *text, const struct rule *rule)
{
	if (!rule->login)
		return;
	text_add(text, " login=");
	text_add(text, rule->login_path);
}

static void explain_login(struct text *text, const struct rule *rule)
{
	if (!rule->login)
		return;
	text_add(text, "  with the user and the password in ");
	text_add(text, rule->login_path);
	text_add(text, "\n");
}

/* A time limit makes sense only for attempts that take time, and a list of CIDs only for peers that have one.
 */
static const struct option {
	const char *name; /* with its = */
	unsigned needs;	  /* properties that the target must have: enum target_property */
	bool sides[2];	  /* by enum side: may rules of that side have it? */
	bool repeats;
	bool (*parse)(struct parser *p, struct rule *rule, struct span text);
	void (*format)(struct text *text, const struct rule *rule);
	void (*explain)(struct text *text, const struct rule *rule); /* NULL: there is nothing to say */
} options[] = {
	{"retry=", TARGET_CARRIED, {true, false}, false, parse_retry, format_retry, explain_retry},
	{"timeout=", TARGET_CARRIED | TARGET_TAKES_TIME, {true, false}, false, parse_timeout, format_timeout,
		explain_timeout},
	{"buffer=", TARGET_CARRIED, {true, true}, false, parse_buffer, format_buffer, NULL},
	{"chunk=", TARGET_CARRIED, {true, true}, false, parse_chunk, format_chunk, explain_chunk},
	{"login=", TARGET_CARRIED | TARGET_LOGS_IN, {true, false}, false, parse_login, format_login,
		explain_login},
	{"allow=", TARGET_CARRIED | TARGET_KNOWS_PEERS, {false, true}, true, parse_allow, format_allow,
		explain_allow},
};
enum { OPTIONS = sizeof options / sizeof *options };

void format_options(struct text *text, const struct rule *rule)
{
	for (int i = 0; i < OPTIONS; i++)
		options[i].format(text, rule);
}

void explain_options(struct text *text, const struct rule *rule)
{
	for (int i = 0; i < OPTIONS; i++)
		if (options[i].explain)
			options[i].explain(text, rule);
}

/* "an option of a connect rule (retry=, timeout= or buffer=)" */
static bool expected_option(struct parser *p, const char *what, bool connect, bool listen, struct span found)
{
	char list[128];
	struct text text = text_in(list, sizeof list);
	int left = 0;
	for (int i = 0; i < OPTIONS; i++)
		left += (connect && options[i].sides[SIDE_CONNECT]) ||
			(listen && options[i].sides[SIDE_LISTEN]);
	text_add(&text, what);
	text_add(&text, " (");
	for (int i = 0; i < OPTIONS; i++) {
		if (!(connect && options[i].sides[SIDE_CONNECT]) &&
			!(listen && options[i].sides[SIDE_LISTEN]))
			continue;
		text_add(&text, options[i].name);
		left--;
		text_add(&text, left > 1 ? ", " : left == 1 ? " or " : ")");
	}
	return expected(p, list, found);
}

static bool bad_option(struct parser *p, struct span text)
{
	expected_option(p, "an option", true, true, text);
	if (*text.at == '#')
		return hint(p, "%s", own_line);
	if (find(text, ':') || find(text, '*') || is(text, "connect") || is(text, "listen") || is(text, ";"))
		return hint(p, "%s", separators);
	return false;
}

static bool parse_option(struct parser *p, struct rule *rule, struct span text, unsigned *seen)
{
	int i = 0;
	while (i < OPTIONS && !begins(text, options[i].name))
		i++;
	if (i == OPTIONS)
		return bad_option(p, text);
	const struct option *option = &options[i];
	if (!option->sides[rule->side])
		return rule->side == SIDE_CONNECT
			       ? expected_option(p, "an option of a connect rule", true, false, text)
			       : expected_option(p, "an option of a listen rule", false, true, text);
	if (!target_has(rule, TARGET_CARRIED))
		return fail(p, text.at,
			"expected the end of the rule: %s does nothing with names, refuse or direct",
			option->name);
	if (!target_has(rule, option->needs))
		return fail(p, text.at, "expected the end of the rule: %s does nothing with a %s: target",
			option->name, target_word(rule));
	if (*seen & 1u << i && !option->repeats)
		return fail(p, text.at, "expected %s only once in a rule", option->name);
	*seen |= 1u << i;
	text.at += strlen(option->name);
	return option->parse(p, rule, text);
}

bool parse_options(struct parser *p, struct rule *rule, struct span text)
{
	unsigned seen = 0;
	for (text = trim(text); size(text); text = trim(text)) {
		struct span option = cut_front(&text, word(text).end);
		if (!parse_option(p, rule, option, &seen))
			return false;
	}
	return true;
}
