/* SPDX-License-Identifier: MIT */
#include "map_parse.h"

#include <errno.h>

/* ---- targets ---- */

static const struct {
	const char *name;
	int error;
} errors[] = {
	{"EACCES", EACCES},
	{"EADDRINUSE", EADDRINUSE},
	{"EADDRNOTAVAIL", EADDRNOTAVAIL},
	{"EAFNOSUPPORT", EAFNOSUPPORT},
	{"ECONNREFUSED", ECONNREFUSED},
	{"ECONNRESET", ECONNRESET},
	{"EHOSTUNREACH", EHOSTUNREACH},
	{"ENETDOWN", ENETDOWN},
	{"ENETUNREACH", ENETUNREACH},
	{"EPERM", EPERM},
	{"ETIMEDOUT", ETIMEDOUT},
};
enum { ERRORS = sizeof errors / sizeof *errors };

const char *refuse_name(int error)
{
	size_t i = 0;
	while (errors[i].error != error)
		i++;
	return errors[i].name;
}

static bool parse_refuse(struct parser *p, struct rule *rule, struct span name)
{
	for (size_t i = 0; i < ERRORS; i++) {
		if (is(name, errors[i].name)) {
			rule->target.error = errors[i].error;
			return true;
		}
	}
	expected(p, "an error", name);
	char list[sizeof p->error->hint];
	struct text names = text_in(list, sizeof list);
	for (size_t i = 0; i < ERRORS; i++) {
		text_add(&names, i ? ", " : "");
		text_add(&names, errors[i].name);
	}
	return hint(p, "one of %s", list);
}

enum { PATH_LIMIT = 107 }; /* what sockaddr_un holds, with a NUL */

static const char port_word[] = "{port}", host_word[] = "{host}";

static bool parse_unix(struct parser *p, struct rule *rule, struct span path)
{
	size_t literal = size(path);
	if (size(path) == 0 || *path.at != '/')
		return expected(p, "an absolute path", path);
	for (const char *at = path.at; (at = find((struct span){at, path.end}, '{')); at++) {
		struct span rest = {at, path.end};
		bool is_host = begins(rest, host_word);
		const char *close = find(rest, '}');
		if (!is_host && !begins(rest, port_word))
			return expected(
				p, "{port} or {host}", (struct span){at, close ? close + 1 : path.end});
		if (is_host && rule->side == SIDE_LISTEN && rule->host.kind == HOST_ANY) {
			fail(p, at, "{host} needs a host in a listen rule: * is bound to no one address");
			return hint(p, "name the host or the address, or leave {host} out");
		}
		rule->target.host_in_path |= is_host;
		literal -= strlen(is_host ? host_word : port_word);
	}
	if (literal > PATH_LIMIT)
		return fail(
			p, path.at, "expected a path of at most %d bytes, found %zu", PATH_LIMIT, literal);
	rule->target.path = store_text(p, path);
	return true;
}

const char *expected_targets(const struct rule *rule)
{
	return rule->side == SIDE_LISTEN ? "CID:PORT, unix:PATH, refuse or direct"
					 : "CID:PORT, unix:PATH, names, refuse or direct";
}

static const char cids[] = "a CID (a number, any, hypervisor, local, host or parent)";

static bool looks_like_ip(struct span target)
{
	struct prefix prefix;
	const char *last = find_last(target, ':');
	return prefix_parse(&prefix, target.at, size(target)) || (size(target) && *target.at == '[') ||
	       (last && prefix_parse(&prefix, target.at, (size_t)(last - target.at)));
}

static bool bad_cid(struct parser *p, const struct rule *rule, struct span cid, struct span target)
{
	static const char *const words[] = {"unix:", "names", "refuse", "direct", "vsock:", "any",
		"hypervisor", "local", "host", "parent"};
	if (looks_like_ip(target)) {
		expected(p, cids, target);
		return hint(p, "vsock has no IP addresses: a target is a CID and a port, such as 3:8443 or "
			       "parent:8443");
	}
	if (cid.end < target.end)
		expected(p, cids, cid);
	else
		expected(p, expected_targets(rule), target);
	if (is(cid, "4294967295") || is(cid, "-1"))
		return hint(p, "that number stands for any CID: write any, in a listen rule");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (begins_any_case(target, words[i]) && !begins(target, words[i]))
			return hint(p, "keywords are in lower case: %s", words[i]);
	return false;
}

static bool parse_target_port(struct parser *p, struct rule *rule, struct span text)
{
	struct target *target = &rule->target;
	if (is(text, "*")) {
		target->keep_port = true;
		return true;
	}
	if (!parse_ports(p, text, 0, PORT_ANY - 1, "a vsock port (0 to 4294967294), n-m or *",
		    &target->port_first, &target->port_last))
		return false;
	if (!find(text, '-'))
		return true;
	if (rule->port_first == 0) {
		expected(p, "one port or * as the target of *", text);
		return hint(p, "* keeps the port");
	}
	uint32_t ports = (uint32_t)rule->port_last - rule->port_first;
	if (target->port_last - target->port_first != ports)
		return fail(p, text.at, "expected %u port%s as in the pattern, found \"%.*s\"", ports + 1,
			ports ? "s" : "", shown(text), text.at);
	return true;
}

static bool parse_cid_target(struct parser *p, struct rule *rule, struct span text)
{
	if (begins(text, "vsock://"))
		text.at += strlen("vsock://");
	else if (begins(text, "vsock:"))
		text.at += strlen("vsock:");
	struct span cid = {text.at, text.at};
	while (cid.end < text.end && *cid.end != ':' && *cid.end != '.')
		cid.end++;
	if (!cid_parse(cid.at, size(cid), &rule->target.cid))
		return bad_cid(p, rule, cid, text);
	if (rule->target.cid == CID_ANY && rule->side == SIDE_CONNECT) {
		expected(p, "the CID to connect to", cid);
		return hint(p, "any is for listen rules");
	}
	if (cid.end == text.end) {
		fail(p, cid.end, "expected \":\" and a vsock port behind the CID");
		return hint(p, "%.*s:* keeps the port", shown(cid), cid.at);
	}
	if (parse_target_port(p, rule, (struct span){cid.end + 1, text.end}))
		return true;
	return looks_like_ip(text) ? bad_cid(p, rule, cid, text) : false;
}

static bool parse_target_words(struct parser *p, struct rule *rule, struct span text)
{
	struct target *target = &rule->target;
	if (begins(text, "unix:")) {
		target->kind = TARGET_UNIX;
		return parse_unix(p, rule, (struct span){text.at + strlen("unix:"), text.end});
	}
	if (is(text, "direct")) {
		target->kind = TARGET_DIRECT;
		return true;
	}
	if (is(text, "names")) {
		target->kind = TARGET_NAMES;
		if (rule->side == SIDE_CONNECT)
			return true;
		expected(p, expected_targets(rule), text);
		return hint(p, "names is for connect rules: it answers as a name server");
	}
	target->kind = TARGET_REFUSE;
	target->error = rule->side == SIDE_LISTEN ? EACCES : ECONNREFUSED;
	if (is(text, "refuse"))
		return true;
	if (begins(text, "refuse:"))
		return parse_refuse(p, rule, (struct span){text.at + strlen("refuse:"), text.end});
	target->kind = TARGET_CID;
	target->error = 0;
	return parse_cid_target(p, rule, text);
}

/* Cuts the target off the front of `text`. */
static bool cut_target(struct parser *p, struct span *text, struct span *target)
{
	if (size(*text) && *text->at == '"') {
		const char *close = memchr(text->at + 1, '"', size(*text) - 1);
		*target = cut_front(text, close + 1);
		target->at++;
		target->end--;
		if (size(*text) && !is_blank(*text->at))
			return expected(p, "a blank or the end of the rule behind the quotes", *text);
		return true;
	}
	*target = cut_front(text, word(*text).end);
	const char *semicolon = find(*target, ';'), *equals = find(*target, '='), *quote = find(*target, '"');
	if (semicolon && (equals || !begins(*target, "unix:"))) {
		expected(p, "a comma or the end of the rule", (struct span){semicolon, semicolon + 1});
		return hint(p, "%s", separators);
	}
	if (quote) {
		expected(p, "quotes around the whole target", (struct span){quote, target->end});
		return hint(p, "such as \"unix:/run/a b\"");
	}
	if (equals) {
		expected(p, "a target without \"=\"", *target);
		return hint(p, "%s; a target that holds \"=\" stands in quotes", separators);
	}
	return true;
}

bool parse_target(struct parser *p, struct rule *rule, struct span *text)
{
	struct span target;
	return cut_target(p, text, &target) && parse_target_words(p, rule, target);
}

/* ---- options ---- */

enum { RETRY, TIMEOUT, BUFFER, ALLOW, OPTIONS };

static const struct {
	const char *name; /* with its = */
	bool connect, listen, to_unix;
} options[OPTIONS] = {
	[RETRY] = {"retry=", true, false, true},
	[TIMEOUT] = {"timeout=", true, false, false},
	[BUFFER] = {"buffer=", true, true, true},
	[ALLOW] = {"allow=", false, true, false},
};

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

static bool bad_option(struct parser *p, struct span text)
{
	expected(p, "an option (retry=, timeout=, buffer= or allow=)", text);
	if (*text.at == '#')
		return hint(p, "%s", own_line);
	if (find(text, ':') || find(text, '*') || is(text, "connect") || is(text, "listen") || is(text, ";"))
		return hint(p, "%s", separators);
	return false;
}

static bool parse_option(struct parser *p, struct rule *rule, struct span text, unsigned *seen)
{
	int option = 0;
	while (option < OPTIONS && !begins(text, options[option].name))
		option++;
	if (option == OPTIONS)
		return bad_option(p, text);
	const char *name = options[option].name;
	if (rule->side == SIDE_CONNECT ? !options[option].connect : !options[option].listen)
		return expected(p,
			rule->side == SIDE_CONNECT
				? "an option of a connect rule (retry=, timeout= or buffer=)"
				: "an option of a listen rule (buffer= or allow=)",
			text);
	if (rule->target.kind != TARGET_CID && rule->target.kind != TARGET_UNIX)
		return fail(p, text.at,
			"expected the end of the rule: %s does nothing with names, refuse or direct", name);
	if (rule->target.kind == TARGET_UNIX && !options[option].to_unix)
		return fail(p, text.at, "expected the end of the rule: %s does nothing with a unix: target",
			name);
	if (*seen & 1u << option && option != ALLOW)
		return fail(p, text.at, "expected %s only once in a rule", name);
	*seen |= 1u << option;
	text.at += strlen(name);
	switch (option) {
	case RETRY:
		return parse_time(p, text, &rule->retry_ms);
	case TIMEOUT:
		return parse_time(p, text, &rule->timeout_ms);
	case BUFFER:
		return parse_size(p, text, &rule->buffer);
	default:
		return parse_allow(p, rule, text);
	}
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
