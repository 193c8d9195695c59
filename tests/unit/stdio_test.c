/* SPDX-License-Identifier: MIT */
/* Streams and ranges that are closed: libc closes their numbers by itself, and the table must not keep them.
 */
#include "emulated.h"
#include "process/outsider.h"
#include "state/fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

__attribute__((constructor(101))) static void choose_map(void)
{
	emulate("127.0.0.1:*=1:*");
}

static FILE *stream_of_socket(int *fd)
{
	*fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd_tracked(*fd));
	FILE *stream = fdopen(*fd, "r");
	assert_non_null(stream);
	return stream;
}

static void a_stream_that_is_closed_is_forgotten(void **state)
{
	(void)state;
	int fd;
	FILE *stream = stream_of_socket(&fd);
	assert_int_equal(fclose(stream), 0);
	assert_false(fd_tracked(fd));
}

static void another_file_in_a_stream_is_no_socket(void **state)
{
	(void)state;
	int fd;
	FILE *stream = stream_of_socket(&fd);
	stream = freopen("/dev/null", "r", stream);
	assert_non_null(stream);
	assert_false(fd_tracked(fd));
	assert_int_equal(fclose(stream), 0);
}

#ifdef __GLIBC__
static void with_large_files_too(void **state)
{
	(void)state;
	int fd;
	FILE *stream = stream_of_socket(&fd);
	stream = freopen64("/dev/null", "r", stream);
	assert_non_null(stream);
	assert_false(fd_tracked(fd));
	assert_int_equal(fclose(stream), 0);
}
#endif

#if defined __GLIBC__ && __GLIBC__ * 100 + __GLIBC_MINOR__ >= 234
#define CLOSEFROM_IS_THERE
/* closefrom() below 0 closes all. */
static void all_that_is_closed_is_forgotten(void **state)
{
	(void)state;
	int status, fd = socket(AF_INET, SOCK_STREAM, 0);
	pid_t child = fork();
	if (child == 0) {
		if (dup2(fd, 0) != 0 || !fd_tracked(0))
			_exit(1);
		closefrom(-1);
		_exit(fd_tracked(0) || fd_tracked(fd) ? 2 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
}
#endif

/* The shell is started by libc, which knows nothing of the map. */
static void a_shell_has_the_map_though_the_environment_is_cleared(void **state)
{
	(void)state;
	int status;
	if (outsider(&(struct named){.directory = AT_FDCWD, .path = "/bin/sh", .envp = environ}))
		skip(); /* another machine's, or another libc's */
	pid_t child = fork();
	if (child == 0) {
		clearenv();
		status = system("test \"$IP2VSOCK_MAP\" = '127.0.0.1:*=1:*'");
		_exit(status == 0 && !environ ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_that_is_closed_is_forgotten),
		cmocka_unit_test(another_file_in_a_stream_is_no_socket),
		cmocka_unit_test(a_shell_has_the_map_though_the_environment_is_cleared),
#ifdef __GLIBC__
		cmocka_unit_test(with_large_files_too),
#endif
#ifdef CLOSEFROM_IS_THERE
		cmocka_unit_test(all_that_is_closed_is_forgotten),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, remove_directory);
}
