/* SPDX-License-Identifier: MIT */
/* Every mistake is reported where it is: in the maps below, a ^ precedes the place that the error must
 * name; it is taken out before the map is read. */
#include "build_map.h"

struct mistake {
	const char *map;
	uint32_t rule;
	const char *what, *hint; /* parts of them; hint NULL: there is none */
};

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PATH50 "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct mistake mistakes[] = {
	/* ports of the pattern */
	{"api.example.com:^https=3:8443", 1, "expected a port (1 to 65535), n-m or *, found \"https\"",
		"ports are numbers: https is 443"},
	{"a:^HTTP=3:80", 1, "found \"HTTP\"", "http is 80"},
	{"a:^web=3:80", 1, "found \"web\"", NULL},
	{"a:^0=3:80", 1, "expected a port (1 to 65535)", "only * takes it"},
	{"^0=3:80", 1, "expected a port (1 to 65535)", "only * takes it"},
	{"a:^65536=3:80", 1, "found \"65536\"", NULL},
	{"a:^99999999999999999999=3:80", 1, "found \"99999999999999999999\"", NULL},
	{"^65536=3:80", 1, "found \"65536\"", NULL},
	{"a:^-1=3:80", 1, "found \"", NULL},
	{"a:80-^65536=3:80", 1, "found \"65536\"", NULL},
	{"a:80-^=3:80", 1, "expected a port", NULL},
	{"a:^-80=3:80", 1, "expected a port", NULL},
	{"a:^0-80=3:80", 1, "expected a port (1 to 65535)", NULL},
	{"a:^90-80=3:80", 1, "a range that doesn't end below its first port, found \"90-80\"", NULL},
	{"a:80-^90-95=3:80", 1, "found \"90-95\"", NULL},
	{"a:^**=3:80", 1, "found \"**\"", NULL},
	{"a:^0x50=3:80", 1, "found \"0x50\"", NULL},
	{"a:^80/tcp=3:80", 1, "found \"80/tcp\"", NULL},
	{"a:^=3:80", 1, "expected a port (1 to 65535), n-m or *, found \"=\"", NULL},
	{"a:^80:90=3:80", 1, "found \"80:90\"", NULL},
	{"a:^80;b:80=3:80", 1, "found \"80;b:80\"", "commas or newlines"},
	/* hosts */
	{"^=3:80", 1, "expected HOST:PORT, found \"=\"", NULL},
	{"example.com^=3:80", 1, "expected \":\" and a port after the host", "example.com:*"},
	{"connect example.com^ = 3:80", 1, "expected \":\" and a port after the host", "example.com:*"},
	{"10.0.0.1^=3:80", 1, "expected \":\" and a port after the host", "10.0.0.1:*"},
	{"[::1]^=3:80", 1, "expected \":\" and a port after the host", "[::1]:*"},
	{"[::1]^80=3:80", 1, "expected \":\" and a port after the host, found \"80\"", NULL},
	{"exa^!mple.com:80=3:80", 1, "in a host name, found \"!\"", NULL},
	{"exa^*mple.com:80=3:80", 1, "in a host name, found \"*\"", "*.example.com"},
	{"^*example.com:80=3:80", 1, "found \"*\"", "*.example.com"},
	{"a.^*.com:80=3:80", 1, "found \"*\"", "*.example.com"},
	{"*.^*.com:80=3:80", 1, "found \"*\"", "*.example.com"},
	{"*.^:80=3:80", 1, "expected a host name", NULL},
	{"a.^.b:80=3:80", 1, "expected a label of a host name, found \".\"", NULL},
	{"^.b:80=3:80", 1, "expected a label of a host name, found \".\"", NULL},
	{"^.:80=3:80", 1, "expected a label of a host name, found \".\"", NULL},
	{"b^\xc3\xbc"
	 "cher.de:80=3:80",
		1, "found \"\xc3\xbc\"", "punycode"},
	{"a.^" LABEL63 "a.b:80=3:80", 1, "at most 63 bytes", NULL},
	{"^" LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ":80=3:80", 1, "at most 253 bytes, found 255", NULL},
	{"^1.2.3:80=3:80", 1, "expected an IPv4 address", NULL},
	{"^1.2.3.4.5:80=3:80", 1, "expected an IPv4 address", NULL},
	{"^256.1.1.1:80=3:80", 1, "expected an IPv4 address", NULL},
	{"^010.1.1.1:80=3:80", 1, "no leading zeros", NULL},
	{"^123:80=3:80", 1, "expected an IPv4 address", NULL},
	{"^*.1.2:80=3:80", 1, "expected an IPv4 address", NULL},
	{"^10.1.2.3/8:80=3:80", 1, "no bits set beyond the prefix length", "10.0.0.0/8"},
	{"10.0.0.0/^33:80=3:80", 1, "expected a prefix length (0 to 32), found \"33\"", NULL},
	{"10.0.0.0/^:80=3:80", 1, "expected a prefix length (0 to 32)", NULL},
	{"10.0.0.0/^255.0.0.0:80=3:80", 1, "expected a prefix length (0 to 32)", NULL},
	{"^10.0.0/8:80=3:80", 1, "expected an IPv4 address", NULL},
	{"example.com^/8:80=3:80", 1, "expected \":\" and a port after the host", "only an IP address"},
	{"^https://example.com:443=3:80", 1, "expected HOST:PORT", "leave out https://"},
	{"^::1:80=3:80", 1, "expected brackets around an IPv6 address", "write [::1]:80"},
	{"^fd00::1=3:80", 1, "expected brackets around an IPv6 address", "write [fd00:"},
	{"^2001:db8:1:2:3:4:5:6=3:80", 1, "expected brackets around an IPv6 address",
		"write [2001:db8:1:2:3:4:5:6]:PORT"},
	{"^fd00::/8:443=3:80", 1, "expected brackets around an IPv6 address", "write [fd00::/8]:443"},
	{"[^1.2.3.4]:80=3:80", 1, "expected an IPv6 address in brackets", "only IPv6 addresses"},
	{"[^example.com]:80=3:80", 1, "expected an IPv6 address in brackets", "only IPv6 addresses"},
	{"[^]:80=3:80", 1, "expected an IPv6 address in brackets, found \"]\"", "only IPv6 addresses"},
	{"^[::1:80=3:80", 1, "expected an IPv6 address and \"]\"", NULL},
	{"[^::g]:80=3:80", 1, "expected an IPv6 address, found \"::g\"", NULL},
	{"[^fe80::1%eth0]:80=3:80", 1, "expected an IPv6 address", "zone"},
	{"[2001:db8::]/^129:80=3:80", 1, "expected a prefix length (0 to 128), found \"129\"", NULL},
	{"[2001:db8::/^x]:80=3:80", 1, "expected a prefix length (0 to 128), found \"x\"", NULL},
	{"^[2001:db8::1]/32:80=3:80", 1, "no bits set beyond the prefix length", "[2001:db8::]/32"},
	{"^100.64.0.3:80=3:80", 1, "outside 100.64.0.0/10", "IP2VSOCK_PEERS=PREFIX"},
	{"listen ^198.18.0.0/16:80=3:80", 1, "outside 198.18.0.0/15", "IP2VSOCK_NAMES=PREFIX"},
	{"^0.0.0.0/0:80=3:80", 1, "outside 100.64.0.0/10", "for every address write *"},
	{"^[::]/0:80=3:80", 1, "outside fd76:736f:636b::/64", "for every address write *"},
	{"^[fd76:736f:636b:1::5]:80=3:80", 1, "outside fd76:736f:636b:1::/64", "for every address write *"},
	{"^[::ffff:100.64.0.3]:80=3:80", 1, "outside 100.64.0.0/10", "IP2VSOCK_PEERS"},
	/* the rule as a whole */
	{"a:80^", 1, "expected \"=\" after HOST:PORT, found the end of the rule", "HOST:PORT=TARGET"},
	{"a:80^,b:80=3:80", 1, "expected \"=\" after HOST:PORT", "HOST:PORT=TARGET"},
	{"a:80 ^3:80", 1, "expected \"=\" after HOST:PORT, found \"3:80\"", "commas or newlines"},
	{"a:80 ^b:80=3:80", 1, "expected \"=\" after HOST:PORT, found \"b:80\"", "commas or newlines"},
	{"^Listen *:80=any:80", 1, "expected connect, listen or HOST:PORT, found \"Listen\"", "lower case"},
	{"^CONNECT a:80=3:80", 1, "found \"CONNECT\"", "lower case"},
	{"^bind *:80=any:80", 1, "expected connect, listen or HOST:PORT, found \"bind\"", "[connect|listen]"},
	{"listen ^connect a:80=3:80", 1, "expected connect or listen once", NULL},
	{"listen^", 1, "expected \":\" and a port after the host", "listen:*"},
	{"listen ^= 3:80", 1, "expected HOST:PORT, found \"=\"", NULL},
	{"a:1=3:1,b:1=3:1,c:^x=3:1", 3, "found \"x\"", NULL},
	{"a:1=3:1\n\n# note\n\tb:1=3:1 , c:^x=3:1\nd:1=3:1", 3, "found \"x\"", NULL},
	{"a:1=3:1\r\nb:1=3:^x\r\n", 2, "found \"x\"", NULL},
	{"a:1=3:1, ^# note", 2, "expected connect, listen or HOST:PORT, found \"#\"", "line of its own"},
	/* targets */
	{"a:80=^", 1,
		"expected CID:PORT, unix:PATH, firecracker:PATH, socks5:CID:PORT, http:CID:PORT, names, "
		"refuse or direct, found the end of "
		"the rule",
		NULL},
	{"a:80=^10.0.0.1:80", 1, "expected a CID", "vsock has no IP addresses"},
	{"a:80=^10.0.0.1", 1, "expected a CID", "vsock has no IP addresses"},
	{"a:80=^[::1]:80", 1, "expected a CID", "vsock has no IP addresses"},
	{"a:80=^fd00::1", 1, "expected a CID", "vsock has no IP addresses"},
	{"a:80=vsock:^10.0.0.1:80", 1, "expected a CID", "vsock has no IP addresses"},
	{"a:80=^example.com:80", 1,
		"expected a CID (a number, any, hypervisor, local, host or parent), found \"example\"", NULL},
	{"a:80=^nothing", 1,
		"expected CID:PORT, unix:PATH, firecracker:PATH, socks5:CID:PORT, http:CID:PORT, names, "
		"refuse or direct, found \"nothing\"",
		NULL},
	{"listen a:80=^nothing", 1,
		"expected CID:PORT, unix:PATH, firecracker:PATH, refuse or direct, found \"nothing\"", NULL},
	{"listen *:53=^names", 1,
		"expected CID:PORT, unix:PATH, firecracker:PATH, refuse or direct, found \"names\"",
		"names is for connect rules"},
	{"a:53=^Names", 1, "expected CID:PORT", "keywords are in lower case: names"},
	{"a:53=names ^retry=1s", 1, "does nothing with names, refuse or direct", NULL},
	{"a:80=3^", 1, "expected \":\" and a vsock port", "3:* keeps the port"},
	{"a:80=parent^", 1, "expected \":\" and a vsock port", "parent:* keeps the port"},
	{"a:80=3:^", 1, "expected a vsock port (0 to 4294967294), n-m or *, found the end", NULL},
	{"a:80=3:^https", 1, "found \"https\"", "https is 443"},
	{"a:80=3:^4294967295", 1, "expected a vsock port (0 to 4294967294)", NULL},
	{"a:80=3:^8443:1", 1, "found \"8443:1\"", NULL},
	{"a:80=^-1:80", 1, "expected a CID", "write any"},
	{"a:80=^4294967295:80", 1, "expected a CID", "write any"},
	{"a:80=^4294967296:80", 1, "expected a CID", NULL},
	{"a:80=^any:80", 1, "expected the CID to connect to", "any is for listen rules"},
	{"a:80=^Parent:80", 1, "expected a CID", "lower case: parent"},
	{"listen 80=^ANY:80", 1, "expected a CID", "lower case: any"},
	{"a:80=^REFUSE", 1, "expected CID:PORT", "lower case: refuse"},
	{"a:80=vsock://^parents:80", 1, "expected a CID", NULL},
	{"a:80=^vsock3:80", 1, "expected a CID", NULL},
	{"a:80=3:^80-81", 1, "expected 1 port as in the pattern, found \"80-81\"", NULL},
	{"a:80-90=3:^80-91", 1, "expected 11 ports as in the pattern, found \"80-91\"", NULL},
	{"a:80-90=3:^80-89", 1, "expected 11 ports", NULL},
	{"a:*=3:^80-90", 1, "expected one port or * as the target of *", "* keeps the port"},
	{"a:80-90=3:^90-80", 1, "doesn't end below", NULL},
	{"a:80=unix:^run/x", 1, "expected an absolute path, found \"run/x\"", NULL},
	{"a:80=unix:^", 1, "expected an absolute path", NULL},
	{"a:80=unix:^@x", 1, "expected an absolute path", NULL},
	{"a:80=unix:^" PATH50 PATH50 "/234567x", 1, "expected a path of at most 107 bytes, found 108", NULL},
	{"a:80=unix:/run/^{name}/x", 1, "expected {port} or {host}, found \"{name}\"", NULL},
	{"a:80=unix:/run/{port}^{port", 1, "expected {port} or {host}, found \"{port\"", NULL},
	{"listen 80=unix:/run/^{host}", 1, "{host} needs a host", "leave {host} out"},
	{"a:80=^\"unix:/run/x", 1, "expected a closing quote on this line", NULL},
	{"a:80=^\"unix:/run/x\nb:1=3:1\"", 1, "expected a closing quote on this line", NULL},
	{"a:80=\"unix:/run/x\"^y", 1, "expected a blank or the end of the rule behind the quotes", NULL},
	{"a:80=unix:^\"/run/x y\"", 1, "expected quotes around the whole target", "\"unix:/run/a b\""},
	{"a:80=^unix:/run/x=y", 1, "expected a target without \"=\"", "stands in quotes"},
	{"a:1=3:1^;b:2=3:2", 1, "expected a comma or the end of the rule, found \";\"", "commas or newlines"},
	{"a:1=3:1^;", 1, "expected a comma or the end of the rule", "commas or newlines"},
	{"a:1=unix:/x^;b:2=3:2", 1, "expected a comma or the end of the rule", "commas or newlines"},
	{"a:1=refuse:^EFOO", 1, "expected an error, found \"EFOO\"", "ECONNREFUSED"},
	{"a:1=refuse:^", 1, "expected an error", "ECONNREFUSED"},
	{"a:1=refuse:^econnrefused", 1, "expected an error", "ECONNREFUSED"},
	{"a:1=^direct:80", 1, "expected a CID", NULL},
	{"[2001:db8::/32]^/32:1=3:1", 1, "expected \":\" and a port after the host, found \"/32\"", NULL},
	{"\"[::1]^x\":1=3:1", 1, "expected \":\" and a port after the host", NULL},
	{"\"\"^=3:1", 1, "expected \":\" and a port after the host", "\"\":*"},
	{"\"a^ b\":1=3:1", 1, "in a host name, found \" \"", NULL},
	{"connect \"a^=b\":1=3:1", 1, "in a host name, found \"=\"", NULL},
	{"listen  \"a^=b\"", 1, "in a host name, found \"=\"", NULL},
	{"\"a\"^80=3:1", 1, "expected \":\" and a port after the host, found \"80\"", NULL},
	/* options */
	{"a:1=3:1 ^b:2=3:2", 1, "expected an option", "commas or newlines"},
	{"a:1=3:1 ^listen b:2=3:2", 1, "expected an option", "commas or newlines"},
	{"a:1=3:1 ^# note", 1, "expected an option", "line of its own"},
	{"a:1=3:1 ^retries=5s", 1,
		"expected an option (retry=, timeout=, buffer=, chunk=, login= or allow=), found "
		"\"retries=5s\"",
		NULL},
	{"a:1=3:1 ^Retry=5s", 1, "expected an option", NULL},
	{"a:1=3:1 ^retry", 1, "expected an option", NULL},
	{"a:1=3:1 ^retry =5s", 1, "expected an option", NULL},
	{"a:1=3:1 retry=^", 1, "expected a time (1ms to 60m), found the end", "500ms, 2s and 1m"},
	{"a:1=3:1 retry=^5", 1, "expected a time", "5ms, 5s or 5m"},
	{"a:1=3:1 retry=^5h", 1, "expected a time", "500ms, 2s and 1m"},
	{"a:1=3:1 retry=^1.5s", 1, "expected a time", "500ms, 2s and 1m"},
	{"a:1=3:1 retry=^0s", 1, "expected a time", "500ms, 2s and 1m"},
	{"a:1=3:1 timeout=^61m", 1, "expected a time", "500ms, 2s and 1m"},
	{"a:1=3:1 timeout=^3600001ms", 1, "expected a time", "500ms, 2s and 1m"},
	{"a:1=3:1 timeout=^99999999999s", 1, "expected a time", "500ms, 2s and 1m"},
	{"a:1=3:1 buffer=^4095", 1, "expected a size (4K to 1G)", "65536, 256K and 4M"},
	{"a:1=3:1 buffer=^2G", 1, "expected a size", "65536, 256K and 4M"},
	{"a:1=3:1 buffer=^256k", 1, "expected a size", "256K"},
	{"a:1=3:1 buffer=^1KiB", 1, "expected a size", "65536, 256K and 4M"},
	{"a:1=3:1 buffer=^4294967296", 1, "expected a size", "65536, 256K and 4M"},
	{"a:1=3:1 retry=1s ^retry=2s", 1, "expected retry= only once", NULL},
	{"a:1=3:1 buffer=4K retry=1s ^buffer=4K", 1, "expected buffer= only once", NULL},
	{"a:1=3:1 ^allow=3", 1, "expected an option of a connect rule", NULL},
	{"listen 1=any:1 ^retry=1s", 1, "expected an option of a listen rule", NULL},
	{"listen 1=any:1 ^timeout=1s", 1, "expected an option of a listen rule", NULL},
	{"listen 1=any:1 allow=^any", 1, "expected the CID of a peer", NULL},
	{"listen 1=any:1 allow=^3:4", 1, "expected the CID of a peer", NULL},
	{"listen 1=any:1 allow=3 allow=^x", 1, "expected the CID of a peer", NULL},
	{"a:1=refuse ^retry=1s", 1, "does nothing with names, refuse or direct", NULL},
	{"a:1=direct ^buffer=4K", 1, "does nothing with names, refuse or direct", NULL},
	{"listen 1=refuse ^allow=3", 1, "does nothing with names, refuse or direct", NULL},
	{"a:1=firecracker:/x^", 1,
		"expected \":\" and a vsock port behind the path, found the end of the rule",
		"such as firecracker:/run/v.sock:52"},
	{"a:1=firecracker:^x:52", 1, "expected an absolute path", NULL},
	{"a:1=firecracker:/x:^y", 1, "expected a vsock port", NULL},
	{"listen 1=firecracker:^" PATH50 PATH50 "/2, a:1=3:1", 1,
		"expected a path of at most 101 bytes, to which _PORT is added, found 102", NULL},
	{"listen 1=firecracker:" PATH50 PATH50 "/, a:^x=3:1", 2, "expected a port", NULL},
	{"listen 1=^socks5:3:1080", 1, "expected CID:PORT", "proxies are for connect rules"},
	{"a:1=http:3:^*", 1, "expected the proxy's own port, found \"*\"", "what the proxy is asked for"},
	{"a:1-2=http:3:^5-6", 1, "expected the proxy's own port, found \"5-6\"",
		"what the proxy is asked for"},
	{"a:1=socks5:^10.0.0.1:1080", 1, "expected a CID", "vsock has no IP addresses"},
	{"a:1=socks5:unix:^x", 1, "expected an absolute path", NULL},
	{"a:1=^socks5", 1, "expected CID:PORT", NULL},
	{"a:1=3:1 ^login=/x", 1, "login= does nothing with a", NULL},
	{"a:1=http:3:1 login=^x", 1, "expected the absolute path of a file with USER:PASSWORD", NULL},
	{"a:1=http:3:1 login=^/missing", 1, "/missing can't: No such file", NULL},
	{"listen 1=firecracker:/x ^allow=3", 1, "does nothing with a firecracker: target", NULL},
	{"listen 1=unix:/x ^allow=3", 1, "does nothing with a unix: target", NULL},
	/* bytes that are no text */
	{"a:1=3:1,b^\x01:1=3:1", 2, "control character 0x01", NULL},
	{"a:1=3:1,b:1=\"unix:/^\x1b[m\"", 2, "control character 0x1b", NULL},
	{"# note^\x7f\na:1=3:1", 0, "control character 0x7f", NULL},
	{"a:1=3:1^\rb:1=3:1", 1, "control character 0x0d", NULL},
	/* files */
	{"a:1=3:1,^@/missing", 0, "/missing can't: No such file", NULL},
	{"@^map", 0, "expected the absolute path of a file after @, found \"map\"", "change their directory"},
	{"@^", 0, "expected the absolute path of a file", NULL},
	{"@\"^\"", 0, "expected the absolute path of a file", NULL},
	{"@^/a\"b\"", 0, "expected the absolute path of a file", NULL},
};

struct place {
	char map[1024];
	size_t length;
	uint32_t line, column;
};

static void find_place(struct place *place, const char *marked)
{
	const char *mark = strchr(marked, '^');
	assert_non_null(mark);
	size_t before = (size_t)(mark - marked), start = before;
	memcpy(place->map, marked, before);
	strcpy(place->map + before, mark + 1);
	place->length = strlen(place->map);
	place->line = 1;
	for (size_t i = 0; i < before; i++)
		place->line += marked[i] == '\n';
	while (start > 0 && marked[start - 1] != '\n')
		start--;
	place->column = (uint32_t)(before - start) + 1;
}

static void assert_mistake(const struct mistake *mistake)
{
	struct place place;
	struct map_error error;
	find_place(&place, mistake->map);
	if (try_map_of(place.map, place.length, &ranges_default, &error))
		fail_msg("%s: taken for good", mistake->map);
	if (error.rule != mistake->rule || error.line != place.line || error.column != place.column ||
		!strstr(error.what, mistake->what) ||
		(mistake->hint ? !strstr(error.hint, mistake->hint) : error.hint[0] != '\0'))
		fail_msg("%s: rule %u, line %u, column %u (expected %u, %u, %u): %s; hint: %s", mistake->map,
			error.rule, error.line, error.column, mistake->rule, place.line, place.column,
			error.what, error.hint);
	assert_string_equal(error.source, "IP2VSOCK_MAP");
	/* the caret is under the place: what the line shows there is what the map has there */
	const char *at = strchr(mistake->map, '^') + 1;
	size_t same = strcspn(at, "\r\n\x01\x1b\x7f");
	same = same < 20 ? same : 20;
	assert_memory_equal(error.line_text + error.caret, at, same);
}

static void mistakes_are_reported_where_they_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
		assert_mistake(&mistakes[i]);
	print_message("%zu mistakes\n", sizeof mistakes / sizeof *mistakes);
}

static void a_nul_is_no_text(void **state)
{
	(void)state;
	struct map_error error;
	static const char map[] = "a:1=3:1,b\0:1=3:1";
	assert_null(try_map_of(map, sizeof map - 1, &ranges_default, &error));
	assert_int_equal(error.rule, 2);
	assert_int_equal(error.column, 10);
	assert_non_null(strstr(error.what, "control character 0x00"));
}

static void a_login_is_read_and_never_shown(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"", "\n", "secret", ":secret", "ada:secret ", "ada:secret\r\n", "\nada:secret"};
	struct test_file files[] = {{"/login", "ada:se:cret\nmore", 0}, {NULL, NULL, 0}};
	static const char map[] = "a:1=http:3:1 login=/login";
	struct map_error error;
	char text[2048];
	test_files = files;
	const struct rule *rule = map_rule(try_map_of(map, strlen(map), &ranges_default, &error), 0);
	assert_int_equal(rule->login_length, 11);
	assert_memory_equal(rule->login, "ada:se:cret", 11);
	rule_format(rule, text, sizeof text);
	assert_string_equal(text, "connect a:1 = http:3:1 login=/login");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		files[0].text = wrong[i];
		files[0].length = *wrong[i] ? 0 : 1;
		assert_null(try_map_of(map, strlen(map), &ranges_default, &error));
		assert_int_equal(error.column, 20);
		map_error_format(&error, text, sizeof text);
		assert_non_null(strstr(text, "expected USER:PASSWORD in the first line of /login"));
		assert_null(strstr(text, "secret"));
	}
	test_files = NULL;
}

static void mistakes_in_files_name_the_file(void **state)
{
	(void)state;
	static const struct test_file files[] = {
		{"/etc/x.map", "a:1=3:1\n# note\n  b:443=3:1 retry=1\n", 0},
		{"/etc/y.map", "c:1=3:1,\n@/etc/x.map\n", 0},
		{"/etc/nul.map", "a:1=3:1\n\0", 9},
		{NULL, NULL, 0},
	};
	struct map_error error;
	char message[2048];
	test_files = files;

	static const char map[] = "z:1=3:1,@/etc/x.map";
	assert_null(try_map_of(map, strlen(map), &ranges_default, &error));
	assert_string_equal(error.source, "/etc/x.map");
	assert_int_equal(error.rule, 3);
	assert_int_equal(error.line, 3);
	assert_int_equal(error.column, 19);
	map_error_format(&error, message, sizeof message);
	assert_string_equal(message,
		"ip2vsock: /etc/x.map:3: rule 3, column 19: expected a time (1ms to 60m), found \"1\"\n"
		"      b:443=3:1 retry=1\n"
		"                      ^\n"
		"hint: a time has a unit: 1ms, 1s or 1m\n");

	static const char nested[] = "@\"/etc/y.map\"";
	assert_null(try_map_of(nested, strlen(nested), &ranges_default, &error));
	assert_string_equal(error.source, "/etc/y.map");
	assert_int_equal(error.rule, 0);
	assert_int_equal(error.line, 2);
	assert_non_null(strstr(error.hint, "can't name another file"));

	static const char nul[] = "@/etc/nul.map";
	assert_null(try_map_of(nul, strlen(nul), &ranges_default, &error));
	assert_string_equal(error.source, "/etc/nul.map");
	assert_int_equal(error.line, 2);
	assert_int_equal(error.column, 1);

	/* what follows a file is reported in its own source again */
	static const struct test_file good[] = {{"/etc/x.map", "a:1=3:1\nb:1=3:1", 0}, {NULL, NULL, 0}};
	static const char behind[] = "@/etc/x.map\n\nc:x=3:1";
	test_files = good;
	assert_null(try_map_of(behind, strlen(behind), &ranges_default, &error));
	assert_string_equal(error.source, "IP2VSOCK_MAP");
	assert_int_equal(error.rule, 3);
	assert_int_equal(error.line, 3);
	assert_int_equal(error.column, 3);
}

static int too_large(void *context, const char *path, const char **text, size_t *length)
{
	(void)context;
	(void)path;
	(void)text;
	(void)length;
	return EFBIG;
}

static void a_service_is_known_by_its_name(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		unsigned port;
	} known[] = {{"amqp", 5672}, {"dns", 53}, {"ftp", 21}, {"http", 80}, {"imap", 143}, {"imaps", 993},
		{"kafka", 9092}, {"ldap", 389}, {"ldaps", 636}, {"memcached", 11211}, {"mongodb", 27017},
		{"mqtt", 1883}, {"mysql", 3306}, {"ntp", 123}, {"postgres", 5432}, {"postgresql", 5432},
		{"redis", 6379}, {"smtp", 25}, {"ssh", 22}, {"telnet", 23}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		char map[64], hint[64];
		struct map_error error;
		snprintf(map, sizeof map, "a:%s=3:1", known[i].name);
		snprintf(hint, sizeof hint, "ports are numbers: %s is %u", known[i].name, known[i].port);
		assert_null(try_map_of(map, strlen(map), &ranges_default, &error));
		assert_string_equal(error.hint, hint);
	}
}

static void too_much_text_is_refused(void **state)
{
	(void)state;
	enum { LARGE = 10 << 20 };
	struct map_error error;
	char *large = malloc(LARGE), message[1024];
	memset(large, '\n', LARGE);
	assert_null(try_map_of(large, LARGE, &ranges_default, &error));
	assert_non_null(strstr(error.what, "expected at most 8 MiB of rules, found 10485760 bytes"));
	map_error_format(&error, message, sizeof message);
	assert_string_equal(
		message, "ip2vsock: IP2VSOCK_MAP: expected at most 8 MiB of rules, found 10485760 bytes\n");
	assert_non_null(try_map_of(large, MAP_TEXT_LIMIT, &ranges_default, &error));

	/* all sources together */
	const struct test_file files[] = {{"/half", large, 5 << 20}, {NULL, NULL, 0}};
	test_files = files;
	assert_non_null(try_map_of("@/half", 6, &ranges_default, &error));
	assert_null(try_map_of("@/half,@/half", 13, &ranges_default, &error));
	assert_string_equal(error.source, "/half");
	assert_non_null(strstr(error.what, "found 10485773 bytes"));
	test_files = NULL;
	free(large);

	const struct map_source source = {test_memory, too_large, NULL};
	assert_null(map_build("IP2VSOCK_MAP", "@/big", 5, &ranges_default, &source, &error));
	assert_non_null(strstr(error.what, "at most 8 MiB, /big is larger"));
}

static void the_caret_lines_up(void **state)
{
	(void)state;
	struct map_error error;
	char message[2048];
	static const char map[] = "\tb\xc3\xbc:1=3:1";
	assert_null(try_map_of(map, strlen(map), &ranges_default, &error));
	map_error_format(&error, message, sizeof message);
	assert_non_null(strstr(message, "\n    \tb\xc3\xbc:1=3:1\n    \t ^\n"));

	static const char other[] = "\xc3\xbc:1=3:1"; /* two bytes, one column on the screen */
	static const char behind[] = "a:1=\"unix:/\xc3\xbc\" x";
	assert_null(try_map_of(other, strlen(other), &ranges_default, &error));
	assert_null(try_map_of(behind, strlen(behind), &ranges_default, &error));
	assert_int_equal(error.column, 16);
	map_error_format(&error, message, sizeof message);
	assert_non_null(strstr(message, "\n    a:1=\"unix:/\xc3\xbc\" x\n                  ^\n"));
}

/* The message shows a part of the line, cut between characters. */
static void long_lines_are_cut_around_the_place(void **state)
{
	(void)state;
	struct map_error error;
	char map[4096];
	for (int before = 0; before < 100; before++) {
		for (int after = 0; after < 100; after++) {
			char *at = map;
			at = stpcpy(at, before % 2 ? "a:1=3:1,b:1=\"unix:/" : "a:1=3:1,b:10=\"unix:/");
			for (int i = 0; i < 40; i++)
				at = stpcpy(at, "\xc3\xbc");
			at += sprintf(at, "\",%*sWRONG%%", before, "");
			size_t column = (size_t)(at - map);
			at = stpcpy(at, "\xc3\xbc");
			at = (char *)memset(at, 'x', (size_t)after) + after;
			for (int i = 0; i < 40; i++)
				at = stpcpy(at, "\xc3\xbc");
			assert_null(try_map_of(map, (size_t)(at - map), &ranges_default, &error));
			assert_int_equal(error.column, column);
			assert_true(strlen(error.line_text) <= 110);
			assert_memory_equal(error.line_text + error.caret, "%\xc3\xbc", 3);
			const char *first = error.line_text + strspn(error.line_text, ".");
			assert_true(first == error.line_text + 3);
			assert_int_not_equal((unsigned char)*first & 0xc0, 0x80);
			const char *last = error.line_text + strlen(error.line_text) - 1;
			assert_memory_equal(last - 2, "...", 3);
			last -= 3;
			if (((unsigned char)*last & 0xc0) == 0x80)
				last--;
			assert_true(*last == 'x' || memcmp(last, "\xc3\xbc...", 5) == 0);
		}
	}
}

static void bytes_that_are_no_characters_are_shown_too(void **state)
{
	(void)state;
	struct map_error error;
	char map[600];
	memset(map, 0x81, sizeof map);
	for (size_t length = 1; length <= sizeof map; length++) {
		assert_null(try_map_of(map, length, &ranges_default, &error));
		assert_int_equal(error.column, 1);
		assert_int_equal(error.caret, 0);
		assert_true(strlen(error.line_text) > 0);
	}
	memcpy(map, "a:1=unix:/x", 11); /* the place lies behind the bytes */
	map[100] = ' ';
	assert_null(try_map_of(map, sizeof map, &ranges_default, &error));
	assert_int_equal(error.column, 102);
	assert_true(error.caret < strlen(error.line_text));
}

static void messages_are_cut_to_their_buffer(void **state)
{
	(void)state;
	struct map_error error;
	char message[2048], small[2048];
	static const char map[] = "a:https=3:8443";
	assert_null(try_map_of(map, strlen(map), &ranges_default, &error));
	size_t length = map_error_format(&error, message, sizeof message);
	assert_int_equal(length, strlen(message));
	for (size_t room = 1; room <= length + 1; room++) {
		memset(small, 'x', sizeof small);
		assert_int_equal(map_error_format(&error, small, room), room - 1);
		assert_int_equal(strlen(small), room - 1);
		assert_memory_equal(small, message, room - 1);
		assert_int_equal(small[room], 'x');
	}
}

static void too_many_names_are_reported_at_the_first_that_has_no_room(void **state)
{
	(void)state;
	struct ranges ranges = ranges_default;
	struct map_error error;
	char map[16384], *at = map;
	assert_true(prefix_parse(&ranges.names, "10.9.8.0/24", 11));
	for (int i = 1; i <= 255; i++)
		at += sprintf(at, "%sh%d:1=3:1,h%d:2=3:1,10.%d.0.1:1=3:1\n", i % 2 ? "" : "listen ", i, i, i);
	assert_non_null(try_map_of(map, (size_t)(at - map), &ranges, &error));
	at += sprintf(at, "h1:3=3:1, *.h1:1=3:1,h2:9=3:1");
	assert_null(try_map_of(map, (size_t)(at - map), &ranges, &error));
	assert_int_equal(error.rule, 3 * 255 + 2);
	assert_int_equal(error.line, 256);
	assert_int_equal(error.column, 11);
	assert_string_equal(error.line_text, "*.h1:1=3:1");
	assert_non_null(
		strstr(error.what, "at most 255 host names and globs, for which 10.9.8.0/24 has room"));
	assert_non_null(strstr(error.hint, "IP2VSOCK_NAMES"));
}

static size_t memory_left;

static void *scarce_memory(void *context, size_t size)
{
	if (memory_left == 0)
		return NULL;
	memory_left--;
	return test_memory(context, size);
}

static void memory_that_runs_out_is_an_error(void **state)
{
	(void)state;
	static const char map[] = "a:1=3:1,a:2=3:1,@/f,*.b:80-90=unix:/x,10.0.0.0/8:1=3:1";
	static const struct test_file files[] = {
		{"/f", "b:1-9=3:1\nb:2-7=3:1\nlisten *:*=any:* allow=3", 0}, {NULL, NULL, 0}};
	const struct map_source source = {scarce_memory, test_read, NULL};
	struct map_error error;
	bool good = false;
	test_files = files;
	for (size_t calls = 0; !good; calls++) {
		assert_true(calls < 100);
		memory_left = calls;
		good = map_build("IP2VSOCK_MAP", map, strlen(map), &ranges_default, &source, &error);
		if (!good)
			assert_string_equal(error.what, "out of memory");
	}
}

static const char *const good_maps[] = {
	"connect api.example.com:443 = 3:8443 retry=5s timeout=500ms buffer=4M\n"
	"*.example.com:80-90=parent:8080-8090, \"x.y\":1=\"unix:/run/a b,c={port}/{host}\"\n"
	"# a comment, with a comma and a \" in it\n"
	"\tlisten 8080=any:* allow=3 allow=parent buffer=256K\r\n"
	"[2001:db8::]/32:1-2=vsock://3:1-2,[::1]:5=vsock:local:5,10.0.0.0/"
	"8:*=3.8443,localhost:9=refuse:ETIMEDOUT\n"
	"@/f,@\"/f\",:1=direct,*=refuse",
	"a:1=3:1",
	"\n,,\n# x\n,",
	"LOCALHOST.:80=hypervisor:1 buffer=1G,listen listen:1=host:1,connect:2=3:*",
};

static void check_error(const struct map_error *error, size_t length)
{
	char message[2048];
	assert_true(error->column <= length + 1);
	assert_true(strlen(error->what) > 0);
	assert_true(error->caret <= strlen(error->line_text));
	size_t size = map_error_format(error, message, sizeof message);
	assert_int_equal(message[size - 1], '\n');
}

static void every_beginning_of_a_good_map_is_good_or_a_mistake(void **state)
{
	(void)state;
	static const struct test_file files[] = {{"/f", "f:1=3:1", 0}, {NULL, NULL, 0}};
	struct map_error error;
	test_files = files;
	for (size_t i = 0; i < sizeof good_maps / sizeof *good_maps; i++) {
		size_t length = strlen(good_maps[i]);
		assert_non_null(map_of(good_maps[i]));
		for (size_t cut = 0; cut < length; cut++)
			if (!try_map_of(good_maps[i], cut, &ranges_default, &error))
				check_error(&error, cut);
		free_maps(NULL);
	}
}

static void maps_with_random_damage_are_good_or_a_mistake(void **state)
{
	(void)state;
	static const struct test_file files[] = {{"/f", "f:1=3:1", 0}, {NULL, NULL, 0}};
	static const char inserts[] = "\"\"=:,;.*-@#[]{}/ \n\t\r09azAZ\x80\xff\x01";
	struct map_error error;
	char map[1024];
	test_files = files;
	srand(11);
	for (int round = 0; round < 30000; round++) {
		const char *from = good_maps[(size_t)rand() % (sizeof good_maps / sizeof *good_maps)];
		size_t length = strlen(from);
		memcpy(map, from, length);
		for (int changes = 1 + rand() % 4; changes > 0; changes--) {
			size_t at = (size_t)rand() % length;
			if (rand() % 3 == 0) {
				memmove(map + at, map + at + 1, --length - at);
			} else if (rand() % 2) {
				map[at] = inserts[(size_t)rand() % (sizeof inserts - 1)];
			} else {
				memmove(map + at + 1, map + at, length++ - at);
				map[at] = inserts[(size_t)rand() % (sizeof inserts - 1)];
			}
			if (length == 0)
				break;
		}
		if (!try_map_of(map, length, &ranges_default, &error))
			check_error(&error, sizeof map);
		if (round % 100 == 0)
			free_maps(NULL);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, free_maps)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mistakes_are_reported_where_they_are),
		TEST(a_nul_is_no_text),
		TEST(a_login_is_read_and_never_shown),
		TEST(mistakes_in_files_name_the_file),
		TEST(a_service_is_known_by_its_name),
		TEST(too_much_text_is_refused),
		TEST(the_caret_lines_up),
		TEST(long_lines_are_cut_around_the_place),
		TEST(bytes_that_are_no_characters_are_shown_too),
		TEST(messages_are_cut_to_their_buffer),
		TEST(too_many_names_are_reported_at_the_first_that_has_no_room),
		TEST(memory_that_runs_out_is_an_error),
		TEST(every_beginning_of_a_good_map_is_good_or_a_mistake),
		TEST(maps_with_random_damage_are_good_or_a_mistake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
