/* SPDX-License-Identifier: MIT */
#include "build_map.h"

#include "core/names.h"

#include <sys/socket.h>

static struct address address_of(const char *ip, uint16_t port)
{
	struct prefix prefix;
	struct address address = {.port = port};
	assert_true(prefix_parse(&prefix, ip, strlen(ip)));
	memcpy(address.ip, prefix.ip, sizeof address.ip);
	return address;
}

static void assert_understood(const char *rule, const char *canonical)
{
	char text[512];
	const struct map *map = map_of(rule);
	assert_int_equal(map_count(map), 1);
	assert_int_equal(rule_format(map_rule(map, 0), text, sizeof text), strlen(canonical));
	assert_string_equal(text, canonical);
}

static void rules_are_understood(void **state)
{
	(void)state;
	static const char *const rules[][2] = {
		{"api.example.com:443=3:8443", "connect api.example.com:443 = 3:8443"},
		{"connect API.Example.COM.:443 = 3:8443", "connect api.example.com:443 = 3:8443"},
		{"  connect\tapi:443\t=\t3.8443  ", "connect api:443 = 3:8443"},
		{"a_b-c:1=vsock:3:8443", "connect a_b-c:1 = 3:8443"},
		{"a:1=vsock://3:8443", "connect a:1 = 3:8443"},
		{"a:1=vsock:3.8443", "connect a:1 = 3:8443"},
		{"a:1=hypervisor:1", "connect a:1 = 0:1"},
		{"a:1=local:0", "connect a:1 = 1:0"},
		{"a:1=host:4294967294", "connect a:1 = 2:4294967294"},
		{"a:1=parent.1", "connect a:1 = 3:1"},
		{"a:1=4294967294:1", "connect a:1 = 4294967294:1"},
		{"listen 8080=any:8080", "listen *:8080 = any:8080"},
		{"listen :8080=any:*", "listen *:8080 = any:*"},
		{"listen *:8080=16:1", "listen *:8080 = 16:1"},
		{"8000-8010=3:*", "connect *:8000-8010 = 3:*"},
		{"*=refuse", "connect *:* = refuse:ECONNREFUSED"},
		{"listen *=refuse", "listen *:* = refuse:EACCES"},
		{":*=refuse:ETIMEDOUT", "connect *:* = refuse:ETIMEDOUT"},
		{"a:80-90=3:8080-8090", "connect a:80-90 = 3:8080-8090"},
		{"a:80-80=3:80-80", "connect a:80 = 3:80"},
		{"a:80-90=3:8080", "connect a:80-90 = 3:8080"},
		{"a:65535=direct", "connect a:65535 = direct"},
		{"*.example.com:443=3:1", "connect *.example.com:443 = 3:1"},
		{"LocalHost:443=3:1", "connect localhost:443 = 3:1"},
		{"*.localhost:443=3:1", "connect *.localhost:443 = 3:1"},
		{"10.0.0.0/8:443=3:1", "connect 10.0.0.0/8:443 = 3:1"},
		{"10.1.2.3:443=3:1", "connect 10.1.2.3:443 = 3:1"},
		{"10.1.2.3/32:443=3:1", "connect 10.1.2.3:443 = 3:1"},
		{"[2001:DB8::]/32:443=3:1", "connect [2001:db8::/32]:443 = 3:1"},
		{"[2001:db8::/32]:443=3:1", "connect [2001:db8::/32]:443 = 3:1"},
		{"[::ffff:10.1.2.3]:443=3:1", "connect 10.1.2.3:443 = 3:1"},
		{"\"api.example.com\":443=\"3:1\"", "connect api.example.com:443 = 3:1"},
		{"listen\t \"[::1]\":443=3:1", "listen [::1]:443 = 3:1"},
		{"\"[::1]\":443=3:1", "connect [::1]:443 = 3:1"},
		{"listen:1=3:1", "connect listen:1 = 3:1"},
		{"connect:1=3:1", "connect connect:1 = 3:1"},
		{"listen listen:1=3:1", "listen listen:1 = 3:1"},
		{"a:1=unix:/run/{host}-{port}", "connect a:1 = unix:/run/{host}-{port}"},
		{"a:1=\"unix:/run/a b,c=d\"", "connect a:1 = \"unix:/run/a b,c=d\""},
		{"a:1=unix:/run/a;b", "connect a:1 = unix:/run/a;b"},
		{"listen a:1=unix:/run/{host}", "listen a:1 = unix:/run/{host}"},
		{"*:1=unix:/run/{host}", "connect *:1 = unix:/run/{host}"},
		{"a:1=3:1 retry=90s timeout=1500ms buffer=4096",
			"connect a:1 = 3:1 retry=90s timeout=1500ms buffer=4K"},
		{"a:1=3:1 buffer=5000 timeout=60m", "connect a:1 = 3:1 timeout=60m buffer=5000"},
		{"a:1=3:1 buffer=1M", "connect a:1 = 3:1"},
		{"a:1=unix:/x retry=1000ms buffer=1G", "connect a:1 = unix:/x retry=1s buffer=1G"},
		{"listen 1=any:1 allow=3 buffer=1536K allow=parent chunk=32K allow=0",
			"listen *:1 = any:1 buffer=1536K chunk=32K allow=3 allow=3 allow=0"},
	};
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		assert_understood(rules[i][0], rules[i][1]);
		assert_understood(rules[i][1], rules[i][1]);
	}
}

static void texts_are_split_into_rules(void **state)
{
	(void)state;
	static const struct test_file files[] = {{"/etc/a,b.map", "\xc3\xa4", 0},
		{"/etc/x.map", "#first\r\nf:1=3:1,\r\n\r\n  # a:1=3:1, \"\ng:1=3:1", 0}, {NULL, NULL, 0}};
	static const struct {
		const char *text;
		uint32_t count;
	} texts[] = {
		{"", 0},
		{"\n", 0},
		{" , ,\t\n,", 0},
		{"#", 0},
		{"# a:1=3:1, b:1=3:1", 0},
		{" \t# a:1=3:1\n", 0},
		{"a:1=3:1", 1},
		{"a:1=3:1\n", 1},
		{",a:1=3:1,,\n\nb:1=3:1\r\n", 2},
		{"a:1=3:1\r\n# x\r\nb:1=3:1,c:1=3:1\r", 3},
		{"a:1=\"unix:/x,y\",b:1=3:1", 2},
		{"@/etc/x.map", 2},
		{"a:1=3:1,@/etc/x.map\nb:1=3:1,@\"/etc/x.map\"", 6},
		{" @/etc/x.map \r\n", 2},
	};
	test_files = files;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(map_count(map_of(texts[i].text)), texts[i].count);
}

static void rules_know_where_they_were_written(void **state)
{
	(void)state;
	static const struct test_file files[] = {
		{"/etc/x.map", "# first\n\n  f:1=3:1 retry=1s  ,g:1=3:1", 0}, {NULL, NULL, 0}};
	static const struct {
		const char *source, *text;
		uint32_t line, column;
	} expected[] = {
		{"IP2VSOCK_MAP", "a:1=3:1", 1, 1},
		{"/etc/x.map", "f:1=3:1 retry=1s", 3, 3},
		{"/etc/x.map", "g:1=3:1", 3, 22},
		{"IP2VSOCK_MAP", "b:1 = 3:1", 3, 2},
	};
	test_files = files;
	const struct map *map = map_of("a:1=3:1,@/etc/x.map\n\n\tb:1 = 3:1 ");
	assert_int_equal(map_count(map), 4);
	for (uint32_t i = 0; i < 4; i++) {
		const struct rule *rule = map_rule(map, i);
		assert_int_equal(rule->number, i + 1);
		assert_string_equal(rule->source, expected[i].source);
		assert_int_equal(rule->line, expected[i].line);
		assert_int_equal(rule->column, expected[i].column);
		assert_int_equal(rule->text_length, strlen(expected[i].text));
		assert_memory_equal(rule->text, expected[i].text, rule->text_length);
	}
}

/* What the command writes above the rules of -m and -f; in a file, and in another form, it is a comment. */
static void a_line_of_the_command_names_where_rules_were_written(void **state)
{
	(void)state;
	static const struct test_file files[] = {
		{"/etc/x.map", "#source \"other\"\nf:1=3:1\n", 0}, {NULL, NULL, 0}};
	static const struct {
		const char *source;
		uint32_t line;
	} expected[] = {{"IP2VSOCK_MAP", 2}, {"-m", 1}, {"-m", 2}, {"-m", 1}, {"/dev/fd/63, \"", 5},
		{"/etc/x.map", 2}, {"-f", 2}, {"IP2VSOCK_MAP", 2}};
	test_files = files;
	const struct map *map =
		map_of("\na:1=3:1\n"
		       "#source \"-m\"\nb:1=3:1\nc:1=3:1\n"
		       " #source \"-m\"\t\r\nd:1=3:1\n"
		       "#source \"/dev/fd/63, \"\"\n\n#source \"\n#source\n#source -m\ne:1=3:1\n"
		       "#source \"-f\"\n@/etc/x.map\ng:1=3:1\n"
		       "#source \"IP2VSOCK_MAP\"\n#Source \"-m\"\nh:1=3:1, i:1=3:1");
	for (uint32_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		assert_string_equal(map_rule(map, i)->source, expected[i].source);
		assert_int_equal(map_rule(map, i)->line, expected[i].line);
		assert_int_equal(map_rule(map, i)->column, 1);
	}
	struct map_error error;
	static const char bad[] = "a:1=3:1\n#source \"/dev/fd/63\"\na:x=3:1";
	assert_null(try_map_of(bad, strlen(bad), &ranges_default, &error));
	assert_string_equal(error.source, "/dev/fd/63");
	assert_int_equal(error.line, 1);
}

static void options_are_kept(void **state)
{
	(void)state;
	const struct map *map =
		map_of("a:1=3:1 retry=5s timeout=250ms buffer=4M,listen 1=any:1 allow=16 allow=17,b:1=3:1");
	const struct rule *rule = map_rule(map, 0);
	assert_int_equal(rule->retry_ms, 5000);
	assert_int_equal(rule->timeout_ms, 250);
	assert_int_equal(rule->buffer, 4 << 20);
	rule = map_rule(map, 1);
	assert_int_equal(rule->allow_count, 2);
	assert_int_equal(rule->allow[0], 16);
	assert_int_equal(rule->allow[1], 17);
	rule = map_rule(map, 2);
	assert_int_equal(rule->retry_ms, 0);
	assert_int_equal(rule->timeout_ms, 0);
	assert_int_equal(rule->buffer, BUFFER_DEFAULT);
	assert_int_equal(rule->allow_count, 0);
}

static uint32_t port_of(const char *rule, uint16_t port)
{
	return rule_port(map_rule(map_of(rule), 0), port);
}

static void ports_are_carried_over(void **state)
{
	(void)state;
	assert_int_equal(port_of("a:443=3:8443", 443), 8443);
	assert_int_equal(port_of("a:*=3:*", 443), 443);
	assert_int_equal(port_of("a:80-90=3:*", 85), 85);
	assert_int_equal(port_of("a:80-90=3:1080-1090", 80), 1080);
	assert_int_equal(port_of("a:80-90=3:1080-1090", 90), 1090);
	assert_int_equal(port_of("a:80-90=3:100080-100090", 83), 100083);
	assert_int_equal(port_of("a:80-90=3:99", 83), 99);
	assert_int_equal(port_of("a:*=3:99", 0), 99);
	assert_int_equal(port_of("listen *:*=any:*", 0), PORT_ANY);
	assert_int_equal(port_of("a:1=3:0", 1), 0);
}

static bool path_of(const char *rule, const char *host, uint16_t port, char path[108])
{
	return rule_path(map_rule(map_of(rule), 0), host, port, path);
}

static void paths_are_filled_in(void **state)
{
	(void)state;
	char path[108];
	char long_name[254];
	assert_true(path_of("a:1=unix:/run/x", "a", 1, path));
	assert_string_equal(path, "/run/x");
	assert_true(path_of("*:*=unix:/{host}/{port}/{host}{port}", "b.c", 443, path));
	assert_string_equal(path, "/b.c/443/b.c443");
	assert_true(path_of("*:*=unix:/{host}", "fd00::1", 443, path));
	assert_string_equal(path, "/fd00::1");
	assert_true(path_of("*:*=unix:/{host}", NULL, 443, path));
	assert_string_equal(path, "/*");
	assert_true(path_of("a:1=unix:/run/x", "../evil", 1, path));
	assert_false(path_of("*:*=unix:/run/{host}", "../evil", 1, path));
	assert_false(path_of("*:*=unix:/run/{host}", "..", 1, path));
	assert_false(path_of("*:*=unix:/run/{host}", ".", 1, path));
	assert_false(path_of("*:*=unix:/run/{host}", "", 1, path));
	memset(long_name, 'a', sizeof long_name);
	long_name[106] = '\0';
	assert_true(path_of("*:*=unix:/{host}", long_name, 1, path));
	assert_int_equal(strlen(path), 107);
	long_name[106] = 'a';
	long_name[107] = '\0';
	assert_false(path_of("*:*=unix:/{host}", long_name, 1, path));
}

static void names_match_without_regard_to_case_or_final_dot(void **state)
{
	(void)state;
	const struct map *map =
		map_of("api.example.com:443=3:1,*.example.com:443=3:2,*.com:443=3:3,*:443=3:4");
	assert_int_equal(decides(map, SIDE_CONNECT, "api.example.com", 443), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "API.Example.Com.", 443), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "b.example.com", 443), 2);
	assert_int_equal(decides(map, SIDE_CONNECT, "a.b.example.com", 443), 2);
	assert_int_equal(decides(map, SIDE_CONNECT, "example.com", 443), 3);
	assert_int_equal(decides(map, SIDE_CONNECT, "badexample.com", 443), 3);
	assert_int_equal(decides(map, SIDE_CONNECT, "com", 443), 4);
	assert_int_equal(decides(map, SIDE_CONNECT, "api.example.com", 80), 0);
	assert_int_equal(decides(map, SIDE_LISTEN, "api.example.com", 443), 0);
	assert_int_equal(decides(map, SIDE_CONNECT, "10.0.0.1", 443), 4);
	assert_int_equal(decides(map, SIDE_CONNECT, "", 443), 0);
	assert_int_equal(decides(map, SIDE_CONNECT, "a..b", 443), 0);
}

static void the_first_rule_wins(void **state)
{
	(void)state;
	const struct map *map =
		map_of("*:22=direct,10.0.0.0/8:*=3:1,10.1.0.0/16:80=3:2,*.b:80-90=3:3,a.b:*=3:4,*.b:*=3:5,"
		       "listen *:80=any:1,*:*=refuse");
	assert_int_equal(decides(map, SIDE_CONNECT, "10.1.2.3", 80), 2);
	assert_int_equal(decides(map, SIDE_CONNECT, "10.1.2.3", 22), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "a.b", 85), 4);
	assert_int_equal(decides(map, SIDE_CONNECT, "a.b", 91), 5);
	assert_int_equal(decides(map, SIDE_CONNECT, "c.b", 91), 6);
	assert_int_equal(decides(map, SIDE_CONNECT, "b", 91), 8);
	assert_int_equal(decides(map, SIDE_CONNECT, "11.1.2.3", 80), 8);
	assert_int_equal(decides(map, SIDE_LISTEN, "11.1.2.3", 80), 7);
	assert_int_equal(decides(map, SIDE_LISTEN, "11.1.2.3", 81), 0);
}

static void both_families_are_kept_apart(void **state)
{
	(void)state;
	const struct map *map = map_of("0.0.0.0/2:*=3:1,[2000::]/3:*=3:2,10.0.0.1:*=3:3,[::/8]:*=3:4");
	assert_int_equal(decides(map, SIDE_CONNECT, "10.0.0.1", 1), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "::ffff:10.0.0.1", 1), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "2001:db8::1", 1), 2);
	assert_int_equal(decides(map, SIDE_CONNECT, "::2", 1), 4);
	assert_int_equal(decides(map, SIDE_CONNECT, "203.0.113.1", 1), 0);
	assert_int_equal(decides(map, SIDE_CONNECT, "::ffff:203.0.113.1", 1), 0);
}

static void localhost_is_both_loopbacks_and_the_name(void **state)
{
	(void)state;
	const struct map *map = map_of("localhost:80=3:1,127.0.0.1:81=3:2,[::1]:82=3:3");
	assert_int_equal(decides(map, SIDE_CONNECT, "localhost", 80), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "LOCALHOST.", 80), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "127.0.0.1", 80), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "127.255.0.3", 80), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "::1", 80), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "localhost", 81), 2);
	assert_int_equal(decides(map, SIDE_CONNECT, "localhost", 82), 3);
	assert_int_equal(decides(map, SIDE_CONNECT, "::2", 80), 0);
	assert_int_equal(decides(map, SIDE_CONNECT, "a.localhost", 80), 0);
}

static void a_connection_to_a_wildcard_goes_to_loopback(void **state)
{
	(void)state;
	const struct map *map = map_of("127.0.0.1:80=3:1,[::1]:80=3:2,0.0.0.0:81=3:3,[::]:81=3:4");
	assert_int_equal(decides(map, SIDE_CONNECT, "0.0.0.0", 80), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "::ffff:0.0.0.0", 80), 1);
	assert_int_equal(decides(map, SIDE_CONNECT, "::", 80), 2);
	assert_int_equal(decides(map, SIDE_CONNECT, "0.0.0.0", 81), 0);
	assert_int_equal(decides(map, SIDE_CONNECT, "::", 81), 0);
}

static void a_listener_on_either_wildcard_is_the_same(void **state)
{
	(void)state;
	const struct map *map = map_of("listen 0.0.0.0:80=any:1,listen [::]:81=any:2,listen "
				       "127.0.0.1:82=any:3,listen [::]:80=any:4");
	assert_int_equal(decides(map, SIDE_LISTEN, "0.0.0.0", 80), 1);
	assert_int_equal(decides(map, SIDE_LISTEN, "::", 80), 1);
	assert_int_equal(decides(map, SIDE_LISTEN, "0.0.0.0", 81), 2);
	assert_int_equal(decides(map, SIDE_LISTEN, "::", 81), 2);
	assert_int_equal(decides(map, SIDE_LISTEN, "0.0.0.0", 82), 0);
}

static void only_the_star_takes_port_0(void **state)
{
	(void)state;
	const struct map *map = map_of("listen 10.0.0.1:1-65535=any:*,listen *:*=any:*");
	assert_int_equal(decides(map, SIDE_LISTEN, "10.0.0.1", 0), 2);
	assert_int_equal(decides(map, SIDE_LISTEN, "10.0.0.1", 1), 1);
	assert_int_equal(decides(map, SIDE_LISTEN, "10.0.0.1", 65535), 1);
}

static uint32_t shadow_of(const char *text, uint32_t number)
{
	const struct map *map = map_of(text);
	const struct rule *shadow = map_shadowed_by(map, map_rule(map, number - 1));
	return shadow ? shadow->number : 0;
}

static void rules_that_nothing_reaches_are_found(void **state)
{
	(void)state;
	assert_int_equal(shadow_of("a:80=3:1,a:80=3:2", 2), 1);
	assert_int_equal(shadow_of("a:80=3:1,a:80=3:2", 1), 0);
	assert_int_equal(shadow_of("a:80=3:1,a:80-81=3:2", 2), 0);
	assert_int_equal(shadow_of("a:81=3:1,a:70-90=3:2,a:80-82=3:3", 3), 2);
	assert_int_equal(shadow_of("*:*=3:1,a:80=3:2", 2), 1);
	assert_int_equal(shadow_of("listen *:*=3:1,a:80=3:2", 2), 0);
	assert_int_equal(shadow_of("*:1-65535=3:1,a:*=3:2", 2), 0);
	assert_int_equal(shadow_of("*.b:80=3:1,a.b:80=3:2", 2), 1);
	assert_int_equal(shadow_of("*.b:80=3:1,*.a.b:80=3:2", 2), 1);
	assert_int_equal(shadow_of("*.b:80=3:1,b:80=3:2", 2), 0);
	assert_int_equal(shadow_of("*.a.b:80=3:1,*.b:80=3:2", 2), 0);
	assert_int_equal(shadow_of("10.0.0.0/8:80=3:1,10.1.0.0/16:80=3:2", 2), 1);
	assert_int_equal(shadow_of("10.1.0.0/16:80=3:1,10.0.0.0/8:80=3:2", 2), 0);
	assert_int_equal(shadow_of("10.0.0.0/16:80=3:1,10.0.0.0/8:80=3:2", 2), 0);
	assert_int_equal(shadow_of("127.0.0.0/8:80=3:1,localhost:80=3:2", 2), 0);
	assert_int_equal(shadow_of("127.0.0.0/8:80=3:1,[::1]:80=3:2,localhost:80=3:3", 3), 1);
	assert_int_equal(shadow_of("localhost:80=3:1,127.0.0.1:80=3:2", 2), 1);
	assert_int_equal(shadow_of("0.0.0.0:80=3:1", 1), 1);
	assert_int_equal(shadow_of("[::]:80=3:1", 1), 1);
	assert_int_equal(shadow_of("listen 0.0.0.0:80=any:1", 1), 0);
}

/* ---- against a matcher that tries every rule ---- */

enum { RULES = 40 };

struct pattern {
	enum side side;
	const char *host;
	unsigned first, last;
};

static const char *const hosts[] = {"*", "a", "b", "a.b", "b.a", "c.b.a", "d.c.b.a", "*.a", "*.b", "*.b.a",
	"*.c.b.a", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "10.1.2.4", "0.0.0.0/3", "::1",
	"2001:db8::/32", "2001:db8::/64", "2001:db8::1", "127.0.0.1", "localhost", "0.0.0.0", "::", "::/64"};

static const char *const addresses[] = {"10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.3.1", "10.2.0.1",
	"11.0.0.1", "1.1.1.1", "2001:db8::1", "2001:db8::2", "2001:db8:1::1", "2001:db9::1", "127.0.0.1",
	"127.9.9.9", "::1", "::2", "0.0.0.0", "::"};

static const char *const names[] = {"a", "b", "c", "a.b", "b.a", "c.a", "x.b", "c.b.a", "x.b.a", "d.c.b.a",
	"x.c.b.a", "y.x.c.b.a", "aa", "x.aa"};

#define COUNT(list) (sizeof list / sizeof *list)

static bool ends_with(const char *name, const char *suffix) /* behind a dot */
{
	size_t length = strlen(name), suffix_length = strlen(suffix);
	return length > suffix_length && name[length - suffix_length - 1] == '.' &&
	       strcmp(name + length - suffix_length, suffix) == 0;
}

/* `host` is a name, or a glob. */
static bool name_matches(const char *pattern, const char *host)
{
	if (strcmp(pattern, "*") == 0 || strcmp(pattern, host) == 0)
		return true;
	return strncmp(pattern, "*.", 2) == 0 && ends_with(host, pattern + 2);
}

static bool ip_in(const char *pattern, const struct address *address)
{
	struct prefix prefix;
	return prefix_parse(&prefix, pattern, strlen(pattern)) && prefix_contains(&prefix, address->ip);
}

static bool ip_matches(const char *pattern, const struct address *address)
{
	return strcmp(pattern, "*") == 0 || ip_in(pattern, address) ||
	       (strcmp(pattern, "localhost") == 0 && address_is_loopback(address));
}

static bool address_matches(const struct pattern *pattern, const char *ip)
{
	struct address address = address_of(ip, 0), loopback4 = address_of("127.0.0.1", 0),
		       loopback6 = address_of("::1", 0), wildcard4 = address_of("0.0.0.0", 0),
		       wildcard6 = address_of("::", 0);
	if (!address_is_wildcard(&address))
		return ip_matches(pattern->host, &address);
	if (pattern->side == SIDE_CONNECT)
		return ip_matches(pattern->host, address_is_ipv4(&address) ? &loopback4 : &loopback6);
	return ip_matches(pattern->host, &wildcard4) || ip_matches(pattern->host, &wildcard6);
}

static uint32_t expected_rule(const struct pattern *patterns, size_t count, enum side side, const char *host,
	bool is_name, unsigned port)
{
	for (size_t i = 0; i < count; i++) {
		const struct pattern *pattern = &patterns[i];
		if (pattern->side == side && port >= pattern->first && port <= pattern->last &&
			(is_name ? name_matches(pattern->host, host) : address_matches(pattern, host)))
			return (uint32_t)i + 1;
	}
	return 0;
}

static unsigned random_port(void)
{
	return rand() % 4 ? 1 + (unsigned)rand() % 24 : 1 + (unsigned)rand() % 65535;
}

static size_t random_patterns(struct pattern patterns[RULES], char *text)
{
	size_t count = 1 + (size_t)rand() % RULES;
	for (size_t i = 0; i < count; i++) {
		struct pattern *pattern = &patterns[i];
		*pattern = (struct pattern){rand() % 3 ? SIDE_CONNECT : SIDE_LISTEN,
			hosts[(size_t)rand() % COUNT(hosts)], 0, 65535};
		bool brackets = strchr(pattern->host, ':');
		text += sprintf(text, "%s%s%s%s:", pattern->side == SIDE_LISTEN ? "listen " : "",
			brackets ? "[" : "", pattern->host, brackets ? "]" : "");
		if (rand() % 5 == 0) {
			text += sprintf(text, "*=3:%zu\n", i);
			continue;
		}
		pattern->first = pattern->last = random_port();
		if (rand() % 2)
			pattern->last = random_port();
		if (pattern->first > pattern->last) {
			unsigned port = pattern->first;
			pattern->first = pattern->last;
			pattern->last = port;
		}
		text += sprintf(text, "%u-%u=3:%zu\n", pattern->first, pattern->last, i);
	}
	return count;
}

struct trial {
	unsigned seed;
	const struct pattern *patterns;
	size_t count;
	const char *text;
	const struct map *map;
	bool reached[RULES + 1];
};

static void assert_decides(
	struct trial *trial, enum side side, const char *host, bool is_name, unsigned port, uint32_t actual)
{
	uint32_t rule = expected_rule(trial->patterns, trial->count, side, host, is_name, port);
	trial->reached[rule] = true;
	if (actual != rule)
		fail_msg("seed %u: %s %s port %u: rule %u, expected %u, in\n%s", trial->seed,
			side == SIDE_LISTEN ? "listen" : "connect", host, port, actual, rule, trial->text);
}

static uint32_t found(const struct map *map, enum side side, const struct address *address)
{
	const struct rule *rule = map_find(map, side, address);
	return rule ? rule->number : 0;
}

/* The address that stands for a name obeys the rules as the pattern does that it stands for. */
static void check_name_address(struct trial *trial, enum side side, const char *name, unsigned port)
{
	struct address ipv4, ipv6;
	char host[NAME_TEXT];
	bool is_pattern;
	if (names_address(trial->map, name, (int)port, &ipv4, &ipv6) != NAMES_TAKEN)
		return;
	assert_true(names_host(trial->map, &ipv4, host, &is_pattern));
	assert_int_equal(is_pattern, host[0] == '*');
	assert_true(name_matches(host, name));
	ipv4.port = ipv6.port = (uint16_t)port;
	assert_decides(trial, side, host, true, port, found(trial->map, side, &ipv4));
	assert_decides(trial, side, host, true, port, found(trial->map, side, &ipv6));
	/* what decides is the same for the name itself */
	assert_decides(trial, side, name, true, port, found(trial->map, side, &ipv4));
}

static void check_port(struct trial *trial, unsigned port)
{
	for (enum side side = SIDE_CONNECT; side <= SIDE_LISTEN; side++) {
		for (size_t i = 0; i < COUNT(addresses); i++) {
			struct address address = address_of(addresses[i], (uint16_t)port);
			assert_decides(
				trial, side, addresses[i], false, port, found(trial->map, side, &address));
		}
		for (size_t i = 0; i < COUNT(names); i++) {
			assert_decides(trial, side, names[i], true, port,
				decides(trial->map, side, names[i], (uint16_t)port));
			check_name_address(trial, side, names[i], port);
		}
	}
}

static void check_random_map(unsigned seed)
{
	char text[8192];
	struct pattern patterns[RULES];
	srand(seed);
	struct trial trial = {.seed = seed, .patterns = patterns, .text = text};
	trial.count = random_patterns(patterns, text);
	trial.map = map_of(text);
	assert_int_equal(map_count(trial.map), trial.count);
	for (unsigned port = 0; port < 27; port++)
		check_port(&trial, port);
	for (size_t i = 0; i < trial.count; i++) {
		check_port(&trial, patterns[i].first);
		check_port(&trial, patterns[i].last);
		check_port(&trial, (patterns[i].last + 1) % 65536);
	}
	check_port(&trial, 65535);
	for (uint32_t i = 0; i < trial.count; i++)
		if (map_shadowed_by(trial.map, map_rule(trial.map, i)) && trial.reached[i + 1])
			fail_msg("seed %u: rule %u is reached, in\n%s", seed, i + 1, text);
	free_maps(NULL);
}

static void random_maps_match_as_a_linear_search_does(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 400; seed++)
		check_random_map(seed);
}

/* One host, every port, in a random order, some ranges among them. */
static void one_host_may_have_every_port(void **state)
{
	(void)state;
	enum { PORTS = 65535 };
	static uint32_t expected[PORTS + 1];
	uint16_t *order = calloc(PORTS, sizeof *order);
	char *text = malloc(PORTS * 32), *at = text;
	uint32_t number = 0;
	srand(3);
	for (unsigned i = 0; i < PORTS; i++) {
		unsigned j = (unsigned)rand() % (i + 1);
		order[i] = order[j];
		order[j] = (uint16_t)(i + 1);
	}
	for (unsigned i = 0; i < PORTS; i++) {
		unsigned first = order[i],
			 last = i % 97 ? first : first + (unsigned)rand() % (PORTS - first + 1);
		at += sprintf(at, "h:%u-%u=3:%u\n", first, last, i);
		number++;
		for (unsigned port = first; port <= last; port++)
			if (!expected[port])
				expected[port] = number;
	}
	const struct map *map = map_of(text);
	for (unsigned port = 0; port <= PORTS; port++)
		assert_int_equal(decides(map, SIDE_CONNECT, "h", (uint16_t)port), expected[port]);
	free(order);
	free(text);
}

static void a_hundred_thousand_rules_are_found(void **state)
{
	(void)state;
	enum { MANY = 100000 };
	char *text = malloc((size_t)MANY * 48), *at = text, host[64];
	for (unsigned i = 0; i < MANY; i++)
		at += i % 2 ? sprintf(at, "h%u.example.com:443=3:%u\n", i, i)
			    : sprintf(at, "10.%u.%u.%u:443=3:%u\n", i >> 16, i >> 8 & 255, i & 255, i);
	const struct map *map = map_of(text);
	for (unsigned i = 0; i < MANY; i++) {
		if (i % 2)
			sprintf(host, "h%u.example.com", i);
		else
			sprintf(host, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		assert_int_equal(decides(map, SIDE_CONNECT, host, 443), i + 1);
		assert_int_equal(decides(map, SIDE_CONNECT, host, 80), 0);
		assert_int_equal(decides(map, SIDE_LISTEN, host, 443), 0);
	}
	free(text);
}

static void a_rule_is_explained_with_all_its_options(void **state)
{
	(void)state;
	const struct map *map = map_of("a:443=3:8443 timeout=1500ms retry=3s chunk=32K");
	const struct asked asked = {.side = SIDE_CONNECT, .host = "a", .port = 443};
	char text[512];
	rule_explain(map_rule(map, 0), &asked, text, sizeof text);
	assert_string_equal(text, "  goes to CID 3, port 8443, over AF_VSOCK\n"
				  "  keeps trying for 3000 ms while nobody listens (blocking connects)\n"
				  "  gives one attempt 1500 ms\n"
				  "  writes at most 32768 bytes at once\n");
}

static void a_map_says_what_it_asks_for(void **state)
{
	(void)state;
	const struct summary *summary = map_summary(map_of("a:1=direct"));
	assert_false(summary->cids);
	assert_int_equal(summary->listen_rules + summary->names_rules + summary->unix_rules, 0);
	assert_null(summary->low_port);
	summary = map_summary(map_of("a:1=unix:/a,*:53=names,b:1=1:1,c:1=9:1,d:1=parent:1,listen *:*=any:*,"
				     "listen *:80=any:80,listen *:443=7:8443,listen e:1=refuse"));
	assert_true(summary->cids);
	assert_int_equal(summary->listen_rules, 4);
	assert_int_equal(summary->names_rules, 1);
	assert_int_equal(summary->unix_rules, 1);
	assert_int_equal(summary->to_remote->number, 5);
	assert_int_equal(summary->low_port->number, 7);
	assert_int_equal(summary->at_one_cid->number, 8);
	summary = map_summary(map_of("listen *:1024=any:1024,*:1023=3:1023"));
	assert_null(summary->low_port);
	summary = map_summary(map_of("listen *:1023=any:1023"));
	assert_int_equal(summary->low_port->number, 1);
	summary = map_summary(map_of("listen *:8080=1:8080"));
	assert_int_equal(summary->at_local->number, 1);
	assert_null(summary->low_port);
}

static void a_listener_is_found_by_its_vsock_port(void **state)
{
	(void)state;
	static const struct {
		uint32_t port, most, rule;
		uint16_t own;
	} rows[] = {
		{99, 65536, 0, 0},
		{100, 65536, 2, 8080},
		{110, 65536, 2, 8090},
		{111, 65536, 0, 0},
		{9000, 65536, 3, 81},
		{9001, 65536, 0, 0},
		{70005, 65536, 5, 505},
		{443, 65536, 4, 443},
		{105, 10, 0, 0},
		{105, 11, 2, 8085},
		{9000, 1, 3, 81},
	};
	const struct map *map =
		map_of("h:100=3:100,listen *:8080-8090=any:100-110,listen *:81-89=any:9000,"
		       "listen *:443=any:*,listen *:500-510=any:70000-70010,listen *:7=refuse");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint16_t own = 0;
		const struct rule *rule = map_listener(map, rows[i].port, rows[i].most, &own);
		assert_int_equal(rule ? rule->number : 0, rows[i].rule);
		assert_int_equal(own, rows[i].own);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, free_maps)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rules_are_understood),
		TEST(texts_are_split_into_rules),
		TEST(rules_know_where_they_were_written),
		TEST(a_line_of_the_command_names_where_rules_were_written),
		TEST(options_are_kept),
		TEST(ports_are_carried_over),
		TEST(paths_are_filled_in),
		TEST(names_match_without_regard_to_case_or_final_dot),
		TEST(the_first_rule_wins),
		TEST(both_families_are_kept_apart),
		TEST(localhost_is_both_loopbacks_and_the_name),
		TEST(a_connection_to_a_wildcard_goes_to_loopback),
		TEST(a_listener_on_either_wildcard_is_the_same),
		TEST(only_the_star_takes_port_0),
		TEST(rules_that_nothing_reaches_are_found),
		TEST(random_maps_match_as_a_linear_search_does),
		TEST(one_host_may_have_every_port),
		TEST(a_hundred_thousand_rules_are_found),
		TEST(a_rule_is_explained_with_all_its_options),
		TEST(a_map_says_what_it_asks_for),
		TEST(a_listener_is_found_by_its_vsock_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
