/* SPDX-License-Identifier: MIT */
/* What a traced program is told where the kernel says ENOTCONN at the end of a stream: a child receives from
 * TCP sockets that aren't connected, of which every kernel says so. */
#include "outside/filter.h"
#include "outside/stops.h"
#include "outside/watched.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { READ, READV, RECVFROM, RECVMSG, CALLS };

/* What the child writes down. */
static struct seen {
	int results[CALLS]; /* or -errno */
	struct msghdr header;
} * seen;

static int result_of(long result)
{
	return result < 0 ? -errno : (int)result;
}

static void receive(int socket)
{
	char byte, control[64];
	struct sockaddr_in name;
	struct iovec part = {&byte, 1};
	seen->header = (struct msghdr){.msg_name = &name,
		.msg_namelen = sizeof name,
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
		.msg_flags = MSG_TRUNC};
	seen->results[READ] = result_of(syscall(SYS_read, socket, &byte, 1));
	seen->results[READV] = result_of(syscall(SYS_readv, socket, &part, 1));
	seen->results[RECVFROM] = result_of(syscall(SYS_recvfrom, socket, &byte, 1, 0, NULL, NULL));
	seen->results[RECVMSG] = result_of(syscall(SYS_recvmsg, socket, &seen->header, 0));
}

static _Noreturn void child(int socket, int go)
{
	char byte;
	struct sock_filter filter[FILTER_LENGTH];
	struct filter_wish wish = {FILTER_TRACED, false, true};
	struct sock_fprog program = {(unsigned short)filter_build(filter, wish), filter};
	if (read(go, &byte, 1) != 1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, &program) < 0)
		_exit(1);
	receive(socket);
	_exit(0);
}

static int make_page(void **state)
{
	(void)state;
	seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return seen == MAP_FAILED ? -1 : 0;
}

static int wait_for_end(pid_t process)
{
	int status;
	pid_t thread;
	do
		while ((thread = stops_wait(&status)) > 0 && thread != process)
			;
	while (thread == 0 && (stops_more() || usleep(1000) == 0));
	return thread == process ? status : -1;
}

/* A child receives from `socket`, which it has inherited. Skips the test where it can't be traced. */
static void trace(int socket)
{
	int go[2];
	assert_int_equal(pipe(go), 0);
	pid_t process = fork();
	assert_true(process >= 0);
	if (process == 0)
		child(socket, go[0]);
	if (!stops_start(process)) {
		kill(process, SIGKILL);
		waitpid(process, NULL, 0);
		skip();
	}
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(wait_for_end(process), 0);
	close(go[0]);
	close(go[1]);
}

/* With an entry in the table, unless `transport` and `stage` are those of a socket that isn't known. */
static void receive_from(const struct transport *transport, enum stage stage)
{
	struct stat file;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(fstat(fd, &file), 0);
	if (transport || stage != STAGE_IP) {
		struct watched *watched = watched_open(file.st_ino, AF_INET);
		assert_non_null(watched);
		watched->transport = transport;
		watched->stage = stage;
	}
	trace(fd);
	close(fd);
}

static void all_say(int result)
{
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(seen->results[i], result);
}

static const struct transport *some(void)
{
	static const char nothing[sizeof(void *)];
	return (const struct transport *)(const void *)nothing;
}

static void a_connection_of_ours_has_ended(void **state)
{
	(void)state;
	receive_from(some(), STAGE_CONNECTED);
	all_say(0);
	assert_int_equal(seen->header.msg_namelen, 0);
	assert_int_equal(seen->header.msg_controllen, 0);
	assert_int_equal(seen->header.msg_flags, 0);
}

static void a_socket_of_ours_without_a_connection_says_so(void **state)
{
	static const enum stage stages[] = {STAGE_BOUND, STAGE_LISTENING, STAGE_CONNECTING, STAGE_FAILED};
	(void)state;
	for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
		receive_from(some(), stages[i]);
		all_say(-ENOTCONN);
		assert_int_equal(seen->header.msg_namelen, sizeof(struct sockaddr_in));
	}
}

static void ip_says_what_it_says(void **state)
{
	(void)state;
	receive_from(NULL, STAGE_IP);
	all_say(-ENOTCONN);
	receive_from(NULL, STAGE_CONNECTED);
	all_say(-ENOTCONN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_of_ours_has_ended),
		cmocka_unit_test(a_socket_of_ours_without_a_connection_says_so),
		cmocka_unit_test(ip_says_what_it_says),
	};
	return cmocka_run_group_tests(tests, make_page, NULL);
}
