/* SPDX-License-Identifier: MIT */
/* Where the library lies, seen from the command, and the other way round, wherever both were moved to. */
#include "core/installation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char result[PATH_MAX];

static void the_way_between_two_folders_is_kept(void **state)
{
	(void)state;
	static const struct {
		const char *here, *from, *to, *expected; /* NULL: it can't be */
	} table[] = {
		{"/usr/bin", "/usr/bin", "/usr/lib/x/l.so", "/usr/lib/x/l.so"},
		{"/opt/ip/bin", "/usr/bin", "/usr/lib/x/l.so", "/opt/ip/lib/x/l.so"},
		{"/opt/ip/lib/x", "/usr/lib/x", "/usr/bin/c", "/opt/ip/bin/c"},
		{"/bin", "/usr/bin", "/usr/lib/l.so", "/lib/l.so"},
		{"/somewhere", "/usr/bin", "/usr/lib/l.so", "/lib/l.so"},
		{"/a/b", "/bin", "/lib/l.so", "/a/lib/l.so"},
		{"/a/b", "/usr/bin", "/usr/bin/l.so", "/a/b/l.so"},
		{"/a/lib/y", "/usr/lib/y", "/usr/lab/c", "/a/lab/c"}, /* as long, and another */
		{"/a/lab/y", "/usr/lab/y", "/usr/lib/c", "/a/lib/c"},
		{"/a/local/bin", "/usr/local/bin", "/usr/lib/l.so", "/a/lib/l.so"},
		{"/x", "/usr/a/b", "/usr/l.so", NULL},
		{"", "/usr/bin", "/usr/lib/l.so", NULL},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		bool found = installation_relocate(table[i].here, table[i].from, table[i].to, result);
		assert_int_equal(found, table[i].expected != NULL);
		if (found)
			assert_string_equal(result, table[i].expected);
	}
}

static void the_command_and_the_library_find_each_other(void **state)
{
	(void)state;
	assert_true(installation_library(BINDIR, result));
	assert_string_equal(result, PKGLIBDIR "/" LIBRARY_NAME);
	assert_true(installation_command(PKGLIBDIR, result));
	assert_string_equal(result, BINDIR "/" COMMAND_NAME);
}

static void so_they_do_where_they_were_built(void **state)
{
	(void)state;
	assert_true(installation_built_library("/a/build", result));
	assert_string_equal(result, "/a/build/.libs/" LIBRARY_NAME);
	assert_true(installation_built_command("/a/build/.libs", result));
	assert_string_equal(result, "/a/build/" COMMAND_NAME);
	assert_true(installation_built_command("/.libs", result));
	assert_string_equal(result, "/" COMMAND_NAME);
	static const char *const others[] = {"", "/", "libs", "/a/libs", "/a/.libs/b", "/a/.lib", "/.lib"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(installation_built_command(others[i], result));
}

static void a_path_that_is_too_long_is_none(void **state)
{
	(void)state;
	static char here[PATH_MAX];
	memset(here, 'a', sizeof here - 1);
	here[0] = '/';
	assert_false(installation_built_library(here, result));
	memcpy(here + sizeof here - sizeof "/.libs", "/.libs", sizeof "/.libs");
	assert_false(installation_built_command(here, result));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_way_between_two_folders_is_kept),
		cmocka_unit_test(the_command_and_the_library_find_each_other),
		cmocka_unit_test(so_they_do_where_they_were_built),
		cmocka_unit_test(a_path_that_is_too_long_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
