/* SPDX-License-Identifier: MIT */
/* A connection that is asked for beside the program (socket/greeter.h), the task's part taken step by step:
 * the test has its steps (-Wl,--wrap), and is Firecracker, too. */
#include "emulated.h"
#include "socket/greeter.h"
#include "socket/stream.h"
#include "state/fd.h"
#include "system/task.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- the task ---- */

static struct {
	bool refused; /* the kernel gives none */
	const struct task_work *work;
	_Alignas(16) char context[TASK_ROOM];
} task;

bool __wrap_task_start(const struct task_work *work, const void *context, size_t size);
bool __wrap_task_start(const struct task_work *work, const void *context, size_t size)
{
	if (task.refused)
		return false;
	assert_null(task.work);
	task.work = work;
	memcpy(task.context, context, size);
	return true;
}

void __wrap_task_forget(void (*visit)(void *context));
void __wrap_task_forget(void (*visit)(void *context))
{
	if (task.work)
		visit(task.context);
	task.work = NULL;
}

static void come_to_the_end(void)
{
	assert_non_null(task.work);
	task.work->run(task.context);
	task.work->end(task.context);
}

static void linger(void)
{
	task.work->linger(task.context);
	task.work = NULL;
}

/* ---- both ends ---- */

enum { PORT = 80, PLAIN_PORT = 29495 };
static int multiplexer, server, fds;
static struct libc real;

__attribute__((constructor(101))) static void choose_map(void)
{
	char map[128];
	emulate("");
	snprintf(map, sizeof map, "*:80=firecracker:%s/mux:80 timeout=20s, *:29495=1:29495", folder);
	setenv("IP2VSOCK_MAP", map, 1);
	setenv("IP2VSOCK_LOG", "off", 1);
}

static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = libc.socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, name);
	assert_int_equal(libc.bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(libc.listen(fd, 4), 0);
	return fd;
}

static int set_up(void **state)
{
	(void)state;
	struct timeval limit = {10, 0};
	multiplexer = listen_at("mux");
	libc.setsockopt(multiplexer, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	server = listen_at("1.29495");
	real = libc;
	return 0;
}

static int give_up(void **state)
{
	(void)state;
	task.work = NULL;
	return 0;
}

static int tear_down(void **state)
{
	libc.close(multiplexer);
	libc.close(server);
	return remove_directory(state);
}

static int start(int fd, uint16_t port)
{
	struct sockaddr_in address = {AF_INET, htons(port), {htonl(0x0a000001)}, {0}};
	return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static int far_end(void)
{
	char asked[32] = "";
	int far = libc.accept(multiplexer, NULL, NULL);
	assert_true(far >= 0);
	assert_true(libc.recv(far, asked, sizeof asked - 1, 0) > 0);
	assert_string_equal(asked, "CONNECT 80\n");
	return far;
}

static int error_of(int fd)
{
	int error = -1;
	socklen_t length = sizeof error;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	return error;
}

static short events_of(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT};
	poll(&one, 1, 0);
	return one.revents;
}

static struct {
	int fd, far;
} one;

/* An attempt that waits for its answer. */
static void begin(void)
{
	fds = count_fds();
	one.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(start(one.fd, PORT), -1);
	assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(events_of(one.fd), 0);
	assert_int_equal(error_of(one.fd), 0);
}

/* The first thing that the task does is to ask; what is answered waits in the socket. */
static void *answer_later(void *text)
{
	const char *said = text;
	one.far = far_end();
	if (said)
		assert_int_equal(real.send(one.far, said, strlen(said), 0), strlen(said));
	else
		real.close(one.far);
	return NULL;
}

static void greeted(const char *answer)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, answer_later, (void *)answer), 0);
	come_to_the_end();
	pthread_join(thread, NULL);
}

static void assert_far_end_is_hung_up(void)
{
	char byte;
	assert_int_equal(libc.recv(one.far, &byte, 1, MSG_DONTWAIT), 0);
	libc.close(one.far);
}

static void assert_flows(int from, int to)
{
	char byte = 'x';
	assert_int_equal(libc.send(from, "!", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(libc.recv(to, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, '!');
}

/* Nothing of the greeting is left, of the connection the program's fd. */
static void end(int left)
{
	if (task.work)
		linger();
	assert_int_equal(count_fds(), fds + left + 1);
	assert_int_equal(fd_sock(one.fd)->references, 1);
	close(one.fd);
	assert_int_equal(count_fds(), fds + left);
}

static void it_is_connected_with_what_was_set_meanwhile(void **state)
{
	(void)state;
	struct timeval limit = {7, 0}, kept = {0, 0};
	struct sockaddr_in peer = {0};
	socklen_t size = sizeof kept, length = sizeof peer;
	struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 4242}, got = {0};
	begin();
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, one.fd, &event), 0);
	assert_int_equal(epoll_wait(epoll, &got, 1, 0), 0);
	assert_int_equal(fcntl(one.fd, F_SETFL, 0), 0);
	assert_int_equal(setsockopt(one.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
	greeted("OK 1073741824\nhello");
	assert_int_equal(epoll_wait(epoll, &got, 1, 0), 1);
	assert_int_equal(got.data.u64, 4242);
	close(epoll);
	assert_int_equal(error_of(one.fd), 0);
	assert_int_equal(getpeername(one.fd, (struct sockaddr *)&peer, &length), 0);
	assert_int_equal(ntohs(peer.sin_port), PORT);
	assert_false(libc.fcntl(one.fd, F_GETFL, NULL) & O_NONBLOCK);
	assert_int_equal(libc.getsockopt(one.fd, SOL_SOCKET, SO_RCVTIMEO, &kept, &size), 0);
	assert_int_equal(kept.tv_sec, 7);
	char text[8] = "";
	assert_int_equal(libc.recv(one.fd, text, sizeof text, 0), 5);
	assert_string_equal(text, "hello");
	assert_flows(one.fd, one.far);
	assert_flows(one.far, one.fd);
	end(1);
	assert_far_end_is_hung_up();
}

static bool was_locked;

static int register_and_look(int epoll, int operation, int fd, struct epoll_event *event)
{
	was_locked = fd_sock(fd)->greeting == GREETING_LOCKED;
	return real.epoll_ctl(epoll, operation, fd, event);
}

/* A registration is made before the connection is put in place, or after it. */
static void a_registration_holds_off_the_end(void **state)
{
	(void)state;
	struct epoll_event event = {.events = EPOLLOUT};
	begin();
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	libc.epoll_ctl = register_and_look;
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, one.fd, &event), 0);
	libc.epoll_ctl = real.epoll_ctl;
	assert_true(was_locked);
	assert_int_equal(fd_sock(one.fd)->greeting, GREETING);
	greeted("OK 1\n");
	close(epoll);
	end(1);
	assert_far_end_is_hung_up();
}

static void assert_failed(int error)
{
	assert_true(events_of(one.fd) & POLLERR);
	assert_int_equal(error_of(one.fd), error);
	assert_int_equal(error_of(one.fd), 0);
	assert_int_equal(state_of(fd_sock(one.fd)), STATE_FAILED);
}

static void a_refusal_is_an_error_and_hangs_up(void **state)
{
	(void)state;
	begin();
	greeted(NULL);
	assert_failed(ECONNREFUSED);
	end(0);
	begin();
	greeted("who?\n");
	assert_failed(ECONNREFUSED);
	assert_far_end_is_hung_up();
	end(0);
}

static void greet_wrongly(void)
{
	greeted("who?\n");
}

static void answer_nothing(void)
{
	greeted(NULL);
}

static void a_wrong_answer_is_logged(void **state)
{
	(void)state;
	begin();
	assert_string_equal(log_of(LOG_ERROR, greet_wrongly),
		"ip2vsock: expected \"OK\" and a number in answer to CONNECT from the Unix socket of a "
		"virtual machine's vsock, found \"who?\"\n");
	libc.close(one.far);
	end(0);
	begin();
	assert_string_equal(log_of(LOG_ERROR, answer_nothing), "");
	end(0);
}

static int dup3_without_memory(int fd, int number, int flags)
{
	(void)fd, (void)number, (void)flags;
	errno = ENOMEM;
	return -1;
}

/* The stand-in stays, and whoever waits for it is woken. */
static void a_connection_that_cannot_be_put_in_place_has_failed(void **state)
{
	(void)state;
	struct epoll_event event = {.events = EPOLLOUT}, got = {0};
	begin();
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, one.fd, &event), 0);
	libc.dup3 = dup3_without_memory;
	greeted("OK 1\n");
	libc.dup3 = real.dup3;
	linger();
	assert_int_equal(epoll_wait(epoll, &got, 1, 0), 1);
	close(epoll);
	assert_failed(ENOMEM);
	assert_far_end_is_hung_up();
	end(0);
}

/* The program has closed it, or gone on with another socket. */
static void what_nobody_waits_for_is_hung_up(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		begin();
		if (way == 0)
			close(one.fd);
		else
			assert_int_equal(connect(one.fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, 16), 0);
		come_to_the_end();
		linger();
		one.far = libc.accept(multiplexer, NULL, NULL);
		char asked[16];
		while (libc.recv(one.far, asked, sizeof asked, 0) > 0)
			;
		libc.close(one.far);
		if (way == 1) {
			assert_int_equal(state_of(fd_sock(one.fd)), STATE_IP);
			end(0);
		}
		assert_int_equal(count_fds(), fds);
	}
}

/* In the child: 0, or the line that is wrong. */
#define UNLESS(condition)                                                                                    \
	if (!(condition))                                                                                    \
	_exit(__LINE__ % 256)

static void be_the_child(void)
{
	int domain = 0, error = -1;
	socklen_t length = sizeof error;
	const struct greeter *greeter = (const struct greeter *)task.context;
	UNLESS(!task.work);
	UNLESS(getsockopt(one.fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == ECONNABORTED);
	UNLESS(fd_sock(one.fd)->references == 1);
	UNLESS(libc.fcntl(greeter->fresh, F_GETFD, NULL) < 0); /* the parent's */
	UNLESS(libc.fcntl(greeter->gate, F_GETFD, NULL) < 0);
	UNLESS(start(one.fd, PLAIN_PORT) < 0); /* TCP reports an attempt that came to nothing twice */
	UNLESS(errno == ECONNABORTED || errno == EINPROGRESS);
	UNLESS(errno == EINPROGRESS || (start(one.fd, PLAIN_PORT) < 0 && errno == EINPROGRESS));
	UNLESS(events_of(one.fd) == POLLOUT);
	UNLESS(error_of(one.fd) == 0);
	UNLESS(state_of(fd_sock(one.fd)) == STATE_CONNECTED);
	UNLESS(libc.getsockopt(one.fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX);
	_exit(0);
}

static void in_a_child_of_fork_it_has_failed_and_here_it_goes_on(void **state)
{
	(void)state;
	int status = -1;
	begin();
	pid_t child = fork();
	if (child == 0)
		be_the_child();
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	greeted("OK 1\n");
	assert_int_equal(error_of(one.fd), 0);
	assert_flows(one.far, one.fd);
	end(1);
	assert_far_end_is_hung_up();
}

static void without_a_task_it_is_waited_for(void **state)
{
	(void)state;
	pthread_t thread;
	task.refused = true;
	fds = count_fds();
	one.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(pthread_create(&thread, NULL, answer_later, (void *)"OK 1\n"), 0);
	assert_int_equal(start(one.fd, PORT), -1);
	task.refused = false;
	assert_int_equal(errno, EINPROGRESS);
	pthread_join(thread, NULL);
	assert_int_equal(events_of(one.fd), POLLOUT);
	assert_int_equal(error_of(one.fd), 0);
	assert_flows(one.fd, one.far);
	end(1);
	assert_far_end_is_hung_up();
}

#define TEST(name) cmocka_unit_test_teardown(name, give_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_connected_with_what_was_set_meanwhile),
		TEST(a_refusal_is_an_error_and_hangs_up),
		TEST(a_registration_holds_off_the_end),
		TEST(a_wrong_answer_is_logged),
		TEST(a_connection_that_cannot_be_put_in_place_has_failed),
		TEST(what_nobody_waits_for_is_hung_up),
		TEST(in_a_child_of_fork_it_has_failed_and_here_it_goes_on),
		TEST(without_a_task_it_is_waited_for),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
