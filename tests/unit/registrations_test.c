/* SPDX-License-Identifier: MIT */
/* What a program registered with epoll before its socket is replaced: which registrations are remembered, and
 * which are taken out. */
#include "state/fd.h"
#include "state/registrations.h"
#include "system/libc.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static int epfd, fd;
static struct sock *sock;
static struct epoll_event event = {EPOLLIN, {.u64 = 4711}};

static int set_up(void **state)
{
	(void)state;
	fd_start();
	epfd = epoll_create1(EPOLL_CLOEXEC);
	fd = eventfd(0, EFD_CLOEXEC);
	sock = fd_open(fd, AF_INET);
	return epfd < 0 || fd < 0 || !sock ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	fd_forget(fd);
	libc.close(fd);
	libc.close(epfd);
	return 0;
}

/* As epoll_ctl()'s hook does. */
static void add(int number)
{
	assert_int_equal(libc.epoll_ctl(epfd, EPOLL_CTL_ADD, number, &event), 0);
	registrations_note(sock, epfd, EPOLL_CTL_ADD, number, &event);
}

static bool is_registered(int number)
{
	struct epoll_event changed = event;
	return libc.epoll_ctl(epfd, EPOLL_CTL_MOD, number, &changed) == 0;
}

static void two_are_remembered_and_with_a_third_the_kernel_is_asked(void **state)
{
	(void)state;
	assert_false(registrations_any(sock));
	registrations_note(sock, epfd, EPOLL_CTL_ADD, fd, &event);
	registrations_note(sock, epfd, EPOLL_CTL_ADD, fd + 1, &event);
	assert_true(registrations_any(sock));
	assert_false(sock->overflowed);
	registrations_note(sock, epfd, EPOLL_CTL_ADD, fd + 2, &event);
	assert_true(sock->overflowed);
}

static void what_is_changed_is_remembered_once(void **state)
{
	(void)state;
	struct epoll_event changed = {EPOLLOUT, {.u64 = 4712}};
	registrations_note(sock, epfd, EPOLL_CTL_ADD, fd, &event);
	registrations_note(sock, epfd, EPOLL_CTL_MOD, fd, &changed);
	assert_int_equal(sock->registrations[0].event.events, EPOLLOUT);
	assert_int_equal(sock->registrations[0].event.data.u64, 4712);
	assert_int_equal(sock->registrations[1].epfd, -1);
	registrations_note(sock, epfd, EPOLL_CTL_DEL, fd, &event);
	assert_false(registrations_any(sock));
}

static void one_that_may_be_disarmed_is_the_kernels_to_know(void **state)
{
	(void)state;
	struct epoll_event once = {EPOLLIN | EPOLLONESHOT, {.u64 = 4711}};
	registrations_note(sock, epfd, EPOLL_CTL_ADD, fd, &once);
	assert_true(sock->overflowed);
}

static void what_is_suspended_comes_back_as_it_was(void **state)
{
	(void)state;
	struct suspended suspended;
	struct epoll_event got = {0};
	uint64_t one = 1;
	add(fd);
	errno = 4242;
	assert_true(registrations_suspend(sock, &suspended));
	assert_int_equal(suspended.count, 1);
	assert_false(is_registered(fd));
	errno = 4242;
	registrations_resume(&suspended);
	assert_int_equal(errno, 4242);
	assert_int_equal(libc.write(fd, &one, sizeof one), sizeof one);
	assert_int_equal(epoll_wait(epfd, &got, 1, 0), 1);
	assert_int_equal(got.events, EPOLLIN);
	assert_int_equal(got.data.u64, 4711);
}

/* An instance whose number was closed lives on as a dup: only the kernel knows which that is. */
static void an_instance_that_has_moved_is_found(void **state)
{
	(void)state;
	struct suspended suspended;
	add(fd);
	int moved = dup(epfd);
	libc.close(epfd);
	epfd = moved;
	assert_true(registrations_suspend(sock, &suspended));
	assert_int_equal(suspended.count, 1);
	assert_int_equal(suspended.list[0].epfd, moved);
	assert_false(is_registered(fd));
	registrations_resume(&suspended);
	assert_true(is_registered(fd));
}

static void another_process_has_none_of_them(void **state)
{
	(void)state;
	struct suspended suspended;
	add(fd);
	sock->registrations[0].process++;
	assert_true(registrations_suspend(sock, &suspended));
	assert_int_equal(suspended.count, 0);
	assert_true(is_registered(fd));
	registrations_drop(sock, fd);
	assert_true(is_registered(fd));
}

static void a_number_that_is_dropped_takes_its_own_with_it(void **state)
{
	(void)state;
	int other = dup(fd);
	add(fd);
	add(other);
	errno = 4242;
	registrations_drop(sock, fd);
	assert_int_equal(errno, 4242);
	assert_false(is_registered(fd));
	assert_true(is_registered(other));
	assert_int_equal(sock->registrations[0].epfd, -1);
	assert_int_equal(sock->registrations[1].epfd, epfd);
	libc.close(other);
}

/* The description of one that shares it lives on, and epoll would report it for ever. */
static void only_one_that_shares_is_taken_out_as_it_leaves(void **state)
{
	(void)state;
	add(fd);
	registrations_leave(fd);
	assert_false(fd_tracked(fd));
	assert_true(is_registered(fd));
	assert_int_equal(libc.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, &event), 0);
	sock = fd_open(fd, AF_INET);
	sock->shares = true;
	add(fd);
	registrations_leave(fd);
	assert_false(fd_tracked(fd));
	assert_false(is_registered(fd));
}

static void a_range_leaves_from_its_first_to_its_last(void **state)
{
	(void)state;
	enum { BASE = 5000 };
	for (int number = BASE; number < BASE + 4; number++)
		assert_non_null(fd_open(number, AF_INET));
	registrations_leave_range(BASE + 1, BASE + 2);
	assert_true(fd_tracked(BASE));
	assert_false(fd_tracked(BASE + 1));
	assert_false(fd_tracked(BASE + 2));
	assert_true(fd_tracked(BASE + 3));
	registrations_leave_range(BASE, UINT32_MAX);
	assert_false(fd_tracked(BASE));
	assert_false(fd_tracked(BASE + 3));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_are_remembered_and_with_a_third_the_kernel_is_asked),
		TEST(what_is_changed_is_remembered_once),
		TEST(one_that_may_be_disarmed_is_the_kernels_to_know),
		TEST(what_is_suspended_comes_back_as_it_was),
		TEST(an_instance_that_has_moved_is_found),
		TEST(another_process_has_none_of_them),
		TEST(a_number_that_is_dropped_takes_its_own_with_it),
		TEST(only_one_that_shares_is_taken_out_as_it_leaves),
		TEST(a_range_leaves_from_its_first_to_its_last),
	};
	libc_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
