/* SPDX-License-Identifier: MIT */
/* connect(), as far as the kernel's sockets behind it can show more than a program sees. */
#include "emulated.h"
#include "state/fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { NOBODY_PORT = 29491 };

__attribute__((constructor(101))) static void choose_map(void)
{
	emulate("127.0.0.1:*=1:*");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_attempt_keeps_the_options),
	};
	return cmocka_run_group_tests(tests, NULL, remove_directory);
}
