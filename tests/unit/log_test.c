/* SPDX-License-Identifier: MIT */
/* What is logged, and where: to a file, or to stderr as it was at start, with no trace in the program. */
#include "emulated.h"
#include "system/log.h"

#include <fcntl.h>
#include <signal.h>

static char path[sizeof folder + 8], said[2048];
static int own_stderr;

static int set_up(void **state)
{
	if (make_directory(state) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/log", folder);
	own_stderr = libc.fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, NULL);
	return own_stderr < 0;
}

static int tear_down(void **state)
{
	log_start(&(struct settings){.log = LOG_OFF});
	libc.dup2(own_stderr, STDERR_FILENO);
	libc.close(own_stderr);
	return remove_directory(state);
}

static const char *what_it_says(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, said, sizeof said - 1);
	assert_true(got >= 0);
	said[got] = '\0';
	if (fd >= 0)
		close(fd);
	return said;
}

/* errno stays, whatever happens. */
static void log_line(const char *text)
{
	errno = 4242;
	log_error("a ", text);
	assert_int_equal(errno, 4242);
}

static void lines_are_appended_to_a_file(void **state)
{
	(void)state;
	struct stat file;
	int fds = count_fds();
	log_start(&(struct settings){.log = LOG_ERROR, .log_path = path});
	log_line("line");
	log_line("second");
	log_connect("not this");
	log_debug("nor this");
	assert_string_equal(what_it_says(path), "ip2vsock: a line\nip2vsock: a second\n");
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	assert_int_equal(count_fds(), fds);
	log_start(&(struct settings){.log = LOG_DEBUG, .log_path = path});
	log_connect("this");
	log_debug("and this");
	assert_non_null(strstr(what_it_says(path), "second\nip2vsock: this\nip2vsock: and this\n"));
}

static void a_long_line_is_cut(void **state)
{
	(void)state;
	char text[600];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	log_start(&(struct settings){.log = LOG_ERROR, .log_path = path});
	log_line(text);
	assert_int_equal(strlen(what_it_says(path)), 512);
	assert_int_equal(strspn(said + sizeof "ip2vsock: a", "x"), 512 - sizeof "ip2vsock: a" - 1);
	assert_int_equal(said[511], '\n');
}

static void a_link_is_not_followed_and_nobody_waited_for(void **state)
{
	(void)state;
	char other[sizeof path];
	snprintf(other, sizeof other, "%s/other", folder);
	log_start(&(struct settings){.log = LOG_ERROR, .log_path = path});
	assert_int_equal(symlink(other, path), 0);
	log_line("line");
	assert_int_equal(access(other, F_OK), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	log_line("line");
}

static void where_stderr_was_closed_nothing_is_written(void **state)
{
	(void)state;
	libc.close(STDERR_FILENO);
	log_start(&(struct settings){.log = LOG_ERROR});
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	libc.dup2(fd, STDERR_FILENO);
	log_line("line");
	if (fd != STDERR_FILENO)
		close(fd);
	libc.dup2(own_stderr, STDERR_FILENO);
	assert_string_equal(what_it_says(path), "");
}

/* A program may have put its data where stderr was. */
static void stderr_is_written_to_while_it_is_what_it_was(void **state)
{
	(void)state;
	char other[sizeof path];
	snprintf(other, sizeof other, "%s/other", folder);
	int first = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
	    second = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	libc.dup2(first, STDERR_FILENO);
	log_start(&(struct settings){.log = LOG_ERROR});
	log_line("line");
	libc.dup2(second, STDERR_FILENO);
	log_line("data");
	libc.close(STDERR_FILENO);
	log_line("nobody");
	libc.dup2(first, STDERR_FILENO);
	log_line("again");
	libc.dup2(own_stderr, STDERR_FILENO);
	close(first);
	close(second);
	assert_string_equal(what_it_says(other), "");
	assert_string_equal(what_it_says(path), "ip2vsock: a line\nip2vsock: a again\n");
}

static bool pipe_is_pending(void)
{
	sigset_t set;
	sigpending(&set);
	return sigismember(&set, SIGPIPE);
}

/* Nobody reads stderr: that is no signal of the program's; one that it had already stays. */
static void a_reader_that_has_gone_is_no_signal(void **state)
{
	(void)state;
	sigset_t blocked, before;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	libc.dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	log_start(&(struct settings){.log = LOG_ERROR});
	signal(SIGPIPE, SIG_DFL);
	log_line("line"); /* it would end here */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGPIPE);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	log_line("line");
	raise(SIGPIPE);
	log_line("line");
	assert_true(pipe_is_pending());
	signal(SIGPIPE, SIG_IGN); /* which takes it away */
	assert_false(pipe_is_pending());
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void errors_have_their_names(void **state)
{
	(void)state;
#define IS(name) assert_string_equal(log_errno(name), #name)
	IS(EACCES);
	IS(EADDRINUSE);
	IS(EADDRNOTAVAIL);
	IS(EAFNOSUPPORT);
	IS(ECONNREFUSED);
	IS(ECONNRESET);
	IS(EHOSTUNREACH);
	IS(EINPROGRESS);
	IS(EINTR);
	IS(EMFILE);
	IS(ENETUNREACH);
	IS(ENFILE);
	IS(ENODEV);
	IS(ENOMEM);
	IS(ENOSYS);
	IS(EPERM);
	IS(ESRCH);
	IS(ETIMEDOUT);
	assert_string_equal(log_errno(EXDEV), "another error");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(where_stderr_was_closed_nothing_is_written), /* first: that is found out once */
		TEST(lines_are_appended_to_a_file),
		TEST(a_long_line_is_cut),
		TEST(a_link_is_not_followed_and_nobody_waited_for),
		TEST(stderr_is_written_to_while_it_is_what_it_was),
		TEST(a_reader_that_has_gone_is_no_signal),
		cmocka_unit_test(errors_have_their_names),
	};
	libc_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
