/* SPDX-License-Identifier: MIT */
/* recv() with flags that a carrier hasn't, and messages in parts: as much is taken as TCP takes. */
#include "emulated.h"
#include "state/fd.h"
#include "system/unread.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static int fd, far;

static int set_up(void **state)
{
	(void)state;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return -1;
	fd = pair[0];
	far = pair[1];
	struct sock *sock = fd_make(fd, AF_INET);
	sock_lead(sock, NULL, &transport_unix);
	set_state(sock, STATE_CONNECTED);
	fd_enter(fd, sock);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(fd);
	close(far);
	return 0;
}

static char text[2][5];

/* Two parts of four bytes, and who has sent them, which a connection doesn't say. */
static ssize_t receive(int flags)
{
	struct sockaddr_storage from;
	struct iovec parts[] = {{text[0], 4}, {text[1], 4}};
	struct msghdr message = {.msg_name = &from,
		.msg_namelen = sizeof from,
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_flags = -1};
	memset(text, 0, sizeof text);
	errno = 4242;
	ssize_t got = recvmsg(fd, &message, flags);
	assert_int_equal(message.msg_namelen, 0);
	if (got >= 0)
		assert_int_equal(message.msg_flags, 0);
	return got;
}

static void a_message_takes_all_parts(void **state)
{
	(void)state;
	assert_int_equal(write(far, "abcdefgh", 8), 8);
	assert_int_equal(receive(0), 8);
	assert_string_equal(text[0], "abcd");
	assert_string_equal(text[1], "efgh");
	assert_int_equal(write(far, "abcdefgh", 8), 8);
	assert_int_equal(receive(MSG_WAITALL), 8);
	assert_string_equal(text[0], "abcd");
	assert_string_equal(text[1], "efgh");
	assert_int_equal(write(far, "abcdef", 6), 6);
	assert_int_equal(receive(MSG_WAITALL | MSG_DONTWAIT), 6);
	assert_string_equal(text[1], "ef");
	assert_int_equal(write(far, "abcd", 4), 4);
	assert_int_equal(receive(MSG_WAITALL | MSG_DONTWAIT), 4);
}

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/* What is there is returned, though a part is left: nobody waits for the rest unless he says so. */
static void a_part_without_bytes_is_not_waited_for(void **state)
{
	(void)state;
	struct timeval limit = {10, 0};
	assert_int_equal(libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
	assert_int_equal(write(far, "abcd", 4), 4);
	int64_t began = now();
	assert_int_equal(receive(0), 4);
	assert_true(now() - began < 5);
}

static void where_nothing_is_there_it_fails(void **state)
{
	(void)state;
	assert_int_equal(receive(MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(receive(MSG_DONTWAIT | MSG_WAITALL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(receive(MSG_DONTWAIT | MSG_TRUNC), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(receive(MSG_OOB), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(receive(MSG_ERRQUEUE), -1);
	assert_int_equal(errno, EAGAIN);
}

static void the_end_is_no_error(void **state)
{
	(void)state;
	assert_int_equal(write(far, "abcdef", 6), 6);
	shutdown(far, SHUT_WR);
	assert_int_equal(receive(MSG_WAITALL), 6);
	assert_int_equal(receive(MSG_WAITALL), 0);
	assert_int_equal(receive(0), 0);
}

/* With MSG_TRUNC the bytes are taken and not shown. */
static void what_is_discarded_is_counted(void **state)
{
	(void)state;
	assert_int_equal(write(far, "abcdefgh", 8), 8);
	assert_int_equal(recv(fd, NULL, 6, MSG_TRUNC), 6);
	assert_int_equal(recv(fd, text[0], 4, 0), 2);
	assert_string_equal(text[0], "gh");
}

static void a_message_that_is_peeked_at_stays(void **state)
{
	(void)state;
	assert_int_equal(write(far, "abcd", 4), 4);
	assert_int_equal(receive(MSG_PEEK), 4);
	assert_int_equal(receive(MSG_PEEK | MSG_WAITALL), 4);
	assert_string_equal(text[1], ""); /* not the same bytes again */
	assert_int_equal(receive(0), 4);
	assert_string_equal(text[0], "abcd");
}

/* A compiler that checks sizes calls these, with the size of the buffer besides. */
#ifdef __GLIBC__
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
static void a_buffer_that_is_just_large_enough_is_filled(void **state)
{
	(void)state;
	assert_int_equal(__recvfrom_chk(fd, text[0], 5, 5, MSG_OOB, NULL, NULL), -1);
	assert_int_equal(errno, EINVAL); /* TCP's */
	assert_int_equal(__recv_chk(fd, text[0], 5, 5, MSG_OOB), -1);
	assert_int_equal(errno, EINVAL);
	text[0][0] = '-'; /* TCP takes with MSG_TRUNC what it doesn't show, and the carrier shows it */
	assert_int_equal(write(far, "abcdefgh", 8), 8);
	assert_int_equal(__recvfrom_chk(fd, text[0], 4, 4, MSG_TRUNC, NULL, NULL), 4);
	assert_int_equal(__recv_chk(fd, text[0], 4, 4, MSG_TRUNC), 4);
	assert_int_equal(text[0][0], '-');
	for (size_t size = 4; size <= sizeof text[0]; size++) {
		assert_int_equal(write(far, "abcd", 4), 4);
		assert_int_equal(__recvfrom_chk(fd, text[0], size, sizeof text[0], 0, NULL, NULL), 4);
		assert_int_equal(write(far, "abcd", 4), 4);
		assert_int_equal(__recv_chk(fd, text[0], size, sizeof text[0], 0), 4);
	}
}
#endif

static int ioctl_of_an_old_kernel(int number, unsigned long request, void *value)
{
	(void)number, (void)request, (void)value;
	errno = EOPNOTSUPP;
	return -1;
}

static void what_waits_is_counted_where_the_kernel_does_not(void **state)
{
	(void)state;
	static const char much[100000];
	__typeof__(libc.ioctl) real = libc.ioctl;
	for (int i = 0; i < 2; i++) {
		libc.ioctl = i == 0 ? real : ioctl_of_an_old_kernel;
		assert_int_equal(libc.send(far, "abc", 3, 0), 3);
		fill_the_stack(0xff);
		int few = unread_bytes(fd);
		assert_int_equal(libc.send(far, much, sizeof much, MSG_DONTWAIT), sizeof much);
		int many = unread_bytes(fd);
		libc.ioctl = real;
		assert_int_equal(few, 3);
		assert_int_equal(many, 3 + sizeof much);
		for (ssize_t left = many; left > 0;)
			left -= recv(fd, (char[4096]){0}, 4096, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_takes_all_parts),
		TEST(a_part_without_bytes_is_not_waited_for),
		TEST(where_nothing_is_there_it_fails),
		TEST(the_end_is_no_error),
		TEST(what_is_discarded_is_counted),
		TEST(a_message_that_is_peeked_at_stays),
#ifdef __GLIBC__
		TEST(a_buffer_that_is_just_large_enough_is_filled),
#endif
		TEST(what_waits_is_counted_where_the_kernel_does_not),
	};
	libc_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
