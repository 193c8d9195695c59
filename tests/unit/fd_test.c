/* SPDX-License-Identifier: MIT */
#include "state/fd.h"
#include "system/kernel.h"
#include "system/libc.h"
#include "system/pool.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A release's objects are tested with older versions of glibc, too. */
#if defined __GLIBC__ && (__GLIBC__ * 100 + __GLIBC_MINOR__) < 234
#undef HAVE_CLOSE_RANGE
#endif
#ifndef HAVE_CLOSE_RANGE
static int close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}
#endif

/* The table doesn't ask whether a number is open, so these tests take numbers that are far from real ones. */
enum { BASE = 5000 };

static uint32_t references(const struct sock *sock)
{
	return atomic_load(&sock->references);
}

static void alias(int fd, int number)
{
	fd_alias(fd_keep(fd), number);
}

static int forget_all(void **state)
{
	(void)state;
	for (int fd = 0; fd <= fd_highest(); fd++)
		fd_forget(fd);
	return 0;
}

static void a_fresh_entry_is_an_ip_socket_without_a_past(void **state)
{
	(void)state;
	assert_false(fd_tracked(BASE));
	assert_null(fd_sock(BASE));
	struct sock *sock = fd_open(BASE, AF_INET6);
	assert_non_null(sock);
	sock->claim.bound = sock->used = true;
	sock->report.error = ECONNREFUSED;
	sock->registrations[0].epfd = 7;
	fd_forget(BASE);
	assert_ptr_equal(fd_open(BASE + 1, AF_INET), sock); /* the same record */
	assert_true(fd_tracked(BASE + 1));
	assert_ptr_equal(fd_sock(BASE + 1), sock);
	assert_int_equal(sock->family, AF_INET);
	assert_int_equal(sock->state, STATE_IP);
	assert_false(sock->claim.bound || sock->used);
	assert_int_equal(sock->report.error, 0);
	assert_int_equal(sock->options.first, 0);
	for (int i = 0; i < REGISTRATIONS; i++)
		assert_int_equal(sock->registrations[i].epfd, -1);
	assert_int_equal(references(sock), 1);
}

static void dups_share_one_entry_until_the_last_is_gone(void **state)
{
	(void)state;
	struct sock *sock = fd_open(BASE, AF_INET);
	alias(BASE, BASE + 1);
	alias(BASE + 1, BASE + 2);
	assert_int_equal(references(sock), 3);
	assert_ptr_equal(fd_sock(BASE + 2), sock);
	fd_forget(BASE);
	fd_forget(BASE);
	assert_int_equal(references(sock), 2);
	assert_ptr_equal(fd_sock(BASE + 1), sock);
	assert_ptr_not_equal(fd_open(BASE + 3, AF_INET), sock); /* not yet free */
	fd_forget(BASE + 1);
	fd_forget(BASE + 2);
	assert_int_equal(references(sock), 0);
	assert_ptr_equal(fd_open(BASE, AF_INET), sock);
}

static void a_dup_of_itself_changes_nothing(void **state)
{
	(void)state;
	struct sock *sock = fd_open(BASE, AF_INET);
	alias(BASE, BASE);
	assert_int_equal(references(sock), 1);
}

static void a_dup_again_over_the_same_number_counts_once(void **state)
{
	(void)state;
	struct sock *sock = fd_open(BASE, AF_INET);
	alias(BASE, BASE + 1);
	alias(BASE, BASE + 1);
	assert_int_equal(references(sock), 2);
}

static void a_dup_of_something_else_over_an_entry_forgets_it(void **state)
{
	(void)state;
	struct sock *sock = fd_open(BASE, AF_INET);
	alias(BASE + 9, BASE);
	assert_false(fd_tracked(BASE));
	assert_int_equal(references(sock), 0);
	fd_open(BASE, AF_INET);
	alias(-1, BASE);
	assert_false(fd_tracked(BASE));
}

static void a_number_that_was_closed_behind_our_back_starts_anew(void **state)
{
	(void)state;
	int one = 1;
	struct sock *stale = fd_open(BASE, AF_INET);
	alias(BASE, BASE + 1);
	options_remember(&stale->options, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	struct sock *fresh = fd_open(BASE, AF_INET6);
	assert_ptr_not_equal(fresh, stale);
	assert_ptr_equal(fd_sock(BASE + 1), stale);
	assert_int_equal(references(stale), 1);
	assert_int_equal(references(fresh), 1);
	assert_int_equal(options_int(&fresh->options, IPPROTO_TCP, TCP_NODELAY, -1), -1);
	alias(BASE, BASE + 1); /* and over a stale number */
	assert_int_equal(references(stale), 0);
	assert_int_equal(references(fresh), 2);
}

/* The hooked calls: the kernel has nothing open there. */
static void a_range_that_is_closed_is_forgotten_and_no_more(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		fd_open(BASE + i, AF_INET);
	if (syscall(SYS_close_range, UINT_MAX, UINT_MAX, 0) < 0) { /* before Linux 5.9 */
		assert_int_equal(close_range(BASE, BASE + 9, 0), -1);
		for (int i = 0; i < 10; i++)
			assert_true(fd_tracked(BASE + i));
		return;
	}
	/* No kernel knows these flags: nothing is closed. */
	assert_int_equal(close_range(BASE + 3, BASE + 5, 4242), -1);
	assert_int_equal(syscall(SYS_close_range, BASE + 3, BASE + 5, 4242), -1);
	/* valgrind 3.19 takes an empty range with any flags. */
	if (syscall(SYS_close_range, UINT_MAX, UINT_MAX, 4242) < 0)
		assert_true(fd_tracked(BASE + 3));
	assert_int_equal(close_range(BASE + 3, BASE + 5, 0), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(fd_tracked(BASE + i), i < 3 || i > 5);
	assert_int_equal(close_range(BASE + 5, BASE + 3, 0), -1);
	bool can_mark =
		syscall(SYS_close_range, UINT_MAX, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0; /* since Linux 5.11 */
	assert_int_equal(close_range(BASE, BASE + 9, CLOSE_RANGE_CLOEXEC), can_mark ? 0 : -1);
	assert_int_equal(close_range(UINT_MAX, UINT_MAX, 0), 0);
	assert_int_equal(close_range(FD_LIMIT, UINT_MAX, 0), 0);
	assert_true(fd_tracked(BASE) && fd_tracked(BASE + 9));
	assert_int_equal(close_range(BASE + 1, UINT_MAX, 0), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(fd_tracked(BASE + i), i == 0);
}

static void an_entry_that_is_held_outlives_its_fd(void **state)
{
	(void)state;
	struct sock *sock = fd_open(BASE, AF_INET);
	assert_true(fd_hold(BASE, sock));
	fd_forget(BASE);
	assert_int_equal(references(sock), 1);
	assert_ptr_not_equal(fd_open(BASE, AF_INET), sock);
	assert_false(fd_hold(BASE, sock)); /* the number is another's now */
	assert_int_equal(references(sock), 1);
	fd_release(sock);
	assert_int_equal(references(sock), 0);
	assert_false(fd_hold(BASE, sock)); /* gone */
	assert_int_equal(references(sock), 0);
}

static void numbers_beyond_the_table_are_never_tracked(void **state)
{
	(void)state;
	static const int beyond[] = {FD_LIMIT, FD_LIMIT + 1, INT_MAX, -1, INT_MIN};
	struct sock *sock = fd_open(BASE, AF_INET);
	for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
		assert_null(fd_open(beyond[i], AF_INET));
		fd_open_foreign(beyond[i]);
		alias(BASE, beyond[i]);
		fd_forget(beyond[i]);
		assert_false(fd_tracked(beyond[i]));
		assert_null(fd_sock(beyond[i]));
		assert_false(fd_is_foreign(beyond[i]));
	}
	assert_int_equal(references(sock), 1);
	alias(BASE, FD_LIMIT - 1);
	assert_ptr_equal(fd_sock(FD_LIMIT - 1), sock);
	alias(FD_LIMIT, FD_LIMIT - 1); /* a dup of what isn't tracked */
	assert_false(fd_tracked(FD_LIMIT - 1));
	assert_non_null(fd_open(FD_LIMIT - 1, AF_INET));
	fd_forget(FD_LIMIT - 1);
	assert_false(fd_tracked(FD_LIMIT - 1));
}

static void the_programs_own_vsock_socket_is_foreign(void **state)
{
	(void)state;
	fd_open_foreign(BASE);
	fd_open(BASE + 1, AF_INET);
	assert_true(fd_is_foreign(BASE));
	assert_false(fd_is_foreign(BASE + 1));
	assert_false(fd_is_foreign(BASE + 2));
}

static void collect(int fd, void *context)
{
	int *sum = context;
	*sum += fd - BASE;
}

static bool is_six(const struct sock *sock, const void *context)
{
	return sock->family == *(const int *)context;
}

static void entries_are_visited_and_found(void **state)
{
	(void)state;
	int four = 0, all = 0, inet6 = AF_INET6, unspecified = AF_UNSPEC;
	struct sock *sock = fd_open(BASE + 1, AF_INET);
	alias(BASE + 1, BASE + 10);
	fd_open(BASE + 100, AF_INET6);
	fd_each(sock, collect, &four);
	fd_each(NULL, collect, &all);
	assert_int_equal(four, 11);
	assert_int_equal(all, 111);
	assert_int_equal(fd_find(is_six, &inet6), BASE + 100);
	assert_int_equal(fd_find(is_six, &unspecified), -1);
}

static void nothing_changes_in_a_vfork_child(void **state)
{
	(void)state;
	struct sock *sock = fd_open(BASE, AF_INET);
	in_vfork_child = 1;
	assert_null(fd_open(BASE + 1, AF_INET));
	fd_open_foreign(BASE + 1);
	alias(BASE, BASE + 1);
	alias(BASE + 2, BASE);
	fd_forget(BASE);
	in_vfork_child = 0;
	assert_ptr_equal(fd_sock(BASE), sock);
	assert_int_equal(references(sock), 1);
	assert_false(fd_tracked(BASE + 1));
}

/* The hooked vfork(), and hooked calls in the child. */
static void a_vfork_child_leaves_the_table_alone(void **state)
{
	(void)state;
	int fd = open("/dev/null", O_RDONLY), other = open("/dev/null", O_RDONLY), status = -1;
	assert_true(fd >= 0 && other >= 0);
	struct sock *sock = fd_open(fd, AF_INET);
	pid_t child = vfork();
	if (child == 0) {
		close(fd);
		dup2(other, fd);
		_exit(in_vfork_child == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(in_vfork_child, 0);
	assert_ptr_equal(fd_sock(fd), sock);
	assert_int_equal(references(sock), 1);
	assert_false(fd_tracked(other));
	close(fd);
	close(other);
	assert_int_equal(references(sock), 0);
}

#if defined __x86_64__ || defined __aarch64__ || defined __i386__
pid_t vfork_failed(int negative); /* where vfork.S ends if the kernel refuses */

static void a_vfork_that_fails_says_why(void **state)
{
	(void)state;
	errno = 0;
	assert_int_equal(vfork_failed(-EAGAIN), -1);
	assert_int_equal(errno, EAGAIN);
}
#define VFORK_CAN_FAIL
#endif

static void errno_is_untouched(void **state)
{
	(void)state;
	errno = 4242;
	for (int i = 0; i < 1000; i++) /* new chunks are mapped */
		fd_open(BASE + i, AF_INET);
	alias(BASE, BASE + 2000);
	fd_open_foreign(BASE);
	forget_all(state);
	assert_int_equal(errno, 4242);
}

/* Bytes of this process's address space: the pools grow by mmap(). From maps, which qemu-user shows without
 * what is its own. */
static unsigned long mapped(void)
{
	unsigned long begin, end, sum = 0;
	FILE *file = fopen("/proc/self/maps", "r");
	assert_non_null(file);
	while (fscanf(file, "%lx-%lx%*[^\n]", &begin, &end) == 2)
		sum += end - begin;
	fclose(file);
	assert_true(sum > 0);
	return sum;
}

static void cycle(int count)
{
	static const struct linger linger = {1, 5};
	int one = 1;
	for (int i = 0; i < count; i++) {
		struct sock *sock = fd_open(BASE + i % 7, AF_INET);
		assert_non_null(sock);
		options_remember(&sock->options, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		options_remember(&sock->options, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
		options_remember(&sock->options, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		alias(BASE + i % 7, BASE + 50);
		if (i % 3)
			fd_forget(BASE + i % 7);
	}
}

static void a_million_sockets_need_no_more_memory_than_ten(void **state)
{
	(void)state;
	cycle(100);
	unsigned long before = mapped();
	cycle(1000000);
	enum { BOOKS = 64 << 10 }; /* valgrind's, which grow with the code that has run */
	assert_in_range(mapped(), 1, before + BOOKS);
}

/* ---- threads ---- */

enum { THREADS = 8, NUMBERS = 2, SEEN = 1 << 15 };

static atomic_bool over;

struct racer {
	pthread_t thread;
	unsigned seed;
	struct sock *seen[SEEN];
	unsigned count;
};

static void *race(void *context)
{
	struct racer *racer = context;
	while (!atomic_load(&over)) {
		int fd = BASE + rand_r(&racer->seed) % NUMBERS, other = BASE + rand_r(&racer->seed) % NUMBERS;
		struct sock *sock;
		switch (rand_r(&racer->seed) % 4) {
		case 0:
			sock = fd_open(fd, AF_INET);
			racer->seen[racer->count++ % SEEN] = sock;
			break;
		case 1:
			alias(fd, other);
			break;
		case 2:
			fd_forget(fd);
			break;
		default:
			sock = fd_sock(fd);
			if (sock && fd_hold(fd, sock))
				fd_release(sock);
		}
	}
	return NULL;
}

static void no_reference_is_lost_or_left_over_among_threads(void **state)
{
	(void)state;
	struct racer *racers = calloc(THREADS, sizeof *racers);
	assert_non_null(racers);
	atomic_store(&over, false);
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i].seed = i + 1;
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	atomic_store(&over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	forget_all(NULL);
	unsigned wrong = 0, opened = 0;
	for (int i = 0; i < THREADS; i++) {
		unsigned count = racers[i].count < SEEN ? racers[i].count : SEEN;
		for (unsigned j = 0; j < count; j++)
			wrong += references(racers[i].seen[j]) != 0;
		opened += racers[i].count;
	}
	free(racers);
	assert_true(opened > 10000);
	assert_int_equal(wrong, 0);
	/* No record is handed out twice. */
	for (int i = 0; i < 1000; i++)
		fd_open(BASE + i, AF_INET)->claim.tried = (uint16_t)i;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(fd_sock(BASE + i)->claim.tried, i);
		assert_int_equal(references(fd_sock(BASE + i)), 1);
	}
}

static struct pool records = {.size = sizeof(uint32_t) * 2, .chunk = 16};

static void *take_and_release(void *context)
{
	uint32_t own = *(uint32_t *)context, held[8];
	uintptr_t wrong = 0;
	for (int round = 0; round < 20000; round++) {
		for (int i = 0; i < 8; i++) {
			held[i] = pool_take(&records);
			((uint32_t *)pool_at(&records, held[i]))[1] = own + (uint32_t)i;
		}
		for (int i = 0; i < 8; i++) {
			wrong += ((uint32_t *)pool_at(&records, held[i]))[1] != own + (uint32_t)i;
			pool_release(&records, held[i]);
		}
	}
	return (void *)wrong;
}

static void a_record_belongs_to_one_thread_at_a_time(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	uint32_t own[THREADS];
	for (uint32_t i = 0; i < THREADS; i++) {
		own[i] = i * 100;
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_release, &own[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *wrong;
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	assert_in_range(atomic_load(&records.used), 8, THREADS * 8);
}

static void a_pool_that_is_used_up_says_so(void **state)
{
	(void)state;
	static struct pool tiny = {.size = sizeof(uint32_t), .chunk = 1};
	for (int i = 1; i <= POOL_CHUNKS; i++)
		assert_int_equal(pool_take(&tiny), i);
	assert_int_equal(pool_take(&tiny), 0);
	assert_int_equal(pool_take(&tiny), 0);
	pool_release(&tiny, 77);
	assert_int_equal(pool_take(&tiny), 77);
	assert_int_equal(pool_take(&tiny), 0);
	for (int i = 0; i < POOL_CHUNKS; i++)
		munmap(tiny.chunks[i], tiny.size);
}

#define TEST(name) cmocka_unit_test_teardown(name, forget_all)

static void *find_errno(void *context)
{
	(void)context;
	return libc_errno() == &errno ? libc_errno() : NULL;
}

/* dlsym() isn't for signal handlers. */
static void what_handlers_may_call_is_found_at_start(void **state)
{
	(void)state;
#define IS_FOUND(name)                                                                                       \
	do {                                                                                                 \
		void *found;                                                                                 \
		memcpy(&found, &libc.name, sizeof found);                                                    \
		assert_ptr_equal(found, dlsym(RTLD_NEXT, #name));                                            \
	} while (0)
	libc_start();
	IS_FOUND(socket);
	IS_FOUND(connect);
	IS_FOUND(bind);
	IS_FOUND(listen);
	IS_FOUND(accept);
	IS_FOUND(accept4);
	IS_FOUND(getsockname);
	IS_FOUND(getpeername);
	IS_FOUND(getsockopt);
	IS_FOUND(setsockopt);
	IS_FOUND(shutdown);
	IS_FOUND(read);
	IS_FOUND(write);
	IS_FOUND(send);
	IS_FOUND(sendto);
	IS_FOUND(sendmsg);
	IS_FOUND(recv);
	IS_FOUND(recvfrom);
	IS_FOUND(recvmsg);
	IS_FOUND(poll);
	IS_FOUND(ioctl);
	IS_FOUND(fcntl);
	IS_FOUND(epoll_ctl);
	IS_FOUND(dup);
	IS_FOUND(dup2);
	IS_FOUND(dup3);
	IS_FOUND(close);
	IS_FOUND(execve);
	IS_FOUND(execv);
}

static void errno_is_found_in_every_thread(void **state)
{
	(void)state;
	pthread_t thread;
	void *found;
	assert_ptr_equal(libc_errno(), &errno); /* nobody has looked for it yet */
	libc_start();
#ifdef HAVE_THREAD_POINTER
	assert_int_not_equal(libc.error, 0);
#endif
	assert_ptr_equal(libc_errno(), &errno);
	assert_int_equal(pthread_create(&thread, NULL, find_errno, NULL), 0);
	assert_int_equal(pthread_join(thread, &found), 0);
	assert_non_null(found);
	assert_ptr_not_equal(found, &errno);
}

static bool is_inet(const struct sock *sock, const void *context)
{
	(void)context;
	return sock->family == AF_INET;
}

static void the_first_and_the_last_number_are_found(void **state)
{
	(void)state;
	int fd = -1;
	fd_open(BASE, AF_INET6);
	struct sock *first = fd_open(0, AF_INET), *last = fd_open(fd_highest(), AF_INET6);
	assert_ptr_equal(fd_find_held(is_inet, NULL, &fd), first);
	assert_int_equal(fd, 0);
	assert_int_equal(references(first), 2);
	fd_release(first);
	last->family = AF_INET;
	fd_forget(0);
	assert_ptr_equal(fd_find_held(is_inet, NULL, &fd), last);
	assert_int_equal(fd, fd_highest());
	fd_release(last);
	fd_forget(fd);
	assert_null(fd_find_held(is_inet, NULL, &fd));
}

static void *end_greeting_later(void *sock)
{
	static const struct timespec later = {0, 20000000};
	nanosleep(&later, NULL);
	fd_greeting_end(sock);
	return NULL;
}

/* The moment in which a task puts another socket in place is waited for, and what is there then counts. */
static void a_greeting_is_asked_for_when_it_is_not_locked(void **state)
{
	(void)state;
	pthread_t thread;
	struct sock *sock = fd_open(BASE, AF_INET);
	assert_false(fd_greets(sock));
	assert_false(fd_greeting_lock(sock));
	bool greets = true; /* it is waited for 0.1 s, and a machine may be busy */
	for (int i = 0; i < 10 && greets; i++) {
		fd_greeting_begin(sock);
		assert_true(fd_greets(sock));
		assert_true(fd_greeting_lock(sock));
		assert_int_equal(pthread_create(&thread, NULL, end_greeting_later, sock), 0);
		greets = fd_greets(sock);
		pthread_join(thread, NULL);
	}
	assert_false(greets);
	fd_greeting_begin(sock);
	assert_true(fd_greeting_lock(sock));
	fd_greeting_unlock(sock);
	assert_true(fd_greeting_lock(sock));
}

/* close() has failed: the entry comes back, unless the number was replaced meanwhile. */
static void an_entry_that_is_given_back_is_there_as_before(void **state)
{
	(void)state;
	uint8_t swapped;
	struct sock *sock = fd_open(BASE, AF_INET);
	assert_ptr_equal(fd_take(BASE, &swapped), sock);
	assert_false(fd_tracked(BASE));
	fd_give_back(BASE, sock, swapped);
	assert_ptr_equal(fd_sock(BASE), sock);
	assert_int_equal(references(sock), 1);
	for (int ended = 0; ended < 2; ended++) {
		sock = fd_open(BASE, AF_INET);
		assert_ptr_equal(fd_take(BASE, &swapped), sock);
		fd_swap_begin(sock);
		if (ended)
			fd_swap_end(sock);
		fd_give_back(BASE, sock, swapped);
		assert_false(fd_tracked(BASE));
		assert_int_equal(references(sock), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_handlers_may_call_is_found_at_start), /* before anything else has called it */
		TEST(a_fresh_entry_is_an_ip_socket_without_a_past),
		TEST(dups_share_one_entry_until_the_last_is_gone),
		TEST(a_dup_of_itself_changes_nothing),
		TEST(a_dup_again_over_the_same_number_counts_once),
		TEST(a_dup_of_something_else_over_an_entry_forgets_it),
		TEST(a_number_that_was_closed_behind_our_back_starts_anew),
		TEST(a_range_that_is_closed_is_forgotten_and_no_more),
		TEST(an_entry_that_is_held_outlives_its_fd),
		TEST(numbers_beyond_the_table_are_never_tracked),
		TEST(the_programs_own_vsock_socket_is_foreign),
		TEST(entries_are_visited_and_found),
		TEST(nothing_changes_in_a_vfork_child),
		TEST(a_vfork_child_leaves_the_table_alone),
#ifdef VFORK_CAN_FAIL
		TEST(a_vfork_that_fails_says_why),
#endif
		TEST(errno_is_untouched),
		TEST(a_million_sockets_need_no_more_memory_than_ten),
		TEST(no_reference_is_lost_or_left_over_among_threads),
		TEST(a_record_belongs_to_one_thread_at_a_time),
		TEST(a_pool_that_is_used_up_says_so),
		TEST(errno_is_found_in_every_thread),
		TEST(the_first_and_the_last_number_are_found),
		TEST(a_greeting_is_asked_for_when_it_is_not_locked),
		TEST(an_entry_that_is_given_back_is_there_as_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
