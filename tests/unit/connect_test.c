/* SPDX-License-Identifier: MIT */
/* connect(), as far as the kernel's sockets behind it can show more than a program sees. */
#include "emulated.h"
#include "socket/stream.h"
#include "state/fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { NOBODY_PORT = 29491, QUOTED = 159, LONG_PORT = 1000 };

static const int lengths[] = {QUOTED - 1, QUOTED, QUOTED + 1, QUOTED + 2, 2 * QUOTED};
enum { LENGTHS = sizeof lengths / sizeof *lengths };
static char rules[LENGTHS][2 * QUOTED + 1]; /* of these lengths */

__attribute__((constructor(101))) static void choose_map(void)
{
	char map[sizeof rules + 64] = "", text[sizeof folder + 16];
	for (int i = 0; i < LENGTHS; i++) {
		int port = LONG_PORT + i;
		snprintf(rules[i], sizeof rules[i], "127.0.0.1:%d=1:%d%*s", port, port, lengths[i] - 21,
			"timeout=1s");
		strcat(strcat(map, rules[i]), ",");
	}
	emulate(strcat(map, "127.0.0.1:*=1:*"));
	snprintf(text, sizeof text, "connect:%s/log", folder);
	setenv("IP2VSOCK_LOG", text, 1);
}

static int connect_to(int fd, uint16_t port)
{
	struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
	return connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* What stands in for a connection that was refused is the program's socket, until it asks again. */
static void a_refused_attempt_keeps_the_options(void **state)
{
	(void)state;
	struct timeval limit = {7, 0}, kept = {0, 0};
	int one = 1, alive = 0, domain = 0;
	socklen_t size = sizeof kept, length = sizeof alive;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one), 0);
	assert_int_equal(connect_to(fd, NOBODY_PORT), -1);
	assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(libc.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length), 0);
	assert_int_equal(domain, AF_UNIX);
	assert_int_equal(libc.getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kept, &size), 0);
	assert_int_equal(kept.tv_sec, 7);
	assert_int_equal(libc.getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &length), 0);
	assert_int_equal(alive, 1);
	assert_true(libc.fcntl(fd, F_GETFL, NULL) & O_NONBLOCK);
	assert_int_equal(connect_to(fd, NOBODY_PORT), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
}

static int text_of(const char *name, char *text, size_t size)
{
	char path[sizeof folder + 16];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t got = fread(text, 1, size - 1, file);
	text[got] = '\0';
	return fclose(file);
}

/* What fits into a line of the log, and no byte more. */
static void the_log_quotes_a_rule_as_far_as_there_is_room(void **state)
{
	(void)state;
	static char said[8192];
	char end[QUOTED + 32];
	for (int i = 0; i < LENGTHS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), number = i + 1;
		assert_int_equal(strlen(rules[i]), lengths[i]);
		assert_int_equal(connect_to(fd, (uint16_t)(LONG_PORT + i)), -1);
		close(fd);
		text_of("log", said, sizeof said);
		snprintf(end, sizeof end, "rule %d: %.*s]\n", number, QUOTED, rules[i]);
		if (!strstr(said, end))
			fail_msg("expected %s in %s", end, said);
	}
}

static void assert_own_address(int fd, in_addr_t ip, in_port_t port)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(length, sizeof name);
	assert_int_equal(name.sin_family, AF_INET);
	assert_int_equal(ntohl(name.sin_addr.s_addr), ip);
	assert_int_equal(name.sin_port, port);
}

static void an_attempt_has_its_address_from_the_beginning(void **state)
{
	(void)state;
	struct sockaddr_in name = {0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
	socklen_t length = sizeof name, size = sizeof error;
	assert_own_address(fd, INADDR_ANY, 0);
	assert_int_equal(connect_to(fd, NOBODY_PORT), -1);
	assert_int_equal(state_of(fd_sock(fd)), STATE_CONNECTING);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	assert_int_not_equal(name.sin_port, 0);
	assert_own_address(fd, INADDR_LOOPBACK, name.sin_port);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	assert_int_equal(error, ECONNREFUSED);
	assert_int_equal(state_of(fd_sock(fd)), STATE_FAILED);
	assert_own_address(fd, INADDR_LOOPBACK, name.sin_port);
	close(fd);
}

/* No byte behind the room that the program has, and the length that there would be. */
static void a_name_is_cut_to_its_room(void **state)
{
	(void)state;
	static const uint8_t untouched[64] = {0};
	struct sockaddr_in whole = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
	uint8_t room[64];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t length = sizeof whole;
	assert_int_equal(connect_to(fd, NOBODY_PORT), -1);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&whole, &length), 0);
	for (socklen_t size = 0; size < sizeof room; size++) {
		size_t shown = size < sizeof whole ? size : sizeof whole;
		memset(room, 0, sizeof room);
		length = size;
		assert_int_equal(getsockname(fd, (struct sockaddr *)room, &length), 0);
		assert_int_equal(length, sizeof whole);
		assert_memory_equal(room, &whole, shown);
		assert_memory_equal(room + shown, untouched, sizeof room - shown);
	}
	length = (socklen_t)-1;
	assert_int_equal(getsockname(fd, (struct sockaddr *)room, &length), -1);
	assert_int_equal(errno, EINVAL);
	length = 0;
	assert_int_equal(getsockname(fd, NULL, &length), 0);
	assert_int_equal(length, sizeof whole);
	length = 1;
	assert_int_equal(getsockname(fd, NULL, &length), -1);
	assert_int_equal(errno, EFAULT);
	close(fd);
}

/* In a child: what is known of the process changes. */
static void what_is_asked_of_the_kernel_is_answered_by_it(void **state)
{
	(void)state;
#if defined SYS_seccomp && defined SYS_io_uring_setup
	int status;
	pid_t child = fork();
	if (child == 0) {
		uint32_t action = 0x7fff0000; /* SECCOMP_RET_ALLOW */
		long ring = libc.syscall(SYS_io_uring_setup, 0, 0, 0, 0, 0, 0), error = errno;
		if (syscall(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, &action) < 0 && errno != EINVAL)
			_exit(errno == ENOSYS ? 0 : 1);
		if (stream_filtered || log_limit == LOG_OFF)
			_exit(2);
		if (syscall(SYS_io_uring_setup, 0, NULL) != ring || errno != error)
			_exit(3); /* the map leaves addresses to IP */
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
#else
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_attempt_keeps_the_options),
		cmocka_unit_test(the_log_quotes_a_rule_as_far_as_there_is_room),
		cmocka_unit_test(an_attempt_has_its_address_from_the_beginning),
		cmocka_unit_test(a_name_is_cut_to_its_room),
		cmocka_unit_test(what_is_asked_of_the_kernel_is_answered_by_it),
	};
	return cmocka_run_group_tests(tests, NULL, remove_directory);
}
