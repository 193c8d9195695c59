/* SPDX-License-Identifier: MIT */
/* What the map means for an address, as the table tests/command/verdicts says it. tests/command/agree holds
 * --explain and the library to the same table. */
#include "build_map.h"

#include "core/names.h"
#include "core/verdict.h"

#include <errno.h>

enum { LINE = 256 };

struct row {
	enum side side;
	enum socket_kind kind;
	struct address address;
	char text[LINE], expected[4 * LINE];
};

static const struct map *table_map;

static bool is_kind(const char *word, struct row *row)
{
	static const char *const kinds[] = {"stream", "datagram", "other"};
	for (row->kind = SOCKET_STREAM; row->kind <= SOCKET_OTHER; row->kind++)
		if (strcmp(word, kinds[row->kind]) == 0)
			return true;
	return false;
}

/* "10.0.0.1:80", "[::1]:80", "app:80": a name is what it resolves to. */
static struct address asked(const char *text)
{
	char host[NAME_TEXT];
	const char *colon = strrchr(text, ':');
	assert_non_null(colon);
	bool brackets = text[0] == '[';
	size_t length = (size_t)(colon - text) - 2 * brackets;
	struct prefix prefix;
	struct address address, ipv6;
	memcpy(host, text + brackets, length);
	host[length] = '\0';
	if (prefix_parse(&prefix, host, length))
		memcpy(address.ip, prefix.ip, sizeof address.ip);
	else
		assert_int_equal(names_address(table_map, host, -1, &address, &ipv6), NAMES_TAKEN);
	address.port = (uint16_t)strtoul(colon + 1, NULL, 10);
	return address;
}

/* In the words of the table. */
static void describe(const struct verdict *verdict, char text[LINE])
{
	static const char *const errors[] = {[ECONNREFUSED] = "ECONNREFUSED",
		[EHOSTUNREACH] = "EHOSTUNREACH",
		[EADDRNOTAVAIL] = "EADDRNOTAVAIL",
		[ETIMEDOUT] = "ETIMEDOUT",
		[EACCES] = "EACCES"};
	static const char *const kinds[] = {"ip", "reserved", "refused", "names", "mapped"};
	char rule[16] = "-";
	if (verdict->rule)
		snprintf(rule, sizeof rule, "%u", verdict->rule->number);
	snprintf(text, LINE, "%s %s%s%s", kinds[verdict->kind], rule, verdict->error ? " " : "",
		verdict->error ? errors[verdict->error] : "");
}

/* Each line: SIDE KIND HOST:PORT VERDICT RULE [ERROR] [ENDPOINT], of which the last is for
 * tests/command/agree. */
static bool read_row(const char *line, struct row *row)
{
	char side[LINE], kind[LINE], verdict[LINE], rule[LINE], error[LINE] = "";
	if (*line == '#' || *line == '\n')
		return false;
	int count = sscanf(
		line, "%255s %255s %255s %255s %255s %255s", side, kind, row->text, verdict, rule, error);
	if (count < 5 || !is_kind(kind, row))
		fail_msg("not a row: %s", line);
	row->side = strcmp(side, "listen") == 0 ? SIDE_LISTEN : SIDE_CONNECT;
	row->address = asked(row->text);
	bool fails = error[0] == 'E';
	snprintf(row->expected, sizeof row->expected, "%s %s%s%s", verdict, rule, fails ? " " : "",
		fails ? error : "");
	return true;
}

static FILE *open_table(void)
{
	static char map[8192];
	size_t length = 0;
	FILE *file = fopen(VERDICTS, "r");
	char line[LINE];
	assert_non_null(file);
	while (fgets(line, sizeof line, file) && strcmp(line, "\n") != 0) {
		if (*line == '#')
			continue;
		assert_true(length + strlen(line) < sizeof map);
		strcpy(map + length, line);
		length += strlen(line);
	}
	table_map = map_of(map);
	return file;
}

static void every_row_of_the_table(void **state)
{
	(void)state;
	FILE *file = open_table();
	char line[LINE], got[LINE];
	unsigned rows = 0, wrong = 0;
	for (struct row row; fgets(line, sizeof line, file);) {
		if (!read_row(line, &row))
			continue;
		const struct verdict verdict = verdict_of(table_map, row.side, row.kind, &row.address);
		describe(&verdict, got);
		rows++;
		if (strcmp(got, row.expected) == 0)
			continue;
		wrong++;
		print_message("# %s: %s, got %s\n", row.text, row.expected, got);
	}
	fclose(file);
	assert_int_equal(wrong, 0);
	assert_in_range(rows, 40, 1000);
}

static void the_address_that_is_meant(void **state)
{
	(void)state;
	static const struct {
		enum side side;
		const char *text, *meant;
	} cases[] = {
		{SIDE_CONNECT, "0.0.0.0:80", "127.0.0.1:80"},
		{SIDE_CONNECT, "[::]:80", "[::1]:80"},
		{SIDE_CONNECT, "10.0.0.1:80", "10.0.0.1:80"},
		{SIDE_LISTEN, "0.0.0.0:80", "0.0.0.0:80"},
		{SIDE_LISTEN, "[::]:80", "[::]:80"},
	};
	fclose(open_table());
	for (enum socket_kind kind = SOCKET_STREAM; kind <= SOCKET_OTHER; kind++) {
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			char text[ADDRESS_PORT_TEXT];
			struct address address = asked(cases[i].text);
			struct verdict verdict = verdict_of(table_map, cases[i].side, kind, &address);
			address_port_format(&verdict.address, text, sizeof text);
			assert_string_equal(text, cases[i].meant);
		}
	}
}

/* Either family of a name, and the same address in IPv6 clothes. */
static void all_addresses_of_a_host_mean_the_same(void **state)
{
	(void)state;
	fclose(open_table());
	static const char *const hosts[][2] = {{"198.18.0.1", "fd76:736f:636b:1::1"},
		{"198.18.200.1", "fd76:736f:636b:1::c801"}, {"100.64.0.7", "fd76:736f:636b::7"},
		{"127.0.0.2", "::ffff:127.0.0.2"}, {"0.0.0.0", "::ffff:0.0.0.0"}};
	for (size_t i = 0; i < 2 * sizeof hosts / sizeof *hosts; i++) {
		char texts[2][LINE];
		enum side side = i % 2 ? SIDE_LISTEN : SIDE_CONNECT;
		for (int family = 0; family < 2; family++) {
			char text[LINE];
			snprintf(text, sizeof text,
				strchr(hosts[i / 2][family], ':') ? "[%s]:4000" : "%s:4000",
				hosts[i / 2][family]);
			struct address address = asked(text);
			struct verdict verdict = verdict_of(table_map, side, SOCKET_STREAM, &address);
			describe(&verdict, texts[family]);
		}
		assert_string_equal(texts[0], texts[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_row_of_the_table, free_maps),
		cmocka_unit_test_teardown(the_address_that_is_meant, free_maps),
		cmocka_unit_test_teardown(all_addresses_of_a_host_mean_the_same, free_maps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
