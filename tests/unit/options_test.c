/* SPDX-License-Identifier: MIT */
/* What is remembered, and parity of options_set() and options_get() with a real TCP socket that has the same
 * history. */
#include "emulated.h"
#include "transport/options.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>

static struct options history;

static int forget_history(void **state)
{
	(void)state;
	options_forget(&history);
	return 0;
}

static void remember(int level, int name, int value)
{
	options_remember(&history, level, name, &value, sizeof value);
}

static int tcp(int family)
{
	int fd = libc.socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	return fd;
}

static int int_of(int fd, int level, int name)
{
	int value = -4242;
	socklen_t length = sizeof value;
	assert_int_equal(libc.getsockopt(fd, level, name, &value, &length), 0);
	return value;
}

static void the_last_value_is_remembered(void **state)
{
	(void)state;
	assert_int_equal(options_int(&history, IPPROTO_TCP, TCP_NODELAY, 7), 7);
	remember(IPPROTO_TCP, TCP_NODELAY, 1);
	remember(SOL_SOCKET, SO_REUSEADDR, 2);
	remember(IPPROTO_TCP, TCP_NODELAY, 0);
	remember(IPPROTO_IP, TCP_NODELAY, 9); /* the same number at another level */
	assert_int_equal(options_int(&history, IPPROTO_TCP, TCP_NODELAY, 7), 0);
	assert_int_equal(options_int(&history, SOL_SOCKET, SO_REUSEADDR, 7), 2);
	assert_int_equal(options_int(&history, IPPROTO_IP, TCP_NODELAY, 7), 9);
	options_forget(&history);
	options_forget(&history);
	assert_int_equal(history.first, 0);
	assert_int_equal(options_int(&history, SOL_SOCKET, SO_REUSEADDR, 7), 7);
}

static void what_cannot_be_kept_is_not(void **state)
{
	(void)state;
	char large[21] = "";
	remember(SOL_SOCKET, -1, 1);
	remember(-1, SO_REUSEADDR, 1);
	remember(SOL_SOCKET, 65536 + SO_REUSEADDR, 1);
	remember(65536 + SOL_SOCKET, SO_REUSEADDR, 1);
	options_remember(&history, SOL_SOCKET, SO_REUSEADDR, large, sizeof large);
	options_remember(&history, SOL_SOCKET, SO_REUSEADDR, large, (socklen_t)-1);
	assert_int_equal(history.first, 0);
	options_remember(&history, SOL_SOCKET, SO_REUSEADDR, large, 1); /* too short for an int */
	assert_int_equal(options_int(&history, SOL_SOCKET, SO_REUSEADDR, 7), 7);
}

static void options_are_replayed_in_the_order_of_their_setting(void **state)
{
	(void)state;
	/* IP_TOS sets the priority too, so the order shows. */
	int fd = tcp(AF_INET);
	remember(SOL_SOCKET, SO_PRIORITY, 5);
	remember(IPPROTO_IP, IP_TOS, IPTOS_LOWDELAY);
	options_replay(&history, AF_INET, fd);
	assert_int_not_equal(int_of(fd, SOL_SOCKET, SO_PRIORITY), 5);
	libc.close(fd);
	fd = tcp(AF_INET);
	remember(SOL_SOCKET, SO_PRIORITY, 5); /* moves to the end */
	options_replay(&history, AF_INET, fd);
	assert_int_equal(int_of(fd, SOL_SOCKET, SO_PRIORITY), 5);
	libc.close(fd);
}

static void a_copy_is_its_own_and_has_all_but_the_priority(void **state)
{
	(void)state;
	struct options copy = {0};
	int fd = tcp(AF_INET);
	remember(IPPROTO_TCP, TCP_NODELAY, 1);
	remember(SOL_SOCKET, SO_PRIORITY, 3);
	remember(IPPROTO_IP, IP_TOS, IPTOS_LOWDELAY); /* which sets a priority, too */
	remember(SOL_SOCKET, SO_KEEPALIVE, 1);
	options_copy(&copy, &history);
	remember(IPPROTO_TCP, TCP_NODELAY, 0);
	assert_int_equal(options_int(&copy, IPPROTO_TCP, TCP_NODELAY, 7), 1);
	assert_int_equal(options_int(&copy, SOL_SOCKET, SO_KEEPALIVE, 7), 1);
	options_replay(&copy, AF_INET, fd);
	assert_int_equal(int_of(fd, SOL_SOCKET, SO_PRIORITY), 0);
	assert_int_equal(int_of(fd, IPPROTO_IP, IP_TOS), IPTOS_LOWDELAY);
	libc.close(fd);
	options_forget(&copy);
	assert_int_equal(options_int(&history, SOL_SOCKET, SO_KEEPALIVE, 7), 1);
}

static void times_are_milliseconds(void **state)
{
	(void)state;
	static const struct {
		int64_t seconds, microseconds;
		int expected;
	} table[] = {{0, 0, 0}, {1, 500000, 1500}, {0, 1, 1}, {0, 999, 1}, {0, 1001, 2}, {-1, 0, 1},
		{INT64_MIN, 1, 1}, {2147483, 0, INT32_MAX}, {INT64_MAX, 999999, INT32_MAX},
		{86400, 0, 86400000}};
	assert_int_equal(options_time(&history, SO_RCVTIMEO), 0);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		int64_t whole[2] = {table[i].seconds, table[i].microseconds};
		options_remember(&history, SOL_SOCKET, SO_RCVTIMEO, whole, sizeof whole);
		assert_int_equal(options_time(&history, SO_RCVTIMEO), table[i].expected);
	}
	int32_t half[2] = {3, 250000};
	options_remember(&history, SOL_SOCKET, SO_SNDTIMEO, half, sizeof half);
	assert_int_equal(options_time(&history, SO_SNDTIMEO), 3250);
}

static void what_an_inherited_socket_has_is_learnt(void **state)
{
	(void)state;
	static const struct linger linger = {1, 9};
	int one = 1, idle = 77, from = tcp(AF_INET6), to = tcp(AF_INET6);
	struct linger found;
	socklen_t length = sizeof found;
	assert_int_equal(libc.setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
	assert_int_equal(libc.setsockopt(from, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle), 0);
	assert_int_equal(libc.setsockopt(from, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one), 0);
	assert_int_equal(libc.setsockopt(from, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	options_learn(&history, AF_INET6, from);
	options_replay(&history, AF_INET6, to);
	assert_int_equal(int_of(to, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(int_of(to, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_int_equal(int_of(to, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	assert_int_equal(libc.getsockopt(to, SOL_SOCKET, SO_LINGER, &found, &length), 0);
	assert_memory_equal(&found, &linger, sizeof found);
	libc.close(from);
	libc.close(to);
}

static int asked[256]; /* calls on options, by level */
static struct libc kernels;

static int counting_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	asked[level]++;
	return kernels.getsockopt(fd, level, name, value, length);
}

static int counting_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	asked[level]++;
	return kernels.setsockopt(fd, level, name, value, length);
}

static int count_calls(void **state)
{
	memset(asked, 0, sizeof asked);
	kernels = libc;
	libc.getsockopt = counting_getsockopt;
	libc.setsockopt = counting_setsockopt;
	return forget_history(state);
}

static int count_no_more(void **state)
{
	libc.getsockopt = kernels.getsockopt;
	libc.setsockopt = kernels.setsockopt;
	history.datagram = false;
	return forget_history(state);
}

static void a_socket_is_asked_no_option_of_another_family(void **state)
{
	(void)state;
	int four = tcp(AF_INET), six = tcp(AF_INET6), datagram = libc.socket(AF_INET, SOCK_DGRAM, 0);
	options_learn(&history, AF_INET, four);
	assert_int_equal(asked[IPPROTO_IPV6], 0);
	assert_true(asked[SOL_SOCKET] > 5 && asked[IPPROTO_TCP] > 5 && asked[IPPROTO_IP] > 0);
	options_learn(&history, AF_INET6, six);
	assert_true(asked[IPPROTO_IPV6] > 1);
	memset(asked, 0, sizeof asked);
	options_replay(&history, AF_INET, four); /* which an IPv6 listener has accepted */
	libc.close(options_scratch(&history, AF_INET));
	assert_int_equal(asked[IPPROTO_IPV6], 0);
	assert_true(asked[IPPROTO_TCP] > 5);
	memset(asked, 0, sizeof asked);
	history.datagram = true;
	options_learn(&history, AF_INET, datagram);
	libc.close(options_scratch(&history, AF_INET));
	assert_int_equal(asked[IPPROTO_IPV6] + asked[IPPROTO_TCP], 0);
	libc.close(four);
	libc.close(six);
	libc.close(datagram);
}

static void what_acts_on_a_carrier_is_applied_to_it(void **state)
{
	(void)state;
	static const struct timeval time = {1, 500000};
	struct timeval found;
	socklen_t length = sizeof found;
	int fd = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	remember(SOL_SOCKET, SO_KEEPALIVE, 1);
	remember(SOL_SOCKET, SO_RCVLOWAT, 1 << 20);
	remember(SOL_SOCKET, SO_RCVBUF, 1 << 20); /* TCP's only: the rule's buffer holds */
	remember(IPPROTO_TCP, TCP_NODELAY, 1);
	options_remember(&history, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
	int buffer = int_of(fd, SOL_SOCKET, SO_RCVBUF);
	errno = 4242;
	options_apply(&history, fd, 4096);
	assert_int_equal(errno, 4242);
	assert_int_equal(int_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(int_of(fd, SOL_SOCKET, SO_RCVLOWAT), 4096); /* at most the buffer */
	assert_int_equal(int_of(fd, SOL_SOCKET, SO_RCVBUF), buffer);
	assert_int_equal(libc.getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &found, &length), 0);
	assert_int_equal(found.tv_sec, 1);
	remember(SOL_SOCKET, SO_KEEPALIVE, 0);
	remember(SOL_SOCKET, SO_RCVLOWAT, 17);
	options_apply_one(&history, SO_KEEPALIVE, fd, 4096);
	assert_int_equal(int_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(int_of(fd, SOL_SOCKET, SO_RCVLOWAT), 4096);
	options_apply_one(&history, SO_RCVLOWAT, -1, 4096);
	assert_int_equal(errno, 4242);
	libc.close(fd);
}

/* ---- parity with TCP ---- */

static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6};
enum { LEVELS = sizeof levels / sizeof *levels, NAMES = 81, ROOM = 20 };
static const socklen_t lengths[] = {0, 1, 4, 8, 16, 20};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static const char values[][ROOM] = {
	"",
	"\1\0\0\0",
	"\2\0\0\0\1",
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	"\0\0\1\0",
	"\xff\xff\xff\x7f",
	"\1\0\0\0\5\0\0\0",				/* linger */
	"\1\0\0\0\0\0\0\0\x20\xa1\7\0\0\0\0\0",		/* 1.5 s */
	"\0\0\0\0\0\0\0\0\x40\x42\xf\0\0\0\0\0",	/* a second of microseconds: EDOM */
	"\xe0\0\0\x63\x7f\0\0\1",			/* 224.0.0.99 on lo */
	"\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\x63\1\0\0\0", /* ff02::63 on lo */
	"reno",
	"lo",
	"\x80\0\0\0",
	"\x10\0\0\0\x20\0\0\0",
};
enum { VALUES = sizeof values / sizeof *values };

/* Values that are pointers, and valgrind looks where they point; a negative lingering time overflows in the
 * kernel. */
static bool left_out(int level, int name, const char *value)
{
	if (level != SOL_SOCKET)
		return false;
	return name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF ||
	       (name == SO_LINGER && (signed char)value[4] < 0);
}

static bool kernel_is_before(int major, int minor)
{
	struct utsname kernel;
	int its_major = 0, its_minor = 0;
	uname(&kernel);
	assert_int_equal(sscanf(kernel.release, "%d.%d", &its_major, &its_minor), 2);
	return its_major < major || (its_major == major && its_minor < minor);
}

/* Those whose answer is another for each socket or each moment; the window clamp of Linux
 * 5.10 to 6.1 shows that a low water mark was once larger. */
static bool varies(int level, int name)
{
	return (level == SOL_SOCKET && name == SO_COOKIE) ||
	       (level == IPPROTO_TCP &&
		       (name == TCP_TIMESTAMP || (name == TCP_WINDOW_CLAMP && kernel_is_before(6, 12))));
}

struct answer {
	int result, error;
	socklen_t length;
	char value[ROOM + 4];
};

static struct answer answer_of(int result, socklen_t length, const char *value)
{
	struct answer answer = {result, result < 0 ? errno : 0, length, ""};
	memcpy(answer.value, value, sizeof answer.value);
	return answer;
}

/* Asks both; what they say of an option differs: a line, and false. */
static bool same_get(int real, int family, int level, int name, socklen_t room)
{
	char bytes[ROOM + 4];
	socklen_t length = room;
	memset(bytes, 0xaa, sizeof bytes);
	int result = libc.getsockopt(real, level, name, bytes, &length);
	struct answer expected = answer_of(result, length, bytes);
	length = room;
	memset(bytes, 0xaa, sizeof bytes);
	result = options_get(&history, family, level, name, bytes, &length);
	struct answer found = answer_of(result, length, bytes);
	if (varies(level, name))
		memcpy(found.value, expected.value, sizeof found.value);
	if (memcmp(&expected, &found, sizeof found) == 0)
		return true;
	print_message("getsockopt(%d, %d) with room %u: TCP %d %s %u, we %d %s %u\n", level, name, room,
		expected.result, strerror(expected.error), expected.length, found.result,
		strerror(found.error), found.length);
	for (socklen_t i = 0; i < room; i++)
		if (expected.value[i] != found.value[i])
			print_message("byte %u: TCP %02x, we %02x\n", i, expected.value[i] & 0xff,
				found.value[i] & 0xff);
	return false;
}

static bool same_set(int real, int family, int level, int name, const void *value, socklen_t length)
{
	int expected = libc.setsockopt(real, level, name, value, length),
	    expected_error = expected < 0 ? errno : 0;
	int found = options_set(&history, family, level, name, value, length),
	    found_error = found < 0 ? errno : 0;
	if (expected == found && expected_error == found_error)
		return true;
	print_message("setsockopt(%d, %d) of length %u, %02x%02x%02x%02x…: TCP %d %s, we %d %s\n", level,
		name, length, ((const uint8_t *)value)[0], ((const uint8_t *)value)[1],
		((const uint8_t *)value)[2], ((const uint8_t *)value)[3], expected, strerror(expected_error),
		found, strerror(found_error));
	return false;
}

/* Every how-many-th combination is tried, so that the quarter of a million take a minute at most: in
 * User-Mode Linux one may cost 5 ms. */
static unsigned stride(void)
{
	enum { COMBINATIONS = 100, MOST_NS = 250000 };
	static unsigned found;
	struct timespec began, ended;
	if (found)
		return found;
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (int i = 0; i < COMBINATIONS; i++) {
		int real = tcp(AF_INET), on = 1;
		same_set(real, AF_INET, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		same_get(real, AF_INET, IPPROTO_TCP, TCP_NODELAY, ROOM);
		options_forget(&history);
		libc.close(real);
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	long ns = (ended.tv_sec - began.tv_sec) * 1000000000L + ended.tv_nsec - began.tv_nsec;
	found = 1 + (unsigned)(ns / COMBINATIONS / MOST_NS);
	if (found > 1)
		print_message("on this slow machine, one in %u of the combinations\n", found);
	return found;
}

static void each_option_is_set_and_read_as_on_tcp(int family)
{
	unsigned wrong = 0, good = 0, turn = 0;
	int fds = count_fds();
	for (int level = 0; level < LEVELS; level++)
		for (int name = 0; name < NAMES; name++)
			for (int value = 0; value < VALUES; value++)
				for (int length = 0; length < LENGTHS; length++) {
					if (turn++ % stride() || left_out(levels[level], name, values[value]))
						continue;
					int real = tcp(family);
					wrong += !same_set(real, family, levels[level], name, values[value],
						lengths[length]);
					good += history.first != 0;
					wrong += !same_get(real, family, levels[level], name, ROOM);
					options_forget(&history);
					libc.close(real);
				}
	assert_int_equal(wrong, 0);
	assert_true(good > 1000 / stride());
	assert_int_equal(count_fds(), fds);
}

static void each_option_of_ipv4_is_set_and_read_as_on_tcp(void **state)
{
	(void)state;
	each_option_is_set_and_read_as_on_tcp(AF_INET);
}

static void each_option_of_ipv6_is_set_and_read_as_on_tcp(void **state)
{
	(void)state;
	each_option_is_set_and_read_as_on_tcp(AF_INET6);
}

static bool all_read_the_same(int real, int family)
{
	static const socklen_t rooms[] = {0, 1, 3, 4, 8, ROOM};
	bool same = true;
	for (int level = 0; level < LEVELS; level++)
		for (int name = 0; name < NAMES; name++)
			same &= same_get(real, family, levels[level], name, rooms[(unsigned)rand() % 6]);
	return same;
}

/* What stream_setsockopt() does while the socket is an INET one. */
static bool set_before_the_replacement(int real, int level, int name, const void *value, socklen_t length)
{
	if (libc.setsockopt(real, level, name, value, length) == 0)
		options_remember(&history, level, name, value, length);
	return true;
}

/* qemu-user writes arbitrary bytes beyond the length that it returns, so nothing can be the same twice. */
static void need_lengths_kept(void)
{
	char byte = 0x55;
	socklen_t length = 0;
	int fd = tcp(AF_INET), result = libc.getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &byte, &length);
	libc.close(fd);
	assert_int_equal(result, 0);
	if (byte != 0x55)
		skip();
}

/* A sequence of options, each with one of the values, the first `before` of them set on the INET socket; then
 * all are read. */
static void compare_histories(int before)
{
	need_lengths_kept();
	int wrong = 0;
	for (unsigned seed = 1; seed <= 150; seed += stride()) {
		int family = seed / stride() % 2 ? AF_INET : AF_INET6, real = tcp(family);
		bool same = true;
		srand(seed);
		for (int step = 0; step < 40; step++) {
			int level = levels[rand() % LEVELS], name = rand() % NAMES;
			/* a few, so that they meet again */
			if (rand() % 2)
				name = (int)seed % 20 + rand() % 4;
			const char *value = values[rand() % VALUES];
			socklen_t length = lengths[rand() % LENGTHS];
			if (left_out(level, name, value))
				continue;
			same &= step < before ? set_before_the_replacement(real, level, name, value, length)
					      : same_set(real, family, level, name, value, length);
		}
		same &= all_read_the_same(real, family);
		if (!same)
			print_message("with the history of seed %u\n", seed);
		wrong += !same;
		options_forget(&history);
		libc.close(real);
	}
	assert_int_equal(wrong, 0);
}

static void any_history_reads_as_on_tcp(void **state)
{
	(void)state;
	compare_histories(0);
}

static void so_is_one_from_before_the_replacement(void **state)
{
	(void)state;
	compare_histories(30);
}

static int socket_error;

static int no_socket(int domain, int type, int protocol)
{
	(void)domain, (void)type, (void)protocol;
	errno = socket_error;
	return -1;
}

/* A program at its limit of fds may set what it likes: TCP would need none. */
static void without_an_fd_tcp_is_not_asked(void **state)
{
	(void)state;
	static const int errors[] = {EMFILE, ENFILE, ENOBUFS, EACCES};
	struct options options = {0};
	const int value = 3;
	int (*real)(int, int, int) = libc.socket;
	libc.socket = no_socket;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		bool no_fd = errors[i] == EMFILE || errors[i] == ENFILE;
		socket_error = errors[i];
		int result = options_set(&options, AF_INET, IPPROTO_TCP, TCP_SYNCNT, &value, sizeof value);
		assert_int_equal(result, no_fd ? 0 : -1);
		if (!no_fd)
			assert_int_equal(errno, errors[i]);
	}
	libc.socket = real;
	options_forget(&options);
}

static void negative_lengths_are_invalid(void **state)
{
	(void)state;
	const char *preload = getenv("LD_PRELOAD");
	if (preload && strstr(preload, "vgpreload"))
		skip(); /* valgrind finds fault with them itself */
	int value = 1, real = tcp(AF_INET);
	socklen_t length = (socklen_t)-1;
	assert_true(same_set(real, AF_INET, IPPROTO_TCP, TCP_NODELAY, &value, (socklen_t)-1));
	assert_true(same_set(real, AF_INET, SOL_SOCKET, SO_SNDBUF, &value, (socklen_t)-4));
	/* EINVAL, but in kernels before March of 2024 */
	int expected = libc.getsockopt(real, IPPROTO_TCP, TCP_NODELAY, &value, &length);
	length = (socklen_t)-1;
	assert_int_equal(options_get(&history, AF_INET, IPPROTO_TCP, TCP_NODELAY, &value, &length), expected);
	libc.close(real);
}

#define TEST(name) cmocka_unit_test_teardown(name, forget_history)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_last_value_is_remembered),
		TEST(what_cannot_be_kept_is_not),
		TEST(options_are_replayed_in_the_order_of_their_setting),
		TEST(a_copy_is_its_own_and_has_all_but_the_priority),
		TEST(times_are_milliseconds),
		TEST(what_an_inherited_socket_has_is_learnt),
		cmocka_unit_test_setup_teardown(
			a_socket_is_asked_no_option_of_another_family, count_calls, count_no_more),
		TEST(what_acts_on_a_carrier_is_applied_to_it),
		TEST(each_option_of_ipv4_is_set_and_read_as_on_tcp),
		TEST(each_option_of_ipv6_is_set_and_read_as_on_tcp),
		TEST(any_history_reads_as_on_tcp),
		TEST(so_is_one_from_before_the_replacement),
		TEST(without_an_fd_tcp_is_not_asked),
		TEST(negative_lengths_are_invalid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
