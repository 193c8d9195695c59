/* SPDX-License-Identifier: MIT */
/* The library exports what symbols.h lists, and nothing else: a function that slipped out would take the
 * place of one of the same name in every program. */
#include "system/libc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const listed[] = {
#define HOOK(result, name, parameters, arguments) #name,
#define HOOK_ONLY(name) #name,
#include "system/symbols.h"
};
enum { LISTED = sizeof listed / sizeof *listed };

static int find(const char *name)
{
	for (int i = 0; i < LISTED; i++)
		if (strcmp(listed[i], name) == 0)
			return i;
	return -1;
}

static void the_library_exports_the_listed_names_and_no_other(void **state)
{
	(void)state;
	bool seen[LISTED] = {false};
	char line[256], name[200], kind;
	FILE *nm = popen("nm -D --defined-only .libs/libip2vsock.so", "r");
	assert_non_null(nm);
	while (fgets(line, sizeof line, nm)) {
		assert_int_equal(sscanf(line, "%*x %c %199s", &kind, name), 2);
		int which = find(name);
		if (which < 0)
			fail_msg("%s is exported, and symbols.h doesn't list it", name);
		if (kind != 'T')
			fail_msg("%s is exported as '%c', not as a function", name, kind);
		if (seen[which])
			fail_msg("%s is exported twice", name);
		seen[which] = true;
	}
	assert_int_equal(pclose(nm), 0);
	for (int i = 0; i < LISTED; i++)
		if (!seen[i])
			fail_msg("symbols.h lists %s, and it isn't exported", listed[i]);
}

static void no_name_is_listed_twice(void **state)
{
	(void)state;
	for (int i = 0; i < LISTED; i++)
		assert_int_equal(find(listed[i]), i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_library_exports_the_listed_names_and_no_other),
		cmocka_unit_test(no_name_is_listed_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
