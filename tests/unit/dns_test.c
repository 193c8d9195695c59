/* SPDX-License-Identifier: MIT */
/* The answers are read by libc's own parser, ns_initparse(3), where there is something to read. */
#include "build_map.h"

#include "core/dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <resolv.h>

static const char rules[] =
	"api.example.com:443=3:1,*.example.com:443=3:1,bare:80=refuse,*:53=names,listen own.test:1=any:1";

/* A query as a client would send it: header, question, and `extra` bytes of further records. */
static uint8_t query[1024];
static size_t query_size;

static void ask(const char *name, unsigned type, unsigned class)
{
	query_size = dns_question(name, (uint16_t) class, (uint16_t)type, query);
	assert_true(query_size > 0);
	query[0] = 0xab;
	query[1] = 0xcd;
}

static void add_opt(uint8_t version, uint8_t flags)
{
	const uint8_t opt[] = {0, 0, 41, 0x04, 0xd0, 0, version, flags, 0, 0, 4, 0, 10, 0, 0};
	memcpy(query + query_size, opt, sizeof opt);
	query_size += sizeof opt;
	query[11]++;
}

static uint8_t answer[DNS_ANSWER];
static size_t answer_size;
static ns_msg parsed;

/* The query is copied to a block of exactly its size, so that a sanitizer sees reads behind it. */
static size_t answer_of(const struct map *map)
{
	uint8_t *copy = malloc(query_size ? query_size : 1);
	assert_non_null(copy);
	memcpy(copy, query, query_size);
	memset(answer, 0xaa, sizeof answer);
	errno = 4242;
	answer_size = dns_answer(map, "machine", copy, query_size, answer);
	assert_int_equal(errno, 4242);
	free(copy);
	if (answer_size) {
		assert_int_equal(ns_initparse(answer, (int)answer_size, &parsed), 0);
		assert_int_equal(ns_msg_id(parsed), query[0] << 8 | query[1]);
		assert_int_equal(ns_msg_getflag(parsed, ns_f_qr), 1);
		assert_int_equal(ns_msg_getflag(parsed, ns_f_tc), 0);
		assert_int_equal(ns_msg_getflag(parsed, ns_f_ra), 1);
	}
	return answer_size;
}

static unsigned code_of(const struct map *map)
{
	assert_true(answer_of(map) >= NS_HFIXEDSZ);
	return ns_msg_getflag(parsed, ns_f_rcode);
}

/* The one record of the answer, as text; "" if there is none. */
static const char *record(int type)
{
	static char text[NS_MAXDNAME];
	ns_rr one;
	if (ns_msg_count(parsed, ns_s_an) == 0)
		return "";
	assert_int_equal(ns_msg_count(parsed, ns_s_an), 1);
	assert_int_equal(ns_parserr(&parsed, ns_s_an, 0, &one), 0);
	assert_int_equal(ns_rr_type(one), type);
	assert_int_equal(ns_rr_class(one), ns_c_in);
	if (type == ns_t_ptr)
		assert_true(dn_expand(answer, answer + answer_size, ns_rr_rdata(one), text, sizeof text) > 0);
	else
		assert_non_null(
			inet_ntop(type == ns_t_a ? AF_INET : AF_INET6, ns_rr_rdata(one), text, sizeof text));
	return text;
}

static void assert_answer(
	const struct map *map, const char *name, int type, unsigned code, const char *expected)
{
	ask(name, (unsigned)type, ns_c_in);
	unsigned got = code_of(map);
	if (got != code || strcmp(record(type), expected) != 0)
		fail_msg("%s, type %d: code %u, \"%s\"", name, type, got, record(type));
	assert_memory_equal(answer + NS_HFIXEDSZ, query + NS_HFIXEDSZ, query_size - NS_HFIXEDSZ);
}

static void names_of_the_map_have_their_addresses(void **state)
{
	(void)state;
	const struct map *map = map_of(rules);
	assert_answer(map, "api.example.com", ns_t_a, ns_r_noerror, "198.18.0.1");
	assert_answer(map, "api.example.com", ns_t_aaaa, ns_r_noerror, "fd76:736f:636b:1::1");
	assert_answer(map, "x.y.example.com", ns_t_a, ns_r_noerror, "198.18.0.2");
	assert_answer(map, "own.test", ns_t_a, ns_r_noerror, "198.18.0.4");
	ask("api.example.com", ns_t_any, ns_c_any);
	assert_int_equal(code_of(map), ns_r_noerror);
	assert_int_equal(ns_msg_count(parsed, ns_s_an), 2);
}

static void the_case_of_the_question_is_kept(void **state)
{
	(void)state;
	assert_answer(map_of(rules), "aPi.EXample.coM", ns_t_a, ns_r_noerror, "198.18.0.1");
}

static void what_a_taken_name_lacks_is_an_empty_answer(void **state)
{
	(void)state;
	static const int types[] = {2, 5, 6, 15, 16, 33, 35, 64, 65, 257, 65535};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		assert_answer(map_of(rules), "api.example.com", types[i], ns_r_noerror, "");
	assert_answer(map_of(rules), ".", ns_t_ns, ns_r_noerror, "");
}

static void all_other_names_do_not_exist(void **state)
{
	(void)state;
	static const char *const others[] = {
		"example.com", "bare", "unknown.test", "com", "10.0.0.1", "_443._tcp.bare"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		assert_answer(map_of(rules), others[i], ns_t_a, ns_r_nxdomain, "");
		assert_answer(map_of(rules), others[i], 65, ns_r_nxdomain, "");
	}
	/* labels that no host name has: a dot, a zero */
	ask("api_example.com", ns_t_a, ns_c_in);
	query[NS_HFIXEDSZ + 4] = '.';
	assert_int_equal(code_of(map_of(rules)), ns_r_nxdomain);
	query[NS_HFIXEDSZ + 4] = 0;
	assert_int_equal(code_of(map_of(rules)), ns_r_nxdomain);
}

static void this_machine_is_loopback(void **state)
{
	(void)state;
	const struct map *map = map_of("*.a:1=3:1,localhost:80=3:1");
	static const char *const own[] = {"localhost", "LocalHost", "www.localhost", "Machine"};
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		assert_answer(map, own[i], ns_t_a, ns_r_noerror, "127.0.0.1");
		assert_answer(map, own[i], ns_t_aaaa, ns_r_noerror, "::1");
		assert_answer(map, own[i], ns_t_mx, ns_r_noerror, "");
	}
	assert_answer(map_of("machine:1=3:1"), "machine", ns_t_a, ns_r_noerror, "198.18.0.1");
}

#define REST6 "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.b.6.3.6.f.6.3.7.6.7.d.f.ip6.arpa"

static void addresses_give_their_names(void **state)
{
	(void)state;
	const struct map *map = map_of(rules);
	assert_answer(map, "1.0.18.198.in-addr.arpa", ns_t_ptr, ns_r_noerror, "api.example.com");
	assert_answer(map, "1.0.18.198.IN-ADDR.ARPA", ns_t_ptr, ns_r_noerror, "api.example.com");
	assert_answer(map, "1." REST6, ns_t_ptr, ns_r_noerror, "api.example.com");
	assert_answer(map, "1.0.18.198.in-addr.arpa", ns_t_a, ns_r_noerror, "");
	assert_answer(map, "1.0.0.127.in-addr.arpa", ns_t_ptr, ns_r_noerror, "localhost");
	static const char *const others[] = {"2.0.18.198.in-addr.arpa" /* a pattern */,
		"3.0.64.100.in-addr.arpa", "8.8.8.8.in-addr.arpa", "0.18.198.in-addr.arpa",
		"1.0.18.298.in-addr.arpa", "x.0.18.198.in-addr.arpa", "1.1.0.18.198.in-addr.arpa",
		"in-addr.arpa", "2." REST6, "x." REST6, REST6};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_answer(map, others[i], ns_t_ptr, ns_r_nxdomain, "");
}

static void edns_is_answered_with_edns(void **state)
{
	(void)state;
	ns_rr opt;
	const struct map *map = map_of(rules);
	ask("api.example.com", ns_t_a, ns_c_in);
	add_opt(0, 0x80);
	assert_int_equal(code_of(map), ns_r_noerror);
	assert_string_equal(record(ns_t_a), "198.18.0.1");
	assert_int_equal(ns_msg_count(parsed, ns_s_ar), 1);
	assert_int_equal(ns_parserr(&parsed, ns_s_ar, 0, &opt), 0);
	assert_int_equal(ns_rr_type(opt), 41);
	assert_int_equal(ns_rr_ttl(opt), 0x8000); /* no error, version 0, DO */
	assert_true(ns_rr_class(opt) >= 512);

	ask("api.example.com", ns_t_a, ns_c_in);
	add_opt(1, 0);
	assert_int_equal(code_of(map), 0);
	assert_int_equal(ns_msg_count(parsed, ns_s_an), 0);
	assert_int_equal(ns_parserr(&parsed, ns_s_ar, 0, &opt), 0);
	assert_int_equal(ns_rr_ttl(opt), 0x01000000); /* BADVERS: 16 */

	ask("api.example.com", ns_t_a, ns_c_in);
	add_opt(0, 0);
	add_opt(0, 0);
	assert_int_equal(code_of(map), ns_r_formerr);
	ask("api.example.com", ns_t_a, ns_c_in);
	assert_int_equal(code_of(map), ns_r_noerror);
	assert_int_equal(ns_msg_count(parsed, ns_s_ar), 0);
}

static void other_questions_are_refused(void **state)
{
	(void)state;
	const struct map *map = map_of(rules);
	ask("version.bind", ns_t_txt, ns_c_chaos);
	assert_int_equal(code_of(map), ns_r_refused);
	ask("api.example.com", ns_t_axfr, ns_c_in);
	assert_int_equal(code_of(map), ns_r_refused);
	for (unsigned opcode = 1; opcode < 16; opcode++) {
		ask("api.example.com", ns_t_a, ns_c_in);
		query[2] = (uint8_t)(opcode << 3);
		assert_int_equal(code_of(map), ns_r_notimpl);
		assert_int_equal(ns_msg_getflag(parsed, ns_f_opcode), opcode);
		assert_int_equal(answer_size, NS_HFIXEDSZ);
	}
}

static void answers_and_stumps_get_no_answer(void **state)
{
	(void)state;
	const struct map *map = map_of(rules);
	ask("api.example.com", ns_t_a, ns_c_in);
	query[2] |= 0x80;
	assert_int_equal(answer_of(map), 0);
	query[2] &= 0x7f;
	for (query_size = 0; query_size < NS_HFIXEDSZ; query_size++)
		assert_int_equal(answer_of(map), 0);
}

static void malformed_queries_are_reported(void **state)
{
	(void)state;
	const struct map *map = map_of(rules);
	ask("api.example.com", ns_t_a, ns_c_in);
	add_opt(0, 0);
	size_t whole = query_size;
	for (query_size = NS_HFIXEDSZ; query_size < whole; query_size++)
		assert_int_equal(code_of(map), ns_r_formerr);
	query[query_size++] = 0; /* something behind the end */
	assert_int_equal(code_of(map), ns_r_formerr);
	assert_int_equal(answer_size, NS_HFIXEDSZ);

	static const struct {
		size_t at;
		uint8_t byte;
	} wrong[] = {
		{5, 0},	    /* no question */
		{5, 2},	    /* two */
		{7, 1},	    /* an answer that isn't there */
		{12, 0xc0}, /* a pointer */
		{12, 0x40}, /* a kind of label that there isn't */
		{12, 63},   /* a label that goes past the end */
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		ask("api.example.com", ns_t_a, ns_c_in);
		query[wrong[i].at] = wrong[i].byte;
		assert_int_equal(code_of(map), ns_r_formerr);
		assert_int_equal(ns_msg_count(parsed, ns_s_qd), 0);
	}
	/* a name of more than 255 bytes, all its labels good */
	memset(query, 0, sizeof query);
	query[5] = 1;
	query_size = NS_HFIXEDSZ;
	for (int i = 0; i < 5; i++) {
		query[query_size] = 60;
		memset(query + query_size + 1, 'x', 60);
		query_size += 61;
	}
	query_size += 5;
	assert_int_equal(code_of(map), ns_r_formerr);
}

static void the_longest_name_is_a_name(void **state)
{
	(void)state;
	char name[260];
	const struct map *map = map_of("*.a:1=3:1");
	memset(name, 'x', sizeof name);
	for (size_t i = 50; i < sizeof name; i += 51)
		name[i] = '.';
	strcpy(name + 251, ".a");
	assert_answer(map, name, ns_t_aaaa, ns_r_noerror, "fd76:736f:636b:1::1");
	add_opt(0, 0);
	assert_int_equal(code_of(map), ns_r_noerror);
	uint8_t room[DNS_QUESTION];
	strcpy(name + 251, "x.a");
	assert_int_equal(dns_question(name, ns_c_in, ns_t_a, room), 0);
	assert_int_equal(dns_question("a..b", ns_c_in, ns_t_a, room), 0);
	assert_int_equal(dns_question("a\\.b", ns_c_in, ns_t_a, room), 0);
}

static void names_without_an_address_are_a_failure(void **state)
{
	(void)state;
	struct ranges ranges = ranges_default;
	struct map_error error;
	char name[32];
	static const char text[] = "*.full:1=unix:/run/{host}";
	assert_true(prefix_parse(&ranges.names, "10.9.8.0/24", 11));
	const struct map *map = try_map_of(text, strlen(text), &ranges, &error);
	unsigned code = ns_r_noerror;
	for (int i = 0; i < 300 && code == ns_r_noerror; i++) {
		sprintf(name, "h%d.full", i);
		ask(name, ns_t_a, ns_c_in);
		code = code_of(map);
	}
	assert_int_equal(code, ns_r_servfail);
}

#define TEST(name) cmocka_unit_test_teardown(name, free_maps)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_of_the_map_have_their_addresses),
		TEST(the_case_of_the_question_is_kept),
		TEST(what_a_taken_name_lacks_is_an_empty_answer),
		TEST(all_other_names_do_not_exist),
		TEST(this_machine_is_loopback),
		TEST(addresses_give_their_names),
		TEST(edns_is_answered_with_edns),
		TEST(other_questions_are_refused),
		TEST(answers_and_stumps_get_no_answer),
		TEST(malformed_queries_are_reported),
		TEST(the_longest_name_is_a_name),
		TEST(names_without_an_address_are_a_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
