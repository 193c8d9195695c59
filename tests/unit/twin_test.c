/* SPDX-License-Identifier: MIT */
/* Two listeners of one port: accept() that would sleep fails once, where the thread has accepted through the
 * other since. */
#include "emulated.h"
#include "socket/twin.h"
#include "state/fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct listener {
	int fd;
	struct sock *sock;
} one, other;

static struct listener listener(uint32_t port)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX}; /* any name */
	struct listener made = {.fd = libc.socket(AF_UNIX, SOCK_STREAM, 0)};
	assert_int_equal(libc.bind(made.fd, (struct sockaddr *)&address, sizeof address.sun_family), 0);
	assert_int_equal(libc.listen(made.fd, 4), 0);
	made.sock = fd_make(made.fd, AF_INET);
	sock_lead(made.sock, NULL, &transport_unix);
	made.sock->local = (struct endpoint){CID_ANY, port};
	set_state(made.sock, STATE_LISTENING);
	fd_enter(made.fd, made.sock);
	twin_listens(made.sock);
	return made;
}

static int set_up(void **state)
{
	(void)state;
	one = listener(80);
	other = listener(80);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	twin_accepted(NULL); /* nothing that the next test's listeners could be taken for */
	close(one.fd);
	close(other.fd);
	return 0;
}

static bool was_faster(struct listener than)
{
	return twin_was_faster(than.fd, than.sock);
}

static void it_is_said_once_for_each_connection(void **state)
{
	(void)state;
	assert_false(was_faster(one));
	twin_accepted(other.sock);
	assert_true(was_faster(one));
	assert_false(was_faster(one));
	twin_accepted(other.sock);
	assert_true(was_faster(one));
	assert_false(was_faster(one));
}

static void its_own_connections_are_none_of_a_twins(void **state)
{
	(void)state;
	twin_accepted(one.sock);
	assert_false(was_faster(one));
}

static void what_was_accepted_before_it_listened_does_not_count(void **state)
{
	(void)state;
	twin_accepted(other.sock);
	twin_listens(one.sock);
	assert_false(was_faster(one));
}

static void a_listener_on_another_port_is_no_twin(void **state)
{
	(void)state;
	other.sock->local.port = 81;
	twin_accepted(other.sock);
	assert_false(was_faster(one));
	other.sock->local.port = 80;
	other.sock->local.cid = 7;
	assert_false(was_faster(one));
	other.sock->local.cid = CID_ANY;
	set_state(other.sock, STATE_BOUND);
	assert_false(was_faster(one));
	set_state(other.sock, STATE_LISTENING);
	assert_true(was_faster(one));
}

static void one_that_does_not_wait_finds_out_itself(void **state)
{
	(void)state;
	twin_accepted(other.sock);
	assert_int_equal(libc.fcntl(one.fd, F_SETFL, (void *)O_NONBLOCK), 0);
	assert_false(was_faster(one));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_said_once_for_each_connection),
		TEST(its_own_connections_are_none_of_a_twins),
		TEST(what_was_accepted_before_it_listened_does_not_count),
		TEST(a_listener_on_another_port_is_no_twin),
		TEST(one_that_does_not_wait_finds_out_itself),
	};
	libc_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
