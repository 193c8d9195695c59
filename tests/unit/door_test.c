/* SPDX-License-Identifier: MIT */
/* A listener's door: whose it is, how long it is there, and what its names say. */
#include "state/door.h"
#include "state/registrations.h"
#include "system/libc.h"
#include "transport/transport_door.h"
#include "transport/transport_unix.h"

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

static int refused_number;
static int (*registers)(int epoll, int operation, int number, struct epoll_event *event);

static int no_room(int epoll, int operation, int number, struct epoll_event *event)
{
	errno = ENOSPC;
	return number == refused_number ? -1 : registers(epoll, operation, number, event);
}

/* Else it would be reported in the name of a listener that isn't registered. */
static void epoll_has_it_only_where_it_has_the_listener(void **state)
{
	(void)state;
	int fd, epfd = epoll_create1(EPOLL_CLOEXEC);
	struct sock *sock = listener_on(&fd);
	struct epoll_event event = {.events = EPOLLIN}, got;
	door_open(sock, false);
	assert_true(somebody_listens());
	registers = libc.epoll_ctl;
	refused_number = fd;
	libc.epoll_ctl = no_room;
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), -1);
	assert_int_equal(errno, ENOSPC);
	libc.epoll_ctl = registers;
	assert_int_equal(epoll_wait(epfd, &got, 1, 0), 0);
	leave(fd);
	libc.close(epfd);
}

/* 0 is as good a number as any. */
static void select_has_it_beside_all_other_numbers(void **state)
{
	(void)state;
	int fd, ends[2], input = libc.fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, (void *)10L);
	struct timeval now = {0, 0};
	fd_set in, out;
	struct sock *sock = listener_on(&fd);
	door_open(sock, false);
	assert_int_equal(pipe(ends), 0);
	libc.dup2(ends[0], STDIN_FILENO);
	for (int i = 0; i < 2; i++) {
		FD_ZERO(&in);
		FD_ZERO(&out);
		FD_SET(STDIN_FILENO, &in);
		FD_SET(fd, &in);
		FD_SET(ends[1], &out);
		assert_int_equal(select(FD_SETSIZE, &in, &out, NULL, &now), 1 + 2 * i);
		assert_true(FD_ISSET(ends[1], &out));
		assert_int_equal(!!FD_ISSET(STDIN_FILENO, &in), i);
		assert_int_equal(!!FD_ISSET(fd, &in), i);
		assert_true(somebody_listens());
		assert_int_equal(libc.write(ends[1], "", 1), 1);
	}
	FD_ZERO(&in); /* one set for both, whose last result stands */
	FD_SET(fd, &in);
	FD_SET(ends[1], &in);
	fd_set *volatile same = &in;
	assert_int_equal(select(FD_SETSIZE, &in, same, NULL, &now), 2);
	assert_false(FD_ISSET(fd, &in));
	assert_true(FD_ISSET(ends[1], &in));
	libc.dup2(input, STDIN_FILENO);
	libc.close(input);
	libc.close(ends[0]);
	libc.close(ends[1]);
	leave(fd);
}

/* ---- ports below 1024 ---- */

static struct {
	uid_t user; /* whoever listens */
	bool unknown;
} other;

static int answer_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	(void)fd;
	assert_true(level == SOL_SOCKET && name == SO_PEERCRED && *length == sizeof(struct ucred));
	memcpy(value, &(struct ucred){.uid = other.user}, sizeof(struct ucred));
	errno = EINVAL;
	return other.unknown ? -1 : 0;
}

/* Of connect(). A client is looked at in the same way when it is accepted. */
static int error_below_1024(const struct endpoint *low, uid_t user)
{
	struct place place;
	struct endpoint peer = *low;
	int (*real)(int, int, int, void *, socklen_t *) = libc.getsockopt;
	int fd = transport_door.open(SOCK_CLOEXEC, BUFFER_DEFAULT);
	transport_door.place(low, &place);
	other.user = user;
	libc.getsockopt = answer_getsockopt;
	int error = transport_door.connect(fd, &place, 0) == 0 ? 0 : errno;
	errno = 77;
	transport_door_check(fd, &peer);
	libc.getsockopt = real;
	assert_int_equal(errno, 77);
	assert_int_equal(peer.port, error ? PORT_ANY : low->port);
	libc.close(fd);
	return error;
}

static void below_1024_only_root_and_oneself_are_there(void **state)
{
	(void)state;
	struct endpoint low = {CID_LOCAL, 0};
	struct place place;
	int listener = libc.socket(AF_UNIX, SOCK_STREAM, 0), bound = -1;
	while (bound < 0 && transport_unix_port_is_low(++low.port)) { /* others have such doors, too */
		transport_door.place(&low, &place);
		bound = libc.bind(listener, (struct sockaddr *)&place.sockaddr, place.length);
	}
	if (bound < 0)
		skip();
	assert_int_equal(libc.listen(listener, 10), 0);
	assert_int_equal(error_below_1024(&low, 0), 0);
	assert_int_equal(error_below_1024(&low, geteuid()), 0);
	assert_int_equal(error_below_1024(&low, geteuid() == 1 ? 2 : 1), ECONNREFUSED);
	other.unknown = true;
	assert_int_equal(error_below_1024(&low, 0), ECONNREFUSED);
	libc.close(listener);
}

static void where_there_are_doors_hanging_up_is_early(void **state)
{
	(void)state;
	transport_hangs_up_early = false;
	int fd = transport_door.open(SOCK_CLOEXEC, BUFFER_DEFAULT);
	assert_true(transport_hangs_up_early);
	libc.close(fd);
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
		cmocka_unit_test(epoll_has_it_only_where_it_has_the_listener),
		cmocka_unit_test(select_has_it_beside_all_other_numbers),
		cmocka_unit_test(below_1024_only_root_and_oneself_are_there),
		cmocka_unit_test(where_there_are_doors_hanging_up_is_early),
		cmocka_unit_test(epoll_has_it_wherever_it_has_the_listener),
	};
	fd_start();
	port = 100000 + (uint32_t)getpid();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
