/* SPDX-License-Identifier: MIT */
/* The filter of supervised programs, run by an interpreter of what it is made of. */
#include "outside/filter.h"
#include "outside/kernel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t decide_by(const struct sock_filter *filter, size_t length, const struct seccomp_data *data)
{
	uint32_t a = 0;
	for (size_t at = 0; at < length; at++) {
		const struct sock_filter *one = &filter[at];
		switch (one->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(one->k % 4 == 0 && one->k + 4 <= sizeof *data);
			memcpy(&a, (const char *)data + one->k, sizeof a);
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += a == one->k ? one->jt : one->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += a >= one->k ? one->jt : one->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			at += a & one->k ? one->jt : one->jf;
			break;
		case BPF_RET | BPF_K:
			return one->k;
		default:
			fail_msg("instruction %zu has the code %x", at, one->code);
		}
	}
	fail_msg("it ends without a decision");
	return 0;
}

static uint32_t decide(bool datagrams, int number, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct sock_filter filter[FILTER_LENGTH];
	size_t length = filter_build(filter, (struct filter_wish){FILTER_NOTIFIED, datagrams, false});
	assert_in_range(length, 1, FILTER_LENGTH);
	struct seccomp_data data = {.nr = number, .arch = NATIVE_ARCH, .args = {3, b, c, d, e}};
	return decide_by(filter, length, &data);
}

#define SEEN(...) assert_int_equal(decide(false, __VA_ARGS__), SECCOMP_RET_USER_NOTIF)
#define PASSES(...) assert_int_equal(decide(false, __VA_ARGS__), SECCOMP_RET_ALLOW)

static void what_makes_connections_is_seen(void **state)
{
	(void)state;
	SEEN(SYS_connect, 0, 0, 0, 0);
	SEEN(SYS_bind, 0, 0, 0, 0);
	SEEN(SYS_listen, 0, 0, 0, 0);
#ifdef SYS_accept /* not i386 */
	SEEN(SYS_accept, 0, 0, 0, 0);
#endif
	SEEN(SYS_accept4, 0, 0, 0, 0);
	SEEN(SYS_getsockname, 0, 0, 0, 0);
	SEEN(SYS_getpeername, 0, 0, 0, 0);
	SEEN(SYS_shutdown, SHUT_RD, 0, 0, 0);
	SEEN(SYS_shutdown, SHUT_RDWR, 0, 0, 0);
}

static void what_carries_data_is_not(void **state)
{
	(void)state;
	static const int free_of_charge[] = {SYS_socket, SYS_read, SYS_write, SYS_close, SYS_dup, SYS_fcntl,
		SYS_epoll_ctl, SYS_recvmsg, SYS_sendmsg, SYS_sendmmsg, SYS_recvfrom, SYS_sendto, SYS_execve,
		SYS_clone};
	for (size_t i = 0; i < sizeof free_of_charge / sizeof *free_of_charge; i++)
		PASSES(free_of_charge[i], 0, 0, 0, 0);
	PASSES(SYS_shutdown, SHUT_WR, 0, 0, 0);
	PASSES(SYS_ioctl, 0x5401, 0, 0, 0); /* TCGETS */
}

static bool is_among(int name, const int *names, size_t count)
{
	while (count > 0 && names[count - 1] != name)
		count--;
	return count > 0;
}

/* All others mean the same on every kind of socket; also where a number is that of a system call. */
static void of_sol_socket_only_these_are_seen(void **state)
{
	static const int set[] = {
		SO_REUSEADDR, SO_REUSEPORT, SO_LINGER, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO, SO_ZEROCOPY};
	static const int get[] = {SO_ERROR, SO_DOMAIN, SO_PROTOCOL, SO_TYPE, SO_REUSEPORT, SO_RCVLOWAT,
		SO_LINGER, SO_PEERNAME, SO_PEERCRED, SO_PEERSEC, SO_PEERGROUPS, SO_PEERPIDFD,
		SO_INCOMING_CPU};
	(void)state;
	for (int name = 0; name < 1000; name++) {
		bool set_seen =
			decide(false, SYS_setsockopt, SOL_SOCKET, (uint64_t)name, 0, 0) != SECCOMP_RET_ALLOW;
		bool get_seen =
			decide(false, SYS_getsockopt, SOL_SOCKET, (uint64_t)name, 0, 0) != SECCOMP_RET_ALLOW;
		assert_int_equal(set_seen, is_among(name, set, sizeof set / sizeof *set));
		assert_int_equal(get_seen, is_among(name, get, sizeof get / sizeof *get));
	}
}

static void options_by_level_and_name(void **state)
{
	(void)state;
	SEEN(SYS_setsockopt, 6, 1, 0, 0);
	SEEN(SYS_setsockopt, SOL_SOCKET, SO_REUSEPORT, 0, 0);
	PASSES(SYS_setsockopt, SOL_SOCKET, SO_KEEPALIVE, 0, 0);
	SEEN(SYS_getsockopt, SOL_SOCKET, SO_ERROR, 0, 0);
	SEEN(SYS_getsockopt, SOL_SOCKET, SO_PEERCRED, 0, 0);
	SEEN(SYS_getsockopt, 0, SO_KEEPALIVE, 0, 0);
	PASSES(SYS_getsockopt, SOL_SOCKET, SO_SNDBUF, 0, 0);
}

static void pointers_have_two_halves(void **state)
{
	(void)state;
	SEEN(SYS_sendto, 0, 0, 0, 1);
	SEEN(SYS_sendto, 0, 0, 0, 0x7f0000000000);
	PASSES(SYS_recvfrom, 0, 0, 0, 1);
	assert_int_equal(decide(true, SYS_recvfrom, 0, 0, 0, 1), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(decide(true, SYS_recvfrom, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
}

static void ways_past_it_are_closed(void **state)
{
	(void)state;
	struct sock_filter filter[FILTER_LENGTH];
	size_t length = filter_build(filter, (struct filter_wish){FILTER_NOTIFIED, true, false});
	struct seccomp_data foreign = {.nr = SYS_getpid, .arch = NATIVE_ARCH ^ 1};
	assert_int_equal(decide_by(filter, length, &foreign), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(decide(false, SYS_io_uring_setup, 0, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
	assert_int_equal(decide(false, SYS_sendmsg, 0, MSG_FASTOPEN, 0, 0), SECCOMP_RET_ERRNO | EOPNOTSUPP);
	assert_int_equal(decide(false, SYS_sendmmsg, 0, 0, MSG_FASTOPEN, 0), SECCOMP_RET_ERRNO | EOPNOTSUPP);
#ifdef FOREIGN_NUMBERS
	assert_int_equal(
		decide(false, FOREIGN_NUMBERS | SYS_connect, 0, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
#endif
}

static void a_traced_program_has_the_same_filter(void **state)
{
	(void)state;
	struct sock_filter notified[FILTER_LENGTH], traced[FILTER_LENGTH];
	size_t lengths[] = {filter_build(notified, (struct filter_wish){FILTER_NOTIFIED, true, false}),
		filter_build(traced, (struct filter_wish){FILTER_TRACED, true, false})};
	for (int i = 0; i < 500 * 3; i++) {
		uint64_t argument = (uint64_t)(i % 3);
		struct seccomp_data data = {
			.nr = i / 3, .arch = NATIVE_ARCH, .args = {3, argument, argument, 0, argument}};
		uint32_t expected = decide_by(notified, lengths[0], &data);
		if (expected == SECCOMP_RET_USER_NOTIF)
			expected = SECCOMP_RET_TRACE;
		assert_int_equal(decide_by(traced, lengths[1], &data), expected);
	}
	struct seccomp_data foreign = {.nr = SYS_getpid, .arch = NATIVE_ARCH ^ 1};
	assert_int_equal(decide_by(traced, lengths[1], &foreign), SECCOMP_RET_TRACE | FILTER_FOREIGN);
}

static void what_receives_is_marked_where_that_is_wanted(void **state)
{
	static const int receive[] = {SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmsg};
	(void)state;
	struct sock_filter filter[FILTER_LENGTH];
	size_t length = filter_build(filter, (struct filter_wish){FILTER_TRACED, true, true});
	assert_in_range(length, 1, FILTER_LENGTH);
	for (size_t i = 0; i < sizeof receive / sizeof *receive; i++) {
		struct seccomp_data data = {.nr = receive[i], .arch = NATIVE_ARCH, .args = {3}};
		assert_int_equal(decide_by(filter, length, &data), SECCOMP_RET_TRACE | FILTER_RECEIVES);
		assert_int_equal(decide(true, receive[i], 0, 0, 0, 0), SECCOMP_RET_ALLOW);
	}
	struct seccomp_data named = {.nr = SYS_recvfrom, .arch = NATIVE_ARCH, .args = {3, 0, 0, 0, 1}},
			    other = {.nr = SYS_write, .arch = NATIVE_ARCH, .args = {3}};
	assert_int_equal(decide_by(filter, length, &named), SECCOMP_RET_TRACE);
	assert_int_equal(decide_by(filter, length, &other), SECCOMP_RET_ALLOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_makes_connections_is_seen),
		cmocka_unit_test(what_carries_data_is_not),
		cmocka_unit_test(of_sol_socket_only_these_are_seen),
		cmocka_unit_test(options_by_level_and_name),
		cmocka_unit_test(pointers_have_two_halves),
		cmocka_unit_test(ways_past_it_are_closed),
		cmocka_unit_test(a_traced_program_has_the_same_filter),
		cmocka_unit_test(what_receives_is_marked_where_that_is_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
