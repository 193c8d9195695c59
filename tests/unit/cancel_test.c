/* SPDX-License-Identifier: MIT */
/* The functions of glibc that a thread which is cancelled releases by (system/cancel.h): before the library
 * has started, and wherever glibc keeps them. The answers of dlsym() and dlopen() are the test's. */
#undef OLDEST_GLIBC /* as if they weren't linked */
#include "system/cancel.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#ifdef __GLIBC__
static struct {
	bool in_program, in_library; /* they are found there */
	bool can_load;
	int loads;
} glibc;
static char libpthread;

static void real_push(struct _pthread_cleanup_buffer *buffer, void (*let_go)(void *), void *held)
{
	(void)buffer;
	let_go(held);
}

static void real_pop(struct _pthread_cleanup_buffer *buffer, int execute)
{
	*(int *)buffer = execute;
}

void *__wrap_libc_find(void *library, const char *name);
void *__wrap_libc_find(void *library, const char *name)
{
	assert_true(library == RTLD_DEFAULT || library == &libpthread);
	if (!(library == RTLD_DEFAULT ? glibc.in_program : glibc.in_library))
		return NULL;
	assert_memory_equal(name, "_pthread_cleanup_", 17);
	return strcmp(name, "_pthread_cleanup_push") == 0 ? (void *)real_push : (void *)real_pop;
}

void *__wrap_libc_load(const char *file, int mode);
void *__wrap_libc_load(const char *file, int mode)
{
	assert_string_equal(file, "libpthread.so.0");
	assert_int_equal(mode, RTLD_LAZY);
	glibc.loads++;
	return glibc.can_load ? &libpthread : NULL;
}

static int released;

static void let_go(void *held)
{
	released += *(int *)held;
}

/* The first call may come from a constructor that runs before the library's own. */
static void push_and_pop(bool in_program, bool in_library, bool can_load, int expected)
{
	struct _pthread_cleanup_buffer buffer;
	int held = 4242;
	memset(&glibc, 0, sizeof glibc);
	glibc.in_program = in_program;
	glibc.in_library = in_library;
	glibc.can_load = can_load;
	memset(&buffer, 0, sizeof buffer);
	released = 0;
	cleanup_push = first_push;
	cleanup_pop = no_pop;
	cleanup_push(&buffer, let_go, &held);
	assert_int_equal(released, expected);
	cleanup_push(&buffer, let_go, &held);
	assert_int_equal(released, 2 * expected);
	cleanup_pop(&buffer, 5);
	assert_int_equal(*(int *)&buffer, expected ? 5 : 0);
	assert_int_equal(glibc.loads, in_program ? 0 : 1);
}

static void the_program_has_them(void **state)
{
	(void)state;
	push_and_pop(true, false, false, 4242);
}

static void libpthread_has_them(void **state)
{
	(void)state;
	push_and_pop(false, true, true, 4242);
}

static void without_threads_nothing_has_to_be_released(void **state)
{
	(void)state;
	push_and_pop(false, false, false, 0);
	push_and_pop(false, false, true, 0);
}

#else
static void the_program_has_them(void **state)
{
	(void)state;
	skip(); /* C's own serve there */
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_program_has_them),
#ifdef __GLIBC__
		cmocka_unit_test(libpthread_has_them),
		cmocka_unit_test(without_threads_nothing_has_to_be_released),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
