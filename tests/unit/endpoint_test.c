/* SPDX-License-Identifier: MIT */
#include "core/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct address address_of(const char *ip, uint16_t port)
{
	struct prefix prefix;
	struct address address = {.port = port};
	assert_true(prefix_parse(&prefix, ip, strlen(ip)));
	assert_int_equal(prefix.length, 128);
	memcpy(address.ip, prefix.ip, sizeof address.ip);
	return address;
}

static void assert_text(const struct address *address, const char *text)
{
	char actual[ADDRESS_TEXT];
	address_format(address, actual, sizeof actual);
	assert_string_equal(actual, text);
}

static void sockaddrs_go_both_ways(void **state)
{
	(void)state;
	struct address address = address_of("10.1.2.3", 443), back;
	struct sockaddr_storage storage;
	assert_int_equal(address_to_sockaddr(&address, AF_INET, &storage), sizeof(struct sockaddr_in));
	struct sockaddr_in *in = (struct sockaddr_in *)&storage;
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(ntohs(in->sin_port), 443);
	assert_int_equal(ntohl(in->sin_addr.s_addr), 0x0a010203);
	assert_true(address_from_sockaddr(&back, (struct sockaddr *)&storage, sizeof *in));
	assert_memory_equal(&back, &address, sizeof back);

	assert_int_equal(address_to_sockaddr(&address, AF_INET6, &storage), sizeof(struct sockaddr_in6));
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
	assert_true(IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr));
	assert_int_equal(in6->sin6_flowinfo, 0);
	assert_int_equal(in6->sin6_scope_id, 0);
	assert_true(address_from_sockaddr(&back, (struct sockaddr *)&storage, sizeof *in6));
	assert_memory_equal(&back, &address, sizeof back);

	address = address_of("2001:db8::1", 80);
	address_to_sockaddr(&address, AF_INET, &storage);
	assert_int_equal(in->sin_addr.s_addr, INADDR_ANY);
	assert_int_equal(ntohs(in->sin_port), 80);
}

/* Blocks of exactly `length` bytes: a sanitizer sees a read behind them. */
static bool takes(int family, socklen_t length)
{
	struct address address;
	struct sockaddr_storage storage = {.ss_family = (sa_family_t)family};
	void *exact = malloc(length ? length : 1);
	memcpy(exact, &storage, length);
	bool taken = address_from_sockaddr(&address, exact, length);
	free(exact);
	return taken;
}

static void short_and_foreign_sockaddrs_are_refused(void **state)
{
	(void)state;
	struct address address;
	for (socklen_t length = 0; length < 40; length++) {
		assert_int_equal(takes(AF_INET, length), length >= 16);
		assert_int_equal(takes(AF_INET6, length), length >= 24); /* as the kernel: RFC 2133's form */
		assert_false(takes(AF_UNIX, length));
		assert_false(takes(AF_UNSPEC, length));
	}
	assert_false(address_from_sockaddr(&address, NULL, 16));
}

static void kinds_of_addresses_are_distinguished(void **state)
{
	(void)state;
	static const struct {
		const char *ip;
		bool ipv4, loopback, wildcard;
	} cases[] = {
		{"127.0.0.1", true, true, false},
		{"127.255.0.9", true, true, false},
		{"128.0.0.1", true, false, false},
		{"0.0.0.0", true, false, true},
		{"::", false, false, true},
		{"::ffff:0.0.0.0", true, false, true},
		{"::ffff:127.0.0.1", true, true, false},
		{"::1", false, true, false},
		{"::127.0.0.1", false, false, false},
		{"::2", false, false, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct address address = address_of(cases[i].ip, 1);
		assert_int_equal(address_is_ipv4(&address), cases[i].ipv4);
		assert_int_equal(address_is_loopback(&address), cases[i].loopback);
		assert_int_equal(address_is_wildcard(&address), cases[i].wildcard);
	}
	struct address address = address_of("1.2.3.4", 0);
	assert_int_equal(address_ip4(&address), 0x01020304);
	address = address_of("2001:db8::1", 0);
	assert_int_equal(address_ip4(&address), 0);
}

static void texts_of_addresses_are_canonical(void **state)
{
	(void)state;
	static const char *const same[] = {"0.0.0.0", "255.255.255.255", "::", "::1", "1::", "2001:db8::1",
		"2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "1:2:3:4:5:6:7:8", "fe80::1:0:0:1",
		"ffff:ffff::", "::ffff:0:0:1"};
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		struct address address = address_of(same[i], 0);
		assert_text(&address, same[i]);
	}
	static const char *const other[][2] = {{"::FFFF:10.0.0.1", "10.0.0.1"}, {"0:0:0:0:0:0:0:0", "::"},
		{"2001:0db8:0000:0000:0000:ff00:0042:8329", "2001:db8::ff00:42:8329"},
		{"::ffff:102:304", "1.2.3.4"}, {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
		{"1:0:0:2:0:0:0:3", "1:0:0:2::3"}, {"1::2:3:4:5:6:7", "1:0:2:3:4:5:6:7"}};
	for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
		struct address address = address_of(other[i][0], 0);
		assert_text(&address, other[i][1]);
	}
	char text[ADDRESS_PORT_TEXT];
	struct address address = address_of("::1", 443);
	address_port_format(&address, text, sizeof text);
	assert_string_equal(text, "[::1]:443");
	address = address_of("10.1.2.3", 65535);
	address_port_format(&address, text, sizeof text);
	assert_string_equal(text, "10.1.2.3:65535");
	address_port_format(&address, text, 5);
	assert_string_equal(text, "10.1");
	address_port_format(&address, text, 1);
	assert_string_equal(text, "");
}

/* inet_pton and inet_ntop are the oracle, for random texts near the grammar. */
static void texts_are_read_and_written_as_libc_does(void **state)
{
	(void)state;
	static const char alphabet[] = "0123456789abcdefF::::....:1.0";
	srand(7);
	for (int round = 0; round < 300000; round++) {
		char text[48];
		int length = rand() % 24;
		for (int i = 0; i < length; i++)
			text[i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
		text[length] = '\0';
		struct prefix prefix;
		uint8_t ip[16] = {[10] = 0xff, [11] = 0xff};
		bool good = inet_pton(AF_INET6, text, ip) == 1;
		if (!good) {
			memcpy(ip, (uint8_t[16]){[10] = 0xff, 0xff}, sizeof ip);
			good = inet_pton(AF_INET, text, ip + 12) == 1;
		}
		char *exact = malloc((size_t)length + !length);
		memcpy(exact, text, (size_t)length);
		bool taken = prefix_parse(&prefix, exact, (size_t)length);
		free(exact);
		if (taken != good)
			fail_msg("\"%s\" is %s to libc", text, good ? "good" : "bad");
		if (good)
			assert_memory_equal(prefix.ip, ip, sizeof ip);
	}
	for (int round = 0; round < 100000; round++) {
		struct address address = {.port = 0};
		char text[INET6_ADDRSTRLEN];
		for (int i = 0; i < 16; i += 2) {
			address.ip[i] = rand() % 3 ? 0 : (uint8_t)rand();
			address.ip[i + 1] = rand() % 2 ? 0 : (uint8_t)rand();
		}
		if (address.ip[0] == 0) /* there libc writes some as IPv4-compatible */
			address.ip[0] = 0x20;
		inet_ntop(AF_INET6, address.ip, text, sizeof text);
		assert_text(&address, text);
	}
}

static void prefixes_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int length; /* -1: bad */
		const char *canonical;
	} cases[] = {
		{"10.0.0.0/8", 104, "10.0.0.0/8"},
		{"10.1.2.3", 128, "10.1.2.3"},
		{"10.1.2.3/32", 128, "10.1.2.3"},
		{"0.0.0.0/0", 96, "0.0.0.0/0"},
		{"::/0", 0, "::/0"},
		{"fd00::/8", 8, "fd00::/8"},
		{"::1/128", 128, "::1"},
		{"::ffff:10.0.0.0/104", 104, "10.0.0.0/8"},
		{"128.0.0.0/1", 97, "128.0.0.0/1"},
		{"10.0.0.1/8", -1, NULL},
		{"10.0.0.0/33", -1, NULL},
		{"10.0.0.0/", -1, NULL},
		{"10.0.0.0/8/8", -1, NULL},
		{"10.0.0.0/-1", -1, NULL},
		{"fd00::1/8", -1, NULL},
		{"fd00::/129", -1, NULL},
		{"[::1]", -1, NULL},
		{"1:2:3:4:5:6:7:8::", -1, NULL},
		{"::1:2:3:4:5:6:7:8", -1, NULL},
		{"010.0.0.1", -1, NULL},
		{"", -1, NULL},
		{"/8", -1, NULL},
		{"example.com", -1, NULL},
		{"1.2.3.4 ", -1, NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t length = strlen(cases[i].text);
		char *exact = malloc(length + 1), canonical[PREFIX_TEXT];
		struct prefix prefix;
		memcpy(exact, cases[i].text, length);
		bool good = prefix_parse(&prefix, exact, length);
		free(exact);
		assert_int_equal(good, cases[i].length >= 0);
		if (!good)
			continue;
		assert_int_equal(prefix.length, cases[i].length);
		prefix_format(&prefix, canonical, sizeof canonical);
		assert_string_equal(canonical, cases[i].canonical);
	}
}

static void prefixes_hold_their_own_family(void **state)
{
	(void)state;
	static const struct {
		const char *prefix, *ip;
		bool holds;
	} cases[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"10.16.0.0/12", "10.31.255.255", true},
		{"10.16.0.0/12", "10.32.0.0", false},
		{"0.0.0.0/0", "1.2.3.4", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "2001:db8::1", true},
		{"::/0", "1.2.3.4", false},
		{"::/80", "1.2.3.4", false},
		{"fd00::/9", "fd7f::1", true},
		{"fd00::/9", "fd80::1", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct prefix prefix, other;
		struct address address = address_of(cases[i].ip, 0);
		assert_true(prefix_parse(&prefix, cases[i].prefix, strlen(cases[i].prefix)));
		assert_true(prefix_parse(&other, cases[i].ip, strlen(cases[i].ip)));
		assert_int_equal(prefix_contains(&prefix, address.ip), cases[i].holds);
		assert_int_equal(prefix_overlaps(&prefix, &other), cases[i].holds);
		assert_int_equal(prefix_overlaps(&other, &prefix), cases[i].holds);
	}
}

static void cids_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		uint32_t cid;
	} cases[] = {
		{"0", true, 0},
		{"16", true, 16},
		{"4294967294", true, 4294967294},
		{"4294967295", false, 0},
		{"4294967296", false, 0},
		{"99999999999999999999999", false, 0},
		{"any", true, CID_ANY},
		{"hypervisor", true, 0},
		{"local", true, 1},
		{"host", true, 2},
		{"parent", true, 3},
		{"Parent", false, 0},
		{"par", false, 0},
		{"parents", false, 0},
		{"-1", false, 0},
		{"+3", false, 0},
		{"0x3", false, 0},
		{" 3", false, 0},
		{"", false, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t cid;
		assert_int_equal(cid_parse(cases[i].text, strlen(cases[i].text), &cid), cases[i].good);
		if (cases[i].good)
			assert_int_equal(cid, cases[i].cid);
	}
}

static void endpoints_are_written(void **state)
{
	(void)state;
	char text[ENDPOINT_TEXT];
	endpoint_format(&(struct endpoint){3, 8443}, text, sizeof text);
	assert_string_equal(text, "3:8443");
	endpoint_format(&(struct endpoint){CID_ANY, 80}, text, sizeof text);
	assert_string_equal(text, "any:80");
	endpoint_format(&(struct endpoint){CID_ANY - 1, PORT_ANY - 1}, text, sizeof text);
	assert_string_equal(text, "4294967294:4294967294");
	endpoint_format(&(struct endpoint){1, PORT_ANY}, text, sizeof text);
	assert_string_equal(text, "1:*");
}

static void assert_shown(
	uint32_t cid, uint32_t port, int family, const struct ranges *ranges, const char *shown)
{
	char text[ADDRESS_PORT_TEXT];
	struct address address = endpoint_shown(&(struct endpoint){cid, port}, family, ranges);
	address_port_format(&address, text, sizeof text);
	assert_string_equal(text, shown);
}

static void cids_are_shown_as_addresses(void **state)
{
	(void)state;
	struct ranges moved = ranges_default;
	assert_true(prefix_parse(&moved.peers, "10.9.0.0/16", 11));
	assert_shown(3, 8443, AF_INET, &ranges_default, "100.64.0.3:8443");
	assert_shown(3, 8443, AF_INET6, &ranges_default, "[fd76:736f:636b::3]:8443");
	assert_shown(0, 1, AF_INET, &ranges_default, "100.64.0.0:1");
	assert_shown(2, 1, AF_INET, &ranges_default, "100.64.0.2:1");
	assert_shown((1 << 22) - 1, 1, AF_INET, &ranges_default, "100.127.255.255:1");
	assert_shown(3, 1, AF_INET, &moved, "10.9.0.3:1");
	assert_shown(0xfffffffe, 1, AF_INET6, &ranges_default, "[fd76:736f:636b::ffff:fffe]:1");
}

static void only_the_local_cid_is_loopback(void **state)
{
	(void)state;
	assert_shown(CID_LOCAL, 80, AF_INET, &ranges_default, "127.0.0.1:80");
	assert_shown(CID_LOCAL, 80, AF_INET6, &ranges_default, "[::1]:80");
	/* folded onto the number of the local CID, but not onto loopback */
	assert_shown((1 << 22) + CID_LOCAL, 80, AF_INET, &ranges_default, "100.64.0.1:80");
	for (int bit = 1; bit < 32; bit++) {
		struct endpoint endpoint = {UINT32_C(1) << bit, 1};
		struct address ipv4 = endpoint_shown(&endpoint, AF_INET, &ranges_default);
		struct address ipv6 = endpoint_shown(&endpoint, AF_INET6, &ranges_default);
		assert_false(address_is_loopback(&ipv4) || address_is_loopback(&ipv6));
		assert_true(ranges_reserve(&ranges_default, &ipv4) && ranges_reserve(&ranges_default, &ipv6));
	}
}

static void wide_ports_are_folded_above_1023(void **state)
{
	(void)state;
	assert_shown(3, 65535, AF_INET, &ranges_default, "100.64.0.3:65535");
	for (uint64_t port = 65536; port < UINT32_MAX; port += 65521) {
		struct address shown =
			endpoint_shown(&(struct endpoint){3, (uint32_t)port}, AF_INET, &ranges_default);
		assert_true(shown.port >= 1024);
	}
}

static void reserved_ranges_are_known(void **state)
{
	(void)state;
	static const char *const inside[] = {"100.64.0.0", "100.127.255.255", "198.18.0.0", "198.19.255.255",
		"fd76:736f:636b::1", "fd76:736f:636b:1::1"};
	static const char *const outside[] = {"100.63.255.255", "100.128.0.0", "198.17.255.255", "198.20.0.0",
		"fd76:736f:636b:2::1", "::1", "127.0.0.1"};
	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
		struct address address = address_of(inside[i], 0);
		assert_true(ranges_reserve(&ranges_default, &address));
	}
	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
		struct address address = address_of(outside[i], 0);
		assert_false(ranges_reserve(&ranges_default, &address));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockaddrs_go_both_ways),
		cmocka_unit_test(short_and_foreign_sockaddrs_are_refused),
		cmocka_unit_test(kinds_of_addresses_are_distinguished),
		cmocka_unit_test(texts_of_addresses_are_canonical),
		cmocka_unit_test(texts_are_read_and_written_as_libc_does),
		cmocka_unit_test(prefixes_are_read),
		cmocka_unit_test(prefixes_hold_their_own_family),
		cmocka_unit_test(cids_are_read),
		cmocka_unit_test(endpoints_are_written),
		cmocka_unit_test(cids_are_shown_as_addresses),
		cmocka_unit_test(only_the_local_cid_is_loopback),
		cmocka_unit_test(wide_ports_are_folded_above_1023),
		cmocka_unit_test(reserved_ranges_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
