/* SPDX-License-Identifier: MIT */
/* Sockets that another program has made, with a mark of what it saw and without: what is shown of them. */
#include "emulated.h"
#include "socket/stream.h"
#include "state/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PORT = 29481, PROGRAMS_PORT = 8080 }; /* of the carrier, and of the rule that leads there */

__attribute__((constructor(101))) static void choose_map(void)
{
	emulate("127.0.0.1:29481=1:29481, listen 8080=any:29481");
}

static struct sockaddr_un place(uint32_t port)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s/1.%u", folder, port);
	return address;
}

static int inherited(void) /* bound, and not known here */
{
	struct sockaddr_un address = place(PORT);
	int fd = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	unlink(address.sun_path);
	assert_true(fd >= 0);
	assert_int_equal(libc.bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static int listener(void)
{
	int fd = inherited();
	assert_int_equal(libc.listen(fd, 4), 0);
	return fd;
}

/* qemu-user keeps none. */
static void skip_without_marks(void)
{
	uint32_t mark = 0x76040000, kept = 0;
	socklen_t length = sizeof kept;
	int fd = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	libc.setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &mark, sizeof mark);
	libc.getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &kept, &length);
	libc.close(fd);
	if (kept != mark)
		skip();
}

typedef int (*name_call)(int fd, struct sockaddr *address, socklen_t *length);

static void assert_shows(name_call name, int fd, const char *ip, int port)
{
	char text[INET6_ADDRSTRLEN];
	struct sockaddr_in6 address = {0};
	socklen_t length = sizeof address;
	assert_int_equal(name(fd, (struct sockaddr *)&address, &length), 0);
	const void *bytes = address.sin6_family == AF_INET6 ? (void *)&address.sin6_addr
							    : &((struct sockaddr_in *)&address)->sin_addr;
	inet_ntop(address.sin6_family, bytes, text, sizeof text);
	assert_string_equal(text, ip);
	assert_int_equal(ntohs(address.sin6_port), port);
}

static void the_map_says_which_port_a_listener_has(void **state)
{
	(void)state;
	int fd = listener(), listening = 0;
	socklen_t length = sizeof listening;
	assert_shows(getsockname, fd, "0.0.0.0", PROGRAMS_PORT);
	assert_int_equal(state_of(fd_sock(fd)), STATE_LISTENING);
	assert_non_null(fd_sock(fd)->rule);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length), 0);
	assert_int_equal(listening, 1);
	close(fd);
}

static void one_that_is_only_bound_may_listen_still(void **state)
{
	(void)state;
	int fd = inherited();
	assert_shows(getsockname, fd, "0.0.0.0", PROGRAMS_PORT);
	assert_int_equal(state_of(fd_sock(fd)), STATE_BOUND);
	assert_true(fd_sock(fd)->claim.bound);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(state_of(fd_sock(fd)), STATE_LISTENING);
	close(fd);
}

/* What connect() makes, and what exec leaves to the next program of it. */
static int client(int family)
{
	struct sockaddr_in6 six = {AF_INET6, htons(PORT), 0, {{{[10] = 0xff, 0xff, 127, 0, 0, 1}}}, 0};
	struct sockaddr_in four = {AF_INET, htons(PORT), {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(family, SOCK_STREAM, 0);
	if (family == AF_INET)
		assert_int_equal(connect(fd, (struct sockaddr *)&four, sizeof four), 0);
	else
		assert_int_equal(connect(fd, (struct sockaddr *)&six, sizeof six), 0);
	return fd;
}

static void forget(int fd) /* as exec does */
{
	stream_mark_inherited();
	fd_forget(fd);
}

static void a_mark_keeps_the_address_that_was_asked_for(void **state)
{
	(void)state;
	skip_without_marks();
	int far = listener(), four = client(AF_INET), six = client(AF_INET6);
	forget(four);
	forget(six);
	assert_shows(getpeername, four, "127.0.0.1", PORT);
	assert_shows(getpeername, six, "::ffff:127.0.0.1", PORT);
	assert_int_equal(state_of(fd_sock(four)), STATE_CONNECTED);
	assert_false(fd_sock(four)->accepted);
	assert_int_equal(fd_sock(six)->family, AF_INET6);
	close(four);
	close(six);
	close(far);
}

static void a_mark_says_that_a_connection_was_accepted_and_shut(void **state)
{
	(void)state;
	skip_without_marks();
	int far = listener(), fd = client(AF_INET), accepted = accept(far, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(shutdown(accepted, SHUT_WR), 0);
	forget(accepted);
	assert_int_equal(send(accepted, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	struct sock *sock = stream_replaced(accepted);
	assert_non_null(sock);
	assert_true(sock->accepted);
	assert_true(sock->shut.write);
	assert_int_equal(sock->claim.name.port, PROGRAMS_PORT);
	close(accepted);
	close(fd);
	close(far);
}

/* It was accepted, as the map has a rule for the port that it came to. */
static void without_a_mark_the_map_says_that_it_was_accepted(void **state)
{
	(void)state;
	int far = listener(), fd = client(AF_INET), accepted = accept(far, NULL, NULL);
	assert_true(accepted >= 0);
	fd_forget(accepted);
	assert_shows(getsockname, accepted, "127.0.0.1", PROGRAMS_PORT);
	assert_true(fd_sock(accepted)->accepted);
	close(accepted);
	close(fd);
	close(far);
}

/* Among other things, and with a file beside them. */
static void what_is_passed_on_is_marked(void **state)
{
	(void)state;
	skip_without_marks();
	int pair[2], far = listener(), clients[] = {client(AF_INET), client(AF_INET6)}, got[3] = {-1, -1, -1};
	struct ucred own = {getpid(), getuid(), getgid()};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof own) + CMSG_SPACE(sizeof got)] = {0};
	char room[] = "x";
	struct iovec byte = {room, 1};
	struct msghdr message = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct cmsghdr *part = (struct cmsghdr *)control;
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_CREDENTIALS;
	part->cmsg_len = CMSG_LEN(sizeof own);
	memcpy(CMSG_DATA(part), &own, sizeof own);
	part = (struct cmsghdr *)(control + CMSG_SPACE(sizeof own));
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof got);
	memcpy(CMSG_DATA(part), pair, sizeof *pair);
	memcpy(CMSG_DATA(part) + sizeof *pair, clients, sizeof clients);
	assert_int_equal(sendmsg(pair[0], &message, 0), 1);
	assert_int_equal(libc.recvmsg(pair[1], &message, 0), 1);
	part = (struct cmsghdr *)control;
	assert_int_equal(part->cmsg_len, CMSG_LEN(sizeof got));
	memcpy(got, CMSG_DATA(part), sizeof got);
	assert_shows(getpeername, got[1], "127.0.0.1", PORT);
	assert_shows(getpeername, got[2], "::ffff:127.0.0.1", PORT);
	for (int i = 0; i < 3; i++)
		close(got[i]);
	for (int i = 0; i < 2; i++) {
		close(clients[i]);
		close(pair[i]);
	}
	close(far);
}

/* What exec closes needs no mark. */
static void only_what_is_inherited_is_marked(void **state)
{
	(void)state;
	skip_without_marks();
	uint32_t word = 0;
	socklen_t length = sizeof word;
	int far = listener(), fd = client(AF_INET);
	assert_int_equal(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
	stream_mark_inherited();
	libc.getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &word, &length);
	assert_int_not_equal(word >> 24, 0x76);
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	stream_mark_inherited();
	length = sizeof word;
	libc.getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &word, &length);
	assert_int_equal(word >> 24, 0x76);
	close(fd);
	close(far);
}

static void all_that_are_there_are_found(void **state)
{
	(void)state;
	int fd = listener();
	assert_false(fd_tracked(fd));
	stream_find_all();
	assert_true(fd_tracked(fd));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_map_says_which_port_a_listener_has),
		cmocka_unit_test(one_that_is_only_bound_may_listen_still),
		cmocka_unit_test(a_mark_keeps_the_address_that_was_asked_for),
		cmocka_unit_test(a_mark_says_that_a_connection_was_accepted_and_shut),
		cmocka_unit_test(without_a_mark_the_map_says_that_it_was_accepted),
		cmocka_unit_test(what_is_passed_on_is_marked),
		cmocka_unit_test(only_what_is_inherited_is_marked),
		cmocka_unit_test(all_that_are_there_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, remove_directory);
}
