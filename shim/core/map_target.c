/* SPDX-License-Identifier: MIT */
/* The kinds of target: each is a row of the table. */
#include "map_parse.h"

#include <errno.h>

enum argument { NONE, OPTIONAL, NEEDED }; /* behind the word and a colon */

struct kind {
	const char *word;  /* NULL: the target begins otherwise */
	const char *usage; /* in messages */
	enum argument argument;
	bool sides[2];		     /* enum side: the rules that may have it */
	const char *wrong_side;	     /* the hint for one that may not */
	unsigned properties;	     /* enum target_property */
	enum greeting_kind greeting; /* of connections that a rule makes */
	/* argument.at is NULL where there is none. NULL: nothing to parse. */
	bool (*parse)(struct parser *p, struct rule *rule, struct span argument);
	void (*format)(struct text *text, const struct rule *rule); /* NULL: the word is all */
	/* What --explain says, in whole lines. */
	void (*explain)(struct text *text, const struct rule *rule, const struct asked *asked);
};

enum { KINDS = TARGET_KINDS };
static const struct kind kinds[KINDS];

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

static bool parse_refuse(struct parser *p, struct rule *rule, struct span name)
{
	rule->target.error = rule->side == SIDE_LISTEN ? EACCES : ECONNREFUSED;
	if (!name.at)
		return true;
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

static void format_refuse(struct text *text, const struct rule *rule)
{
	size_t i = 0;
	while (errors[i].error != rule->target.error)
		i++;
	text_add(text, "refuse:");
	text_add(text, errors[i].name);
}

static void explain_refuse(struct text *text, const struct rule *rule, const struct asked *asked)
{
	(void)asked;
	text_add(text, "  fails: ");
	text_add(text, strerror(rule->target.error));
	text_add(text, "\n");
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
		rule->target.needs_host |= is_host;
		literal -= strlen(is_host ? host_word : port_word);
	}
	if (literal > PATH_LIMIT)
		return fail(
			p, path.at, "expected a path of at most %d bytes, found %zu", PATH_LIMIT, literal);
	rule->target.path = store_text(p, path);
	return true;
}

/* Around a whole target; NULL: it has no path. */
static const char *quote_for(const char *path)
{
	return path && path[strcspn(path, " \t,=")] ? "\"" : "";
}

static void format_unix(struct text *text, const struct rule *rule)
{
	const char *path = rule->target.path, *quote = quote_for(path);
	text_add(text, quote);
	text_add(text, "unix:");
	text_add(text, path);
	text_add(text, quote);
}

/* Where a program gets by the rule: a listen rule that a connection ends at is this machine's own listener.
 */
static const char *way(const struct rule *rule, const struct asked *asked)
{
	if (asked->side == SIDE_LISTEN)
		return "  listens on ";
	return rule->side == SIDE_LISTEN ? "  goes to this machine's own listener, " : "  goes to ";
}

static void explain_unix(struct text *text, const struct rule *rule, const struct asked *asked)
{
	char path[PATH_LIMIT + 1];
	if (!rule_path(rule, asked->host, asked->port, path)) {
		text_add(text, "  fails: the Unix socket's path is longer than 107 bytes, or the host holds "
			       "a slash\n");
		return;
	}
	text_add(text, way(rule, asked));
	text_add(text, "the Unix socket ");
	text_add(text, path);
	text_add(text, "\n");
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
	static const char *const words[] = {"vsock:", "any", "hypervisor", "local", "host", "parent"};
	if (looks_like_ip(target)) {
		expected(p, cids, target);
		return hint(p, "vsock has no IP addresses: a target is a CID and a port, such as 3:8443 or "
			       "parent:8443");
	}
	if (cid.end < target.end)
		expected(p, cids, cid);
	else
		expected_target(p, rule, target);
	if (is(cid, "4294967295") || is(cid, "-1"))
		return hint(p, "that number stands for any CID: write any, in a listen rule");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (begins_any_case(target, words[i]) && !begins(target, words[i]))
			return hint(p, "keywords are in lower case: %s", words[i]);
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].word && begins_any_case(target, kinds[i].word) && !begins(target, kinds[i].word))
			return hint(p, "keywords are in lower case: %s%s", kinds[i].word,
				kinds[i].argument == NEEDED ? ":" : "");
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

static const char listen_suffix[] = "_{port}";

/* PATH:PORT to connect, and PATH alone to listen: there the virtual machine's monitor adds "_PORT". */
static bool parse_firecracker(struct parser *p, struct rule *rule, struct span text)
{
	const char *colon = rule->side == SIDE_CONNECT ? find_last(text, ':') : NULL;
	struct span path = {text.at, colon ? colon : text.end};
	if (rule->side == SIDE_CONNECT && !colon) {
		expected(p, "\":\" and a vsock port behind the path", (struct span){text.end, text.end});
		return hint(p, "such as firecracker:/run/v.sock:52");
	}
	if (!parse_unix(p, rule, path))
		return false;
	if (colon)
		return parse_target_port(p, rule, (struct span){colon + 1, text.end});
	if (size(path) + strlen("_65535") > PATH_LIMIT)
		return fail(p, path.at,
			"expected a path of at most %zu bytes, to which _PORT is added, found %zu",
			PATH_LIMIT - strlen("_65535"), size(path));
	p->input->store--; /* the NUL */
	store_text(p, (struct span){listen_suffix, listen_suffix + strlen(listen_suffix)});
	return true;
}

static void add_ports(struct text *text, const struct target *target)
{
	if (target->keep_port) {
		text_add(text, "*");
		return;
	}
	text_add_number(text, target->port_first);
	if (target->port_last == target->port_first)
		return;
	text_add(text, "-");
	text_add_number(text, target->port_last);
}

static void format_firecracker(struct text *text, const struct rule *rule)
{
	const char *path = rule->target.path, *quote = quote_for(path);
	size_t length = strlen(path);
	if (rule->side == SIDE_LISTEN)
		length -= strlen(listen_suffix);
	text_add(text, quote);
	text_add(text, "firecracker:");
	text_add_bytes(text, path, length);
	if (rule->side == SIDE_CONNECT) {
		text_add(text, ":");
		add_ports(text, &rule->target);
	}
	text_add(text, quote);
}

static void explain_firecracker(struct text *text, const struct rule *rule, const struct asked *asked)
{
	explain_unix(text, rule, asked);
	if (rule->side == SIDE_LISTEN) {
		text_add(text, "  which virtual machines reach at CID 2, port ");
		text_add_number(text, asked->port);
		text_add(text, "\n");
		return;
	}
	text_add(text, "  and from there to vsock port ");
	text_add_number(text, rule_port(rule, asked->port));
	text_add(text, " of the virtual machine\n");
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

static void format_cid(struct text *text, const struct rule *rule)
{
	const struct target *target = &rule->target;
	char endpoint[ENDPOINT_TEXT];
	endpoint_format(&(struct endpoint){target->cid, target->keep_port ? PORT_ANY : target->port_first},
		endpoint, sizeof endpoint);
	text_add(text, endpoint);
	if (!target->keep_port && target->port_last != target->port_first) {
		text_add(text, "-");
		text_add_number(text, target->port_last);
	}
}

static void add_emulated(struct text *text, uint32_t cid, uint32_t port, const struct asked *asked)
{
	text_add(text, port == PORT_ANY ? ", emulated: a Unix socket in " : ", emulated: the Unix socket ");
	text_add(text, asked->emulated);
	if (port != PORT_ANY) {
		text_add(text, "/");
		text_add_number(text, cid == CID_ANY || cid == CID_LOCAL ? asked->own_cid : cid);
		text_add(text, ".");
		text_add_number(text, port);
	}
}

static void explain_cid(struct text *text, const struct rule *rule, const struct asked *asked)
{
	uint32_t port = rule_port(rule, asked->port), cid = rule->target.cid;
	if (cid == CID_ANY && asked->side == SIDE_CONNECT)
		cid = CID_LOCAL;
	text_add(text, way(rule, asked));
	text_add(text, cid == CID_ANY ? "any CID of this machine, " : "CID ");
	if (cid != CID_ANY) {
		text_add_number(text, cid);
		text_add(text, ", ");
	}
	text_add(text, port == PORT_ANY ? "any free port" : "port ");
	if (port != PORT_ANY)
		text_add_number(text, port);
	if (asked->emulated)
		add_emulated(text, cid, port, asked);
	else
		text_add(text, ", over AF_VSOCK");
	text_add(text, "\n");
}

/* CID:PORT or unix:PATH: where the proxy is. */
static bool parse_proxy(struct parser *p, struct rule *rule, struct span text)
{
	static const char unix_word[] = "unix:";
	bool good = begins(text, unix_word)
			    ? parse_unix(p, rule, (struct span){text.at + strlen(unix_word), text.end})
			    : parse_cid_target(p, rule, text);
	if (good && (rule->target.keep_port || rule->target.port_first != rule->target.port_last)) {
		const char *colon = find_last(text, ':');
		expected(p, "the proxy's own port", (struct span){colon + 1, text.end});
		return hint(p, "the port that the program asks for is what the proxy is asked for");
	}
	rule->target.needs_host = true;
	return good;
}

static void format_proxy(struct text *text, const struct rule *rule)
{
	const char *path = rule->target.path, *quote = quote_for(path);
	text_add(text, quote);
	text_add(text, target_word(rule));
	text_add(text, path ? ":unix:" : ":");
	if (path)
		text_add(text, path);
	else
		format_cid(text, rule);
	text_add(text, quote);
}

static void explain_proxy(struct text *text, const struct rule *rule, const struct asked *asked)
{
	if (rule->target.path)
		explain_unix(text, rule, asked);
	else
		explain_cid(text, rule, asked);
	text_add(text, "  and from there, by a ");
	text_add(text, rule->target.kind == TARGET_HTTP ? "CONNECT of HTTP" : "SOCKS5 proxy");
	text_add(text, ", to ");
	text_add(text, asked->host);
	text_add(text, ", port ");
	text_add_number(text, asked->port);
	text_add(text, "\n");
}

static void explain_names(struct text *text, const struct rule *rule, const struct asked *asked)
{
	(void)rule;
	(void)asked;
	text_add(text, "  is answered as by a name server, over TCP and UDP, with the names of this map\n");
}

static void explain_direct(struct text *text, const struct rule *rule, const struct asked *asked)
{
	(void)rule;
	(void)asked;
	text_add(text, "  left to IP\n");
}

enum {
	PROXY_PROPERTIES =
		TARGET_LEADS | TARGET_CARRIED | TARGET_TAKES_TIME | TARGET_LOGS_IN | TARGET_TAKES_NAMES
};
static const char proxies_connect[] = "proxies are for connect rules: they carry connections out";

/* In the order in which messages name them. What isn't a word is a CID. */
static const struct kind kinds[KINDS] = {
	[TARGET_CID] = {NULL, "CID:PORT", NONE, {true, true}, NULL,
		TARGET_LEADS | TARGET_CARRIED | TARGET_TAKES_TIME | TARGET_KNOWS_PEERS, GREETING_NONE,
		parse_cid_target, format_cid, explain_cid},
	[TARGET_UNIX] = {"unix", "unix:PATH", NEEDED, {true, true}, NULL,
		TARGET_LEADS | TARGET_CARRIED | TARGET_TAKES_TIME, GREETING_NONE, parse_unix, format_unix,
		explain_unix},
	[TARGET_FIRECRACKER] = {"firecracker", "firecracker:PATH", NEEDED, {true, true}, NULL,
		TARGET_LEADS | TARGET_CARRIED | TARGET_TAKES_TIME | TARGET_FROM_AFAR, GREETING_FIRECRACKER,
		parse_firecracker, format_firecracker, explain_firecracker},
	[TARGET_SOCKS5] = {"socks5", "socks5:CID:PORT", NEEDED, {true, false}, proxies_connect,
		PROXY_PROPERTIES, GREETING_SOCKS5, parse_proxy, format_proxy, explain_proxy},
	[TARGET_HTTP] = {"http", "http:CID:PORT", NEEDED, {true, false}, proxies_connect, PROXY_PROPERTIES,
		GREETING_HTTP, parse_proxy, format_proxy, explain_proxy},
	[TARGET_NAMES] = {"names", "names", NONE, {true, false},
		"names is for connect rules: it answers as a name server", TARGET_LEADS, GREETING_NONE, NULL,
		NULL, explain_names},
	[TARGET_REFUSE] = {"refuse", "refuse", OPTIONAL, {true, true}, NULL, 0, GREETING_NONE, parse_refuse,
		format_refuse, explain_refuse},
	[TARGET_DIRECT] = {"direct", "direct", NONE, {true, true}, NULL, 0, GREETING_NONE, NULL, NULL,
		explain_direct},
};

bool target_has(const struct rule *rule, unsigned properties)
{
	return (kinds[rule->target.kind].properties & properties) == properties;
}

bool target_has_cid(const struct rule *rule)
{
	return target_has(rule, TARGET_CARRIED) && !rule->target.path;
}

enum greeting_kind target_greeting(const struct rule *rule)
{
	return rule->side == SIDE_CONNECT ? kinds[rule->target.kind].greeting : GREETING_NONE;
}

const char *target_word(const struct rule *rule)
{
	return kinds[rule->target.kind].word;
}

void format_target(struct text *text, const struct rule *rule)
{
	const struct kind *kind = &kinds[rule->target.kind];
	if (kind->format)
		kind->format(text, rule);
	else
		text_add(text, kind->word);
}

size_t rule_explain(const struct rule *rule, const struct asked *asked, char *to, size_t size)
{
	struct text text = text_in(to, size);
	kinds[rule->target.kind].explain(&text, rule, asked);
	explain_options(&text, rule);
	return text.length;
}

/* "CID:PORT, unix:PATH, refuse or direct" */
bool expected_target(struct parser *p, const struct rule *rule, struct span found)
{
	char list[128];
	struct text text = text_in(list, sizeof list);
	int left = 0;
	for (int i = 0; i < KINDS; i++)
		left += kinds[i].sides[rule->side];
	for (int i = 0; i < KINDS; i++) {
		if (!kinds[i].sides[rule->side])
			continue;
		text_add(&text, kinds[i].usage);
		left--;
		text_add(&text, left > 1 ? ", " : left == 1 ? " or " : "");
	}
	return expected(p, list, found);
}

/* argument: what stands behind the word and its colon. */
static bool is_of_kind(struct span text, const struct kind *kind, struct span *argument)
{
	*argument = (struct span){NULL, NULL};
	if (!kind->word || !begins(text, kind->word))
		return false;
	const char *end = text.at + strlen(kind->word);
	if (end == text.end)
		return kind->argument != NEEDED;
	*argument = (struct span){end + 1, text.end};
	return *end == ':' && kind->argument != NONE;
}

static bool parse_target_words(struct parser *p, struct rule *rule, struct span text)
{
	struct span argument;
	int i = 0;
	while (i < KINDS && !is_of_kind(text, &kinds[i], &argument))
		i++;
	if (i == KINDS) {
		rule->target.kind = TARGET_CID;
		return parse_cid_target(p, rule, text);
	}
	rule->target.kind = (enum target_kind)i;
	if (!kinds[i].sides[rule->side]) {
		expected_target(p, rule, text);
		return hint(p, "%s", kinds[i].wrong_side);
	}
	return !kinds[i].parse || kinds[i].parse(p, rule, argument);
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
