/* SPDX-License-Identifier: MIT */
/* A listener's door: whose it is, how long it is there, and what its names say. */
#include "state/door.h"
#include "state/registrations.h"
#include "system/libc.h"
#include "transport/transport_door.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static uint32_t port; /* this test's: names belong to the whole machine */

static struct sock *listener_on(int *fd)
{
	*fd = libc.socket(AF_INET, SOCK_STREAM, 0); /* its own kind isn't asked for */
	assert_int_equal(libc.listen(*fd, 5), 0);
	struct sock *sock = fd_open(*fd, AF_INET);
	assert_non_null(sock);
	sock->local = (struct endpoint){CID_ANY, port};
	set_state(sock, STATE_LISTENING);
	return sock;
}

static void leave(int fd)
{
	registrations_leave(fd);
	libc.close(fd);
}

static bool somebody_listens(void)
{
	struct place place;
	int fd = transport_door.open(SOCK_CLOEXEC, BUFFER_DEFAULT);
	transport_door.place(&(struct endpoint){CID_LOCAL, port}, &place);
	bool answered = transport_door.connect(fd, &place, 0) == 0;
	assert_true(answered || errno == ECONNREFUSED);
	libc.close(fd);
	return answered;
}

static struct endpoint read_name(const char *name, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct endpoint endpoint;
	memcpy(address.sun_path, name, size);
	transport_door.endpoint((struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + size), &endpoint);
	return endpoint;
}
#define READ(name) read_name(name, sizeof(name) - 1)

static void a_name_says_the_port_and_no_other_machine(void **state)
{
	(void)state;
	assert_int_equal(READ("\0ip2vsock-local/40000/client").port, 40000);
	assert_int_equal(READ("\0ip2vsock-local/40000/client").cid, CID_LOCAL);
	assert_int_equal(READ("\0ip2vsock-local/8080").port, 8080);
#define NAME(text)                                                                                           \
	{                                                                                                    \
		text, sizeof(text) - 1                                                                       \
	}
	static const struct {
		const char *text;
		size_t size;
	} others[] = {NAME("\0ip2vsock/3.22/1.1"), NAME("/tmp/3.22"), NAME("\0ip2vsock-local/3.22"),
		NAME("\0ip2vsock-local//"), NAME("\0ip2vsock-local/99999999999"), NAME("\0ip2vsock-local/-1"),
		NAME("\0x"), NAME("")};
#undef NAME
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct endpoint endpoint = read_name(others[i].text, others[i].size);
		assert_int_equal(endpoint.cid, CID_LOCAL);
		assert_int_equal(endpoint.port, PORT_ANY);
	}
}

static void a_door_goes_with_its_listener(void **state)
{
	(void)state;
	int fd;
	struct sock *sock = listener_on(&fd);
	assert_int_equal(door_of(sock), -1);
	door_open(sock, false);
	int door = door_of(sock);
	assert_true(door >= FD_ASIDE && somebody_listens());
	assert_int_equal(libc.fcntl(door, F_GETFD, NULL), FD_CLOEXEC);
	door_open(sock, false);
	assert_int_equal(door_of(sock), door);
	int dup = libc.dup(fd);
	fd_alias(fd_keep(fd), dup);
	leave(fd);
	assert_true(somebody_listens());
	leave(dup);
	assert_false(somebody_listens());
	assert_int_equal(libc.fcntl(door, F_GETFD, NULL), -1);
}

static void listeners_on_one_port_share_it(void **state)
{
	(void)state;
	int fd, other_fd;
	struct sock *sock = listener_on(&fd), *other = listener_on(&other_fd);
	door_open(sock, false);
	door_open(other, false);
	assert_true(door_of(other) >= 0 && door_of(other) != door_of(sock));
	leave(fd);
	assert_true(somebody_listens());
	leave(other_fd);
	assert_false(somebody_listens());
}

/* Programs close numbers that they don't know, and get them for something else. */
static void a_program_that_closes_its_number_loses_the_door_alone(void **state)
{
	(void)state;
	int fd;
	struct sock *sock = listener_on(&fd), *pinned;
	door_open(sock, false);
	int door = door_of(sock);
	leave(door);
	assert_int_equal(door_of(sock), -1);
	assert_int_equal(door_pin(sock, &pinned), -1);
	assert_int_equal(libc.dup2(STDIN_FILENO, door), door);
	leave(fd);
	assert_int_equal(libc.fcntl(door, F_GETFD, NULL), 0);
	libc.close(door);
}

static void the_next_program_finds_it_by_its_name(void **state)
{
	(void)state;
	int fd;
	struct sock *sock = listener_on(&fd);
	door_open(sock, false);
	int door = door_of(sock);
	door_pass_on(sock, true);
	assert_int_equal(libc.fcntl(door, F_GETFD, NULL), 0);
	fd_forget(fd); /* what exec forgets; the record's end would close it */
	assert_int_equal(libc.fcntl(door, F_GETFD, NULL), -1);
	libc.close(fd);

	struct place place;
	transport_door.place(&(struct endpoint){CID_LOCAL, port}, &place);
	int inherited = fd_set_aside(transport_door.open(SOCK_CLOEXEC, BUFFER_DEFAULT));
	assert_int_equal(transport_door.bind(inherited, &place), 0);
	assert_int_equal(libc.listen(inherited, 1), 0);
	libc.fcntl(inherited, F_SETFD, (void *)0);
	sock = listener_on(&fd);
	door_open(sock, true);
	assert_true(door_of(sock) >= FD_ASIDE && somebody_listens());
	assert_int_equal(libc.fcntl(door_of(sock), F_GETFD, NULL), FD_CLOEXEC);
	leave(fd);
	assert_false(somebody_listens());
}

static void epoll_has_it_wherever_it_has_the_listener(void **state)
{
	(void)state;
	int fd, epfd = epoll_create1(EPOLL_CLOEXEC);
	struct sock *sock = listener_on(&fd);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 42}, got;
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), 0); /* before it is there */
	door_open(sock, false);
	assert_true(somebody_listens());
	assert_int_equal(epoll_wait(epfd, &got, 1, 0), 1);
	assert_true(got.events & EPOLLIN && got.data.u64 == 42);
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
	assert_int_equal(epoll_wait(epfd, &got, 1, 0), 0);
	event.data.u64 = 43;
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), 0);
	assert_int_equal(epoll_wait(epfd, &got, 1, 0), 1);
	assert_int_equal(got.data.u64, 43);
	leave(fd);
	assert_int_equal(epoll_wait(epfd, &got, 1, 0), 0);
	libc.close(epfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_says_the_port_and_no_other_machine),
		cmocka_unit_test(a_door_goes_with_its_listener),
		cmocka_unit_test(listeners_on_one_port_share_it),
		cmocka_unit_test(a_program_that_closes_its_number_loses_the_door_alone),
		cmocka_unit_test(the_next_program_finds_it_by_its_name),
		cmocka_unit_test(epoll_has_it_wherever_it_has_the_listener),
	};
	fd_start();
	port = 100000 + (uint32_t)getpid();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
