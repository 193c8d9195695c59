/* SPDX-License-Identifier: MIT */
/* The map's text, and what is looked up in it. What holds of every text:
 *
 *  - a mistake is reported with a place that lies in it, in words without control characters;
 *  - a rule, formatted and parsed again, is the same rule;
 *  - a look-up answers what going through the rules one by one answers, by address and by name;
 *  - a rule that is said to be shadowed decides nothing;
 *  - the address that a name resolves to is decided by the rule that decides the name.
 *
 * The first byte of the input says which allocation fails (0: none) and how large the range of names is, the
 * others are the map. */
// sources: shim/core/endpoint.c shim/core/map*.c shim/core/text.c
// length: 300
// executions: 300000
#include "../../shim/core/names.c" /* included, so that its table can be emptied */

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include <sanitizer/asan_interface.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* ---- what a map is built with ---- */

/* Much faster than calloc(), and what lies between two blocks is poisoned all the same. */
static _Alignas(16) char arena[4 << 20];
static size_t arena_used;
static unsigned failing; /* the allocation that fails; 0: none */
static struct ranges ranges;
static bool dynamic_names; /* the table of names isn't empty */

static void *allocate(void *context, size_t size)
{
	enum { GAP = 16 };
	(void)context;
	size_t whole = (size + GAP - 1) / GAP * GAP + GAP;
	if ((failing && --failing == 0) || whole > sizeof arena - arena_used)
		return NULL;
	char *block = arena + arena_used;
	arena_used += whole;
	ASAN_UNPOISON_MEMORY_REGION(block, size);
	return memset(block, 0, size);
}

static void free_all(void)
{
	ASAN_POISON_MEMORY_REGION(arena, arena_used ? arena_used : sizeof arena);
	arena_used = 0;
	if (dynamic_names)
		memset(marks, 0, sizeof marks);
	dynamic_names = false;
}

static int read_file(void *context, const char *path, const char **text, size_t *length)
{
	static const char rules[] = "in.file:1-9=4:1-9\n# no more\r\n\t*.in.file:*=unix:/{host}\n",
			  nested[] = "@/rules", wrong[] = "a:1=3:1\nb:1=b:1";
	static const struct {
		const char *path, *text;
		size_t length;
		int error;
	} files[] = {
		{"/rules", rules, sizeof rules - 1, 0},
		{"/nested", nested, sizeof nested - 1, 0},
		{"/wrong", wrong, sizeof wrong - 1, 0},
		{"/empty", "", 0, 0},
		{"/much", rules, MAP_TEXT_LIMIT, 0}, /* too much with what names it, so none of it is read */
		{"/large", NULL, 0, EFBIG},
		{"/fifo", NULL, 0, EINVAL},
	};
	(void)context;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		if (strcmp(path, files[i].path) == 0) {
			*text = files[i].text;
			*length = files[i].length;
			return files[i].error;
		}
	}
	return ENOENT;
}

static const struct map_source source = {allocate, read_file, NULL};

/* ---- the mistakes ---- */

static void check_error(const struct map_error *error, size_t length)
{
	char message[2048];
	size_t found = map_error_format(error, message, sizeof message);
	assert(found == strlen(message) && found + 1 < sizeof message && message[found - 1] == '\n');
	assert(strncmp(message, "ip2vsock: ", 10) == 0 && error->what[0]);
	for (const char *at = message; *at; at++)
		assert((unsigned char)*at >= ' ' || *at == '\n' || *at == '\t');
	assert(error->caret <= strlen(error->line_text));
	if (error->line && error->source[0] != '/')
		assert(error->line <= length + 1 && error->column >= 1 && error->column <= length + 1);
}

/* ---- a rule's text ---- */

static void check_same_target(const struct target *a, const struct target *b)
{
	assert(a->kind == b->kind && a->cid == b->cid && a->keep_port == b->keep_port);
	assert(a->port_first == b->port_first && a->port_last == b->port_last);
	assert(a->error == b->error && a->needs_host == b->needs_host);
	assert(!a->path == !b->path && (!a->path || strcmp(a->path, b->path) == 0));
}

static void check_same_rule(const struct rule *a, const struct rule *b)
{
	assert(a->side == b->side && a->host.kind == b->host.kind);
	assert(a->port_first == b->port_first && a->port_last == b->port_last);
	assert(a->host.prefix.length == b->host.prefix.length);
	assert(memcmp(a->host.prefix.ip, b->host.prefix.ip, sizeof a->host.prefix.ip) == 0);
	assert(!a->host.name == !b->host.name && (!a->host.name || strcmp(a->host.name, b->host.name) == 0));
	check_same_target(&a->target, &b->target);
	assert(a->retry_ms == b->retry_ms && a->timeout_ms == b->timeout_ms && a->buffer == b->buffer);
	assert(a->allow_count == b->allow_count);
	for (uint32_t i = 0; i < a->allow_count; i++)
		assert(a->allow[i] == b->allow[i]);
}

static void check_texts(const struct map *map)
{
	static char text[64 << 10];
	size_t used = 0;
	struct map_error error;
	for (uint32_t i = 0; i < map_count(map); i++) {
		size_t length = rule_format(map_rule(map, i), text + used, sizeof text - used);
		assert(length == strlen(text + used));
		if (used + length + 2 >= sizeof text)
			return;
		used += length;
		text[used++] = '\n';
	}
	const struct map *again = map_build("again", text, used, &ranges, &source, &error);
	if (!again && strcmp(error.what, "out of memory") == 0)
		return;
	assert(again && map_count(again) == map_count(map));
	for (uint32_t i = 0; i < map_count(map); i++) {
		const struct rule *rule = map_rule(map, i);
		check_same_rule(rule, map_rule(again, i));
		assert(rule->number == i + 1 && rule->line && rule->column);
	}
}

/* ---- look-ups, one rule after the other ---- */

static bool takes_port(const struct rule *rule, uint16_t port)
{
	return port >= rule->port_first && port <= rule->port_last;
}

static bool in_prefix(const struct prefix *prefix, const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	for (unsigned bit = 0; bit < prefix->length; bit++)
		if ((prefix->ip[bit / 8] ^ ip[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return prefix->length >= 96 || memcmp(ip, mapped, sizeof mapped) != 0;
}

static bool takes_ip(const struct rule *rule, const uint8_t ip[16])
{
	static const struct prefix loop4 = {{[10] = 0xff, 0xff, 127}, 104}, loop6 = {{[15] = 1}, 128};
	switch (rule->host.kind) {
	case HOST_ANY:
		return true;
	case HOST_PREFIX:
		return in_prefix(&rule->host.prefix, ip);
	case HOST_LOCALHOST:
		return in_prefix(&loop4, ip) || in_prefix(&loop6, ip);
	default:
		return false;
	}
}

/* `name` in lower case, without a final dot. */
static bool takes_name(const struct rule *rule, const char *name)
{
	size_t length = strlen(name), suffix = rule->host.name_length;
	switch (rule->host.kind) {
	case HOST_ANY:
		return true;
	case HOST_NAME:
		return strcmp(name, rule->host.name) == 0;
	case HOST_SUFFIX:
		return length > suffix + 1 && name[length - suffix - 1] == '.' &&
		       strcmp(name + length - suffix, rule->host.name) == 0;
	default:
		return false;
	}
}

static const struct rule *first_for_ip(
	const struct map *map, enum side side, const uint8_t ip[16], uint16_t port)
{
	for (uint32_t i = 0; i < map->count; i++) {
		const struct rule *rule = &map->rules[i];
		if (rule->side == side && takes_port(rule, port) && takes_ip(rule, ip))
			return rule;
	}
	return NULL;
}

static const struct rule *first_for_name(
	const struct map *map, enum side side, const char *name, uint16_t port)
{
	for (uint32_t i = 0; i < map->count; i++) {
		const struct rule *rule = &map->rules[i];
		if (rule->side == side && takes_port(rule, port) && takes_name(rule, name))
			return rule;
	}
	return NULL;
}

static const struct rule *earlier(const struct rule *a, const struct rule *b)
{
	return !b || (a && a->number < b->number) ? a : b;
}

static const struct rule *expected_for_ip(
	const struct map *map, enum side side, const uint8_t ip[16], uint16_t port)
{
	static const uint8_t any4[16] = {[10] = 0xff, 0xff}, any6[16],
			     loop4[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1}, loop6[16] = {[15] = 1};
	bool is_any4 = memcmp(ip, any4, sizeof any4) == 0, is_any6 = memcmp(ip, any6, sizeof any6) == 0;
	if (side == SIDE_CONNECT && (is_any4 || is_any6))
		return first_for_ip(map, side, is_any4 ? loop4 : loop6, port);
	if (is_any4 || is_any6)
		return earlier(first_for_ip(map, side, any4, port), first_for_ip(map, side, any6, port));
	return first_for_ip(map, side, ip, port);
}

/* ---- questions ---- */

static void check_decision(const struct map *map, const struct rule *rule, uint16_t port)
{
	if (!rule)
		return;
	const struct rule *shadow = map_shadowed_by(map, rule);
	assert(!shadow);
	if (rule->target.kind == TARGET_CID) {
		uint32_t to = rule_port(rule, port);
		assert(rule->target.keep_port
				? to == port || (!port && to == PORT_ANY)
				: to >= rule->target.port_first && to <= rule->target.port_last);
	} else if (rule->target.kind == TARGET_UNIX) {
		static const char *const hosts[] = {
			"a.host", "a.host.with.so.long.a.name.that.few.paths.hold.it", NULL};
		char path[108];
		for (int i = 0; i < 3; i++)
			if (rule_path(rule, hosts[i], port, path))
				assert(*path == '/' && !strstr(path, "{port}") && !strstr(path, "{host}"));
		assert(!rule->target.needs_host || !rule_path(rule, "..", port, path));
	}
}

static void ask_ip(const struct map *map, const uint8_t ip[16], uint16_t port)
{
	struct address address = {.port = port};
	char text[ADDRESS_TEXT];
	memcpy(address.ip, ip, sizeof address.ip);
	address_format(&address, text, sizeof text);
	for (enum side side = SIDE_CONNECT; side <= SIDE_LISTEN; side++) {
		const struct rule *rule = map_find(map, side, &address);
		if (!names_ordinal(map, &address))
			assert(rule == expected_for_ip(map, side, ip, port));
		assert(rule == map_find_host(map, side, text, strlen(text), port));
		check_decision(map, rule, port);
	}
}

/* A name, its addresses and back. */
static void resolve(const struct map *map, const char *name, int port)
{
	struct address ipv4, ipv6;
	char found[NAME_TEXT];
	bool is_pattern;
	if (names_address(map, name, port, &ipv4, &ipv6) != NAMES_TAKEN)
		return;
	assert(prefix_contains(&map->ranges.names, ipv4.ip) && prefix_contains(&map->ranges.names6, ipv6.ip));
	assert(names_ordinal(map, &ipv4) == names_ordinal(map, &ipv6) && names_ordinal(map, &ipv4) > 0);
	dynamic_names |= names_ordinal(map, &ipv4) > map->named_count;
	assert(names_host(map, &ipv4, found, &is_pattern));
	assert(is_pattern
			? strlen(found) > 2 && strcmp(name + strlen(name) - strlen(found) + 2, found + 2) == 0
			: strcmp(found, name) == 0);
	if (port < 0)
		return;
	ipv4.port = ipv6.port = (uint16_t)port;
	for (enum side side = SIDE_CONNECT; side <= SIDE_LISTEN; side++) {
		const struct rule *rule = map_find_host(map, side, name, strlen(name), (uint16_t)port);
		assert(map_find(map, side, &ipv4) == map_find(map, side, &ipv6));
		if (!is_pattern) /* else rules below the pattern may name the host itself */
			assert(map_find(map, side, &ipv4) == rule);
	}
}

static void ask_name(const struct map *map, const char *name, uint16_t port)
{
	static const uint8_t loop4[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1}, loop6[16] = {[15] = 1};
	bool local = strcmp(name, "localhost") == 0;
	for (enum side side = SIDE_CONNECT; side <= SIDE_LISTEN; side++) {
		const struct rule *rule = map_find_host(map, side, name, strlen(name), port);
		assert(rule == (local ? earlier(first_for_ip(map, side, loop4, port),
						first_for_ip(map, side, loop6, port))
				      : first_for_name(map, side, name, port)));
		check_decision(map, rule, port);
	}
	resolve(map, name, port);
	resolve(map, name, -1);
}

/* Around each rule: what it names and what lies beside it. */
static void ask_about(const struct map *map, const struct rule *rule, uint16_t port)
{
	char name[NAME_TEXT];
	uint8_t ip[16];
	switch (rule->host.kind) {
	case HOST_PREFIX:
		memcpy(ip, rule->host.prefix.ip, sizeof ip);
		ask_ip(map, ip, port);
		ip[15] ^= 1;
		ask_ip(map, ip, port);
		if (rule->host.prefix.length) {
			unsigned last = rule->host.prefix.length - 1u;
			ip[last / 8] ^= (uint8_t)(0x80 >> last % 8);
			ask_ip(map, ip, port);
		}
		break;
	case HOST_NAME:
	case HOST_SUFFIX:
		ask_name(map, rule->host.name, port);
		if (rule->host.name_length + 4 <= NAME_LIMIT) {
			snprintf(name, sizeof name, "a.b.%s", rule->host.name);
			ask_name(map, name, port);
			ask_name(map, name + 2, port);
		}
		break;
	default:
		ask_name(map, "localhost", port);
		ask_ip(map, address_ipv4(0x7f000005, 0).ip, port);
		ask_ip(map, (const uint8_t[16]){[15] = 1}, port);
	}
}

static void ask_always(const struct map *map, uint16_t port)
{
	ask_ip(map, (const uint8_t[16]){0}, port);
	ask_ip(map, address_ipv4(0, 0).ip, port);
	ask_ip(map, address_ipv4(0x0a010203, 0).ip, port);
	ask_name(map, "in.file", port);
	ask_name(map, "no.where", port);
	for (uint32_t number = 0; number <= map->named_count + 1 && number < 4; number++)
		ask_ip(map, ordinal_address(&map->ranges.names, number).ip, port);
}

static void check_lookups(const struct map *map)
{
	enum { RULES = 6 };
	uint32_t count = map_count(map);
	ask_always(map, 443);
	for (uint32_t i = count > RULES ? count - RULES : 0; i < count; i++) {
		const struct rule *rule = map_rule(map, i), *shadow = map_shadowed_by(map, rule);
		assert(!shadow || shadow->number <= rule->number);
		ask_about(map, rule, rule->port_first);
		ask_about(map, rule, rule->port_last);
		ask_about(map, rule, (uint16_t)(rule->port_last + 1));
		ask_always(map, rule->port_first);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct map_error error;
	if (length == 0)
		return 0;
	free_all();
	failing = data[0] & 0x7f;
	ranges = ranges_default;
	if (data[0] & 0x80)
		ranges.names.length = 126;
	/* The fuzzer gives a block of exactly that size, so that reading behind it is seen. */
	const char *text = (const char *)data + 1;
	memset(&error, 0xaa, sizeof error);
	const struct map *map = map_build("IP2VSOCK_MAP", text, length - 1, &ranges, &source, &error);
	if (map) {
		check_texts(map);
		check_lookups(map);
	} else {
		check_error(&error, length);
	}
	return 0;
}
