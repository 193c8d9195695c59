/* SPDX-License-Identifier: MIT */
/* Another thread is in a call on the same socket: what connect() beside it does; and the child of a fork(),
 * which has none of those threads, and goes on. */
#include "emulated.h"
#include "socket/stream.h"
#include "state/fd.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { PORT = 29474 };

static int far_server; /* where PORT leads */

__attribute__((constructor(101))) static void choose_map(void)
{
	emulate("127.0.0.1:29474=1:29474");
}

static int set_up(void **state)
{
	(void)state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s/1.%d", folder, PORT);
	far_server = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (libc.bind(far_server, (struct sockaddr *)&address, sizeof address) < 0)
		return -1;
	return libc.listen(far_server, 16);
}

static int tear_down(void **state)
{
	close(far_server);
	return remove_directory(state);
}

/* As if a thread were in connect() on it, on a socket that isn't connected yet. */
static int connecting(struct sock **sock)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), ours = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	assert_true(fd >= 0 && ours >= 0);
	*sock = fd_sock(fd);
	assert_non_null(*sock);
	assert_int_equal(libc.dup2(ours, fd), fd);
	assert_int_equal(libc.close(ours), 0);
	sock_lead(*sock, NULL, &transport_unix);
	set_state(*sock, STATE_CONNECTING);
	return fd;
}

static int connect_to_server(int fd)
{
	struct sockaddr_in address = {AF_INET, htons(PORT), {htonl(INADDR_LOOPBACK)}, {0}};
	return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static void do_nothing(int number)
{
	(void)number;
}

/* After 20 ms, and again and again: it may come before the call waits. */
static void interrupt(int flags)
{
	const struct sigaction action = {.sa_handler = do_nothing, .sa_flags = flags};
	const struct itimerval often = {{0, 20000}, {0, 20000}};
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static void do_not_interrupt(void)
{
	const struct itimerval never = {{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
}

static pthread_t *another_thread(void) /* no thread's: the address of something else */
{
	static pthread_t nobody;
	return &nobody;
}

static void beside_another_threads_connect_one_waits(void **state)
{
	(void)state;
	struct timeval limit = {0, 100000};
	struct sock *sock;
	int fd = connecting(&sock);
	set_state(sock, STATE_IP); /* as before its socket is in place */
	sock->attempting = (uintptr_t)another_thread();
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
	assert_int_equal(connect_to_server(fd), -1);
	assert_int_equal(errno, EALREADY);
	interrupt(0);
	limit.tv_sec = 10;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
	assert_int_equal(connect_to_server(fd), -1);
	assert_int_equal(errno, EINTR);
	do_not_interrupt();
	assert_int_equal(sock->attempting, (uintptr_t)another_thread());
	assert_int_equal(sock->references, 1);
	sock->attempting = 0;
	close(fd);
}

static void what_does_not_wait_is_told_at_once(void **state)
{
	(void)state;
	struct sock *sock;
	int fd = connecting(&sock);
	set_state(sock, STATE_IP);
	sock->attempting = (uintptr_t)pthread_self(); /* a handler interrupted it */
	assert_int_equal(connect_to_server(fd), -1);
	assert_int_equal(errno, EALREADY);
	sock->attempting = (uintptr_t)another_thread();
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(connect_to_server(fd), -1);
	assert_int_equal(errno, EALREADY);
	sock->attempting = 0;
	close(fd);
}

static void *connect_in_thread(void *fd)
{
	return (void *)(intptr_t)connect_to_server((int)(intptr_t)fd);
}

/* The record of the socket is let go, or it would never be used again. */
static void a_thread_that_is_cancelled_beside_another_leaves_nothing(void **state)
{
	(void)state;
	pthread_t thread;
	void *result;
	struct sock *sock;
	int fd = connecting(&sock);
	/* glibc wants it to cancel, and can't find it in a root beside / */
	void *unwinder = dlopen("libgcc_s.so.1", RTLD_NOW);
	set_state(sock, STATE_IP);
	sock->attempting = (uintptr_t)another_thread();
	assert_int_equal(pthread_create(&thread, NULL, connect_in_thread, (void *)(intptr_t)fd), 0);
	while (sock->references < 2)
		usleep(1000);
	usleep(20000);
	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(sock->references, 1);
	sock->attempting = 0;
	close(fd);
	if (unwinder)
		dlclose(unwinder);
}

static int connected_pair[2];

static void *connect_later(void *context)
{
	struct sock *sock = context;
	usleep(30000);
	libc.dup2(connected_pair[0], fd_of(-1, sock));
	set_state(sock, STATE_CONNECTED);
	sock->attempting = 0;
	return NULL;
}

/* A Unix socket that isn't connected is writable to poll(), so send() looks again and again. */
static void what_is_sent_waits_for_another_threads_connect(void **state)
{
	(void)state;
	pthread_t thread;
	struct sock *sock;
	char byte = 0;
	int fd = connecting(&sock);
	sock->attempting = (uintptr_t)another_thread();
	assert_int_equal(send(fd, "x", 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, connected_pair), 0);
	assert_int_equal(pthread_create(&thread, NULL, connect_later, sock), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	pthread_join(thread, NULL);
	assert_int_equal(libc.read(connected_pair[1], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	libc.close(connected_pair[0]);
	libc.close(connected_pair[1]);
	close(fd);
}

/* What a child finds, as an exit status. */
static int in_child(int (*find)(int fd, struct sock *sock), int fd, struct sock *sock)
{
	int status = -1;
	pid_t child = fork();
	if (child == 0)
		_exit(find(fd, sock));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int threads_left(int fd, struct sock *sock)
{
	(void)fd;
	return (sock->attempting != 0) | (sock->accepting != 0) << 1 | (sock->pins != 0) << 2 |
	       (sock->keepers != 0) << 3 | (sock->swaps != 0) << 4 | (sock->fresh != -1) << 5;
}

static void no_thread_is_left_in_a_child(void **state)
{
	(void)state;
	struct sock *sock;
	int fd = connecting(&sock);
	sock->attempting = (uintptr_t)pthread_self();
	assert_int_equal(in_child(threads_left, fd, sock), 0);
	sock->attempting = 0;
	sock->accepting = 1;
	assert_int_equal(in_child(threads_left, fd, sock), 0);
	sock->accepting = 0;
	sock->pins = 1;
	assert_int_equal(in_child(threads_left, fd, sock), 0);
	sock->pins = 0;
	sock->keepers = 1;
	assert_int_equal(in_child(threads_left, fd, sock), 0);
	sock->keepers = 0;
	sock->swaps = 1;
	assert_int_equal(in_child(threads_left, fd, sock), 0);
	sock->swaps = 0;
	close(fd);
}

static int fresh_of_parent;

static int fresh_is_open(int fd, struct sock *sock)
{
	(void)fd;
	return sock->fresh != -1 || libc.fcntl(fresh_of_parent, F_GETFD, NULL) >= 0;
}

static void what_a_thread_tries_with_is_closed_in_a_child_alone(void **state)
{
	(void)state;
	struct sock *sock;
	int fd = connecting(&sock);
	sock->fresh = fresh_of_parent = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(in_child(fresh_is_open, fd, sock), 0);
	assert_int_equal(sock->fresh, fresh_of_parent);
	assert_true(libc.fcntl(fresh_of_parent, F_GETFD, NULL) >= 0);
	assert_int_equal(close(fresh_of_parent), 0);
	sock->fresh = -1;
	close(fd);
}

/* Also fd 0, which is a number as any other. */
static void and_if_it_is_fd_0(void **state)
{
	(void)state;
	struct sock *sock;
	int fd = connecting(&sock), saved = libc.fcntl(0, F_DUPFD_CLOEXEC, 0);
	int ours = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(libc.dup2(ours, 0), 0);
	libc.close(ours);
	sock->fresh = fresh_of_parent = 0;
	assert_int_equal(in_child(fresh_is_open, fd, sock), 0);
	sock->fresh = -1;
	if (saved >= 0) {
		libc.dup2(saved, 0);
		libc.close(saved);
	} else {
		libc.close(0);
	}
	close(fd);
}

static int is_connected(int fd, struct sock *sock)
{
	if (!sock->orphaned)
		return 1;
	if (connect_to_server(fd) < 0)
		return errno;
	return state_of(sock) == STATE_CONNECTED ? 0 : 255;
}

static int connects_anew(int fd, struct sock *sock)
{
	int error = is_connected(fd, sock);
	if (error)
		return error;
	return write(fd, "c", 1) == 1 ? 0 : 255;
}

/* What comes of the parent's attempt may never be seen in the child. */
static void a_child_connects_anew_what_its_parents_thread_was_connecting(void **state)
{
	(void)state;
	struct sock *sock;
	char byte = 0;
	int fd = connecting(&sock);
	sock->attempting = (uintptr_t)pthread_self();
	assert_int_equal(in_child(connects_anew, fd, sock), 0);
	int far = libc.accept4(far_server, NULL, NULL, 0);
	assert_true(far >= 0);
	assert_int_equal(libc.read(far, &byte, 1), 1);
	assert_int_equal(byte, 'c');
	libc.close(far);
	assert_false(sock->orphaned);
	assert_int_equal(state_of(sock), STATE_CONNECTING);
	sock->attempting = 0;
	close(fd);
}

/* Unless it has been connected meanwhile. */
static void a_child_takes_the_connection_that_is_there(void **state)
{
	(void)state;
	struct sock *sock;
	int pair[2], fd = connecting(&sock);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(libc.dup2(pair[0], fd), fd);
	libc.close(pair[0]);
	sock->attempting = (uintptr_t)pthread_self();
	assert_int_equal(in_child(is_connected, fd, sock), 0);
	assert_int_equal(libc.accept4(far_server, NULL, NULL, 0), -1);
	sock->attempting = 0;
	close(fd);
	libc.close(pair[1]);
}

static int is_orphaned(int fd, struct sock *sock)
{
	(void)fd;
	return sock->orphaned;
}

/* A program's own attempt that no thread waits for is one in the child, too. */
static void what_nobody_waits_for_stays_an_attempt(void **state)
{
	(void)state;
	struct sock *sock;
	int fd = connecting(&sock);
	sock->accepting = 1;
	assert_int_equal(in_child(is_orphaned, fd, sock), 0);
	sock->accepting = 0;
	sock->attempting = (uintptr_t)pthread_self();
	set_state(sock, STATE_IP); /* its socket isn't in place */
	assert_int_equal(in_child(is_orphaned, fd, sock), 0);
	sock->attempting = 0;
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beside_another_threads_connect_one_waits),
		cmocka_unit_test(what_does_not_wait_is_told_at_once),
		cmocka_unit_test(a_thread_that_is_cancelled_beside_another_leaves_nothing),
		cmocka_unit_test(what_is_sent_waits_for_another_threads_connect),
		cmocka_unit_test(no_thread_is_left_in_a_child),
		cmocka_unit_test(what_a_thread_tries_with_is_closed_in_a_child_alone),
		cmocka_unit_test(and_if_it_is_fd_0),
		cmocka_unit_test(a_child_connects_anew_what_its_parents_thread_was_connecting),
		cmocka_unit_test(a_child_takes_the_connection_that_is_there),
		cmocka_unit_test(what_nobody_waits_for_stays_an_attempt),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
