/* SPDX-License-Identifier: MIT */
#include "map_parse.h"

/* ---- ports ---- */

static const struct {
	const char *name;
	unsigned port;
} services[] = {
	{"amqp", 5672},
	{"dns", 53},
	{"domain", 53},
	{"ftp", 21},
	{"http", 80},
	{"https", 443},
	{"imap", 143},
	{"imaps", 993},
	{"kafka", 9092},
	{"ldap", 389},
	{"ldaps", 636},
	{"memcached", 11211},
	{"mongodb", 27017},
	{"mqtt", 1883},
	{"mysql", 3306},
	{"ntp", 123},
	{"postgres", 5432},
	{"postgresql", 5432},
	{"redis", 6379},
	{"smtp", 25},
	{"ssh", 22},
	{"telnet", 23},
};

static bool port_hint(struct parser *p, struct span found)
{
	for (size_t i = 0; i < sizeof services / sizeof *services; i++)
		if (size(found) == strlen(services[i].name) && begins_any_case(found, services[i].name))
			return hint(p, "ports are numbers: %s is %u", services[i].name, services[i].port);
	if (find(found, ';'))
		return hint(p, "%s", separators);
	return false;
}

static bool parse_port(
	struct parser *p, struct span text, uint32_t least, uint32_t most, const char *what, uint32_t *port)
{
	if (number(text, most, port) && *port >= least)
		return true;
	expected(p, what, text);
	return port_hint(p, text);
}

bool parse_ports(struct parser *p, struct span text, uint32_t least, uint32_t most, const char *what,
	uint32_t *first, uint32_t *last)
{
	const char *dash = find(text, '-');
	struct span low = {text.at, dash ? dash : text.end}, high = {dash ? dash + 1 : text.at, text.end};
	if (!parse_port(p, low, least, most, what, first))
		return false;
	*last = *first;
	if (dash && !parse_port(p, high, least, most, what, last))
		return false;
	if (*last < *first)
		return expected(p, "a range that doesn't end below its first port", text);
	return true;
}

static bool parse_pattern_port(struct parser *p, struct rule *rule, struct span text)
{
	uint32_t first, last;
	if (is(text, "*")) {
		rule->port_first = 0;
		rule->port_last = UINT16_MAX;
		return true;
	}
	if (!parse_ports(p, text, 1, UINT16_MAX, "a port (1 to 65535), n-m or *", &first, &last))
		return is(text, "0") ? hint(p, "port 0 asks for any free port; only * takes it") : false;
	rule->port_first = (uint16_t)first;
	rule->port_last = (uint16_t)last;
	return true;
}

/* ---- hosts ---- */

static const char name_characters[] = "letters, digits, \"-\", \"_\" and \".\" in a host name";

static bool bad_character(struct parser *p, struct span character)
{
	expected(p, name_characters, character);
	switch (*character.at) {
	case '*':
		return hint(p, "* stands alone, or for whole labels in front: *.example.com");
	case ';':
		return hint(p, "%s", separators);
	case '#':
		return hint(p, "%s", own_line);
	}
	if ((unsigned char)*character.at >= 0x80)
		return hint(p, "write an international name in its xn-- form (punycode)");
	return false;
}

/* Reports what name_normalize() rejected. */
static bool bad_name(struct parser *p, struct span name)
{
	const char *label = name.at;
	for (const char *at = name.at; at < name.end; at++) {
		struct span character = {at, at + 1};
		while (character.end < name.end && is_continuation(*character.end))
			character.end++;
		if (*at == '.' && at == label)
			return expected(p, "a label of a host name", character);
		if (*at == '.')
			label = at + 1;
		else if (!name_character(*at))
			return bad_character(p, character);
		if (at - label >= LABEL_LIMIT)
			return fail(
				p, label, "expected labels of at most %d bytes in a host name", LABEL_LIMIT);
	}
	if (size(name) > NAME_LIMIT)
		return fail(p, name.at, "expected a host name of at most %d bytes, found %zu", NAME_LIMIT,
			size(name));
	return expected(p, "a host name", (struct span){name.end, name.end});
}

static bool parse_name(struct parser *p, struct rule *rule, struct span text)
{
	struct span name = text;
	bool glob = begins(text, "*.");
	if (glob)
		name.at += 2;
	char lower[NAME_TEXT];
	size_t length = name_normalize(lower, name.at, size(name));
	if (length == 0)
		return bad_name(p, name);
	if (name_is_numeric(lower, length))
		return expected(
			p, "an IPv4 address (four numbers, 0 to 255, no leading zeros) or a name", text);
	if (!glob && strcmp(lower, "localhost") == 0) {
		rule->host.kind = HOST_LOCALHOST;
		return true;
	}
	rule->host.kind = glob ? HOST_SUFFIX : HOST_NAME;
	rule->host.name = store_text(p, (struct span){lower, lower + length});
	rule->host.name_length = (uint8_t)length;
	return true;
}

static bool check_reserved(struct parser *p, const struct prefix *prefix, struct span text)
{
	const struct ranges *ranges = &p->map->ranges;
	const struct {
		const struct prefix *range;
		const char *use, *variable;
	} reserved[] = {
		{&ranges->peers, "peers are shown as", "IP2VSOCK_PEERS"},
		{&ranges->names, "names resolve to", "IP2VSOCK_NAMES"},
		{&ranges->peers6, "peers are shown as", NULL},
		{&ranges->names6, "names resolve to", NULL},
	};
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
		if (!prefix_overlaps(prefix, reserved[i].range))
			continue;
		char range[PREFIX_TEXT];
		prefix_format(reserved[i].range, range, sizeof range);
		fail(p, text.at, "expected addresses outside %s (what %s), found \"%.*s\"", range,
			reserved[i].use, shown(text), text.at);
		if (reserved[i].variable)
			return hint(p, "for every address write *; %s=PREFIX moves that range",
				reserved[i].variable);
		return hint(p, "for every address write *");
	}
	return true;
}

/* `bits` is what follows a slash, at NULL if there is none; `text` is the whole. */
static bool parse_prefix(
	struct parser *p, struct rule *rule, struct span ip, struct span bits, struct span text)
{
	struct prefix *prefix = &rule->host.prefix, masked;
	bool is_ipv6 = find(ip, ':');
	uint32_t most = is_ipv6 ? 128 : 32, length = most;
	rule->host.kind = HOST_PREFIX;
	if (find(ip, '/') || !prefix_parse(prefix, ip.at, size(ip))) {
		expected(p,
			is_ipv6 ? "an IPv6 address"
				: "an IPv4 address (four numbers, 0 to 255, no leading zeros)",
			ip);
		return find(ip, '%') ? hint(p, "an address of the map has no zone") : false;
	}
	if (bits.at && !number(bits, most, &length))
		return expected(
			p, is_ipv6 ? "a prefix length (0 to 128)" : "a prefix length (0 to 32)", bits);
	prefix->length = (uint8_t)(128 - most + length);
	masked = *prefix;
	prefix_mask(&masked);
	if (memcmp(masked.ip, prefix->ip, sizeof masked.ip) != 0) {
		char network[ADDRESS_TEXT];
		struct address address = {.port = 0};
		memcpy(address.ip, masked.ip, sizeof address.ip);
		address_format(&address, network, sizeof network);
		expected(p, "no bits set beyond the prefix length", text);
		return hint(p, is_ipv6 ? "the network is [%s]/%u" : "the network is %s/%u", network, length);
	}
	return check_reserved(p, prefix, text);
}

static const char port_after[] = "\":\" and a port after the host";

/* [::1], [fd00::/8], [fd00::]/8. */
static bool parse_bracketed(struct parser *p, struct rule *rule, struct span text)
{
	const char *close = find(text, ']');
	if (!close)
		return expected(p, "an IPv6 address and \"]\"", text);
	struct span inside = {text.at + 1, close}, after = {close + 1, text.end}, bits = {NULL, NULL};
	const char *slash = find(inside, '/');
	if (size(after) && (slash || *after.at != '/'))
		return expected(p, port_after, after);
	if (!find(inside, ':')) {
		expected(p, "an IPv6 address in brackets", inside);
		return hint(p, "only IPv6 addresses are in brackets");
	}
	if (slash) {
		bits = (struct span){slash + 1, close};
		inside.end = slash;
	} else if (size(after)) {
		bits = (struct span){after.at + 1, after.end};
	}
	return parse_prefix(p, rule, inside, bits, text);
}

static bool parse_host(struct parser *p, struct rule *rule, struct span text)
{
	if (size(text) == 0 || is(text, "*")) {
		rule->host.kind = HOST_ANY;
		return true;
	}
	if (*text.at == '[')
		return parse_bracketed(p, rule, text);
	const char *slash = find(text, '/');
	struct span ip = {text.at, slash ? slash : text.end}, bits = {slash ? slash + 1 : NULL, text.end};
	if (*text.at != '.' && name_is_numeric(ip.at, size(ip)))
		return parse_prefix(p, rule, ip, bits, text);
	if (slash) {
		expected(p, port_after, (struct span){slash, text.end});
		return hint(p, "only an IP address takes a /length");
	}
	return parse_name(p, rule, text);
}

/* ---- patterns ---- */

bool is_bare_port(struct span text)
{
	if (is(text, "*"))
		return true;
	for (const char *at = text.at; at < text.end; at++)
		if (*at != '-' && (*at < '0' || *at > '9'))
			return false;
	return *text.at != '-';
}

/* Mistakes for which another message would be misleading. */
static bool check_colons(struct parser *p, struct span text)
{
	struct prefix prefix;
	const char *first = find(text, ':'), *last = find_last(text, ':');
	if (first == last)
		return true;
	if (last - first >= 1 && text.end - first >= 3 && memcmp(first, "://", 3) == 0) {
		expected(p, "HOST:PORT", text);
		return hint(p, "a rule names a host, not a URL: leave out %.*s://", (int)(first - text.at),
			text.at);
	}
	if (prefix_parse(&prefix, text.at, (size_t)(last - text.at))) {
		expected(p, "brackets around an IPv6 address", text);
		return hint(
			p, "write [%.*s]%.*s", (int)(last - text.at), text.at, (int)(text.end - last), last);
	}
	if (prefix_parse(&prefix, text.at, size(text))) {
		expected(p, "brackets around an IPv6 address", text);
		return hint(p, "write [%.*s]:PORT", (int)size(text), text.at);
	}
	return true;
}

static const char *find_host_end(struct span text)
{
	struct span rest = text;
	const char *close = NULL;
	if (*text.at == '"')
		return (const char *)memchr(text.at + 1, '"', size(text) - 1) + 1;
	if (*text.at == '[')
		close = find(text, ']');
	if (close)
		rest.at = close;
	const char *colon = find(rest, ':');
	return colon ? colon : text.end;
}

/* HOST:PORT, or PORT alone. */
bool parse_pattern(struct parser *p, struct rule *rule, struct span text)
{
	if (size(text) == 0)
		return expected(p, "HOST:PORT", text);
	if (is_bare_port(text)) {
		rule->host.kind = HOST_ANY;
		return parse_pattern_port(p, rule, text);
	}
	if (*text.at != '[' && *text.at != '"' && !check_colons(p, text))
		return false;
	struct span rest = text, host = cut_front(&rest, find_host_end(text));
	if (*host.at == '"')
		host = (struct span){host.at + 1, host.end - 1};
	if (!parse_host(p, rule, host))
		return false;
	if (size(rest) == 0) {
		fail(p, rest.at, "expected %s", port_after);
		return hint(p, "%.*s:* stands for every port", shown(text), text.at);
	}
	if (*rest.at != ':')
		return expected(p, port_after, rest);
	rest.at++;
	return parse_pattern_port(p, rule, rest);
}
