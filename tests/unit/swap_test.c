/* SPDX-License-Identifier: MIT */
/* A fresh socket takes the place of the program's, on all of its numbers and no other. */
#include "state/fd.h"
#include "state/swap.h"
#include "system/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int fd, alias, fresh;
static ino_t fresh_inode;
static struct sock *sock;

static ino_t inode_of(int number)
{
	struct stat now;
	return fstat(number, &now) < 0 ? 0 : now.st_ino;
}

static int set_up(void **state)
{
	(void)state;
	fd = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	sock = fd_open(fd, AF_INET);
	alias = libc.dup(fd);
	fd_alias(fd_keep(fd), alias);
	fresh = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	fresh_inode = inode_of(fresh);
	return fd_hold(fd, sock) && fresh_inode ? 0 : -1; /* as the call that swaps does */
}

static int tear_down(void **state)
{
	(void)state;
	fd_release(sock);
	fd_forget(fd);
	fd_forget(alias);
	libc.close(fd);
	libc.close(alias);
	return 0;
}

static void every_number_gets_it_and_keeps_its_flag(void **state)
{
	(void)state;
	assert_int_equal(libc.fcntl(alias, F_SETFD, (void *)FD_CLOEXEC), 0);
	errno = 4242;
	assert_int_equal(swap_in(fd, sock, fresh), 0);
	assert_int_equal(inode_of(fd), fresh_inode);
	assert_int_equal(inode_of(alias), fresh_inode);
	assert_int_equal(libc.fcntl(fd, F_GETFD, NULL), 0);
	assert_int_equal(libc.fcntl(alias, F_GETFD, NULL), FD_CLOEXEC);
	assert_int_equal(inode_of(fresh), 0);
	assert_int_equal(sock->pins, 0);
	assert_int_equal(sock->swaps, 0);
}

/* libc has closed the dup unseen, and its number is another socket's, on the same device. */
static void another_socket_in_the_place_of_a_dup_stays(void **state)
{
	(void)state;
	int other = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	ino_t inode = inode_of(other);
	assert_int_equal(libc.dup2(other, alias), alias);
	assert_int_equal(swap_in(fd, sock, fresh), 0);
	assert_int_equal(inode_of(fd), fresh_inode);
	assert_int_equal(inode_of(alias), inode);
	assert_false(fd_tracked(alias));
	libc.close(other);
}

static void a_number_that_is_closed_is_an_error(void **state)
{
	(void)state;
	fd_forget(fd);
	fd_forget(alias);
	ino_t before = inode_of(fd);
	assert_int_equal(swap_in(fd, sock, fresh), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(inode_of(fd), before);
	assert_int_equal(inode_of(fresh), 0);
	assert_int_equal(sock->swaps, 0);
}

static void who_gets_which_signal_goes_over(void **state)
{
	(void)state;
	struct f_owner_ex owner = {F_OWNER_PID, getppid()};
	assert_int_equal(libc.fcntl(fd, F_SETOWN_EX, &owner), 0);
	assert_int_equal(libc.fcntl(fd, F_SETSIG, (void *)SIGWINCH), 0);
	assert_int_equal(libc.fcntl(fd, F_SETFL, (void *)(O_ASYNC | O_NONBLOCK)), 0);
	sock->owner = true;
	assert_int_equal(swap_in(fd, sock, fresh), 0);
	owner.pid = 0;
	assert_int_equal(libc.fcntl(fd, F_GETOWN_EX, &owner), 0);
	assert_int_equal(owner.pid, getppid());
	assert_int_equal(libc.fcntl(fd, F_GETSIG, NULL), SIGWINCH);
	assert_int_equal(libc.fcntl(fd, F_GETFL, NULL), O_RDWR | O_ASYNC | O_NONBLOCK);
}

static void without_a_signal_none_is_asked_for(void **state)
{
	(void)state;
	sock->owner = true;
	assert_int_equal(swap_in(fd, sock, fresh), 0);
	assert_int_equal(libc.fcntl(fd, F_GETSIG, NULL), 0);
	assert_int_equal(libc.fcntl(fd, F_GETFL, NULL), O_RDWR | O_NONBLOCK);
}

static void a_fresh_socket_waits_as_the_old_one_does(void **state)
{
	(void)state;
	assert_int_equal(swap_flags(fd), SOCK_CLOEXEC);
	assert_int_equal(libc.fcntl(fd, F_SETFL, (void *)O_NONBLOCK), 0);
	assert_int_equal(swap_flags(fd), SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_int_equal(swap_flags(-1), -1);
	libc.close(fresh);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_number_gets_it_and_keeps_its_flag),
		TEST(another_socket_in_the_place_of_a_dup_stays),
		TEST(a_number_that_is_closed_is_an_error),
		TEST(who_gets_which_signal_goes_over),
		TEST(without_a_signal_none_is_asked_for),
		TEST(a_fresh_socket_waits_as_the_old_one_does),
	};
	libc_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
