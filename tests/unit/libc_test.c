/* SPDX-License-Identifier: MIT */
/* How libc's functions are found where dlsym() isn't to be had, before glibc 2.34: what is found is what
 * dlsym() finds. */
#include "system/libc.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Only their names are wanted. */
#define HOOK(result, name, parameters, arguments) #name,
static const char *const names[] = {
#include "system/symbols.h"
};

static void each_function_is_found(void **state)
{
	(void)state;
#ifdef OLDEST_GLIBC
	size_t found = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct next next = {.name = names[i]};
		void *known = dlsym(RTLD_NEXT, names[i]);
		dl_iterate_phdr(look_there, &next);
		if (next.found && known) {
			Dl_info by_hand, by_libc;
			assert_true(dladdr(next.found, &by_hand) && dladdr(known, &by_libc));
			assert_ptr_equal(by_hand.dli_fbase, by_libc.dli_fbase);
			assert_ptr_equal(next.found, known);
			found++;
		}
		assert_true(!next.found == !known);
	}
	assert_true(found > sizeof names / sizeof *names / 2);
	struct next next = {.name = "of_another_libc"};
	assert_int_equal(dl_iterate_phdr(look_there, &next), 0);
	assert_null(next.found);
#else
	(void)names;
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_function_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
