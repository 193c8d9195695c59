/* SPDX-License-Identifier: MIT */
#include "build_map.h"

#include "core/names.h"

#include <pthread.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_taken(
	const struct map *map, const char *name, int port, const char *ipv4_text, const char *ipv6_text)
{
	struct address ipv4, ipv6;
	char text[ADDRESS_TEXT];
	assert_int_equal(names_address(map, name, port, &ipv4, &ipv6), NAMES_TAKEN);
	address_format(&ipv4, text, sizeof text);
	assert_string_equal(text, ipv4_text);
	address_format(&ipv6, text, sizeof text);
	assert_string_equal(text, ipv6_text);
	assert_int_equal(ipv4.port, 0);
	assert_int_equal(ipv6.port, 0);
}

static bool taken(const struct map *map, const char *name, int port)
{
	struct address ipv4, ipv6;
	return names_address(map, name, port, &ipv4, &ipv6) == NAMES_TAKEN;
}

static struct address address_of(const char *ip)
{
	struct prefix prefix;
	struct address address = {.port = 0};
	assert_true(prefix_parse(&prefix, ip, strlen(ip)));
	memcpy(address.ip, prefix.ip, sizeof address.ip);
	return address;
}

static const char *host_of(const struct map *map, const char *ip)
{
	static char host[NAME_TEXT];
	struct address address = address_of(ip);
	bool is_pattern;
	if (!names_host(map, &address, host, &is_pattern))
		return NULL;
	assert_int_equal(is_pattern, host[0] == '*');
	return host;
}

static uint32_t found(const struct map *map, enum side side, const char *ip, uint16_t port)
{
	struct address address = address_of(ip);
	address.port = port;
	const struct rule *rule = map_find(map, side, &address);
	return rule ? rule->number : 0;
}

static void an_address_is_the_place_of_a_pattern_in_the_map(void **state)
{
	(void)state;
	const struct map *map =
		map_of("10.0.0.1:80=3:1,api.example.com:443=3:1,listen web:80=any:1,*.example.com:443=3:2,"
		       "api.example.com:80=3:3,localhost:1=3:1,web:81=3:4,*.localhost:1=3:5");
	assert_taken(map, "api.example.com", 443, "198.18.0.1", "fd76:736f:636b:1::1");
	assert_taken(map, "API.example.com.", 443, "198.18.0.1", "fd76:736f:636b:1::1");
	assert_taken(map, "web", 80, "198.18.0.2", "fd76:736f:636b:1::2");
	assert_taken(map, "web", 81, "198.18.0.2", "fd76:736f:636b:1::2");
	assert_taken(map, "b.example.com", 443, "198.18.0.3", "fd76:736f:636b:1::3");
	assert_taken(map, "c.d.example.com", 443, "198.18.0.3", "fd76:736f:636b:1::3");
	assert_taken(map, "x.localhost", 1, "198.18.0.4", "fd76:736f:636b:1::4");
	assert_string_equal(host_of(map, "198.18.0.1"), "api.example.com");
	assert_string_equal(host_of(map, "fd76:736f:636b:1::2"), "web");
	assert_string_equal(host_of(map, "198.18.0.3"), "*.example.com");
	assert_null(host_of(map, "198.18.0.0"));
	assert_null(host_of(map, "198.18.0.5"));
	assert_null(host_of(map, "198.19.255.255"));
	assert_null(host_of(map, "198.17.255.255"));
	assert_null(host_of(map, "fd76:736f:636b:1::5"));
	assert_null(host_of(map, "fd76:736f:636b:1:0:0:1:1"));
	assert_null(host_of(map, "fd76:736f:636b:1:1::1"));
	assert_null(host_of(map, "fd76:736f:636b:1::ffff:ffff"));
	assert_null(host_of(map, "10.0.0.1"));
}

static void the_service_asked_decides(void **state)
{
	(void)state;
	const struct map *map = map_of(
		"api:443=3:1,api:80=refuse,*:*=3:2,b:80=direct,listen c:8080=any:1,d:*=unix:/x,e:1=3:1");
	assert_true(taken(map, "api", 443));
	assert_false(taken(map, "api", 80));
	assert_false(taken(map, "api", 81));
	assert_true(taken(map, "api", -1));
	assert_false(taken(map, "b", 80));
	assert_false(taken(map, "b", -1));
	assert_true(taken(map, "c", 8080));
	assert_true(taken(map, "c", -1));
	assert_false(taken(map, "c", 80));
	/* * takes what stands behind it */
	assert_false(taken(map, "d", 80));
	assert_false(taken(map, "d", -1));
	assert_false(taken(map, "e", 1));
	assert_false(taken(map, "unknown", 80));
	assert_false(taken(map, "unknown", -1));
	assert_false(taken(map, "api", 65536 + 443));
}

static void a_name_server_may_have_a_name(void **state)
{
	(void)state;
	const struct map *map = map_of("ns.internal:53=names,*:53=names");
	assert_true(taken(map, "ns.internal", 53));
	assert_true(taken(map, "ns.internal", -1));
	assert_false(taken(map, "ns.internal", 80));
	assert_false(taken(map, "other", 53));
}

static void numeric_hosts_that_a_connect_rule_matches(void **state)
{
	(void)state;
	const struct map *map = map_of("10.0.0.0/8:443=3:1,[fd00::1]:1=3:1,listen 192.0.2.1:1=any:1,a:1=3:1");
	static const char *const matched[] = {"10.1.2.3", "fd00::1", "198.18.0.1", "100.64.0.3"};
	static const char *const others[] = {"192.0.2.1", "11.0.0.0", "fd00::2", "a", "10.0.0.0/8", ""};
	for (size_t i = 0; i < sizeof matched / sizeof *matched; i++)
		assert_true(names_numeric(map, matched[i]));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(names_numeric(map, others[i]));
	assert_true(names_numeric(map_of("*:443=3:1"), "192.0.2.1"));
}

static void any_port_means_one_that_a_rule_really_wins(void **state)
{
	(void)state;
	assert_false(taken(map_of("a:*=refuse,a:443=3:1"), "a", -1));
	assert_true(taken(map_of("a:443=refuse,a:442-443=3:1"), "a", -1));
	assert_true(taken(map_of("a:443=refuse,a:443-444=3:1"), "a", -1));
	assert_true(taken(map_of("a:1-65534=refuse,a:1-65535=3:1"), "a", -1));
	assert_false(taken(
		map_of("a:1-100=refuse,*.b:*=refuse,a:101-65535=direct,a:50-200=3:1,x.b:*=3:1"), "a", -1));
	assert_false(taken(map_of("*.b:1-100=refuse,*:101-65535=refuse,x.b:50-200=3:1"), "x.b", -1));
	assert_true(taken(map_of("*.b:1-100=refuse,*:102-65535=refuse,x.b:50-200=3:1"), "x.b", -1));
	assert_true(taken(map_of("*.b:1-100=refuse,*:102-65535=refuse,*.x.b:50-200=3:1"), "y.x.b", -1));
	assert_true(taken(map_of("a:5=refuse,a:443=3:1,a:9=refuse"), "a", -1));
	assert_true(taken(map_of("a:5=refuse,a:7=refuse,a:6=refuse,listen a:7=any:1"), "a", -1));
}

static void what_is_no_name_is_not_taken(void **state)
{
	(void)state;
	static const char *const others[] = {"", ".", "10.0.0.1", "127.1", "1", "::1", "localhost",
		"LocalHost.", "a..b", ".a", "a b", "a/b",
		"b\xc3\xbc"
		"cher",
		"*.a", "[::1]", "fd76:736f:636b:1::1"};
	char long_name[400];
	const struct map *map =
		map_of("localhost:*=3:1,10.0.0.1:*=3:1,[::1]:*=3:1,*.a:*=3:1,*.b:*=3:1,listen *:*=any:*");
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (taken(map, others[i], -1) || taken(map, others[i], 80))
			fail_msg("%s is taken", others[i]);
	memset(long_name, 'x', sizeof long_name);
	for (size_t i = 50; i < sizeof long_name; i += 51)
		long_name[i] = '.';
	strcpy(long_name + 253, "");
	memcpy(long_name + 251, ".a", 2);
	assert_true(taken(map, long_name, 80));
	memcpy(long_name + 251, "x.a", 4);
	assert_false(taken(map, long_name, 80));
	memset(long_name, 'x', 64);
	strcpy(long_name + 63, ".a");
	assert_true(taken(map, long_name, 80));
	strcpy(long_name + 63, "x.a");
	assert_false(taken(map, long_name, 80));
}

static void an_address_decides_as_its_pattern_does(void **state)
{
	(void)state;
	const struct map *map = map_of(
		"*:22=direct,*.b:80=3:1,a.b:80=3:2,a.b:81=3:3,*.c.b:81=3:4,listen *.b:80=any:1,*:81=3:5");
	/* 1: *.b, 2: a.b, 3: *.c.b */
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.1", 80), 2);
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.1", 81), 7);
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.1", 22), 1);
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.2", 80), 2);
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.2", 81), 4);
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.3", 80), 2);
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.3", 81), 5);
	assert_int_equal(found(map, SIDE_CONNECT, "fd76:736f:636b:1::3", 81), 5);
	assert_int_equal(found(map, SIDE_LISTEN, "198.18.0.2", 80), 6);
	/* it stands for nothing: only * takes it */
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.9", 80), 0);
	assert_int_equal(found(map, SIDE_CONNECT, "198.18.0.9", 81), 7);
	assert_int_equal(found(map, SIDE_LISTEN, "198.18.0.9", 81), 0);
}

static void the_range_can_be_moved(void **state)
{
	(void)state;
	struct ranges ranges = ranges_default;
	struct map_error error;
	assert_true(prefix_parse(&ranges.names, "10.9.0.0/16", 11));
	const struct map *map = try_map_of("a:1=3:1,b:1=3:1", 15, &ranges, &error);
	assert_non_null(map);
	assert_taken(map, "b", 1, "10.9.0.2", "fd76:736f:636b:1::2");
	assert_string_equal(host_of(map, "10.9.0.1"), "a");
	assert_null(host_of(map, "198.18.0.1"));
}

static void a_hundred_thousand_names_have_addresses(void **state)
{
	(void)state;
	enum { MANY = 131071 };
	char *text = malloc((size_t)MANY * 32), *at = text, name[32];
	for (unsigned i = 1; i <= MANY; i++)
		at += sprintf(at, "h%u.x:1=3:1\n", i);
	const struct map *map = map_of(text);
	for (unsigned i = 1; i <= MANY; i++) {
		struct address ipv4, ipv6;
		char host[NAME_TEXT];
		bool is_pattern;
		sprintf(name, "h%u.x", i);
		assert_int_equal(names_address(map, name, 1, &ipv4, &ipv6), NAMES_TAKEN);
		assert_int_equal(address_ip4(&ipv4), 0xc6120000 + i);
		assert_true(names_host(map, &ipv4, host, &is_pattern));
		assert_string_equal(host, name);
	}
	free(text);
}

static void only_globs_with_a_host_need_an_address_a_name(void **state)
{
	(void)state;
	const struct map *map = map_of(
		"exact.b:1=unix:/run/{host},*.c:1=3:1,*.b:1=unix:/run/{host},*.a.b:2=3:1,*.d:1=unix:/run/x,"
		"*:9=unix:/run/{host}");
	struct address ipv4, ipv6, again4, again6;
	char host[NAME_TEXT];
	bool is_pattern;
	assert_taken(map, "exact.b", 1, "198.18.0.1", "fd76:736f:636b:1::1");

	static const char *const dynamic[] = {"X.b", "y.b", "z.a.b", "w.c", "w.d"};
	for (size_t i = 0; i < sizeof dynamic / sizeof *dynamic; i++) {
		assert_int_equal(names_address(map, dynamic[i], 1, &ipv4, &ipv6), NAMES_TAKEN);
		assert_true(address_ip4(&ipv4) > 0xc6120005);
		assert_true(names_host(map, &ipv4, host, &is_pattern));
		assert_false(is_pattern);
		assert_int_equal(strcasecmp(host, dynamic[i]), 0);
		assert_true(names_host(map, &ipv6, host, &is_pattern));
		assert_int_equal(strcasecmp(host, dynamic[i]), 0);
		assert_int_equal(names_address(map, dynamic[i], 1, &again4, &again6), NAMES_TAKEN);
		assert_memory_equal(&again4, &ipv4, sizeof ipv4);
		assert_memory_equal(&again6, &ipv6, sizeof ipv6);
		ipv4.port = ipv6.port = 1;
		assert_ptr_equal(map_find(map, SIDE_CONNECT, &ipv4),
			map_find_host(map, SIDE_CONNECT, dynamic[i], strlen(dynamic[i]), 1));
		assert_ptr_equal(map_find(map, SIDE_CONNECT, &ipv6), map_find(map, SIDE_CONNECT, &ipv4));
	}

	/* no {host}: no address of its own */
	map = map_of("*.c:1=3:1,*.d:1=unix:/run/x");
	assert_taken(map, "w.c", 1, "198.18.0.1", "fd76:736f:636b:1::1");
	assert_taken(map, "w.d", 1, "198.18.0.2", "fd76:736f:636b:1::2");
}

/* A proxy resolves what it is asked for, so * takes names, too. */
static void a_proxy_takes_every_name(void **state)
{
	(void)state;
	const struct map *map =
		map_of("kept.a:*=direct,*.b:1=3:1,listen own.a:1=any:1,*:1-9=socks5:3:1080,*:10=3:10");
	static const char *const taken[] = {"www.x", "deep.b", "b"};
	struct address ipv4, ipv6;
	char host[NAME_TEXT];
	bool is_pattern;
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
		assert_int_equal(names_address(map, taken[i], -1, &ipv4, &ipv6), NAMES_TAKEN);
		assert_int_equal(names_address(map, taken[i], 9, &ipv4, &ipv6), NAMES_TAKEN);
		assert_true(names_host(map, &ipv4, host, &is_pattern));
		assert_string_equal(host, taken[i]);
		assert_false(is_pattern);
		ipv4.port = 2;
		assert_int_equal(map_find(map, SIDE_CONNECT, &ipv4)->target.kind, TARGET_SOCKS5);
	}
	assert_int_equal(names_address(map, "www.x", 10, &ipv4, &ipv6), NAMES_NOT_TAKEN);
	assert_int_equal(names_address(map, "kept.a", -1, &ipv4, &ipv6), NAMES_NOT_TAKEN);
	assert_int_equal(names_address(map, "kept.a", 2, &ipv4, &ipv6), NAMES_NOT_TAKEN);
	assert_int_equal(names_address(map, "localhost", 2, &ipv4, &ipv6), NAMES_NOT_TAKEN);
	assert_int_equal(names_address(map, "192.0.2.1", 2, &ipv4, &ipv6), NAMES_NOT_TAKEN);
	assert_taken(map, "own.a", 1, "198.18.0.3", "fd76:736f:636b:1::3");
}

static void names_beyond_the_limit_are_reported(void **state)
{
	(void)state;
	struct ranges ranges = ranges_default;
	struct map_error error;
	struct address ipv4, ipv6;
	static const char text[] = "*.full:1=unix:/run/{host}";
	char name[32];
	size_t fitted = 0;
	assert_true(prefix_parse(&ranges.names, "10.9.8.0/24", 11));
	const struct map *map = try_map_of(text, strlen(text), &ranges, &error);
	while (fitted < 1000) {
		sprintf(name, "h%zu.full", fitted);
		enum names_answer answer = names_address(map, name, 1, &ipv4, &ipv6);
		if (answer == NAMES_FULL)
			break;
		assert_int_equal(answer, NAMES_TAKEN);
		assert_true(prefix_contains(&ranges.names, ipv4.ip));
		fitted++;
	}
	assert_true(fitted > 200 && fitted <= 254); /* names of other maps of this process count */
	assert_int_equal(names_address(map, "h0.full", 1, &ipv4, &ipv6), NAMES_TAKEN);

	map = map_of(text);
	while (fitted < 20000) {
		sprintf(name, "h%zu.full", fitted);
		if (names_address(map, name, 1, &ipv4, &ipv6) == NAMES_FULL)
			break;
		fitted++;
	}
	assert_true(fitted > NAMES_DYNAMIC_LIMIT - 300 && fitted <= NAMES_DYNAMIC_LIMIT);
}

/* The table keeps 30 bits of a name's hash, which are the same for these two. */
static void names_with_the_same_hash_are_distinguished(void **state)
{
	(void)state;
	static const char *const same[] = {"yiijsv.collide", "ktodoe.collide"};
	const struct map *map = map_of("*.collide:1=unix:/run/{host}");
	struct address addresses[2], ipv6;
	char host[NAME_TEXT];
	bool is_pattern;
	for (int i = 0; i < 2; i++)
		assert_int_equal(names_address(map, same[i], 1, &addresses[i], &ipv6), NAMES_TAKEN);
	for (int i = 0; i < 2; i++) {
		assert_true(names_host(map, &addresses[i], host, &is_pattern));
		assert_string_equal(host, same[i]);
	}
}

static const struct map *shared;

static void *ask(void *wrong)
{
	for (int i = 0; i < 3000; i++) {
		struct address ipv4, ipv6;
		char name[32], host[NAME_TEXT];
		bool is_pattern;
		sprintf(name, "t%d.threads", i);
		if (names_address(shared, name, 1, &ipv4, &ipv6) != NAMES_TAKEN ||
			!names_host(shared, &ipv4, host, &is_pattern) || strcmp(host, name) != 0)
			return wrong;
	}
	return NULL;
}

/* In a child: the table is the process's, and other tests fill it. */
static void threads_may_ask_at_the_same_time(void **state)
{
	(void)state;
	shared = map_of("*.threads:1=unix:/run/{host}");
	pid_t child = fork();
	if (child == 0) {
		pthread_t threads[4];
		bool good = true;
		for (int i = 0; i < 4; i++)
			good &= pthread_create(&threads[i], NULL, ask, &shared) == 0;
		for (int i = 0; good && i < 4; i++) {
			void *wrong;
			good = pthread_join(threads[i], &wrong) == 0 && !wrong;
		}
		_exit(good ? 0 : 1);
	}
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void names_do_not_touch_errno(void **state)
{
	(void)state;
	const struct map *map = map_of("*.errno:1=unix:/run/{host},a:1=3:1");
	struct address address;
	char host[NAME_TEXT];
	bool is_pattern;
	errno = 4242;
	taken(map, "x.errno", 1);
	taken(map, "a", 1);
	taken(map, "unknown", -1);
	address = address_of("198.18.0.1");
	names_host(map, &address, host, &is_pattern);
	map_find(map, SIDE_CONNECT, &address);
	assert_int_equal(errno, 4242);
}

#define TEST(name) cmocka_unit_test_teardown(name, free_maps)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_is_the_place_of_a_pattern_in_the_map),
		TEST(the_service_asked_decides),
		TEST(a_name_server_may_have_a_name),
		TEST(numeric_hosts_that_a_connect_rule_matches),
		TEST(any_port_means_one_that_a_rule_really_wins),
		TEST(what_is_no_name_is_not_taken),
		TEST(an_address_decides_as_its_pattern_does),
		TEST(the_range_can_be_moved),
		TEST(a_hundred_thousand_names_have_addresses),
		TEST(only_globs_with_a_host_need_an_address_a_name),
		TEST(names_with_the_same_hash_are_distinguished),
		TEST(threads_may_ask_at_the_same_time),
		TEST(a_proxy_takes_every_name),
		TEST(names_beyond_the_limit_are_reported),
		TEST(names_do_not_touch_errno),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
