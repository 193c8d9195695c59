/* SPDX-License-Identifier: MIT */
/* Before Linux 5.5 the end of an AF_VSOCK connection is ENOTCONN. So is reading from a TCP socket that was
 * never connected: one stands for such a connection here, and what its record says it is decides. */
#include "build_map.h"
#include "emulated.h"
#include "socket/stream.h"
#include "socket/stream_end.h"
#include "state/fd.h"
#include "system/log.h"

#include <fcntl.h>
#include <sys/utsname.h>

static const char *release;

int __wrap_uname(struct utsname *name);
int __wrap_uname(struct utsname *name)
{
	strcpy(name->release, release);
	return 0;
}

/* That kernel's MSG_PEEK. */
static ssize_t recv_without_memory(int fd, void *data, size_t size, int flags)
{
	(void)fd, (void)data, (void)size, (void)flags;
	errno = ENOMEM;
	return -1;
}

static ssize_t (*const no_memory)(int fd, void *data, size_t size, int flags) = recv_without_memory;
static bool has_memory = true;

void __real_libc_fill(void *entry, const char *name);
void __wrap_libc_fill(void *entry, const char *name);
void __wrap_libc_fill(void *entry, const char *name)
{
	__real_libc_fill(entry, name);
	if (!has_memory && strcmp(name, "recv") == 0)
		memcpy(entry, &no_memory, sizeof no_memory);
}

/* ---- each function that receives ---- */

enum { UNTOUCHED = 4242 };
static char bytes[8];
static struct iovec part = {bytes, sizeof bytes};

static ssize_t by_read(int fd)
{
	return libc.read(fd, bytes, sizeof bytes);
}

static ssize_t by_readv(int fd)
{
	return libc.readv(fd, &part, 1);
}

static ssize_t by_recv(int fd)
{
	return libc.recv(fd, bytes, sizeof bytes, 0);
}

static ssize_t by_recvfrom(int fd)
{
	return libc.recvfrom(fd, bytes, sizeof bytes, 0, NULL, NULL);
}

static ssize_t by_recvmsg(int fd)
{
	char control[64];
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
		.msg_flags = UNTOUCHED};
	ssize_t got = libc.recvmsg(fd, &message, 0);
	if (got < 0) {
		assert_int_equal(message.msg_controllen, sizeof control);
		assert_int_equal(message.msg_flags, UNTOUCHED);
	} else {
		assert_int_equal(message.msg_controllen, 0);
		assert_int_equal(message.msg_flags, 0);
	}
	return got;
}

static ssize_t by_recvmmsg(int fd)
{
	struct mmsghdr messages[3];
	for (int i = 0; i < 3; i++)
		messages[i] = (struct mmsghdr){{.msg_iov = &part, .msg_iovlen = 1}, UNTOUCHED};
	int got = libc.recvmmsg(fd, messages, 2, MSG_DONTWAIT, NULL);
	assert_int_equal(messages[2].msg_len, UNTOUCHED);
	if (got > 0 && !messages[0].msg_len) { /* the end is there as often as it is asked for */
		assert_int_equal(got, 2);
		assert_int_equal(messages[1].msg_len, 0);
	}
	return got > 0 ? (ssize_t)messages[0].msg_len : got;
}

#ifdef __GLIBC__
static ssize_t by_checked_read(int fd)
{
	return libc.__read_chk(fd, bytes, sizeof bytes, sizeof bytes);
}

static ssize_t by_checked_recv(int fd)
{
	return libc.__recv_chk(fd, bytes, sizeof bytes, sizeof bytes, 0);
}

static ssize_t by_checked_recvfrom(int fd)
{
	return libc.__recvfrom_chk(fd, bytes, sizeof bytes, sizeof bytes, 0, NULL, NULL);
}
#endif

static ssize_t (*const ways[])(int fd) = {
	by_read,
	by_readv,
	by_recv,
	by_recvfrom,
	by_recvmsg,
	by_recvmmsg,
#ifdef __GLIBC__
	by_checked_read,
	by_checked_recv,
	by_checked_recvfrom,
#endif
};
enum { WAYS = sizeof ways / sizeof *ways };

static void assert_each_says(int fd, ssize_t result, int error)
{
	for (int i = 0; i < WAYS; i++) {
		errno = UNTOUCHED;
		assert_int_equal(ways[i](fd), result);
		assert_int_equal(errno, error);
	}
}

/* ---- */

static int fd;

static struct sock *record(enum sock_state state)
{
	struct sock *sock = fd_make(fd, AF_INET);
	assert_non_null(sock);
	sock_lead(sock, NULL, &transport_unix);
	set_state(sock, state);
	fd_enter(fd, sock);
	return sock;
}

static int set_up(void **state)
{
	(void)state;
	fd = libc.socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	fd_forget(fd);
	return libc.close(fd);
}

static void a_newer_kernel_is_believed(void **state)
{
	(void)state;
	release = "5.5.0-rc1";
	stream_end_start();
	record(STATE_CONNECTED);
	assert_each_says(fd, -1, ENOTCONN);
	release = "5.4.300";
	stream_end_start();
}

static void a_connection_has_an_end(void **state)
{
	(void)state;
	record(STATE_CONNECTED);
	assert_each_says(fd, 0, UNTOUCHED);
	assert_each_says(fd, 0, UNTOUCHED);
}

static void what_is_no_connection_of_ours_has_none(void **state)
{
	(void)state;
	assert_each_says(fd, -1, ENOTCONN);
	static const enum sock_state states[] = {
		STATE_IP, STATE_BOUND, STATE_LISTENING, STATE_CONNECTING, STATE_FAILED, STATE_FOREIGN};
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		struct sock *sock = record(states[i]);
		assert_each_says(fd, -1, ENOTCONN);
		assert_int_equal(state_of(sock), states[i]);
	}
	record(STATE_CONNECTED)->options.datagram = true;
	assert_each_says(fd, -1, ENOTCONN);
}

/* As after a snapshot of the machine: once. */
static void a_reset_is_no_end(void **state)
{
	(void)state;
	struct sock *sock = record(STATE_CONNECTED);
	for (int i = 0; i < WAYS; i++) {
		sock->report.error = ECONNRESET;
		errno = UNTOUCHED;
		assert_int_equal(ways[i](fd), -1);
		assert_int_equal(errno, ECONNRESET);
		assert_int_equal(ways[i](fd), 0);
	}
	sock->report.error = ECONNRESET;
	stream_filtered = true; /* a filter may end the process that asks */
	errno = UNTOUCHED;
	ssize_t got = ways[0](fd);
	stream_filtered = false;
	assert_int_equal(got, 0);
	assert_int_equal(errno, UNTOUCHED);
	assert_int_equal(sock->report.error, ECONNRESET);
}

static void other_errors_and_data_are_left_alone(void **state)
{
	(void)state;
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(libc.dup2(pair[0], fd), fd);
	struct sock *sock = record(STATE_CONNECTED);
	assert_each_says(fd, -1, EAGAIN);
	for (int i = 0; i < WAYS; i++) {
		assert_int_equal(libc.send(pair[1], "abc", 3, 0), 3);
		errno = UNTOUCHED;
		assert_int_equal(ways[i](fd), 3);
		if (sizeof(long) >
			4) /* else libc asks for recvmmsg_time64 first, which not every kernel has */
			assert_int_equal(errno, UNTOUCHED);
	}
	assert_int_equal(sock->references, 1);
	libc.close(pair[0]);
	libc.close(pair[1]);
}

static void assert_peek_says(int flags, int error)
{
	errno = UNTOUCHED;
	stream_cannot_peek = false;
	assert_int_equal(libc.recv(fd, bytes, sizeof bytes, MSG_PEEK | flags), -1);
	assert_int_equal(errno, error);
	assert_int_equal(stream_cannot_peek, error != ENOMEM);
}

/* Who doesn't wait learns that there is neither an end nor an error. */
static void what_cannot_be_shown_is_not_there_yet(void **state)
{
	(void)state;
	has_memory = false;
	stream_end_start();
	assert_peek_says(0, ENOMEM); /* of no socket of ours */
	struct sock *sock = record(STATE_CONNECTED);
	assert_peek_says(0, EOPNOTSUPP);
	assert_peek_says(MSG_DONTWAIT, EAGAIN);
	assert_int_equal(libc.fcntl(fd, F_SETFL, (void *)O_NONBLOCK), 0);
	assert_peek_says(0, EAGAIN);
	assert_int_equal(sock->references, 1);
	stream_cannot_peek = false;
	errno = UNTOUCHED;
	assert_int_equal(libc.recv(fd, bytes, sizeof bytes, 0), -1);
	assert_int_equal(errno, ENOMEM); /* it really has no memory */
	assert_false(stream_cannot_peek);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_newer_kernel_is_believed),
		TEST(a_connection_has_an_end),
		TEST(what_is_no_connection_of_ours_has_none),
		TEST(a_reset_is_no_end),
		TEST(other_errors_and_data_are_left_alone),
		TEST(what_cannot_be_shown_is_not_there_yet),
	};
	release = "5.5.0";
	libc_start();
	shim = (struct settings){.ranges = ranges_default};
	shim.map = map_of("*:*=1:*");
	log_limit = LOG_OFF;
	return cmocka_run_group_tests(tests, NULL, free_maps);
}
