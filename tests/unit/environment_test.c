/* SPDX-License-Identifier: MIT */
#include "process/environment.c" /* its state is static, and each test starts anew */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define OUR_PATH "/usr/lib/ip2vsock/libip2vsock.so"
#define OUR_MAP "IP2VSOCK_MAP=a:1=3:1"

static int forget_start(void **state)
{
	(void)state;
	kept_count = 0;
	library = NULL;
	return 0;
}

/* The strings of the start are overwritten afterwards, as nginx does. */
static void start_with(const char *const *environment)
{
	char *copy[32];
	size_t count = 0;
	for (; environment[count]; count++)
		assert_non_null(copy[count] = strdup(environment[count]));
	copy[count] = NULL;
	errno = 4242;
	environment_start(copy);
	assert_int_equal(errno, 4242);
	for (size_t i = 0; i < count; i++) {
		memset(copy[i], '!', strlen(copy[i]));
		free(copy[i]);
	}
}
#define START(...) start_with((const char *[]){__VA_ARGS__, NULL})

static bool equal(char *const *first, const char *const *second)
{
	for (; *first && *second; first++, second++)
		if (strcmp(*first, *second) != 0)
			return false;
	return !*first && !*second;
}

/* In a room of exactly the size that was promised: a sanitizer sees a byte more. */
static void assert_completed(const char *const *envp, const char *const *expected)
{
	size_t size = environment_room((char *const *)envp);
	void *room = malloc(size);
	assert_non_null(room);
	memset(room, 0xaa, size);
	errno = 4242;
	char *const *complete = environment_complete((char *const *)envp, room);
	assert_int_equal(errno, 4242);
	bool same = equal(complete, expected);
	for (char *const *one = complete; !same && *one; one++)
		print_message("%s\n", *one);
	free(room);
	assert_true(same);
}
#define LIST(...) ((const char *[]){__VA_ARGS__, NULL})

static void what_was_dropped_is_put_back(void **state)
{
	(void)state;
	START("HOME=/", OUR_MAP, "IP2VSOCK_CID=4", "LD_PRELOAD=" OUR_PATH, "PATH=/bin");
	assert_completed(LIST("PATH=/usr/bin"),
		LIST("PATH=/usr/bin", OUR_MAP, "IP2VSOCK_CID=4", "LD_PRELOAD=" OUR_PATH));
}

static void what_is_there_stays(void **state)
{
	(void)state;
	START(OUR_MAP, "IP2VSOCK_CID=4", "LD_PRELOAD=" OUR_PATH);
	assert_completed(
		LIST("IP2VSOCK_MAP=b:2=4:2", "LD_PRELOAD=/a.so:" OUR_PATH ":/b.so", "IP2VSOCK_CID=4"),
		LIST("IP2VSOCK_MAP=b:2=4:2", "LD_PRELOAD=/a.so:" OUR_PATH ":/b.so", "IP2VSOCK_CID=4"));
	assert_completed(LIST("IP2VSOCK_MAP=", "IP2VSOCK_CIDS=5"), /* emptied on purpose; another name */
		LIST("IP2VSOCK_MAP=", "IP2VSOCK_CIDS=5", "IP2VSOCK_CID=4", "LD_PRELOAD=" OUR_PATH));
}

static void a_variable_that_is_there_twice_does_not_stand_for_another(void **state)
{
	(void)state;
	START(OUR_MAP, "IP2VSOCK_CID=4", "LD_PRELOAD=" OUR_PATH);
	assert_completed(LIST(OUR_MAP, OUR_MAP, "LD_PRELOAD=" OUR_PATH),
		LIST(OUR_MAP, OUR_MAP, "LD_PRELOAD=" OUR_PATH, "IP2VSOCK_CID=4"));
}

static void an_empty_environment_and_none_are_filled(void **state)
{
	(void)state;
	START(OUR_MAP, "LD_PRELOAD=" OUR_PATH);
	assert_completed((const char *[]){NULL}, LIST(OUR_MAP, "LD_PRELOAD=" OUR_PATH));
	assert_completed(NULL, LIST(OUR_MAP, "LD_PRELOAD=" OUR_PATH));
}

static void other_preloaded_libraries_stay(void **state)
{
	(void)state;
	START(OUR_MAP, "LD_PRELOAD=/first.so " OUR_PATH ":/last.so");
	assert_completed(LIST("LD_PRELOAD=/usr/lib/libjemalloc.so"),
		LIST("LD_PRELOAD=" OUR_PATH ":/usr/lib/libjemalloc.so", OUR_MAP));
	assert_completed(LIST("A=b", "LD_PRELOAD=/a.so /b.so", "C=d"),
		LIST("A=b", "LD_PRELOAD=" OUR_PATH ":/a.so /b.so", "C=d", OUR_MAP));
	assert_completed(LIST("LD_PRELOAD="), LIST("LD_PRELOAD=" OUR_PATH, OUR_MAP));
	assert_completed(LIST("LD_PRELOAD_32=/a.so"), /* another name */
		LIST("LD_PRELOAD_32=/a.so", OUR_MAP, "LD_PRELOAD=" OUR_PATH));
}

static void we_are_recognised_anywhere_in_the_list(void **state)
{
	(void)state;
	START(OUR_MAP, "LD_PRELOAD=" OUR_PATH);
	static const char *const with_us[] = {"LD_PRELOAD=" OUR_PATH, "LD_PRELOAD=:" OUR_PATH,
		"LD_PRELOAD=/a.so " OUR_PATH, "LD_PRELOAD=" OUR_PATH " /a.so",
		"LD_PRELOAD=/elsewhere/libip2vsock.so", "LD_PRELOAD=libip2vsock.so::"};
	for (size_t i = 0; i < sizeof with_us / sizeof *with_us; i++)
		assert_completed(LIST(with_us[i], OUR_MAP), LIST(with_us[i], OUR_MAP));
}

static void a_library_whose_name_only_ends_like_ours_is_another(void **state)
{
	(void)state;
	START(OUR_MAP, "LD_PRELOAD=/x/notlibip2vsock.so:" OUR_PATH);
	assert_completed(LIST("LD_PRELOAD=/x/notlibip2vsock.so", OUR_MAP),
		LIST("LD_PRELOAD=" OUR_PATH ":/x/notlibip2vsock.so", OUR_MAP));
}

/* A sanitizer's runtime ends the program if it isn't the first. */
static void a_sanitizer_stays_first(void **state)
{
	(void)state;
	START(OUR_MAP, "LD_PRELOAD=" OUR_PATH);
	assert_completed(LIST("LD_PRELOAD=/usr/lib/libasan.so.8:/a.so", OUR_MAP),
		LIST("LD_PRELOAD=/usr/lib/libasan.so.8:" OUR_PATH ":/a.so", OUR_MAP));
	assert_completed(LIST("LD_PRELOAD=/usr/lib/libasan.so.8", OUR_MAP),
		LIST("LD_PRELOAD=/usr/lib/libasan.so.8:" OUR_PATH, OUR_MAP));
}

/* glibc's loader takes the last LD_PRELOAD, musl's the first. */
static void of_two_preload_variables_both_hold_us(void **state)
{
	(void)state;
	START(OUR_MAP, "LD_PRELOAD=" OUR_PATH);
	assert_completed(LIST("LD_PRELOAD=/a.so", "LD_PRELOAD=/b.so", OUR_MAP),
		LIST("LD_PRELOAD=" OUR_PATH ":/a.so", "LD_PRELOAD=" OUR_PATH ":/b.so", OUR_MAP));
	assert_completed(LIST("LD_PRELOAD=" OUR_PATH, "LD_PRELOAD=/b.so", OUR_MAP),
		LIST("LD_PRELOAD=" OUR_PATH, "LD_PRELOAD=" OUR_PATH ":/b.so", OUR_MAP));
}

static void loaded_in_another_way_only_the_settings_are_kept(void **state)
{
	(void)state;
	START(OUR_MAP, "LD_PRELOAD=/a.so");
	assert_completed(LIST("A=b"), LIST("A=b", OUR_MAP));
	assert_completed(LIST("LD_PRELOAD=/b.so"), LIST("LD_PRELOAD=/b.so", OUR_MAP));
}

static void without_settings_nothing_is_kept(void **state)
{
	(void)state;
	static const char *const environment[] = {"A=b", NULL};
	START("HOME=/", "LD_PRELOAD=" OUR_PATH);
	assert_completed(LIST("A=b"), LIST("A=b"));
	void *room = malloc(environment_room((char *const *)environment));
	assert_ptr_equal(environment_complete((char *const *)environment, room), environment);
	free(room);
}

static void odd_strings_are_passed_on(void **state)
{
	(void)state;
	START(OUR_MAP, "IP2VSOCK_LOG=off", "LD_PRELOAD=" OUR_PATH);
	assert_completed(LIST("", "=", "no assignment", "IP2VSOCK_", "LD_PRELOAD", "IP2VSOCK_MAP"),
		LIST("", "=", "no assignment", "IP2VSOCK_", "LD_PRELOAD", "IP2VSOCK_MAP", OUR_MAP,
			"IP2VSOCK_LOG=off", "LD_PRELOAD=" OUR_PATH));
}

static void large_environments_fit(void **state)
{
	(void)state;
	enum { VARIABLES = 3000, LONG = 100000 };
	static const char *envp[VARIABLES + 2], *expected[VARIABLES + 4];
	static char preload[LONG + 1], with_us[LONG + sizeof OUR_PATH + 2];
	START(OUR_MAP, "LD_PRELOAD=" OUR_PATH);
	memset(preload, 'x', LONG);
	memcpy(preload, "LD_PRELOAD=/", strlen("LD_PRELOAD=/"));
	snprintf(with_us, sizeof with_us, "LD_PRELOAD=%s:%s", OUR_PATH, preload + strlen("LD_PRELOAD="));
	for (int i = 0; i < VARIABLES; i++)
		envp[i] = expected[i] = "NAME=value";
	envp[VARIABLES] = preload;
	expected[VARIABLES] = with_us;
	expected[VARIABLES + 1] = OUR_MAP;
	assert_completed(envp, expected);
}

static void of_a_setting_that_is_there_twice_the_first_is_kept(void **state)
{
	(void)state;
	const char *start[SETTINGS + 5],
		*expected[] = {OUR_MAP, "IP2VSOCK_CID=4", "LD_PRELOAD=" OUR_PATH, NULL};
	size_t count = 0;
	start[count++] = OUR_MAP;
	while (count < SETTINGS + 2)
		start[count++] = "IP2VSOCK_MAP=b:2=4:2";
	start[count++] = "IP2VSOCK_CID=4";
	start[count++] = "LD_PRELOAD=" OUR_PATH;
	start[count] = NULL;
	start_with(start);
	assert_completed(NULL, expected);
}

static void all_settings_fit(void **state)
{
	(void)state;
	static const char *const all[] = {OUR_MAP, "IP2VSOCK_TRANSPORT=unix:/x", "IP2VSOCK_CID=4",
		"IP2VSOCK_PEERS=10.0.0.0/8", "IP2VSOCK_NAMES=11.0.0.0/8", "IP2VSOCK_LOG=off",
		"IP2VSOCK_FOLLOW=1", "LD_PRELOAD=" OUR_PATH, NULL};
	_Static_assert(sizeof all / sizeof *all == SETTINGS + 2, "all of them");
	start_with(all);
	assert_completed(NULL, all);
}

static void service_links_are_not_kept(void **state)
{
	(void)state;
	START("IP2VSOCK_SERVICE_HOST=10.0.0.1", "IP2VSOCK_SERVICE_PORT=80", "IP2VSOCK_PORT=tcp://10.0.0.1:80",
		OUR_MAP, "IP2VSOCK_PORT_80_TCP_ADDR=10.0.0.1", "LD_PRELOAD=" OUR_PATH);
	assert_completed(LIST("IP2VSOCK_PORT=tcp://10.0.0.1:80"),
		LIST("IP2VSOCK_PORT=tcp://10.0.0.1:80", OUR_MAP, "LD_PRELOAD=" OUR_PATH));
}

static void what_is_complete_is_known_to_be(void **state)
{
	(void)state;
	static const struct {
		const char *strings[4];
		bool complete;
	} table[] = {{{OUR_MAP, "IP2VSOCK_LOG=off", "LD_PRELOAD=" OUR_PATH}, true},
		{{"IP2VSOCK_MAP=b:1=3:1", "LD_PRELOAD=/a.so " OUR_PATH, "IP2VSOCK_LOG=error"}, true},
		{{OUR_MAP, "LD_PRELOAD=" OUR_PATH}, false},
		{{"IP2VSOCK_LOG=off", "LD_PRELOAD=" OUR_PATH}, false}, {{OUR_MAP, "IP2VSOCK_LOG=off"}, false},
		{{OUR_MAP, "IP2VSOCK_LOG=off", "LD_PRELOAD=/a.so"}, false}, {{NULL}, false}};
	START(OUR_MAP, "IP2VSOCK_LOG=off", "LD_PRELOAD=" OUR_PATH);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_int_equal(environment_is_complete((char *const *)table[i].strings), table[i].complete);
	assert_false(environment_is_complete(NULL));
	forget_start(NULL);
	assert_true(environment_is_complete(NULL));
}

/* In exactly the room that was asked for. */
static void the_command_gets_all_but_the_library(void **state)
{
	(void)state;
	static const char *const given[] = {"A=b", "LD_PRELOAD=/a.so " OUR_PATH ":/b.so", "C=d",
		"LD_PRELOAD=" OUR_PATH, OUR_MAP, "LD_PRELOAD=/c.so", NULL},
				 *const expected[] = {"A=b", NULL, "C=d", OUR_MAP, "LD_PRELOAD=/c.so", NULL};
	void *room = malloc(environment_outside_room((char *const *)given));
	char *const *outside = environment_outside((char *const *)given, room);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		if (i == 1) {
			assert_non_null(strstr(outside[i], "/a.so"));
			assert_non_null(strstr(outside[i], "/b.so"));
			assert_null(strstr(outside[i], OUR_PATH));
			assert_memory_equal(outside[i], "LD_PRELOAD=", 11);
		} else if (expected[i]) {
			assert_string_equal(outside[i], expected[i]);
		} else {
			assert_null(outside[i]);
		}
	free(room);
}

#define TEST(name) cmocka_unit_test_setup(name, forget_start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_dropped_is_put_back),
		TEST(what_is_there_stays),
		TEST(a_variable_that_is_there_twice_does_not_stand_for_another),
		TEST(an_empty_environment_and_none_are_filled),
		TEST(other_preloaded_libraries_stay),
		TEST(we_are_recognised_anywhere_in_the_list),
		TEST(a_library_whose_name_only_ends_like_ours_is_another),
		TEST(a_sanitizer_stays_first),
		TEST(of_two_preload_variables_both_hold_us),
		TEST(loaded_in_another_way_only_the_settings_are_kept),
		TEST(without_settings_nothing_is_kept),
		TEST(odd_strings_are_passed_on),
		TEST(large_environments_fit),
		TEST(of_a_setting_that_is_there_twice_the_first_is_kept),
		TEST(all_settings_fit),
		TEST(service_links_are_not_kept),
		TEST(what_is_complete_is_known_to_be),
		TEST(the_command_gets_all_but_the_library),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
