/* SPDX-License-Identifier: MIT */
/* What of system/ needs another thread at the wrong moment, or a program that has closed its standard input.
 */
#include "emulated.h"
#include "system/clock.h"
#include "system/directory.h"
#include "system/epolls.h"
#include "system/forks.h"
#include "system/pool.h"
#include "system/signals.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>

/* What the two are called where files may be larger than a long says. */
#if defined __GLIBC__ && __SIZEOF_LONG__ == 4
#define __real_open __real_open64
#define __wrap_open __wrap_open64
#define __real_mmap __real_mmap64
#define __wrap_mmap __wrap_mmap64
#endif

/* ---- what is opened ---- */

static int opened;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, int mode);
int __wrap_open(const char *path, int flags, int mode)
{
	assert_true(flags & O_CLOEXEC); /* another thread may start a program */
	opened++;
	return __real_open(path, flags, mode);
}

/* The next fd has the number 0. */
static int input;

static int close_input(void **state)
{
	(void)state;
	input = libc.fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, (void *)10L);
	libc.close(STDIN_FILENO);
	opened = 0;
	return input < 0 ? -1 : 0;
}

static int restore_input(void **state)
{
	(void)state;
	bool is_free = libc.fcntl(STDIN_FILENO, F_GETFD, NULL) < 0;
	libc.dup2(input, STDIN_FILENO);
	libc.close(input);
	return is_free && opened ? 0 : -1;
}

static bool count_one(void *context, int directory, const char *name)
{
	(void)directory, (void)name;
	return ++*(int *)context < 4;
}

static void a_directory_is_read(void **state)
{
	(void)state;
	int count = 0;
	assert_true(directory_each("/proc/self", count_one, &count));
	assert_int_equal(count, 4);
}

static struct registered last;

static void take(void *context, const struct registered *one)
{
	++*(int *)context;
	last = *one;
}

static void registrations_are_read(void **state)
{
	(void)state;
	int epfd = epoll_create1(EPOLL_CLOEXEC), count = 0; /* 0 */
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x123456789abcdef0};
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, ends[0], &event), 0);
	fill_the_stack(0);
	assert_true(epolls_read("self", epfd, take, &count));
	assert_int_equal(count, 1);
	assert_int_equal(last.fd, ends[0]);
	assert_int_equal(last.event.data.u64, event.data.u64);
	libc.close(epfd);
	count = 0;
	assert_true(epolls_read("self", ends[1] + 1, take, &count)); /* it was closed meanwhile */
	assert_int_equal(count, 0);
	libc.close(ends[0]);
	libc.close(ends[1]);
}

static void write_a_line(void)
{
	assert_int_equal(close_input(NULL), 0);
	log_error("a line");
	assert_int_equal(restore_input(NULL), 0);
}

static void the_log_is_opened(void **state)
{
	(void)state;
	assert_string_equal(log_of(LOG_ERROR, write_a_line), "ip2vsock: a line\n");
}

/* ---- signals ---- */

static void do_nothing(int number)
{
	(void)number;
}

static bool interrupted_by(int number, int flags)
{
	signal_set before;
	struct sigaction action = {.sa_handler = do_nothing, .sa_flags = flags}, old;
	assert_int_equal(sigaction(number, &action, &old), 0);
	assert_true(signals_hold(&before));
	raise(number);
	bool interrupts = signals_interrupt(before);
	signals_let_in(before);
	sigaction(number, &old, NULL);
	return interrupts;
}

static void a_call_that_is_restarted_is_not_interrupted(void **state)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGUSR1, SIGTERM};
	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		assert_true(interrupted_by(numbers[i], 0));
		assert_false(interrupted_by(numbers[i], SA_RESTART));
	}
}

/* ---- forks ---- */

enum { SHORT_MS = 50, PATIENCE_MS = 1000 /* of forks.c */ };
static _Atomic bool let, in_between;

static void *hold_off_for_a_while(void *unused)
{
	(void)unused;
	forks_hold_off();
	atomic_store(&in_between, true);
	libc.poll(NULL, 0, SHORT_MS);
	atomic_store(&let, true);
	forks_let();
	return NULL;
}

static void *jump_out(void *unused)
{
	(void)unused;
	forks_hold_off();
	return NULL;
}

static void start(pthread_t *thread, void *(*run)(void *))
{
	atomic_store(&let, false);
	atomic_store(&in_between, false);
	assert_int_equal(pthread_create(thread, NULL, run, NULL), 0);
}

/* A few times: it waits for a second only, and a machine may be busy. */
static bool waits_for_a_holder(void)
{
	bool waited = false;
	for (int i = 0; i < 5 && !waited; i++) {
		pthread_t thread;
		start(&thread, hold_off_for_a_while);
		while (!atomic_load(&in_between))
			libc.poll(NULL, 0, 1);
		forks_before();
		waited = atomic_load(&let);
		forks_after();
		pthread_join(thread, NULL);
	}
	return waited;
}

static void a_fork_waits_for_who_holds_it_off(void **state)
{
	(void)state;
	assert_true(waits_for_a_holder());
}

static void *hold_off(void *took)
{
	int64_t began = now_ms();
	forks_hold_off();
	forks_let();
	*(int64_t *)took = now_ms() - began;
	return NULL;
}

/* What a fork takes, and at most a second. */
static void who_holds_off_waits_for_a_fork(void **state)
{
	(void)state;
	int64_t took, best = 2 * PATIENCE_MS;
	for (int i = 0; i < 5 && best >= PATIENCE_MS; i++) {
		pthread_t thread;
		forks_before();
		assert_int_equal(pthread_create(&thread, NULL, hold_off, &took), 0);
		libc.poll(NULL, 0, SHORT_MS);
		forks_after();
		pthread_join(thread, NULL);
		best = took < best ? took : best;
	}
	assert_true(best < PATIENCE_MS);
	pthread_t thread;
	forks_before();
	assert_int_equal(pthread_create(&thread, NULL, hold_off, &took), 0);
	pthread_join(thread, NULL);
	forks_after();
	assert_true(took >= PATIENCE_MS);
}

/* A holder that has jumped out of the call (longjmp()) is waited for once; its child knows nothing of it. */
static void who_never_lets_is_given_up(void **state)
{
	(void)state;
	pthread_t thread;
	start(&thread, jump_out);
	pthread_join(thread, NULL);
	int64_t began = now_ms();
	forks_before();
	assert_true(now_ms() - began >= PATIENCE_MS);
	forks_after();
	assert_true(waits_for_a_holder());
	forks_before();
	forks_in_child();
	assert_false(forks_under_way());
	assert_true(waits_for_a_holder());
}

/* ---- pools ---- */

static struct pool pool = {.size = 64, .chunk = 4};
static int maps, unmaps;
static uint32_t first;

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
/* While one thread maps a chunk, another does. */
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (size == (size_t)pool.size * pool.chunk && maps++ == 0)
		first = pool_take(&pool);
	return __real_mmap(address, size, protection, flags, fd, offset);
}

int __real_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size)
{
	unmaps += size == (size_t)pool.size * pool.chunk;
	return __real_munmap(address, size);
}

static void two_threads_map_one_chunk(void **state)
{
	(void)state;
	uint32_t second = pool_take(&pool);
	assert_int_equal(first, 1);
	assert_int_equal(second, 2);
	assert_int_equal(maps, 2);
	assert_int_equal(unmaps, 1);
	memset(pool_at(&pool, 1), 'x', pool.size);
	memset(pool_at(&pool, 2), 'x', pool.size);
}

/* ---- libc ---- */

static void what_libc_lacks_is_not_implemented(void **state)
{
	(void)state;
	int (*entry)(void) = NULL;
	libc_fill(&entry, "of_another_libc");
	errno = 0;
	assert_int_equal(entry(), -1);
	assert_int_equal(errno, ENOSYS);
}

#define WITHOUT_INPUT(name) cmocka_unit_test_setup_teardown(name, close_input, restore_input)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_is_restarted_is_not_interrupted),
		WITHOUT_INPUT(a_directory_is_read),
		WITHOUT_INPUT(registrations_are_read),
		cmocka_unit_test(the_log_is_opened),
		cmocka_unit_test(a_fork_waits_for_who_holds_it_off),
		cmocka_unit_test(who_holds_off_waits_for_a_fork),
		cmocka_unit_test(who_never_lets_is_given_up),
		cmocka_unit_test(two_threads_map_one_chunk),
		cmocka_unit_test(what_libc_lacks_is_not_implemented),
	};
	libc_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
