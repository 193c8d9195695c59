/* SPDX-License-Identifier: MIT */
#include "log.h"

#include "cancel.h"
#include "core/errno.h"
#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum log_level log_limit = LOG_ERROR;
static const char *path;
static struct stat at_start; /* the file on fd 2 at start; st_ino 0: it was closed */

void log_start(const struct settings *settings)
{
	log_limit = settings->log;
	path = settings->log_path;
	KEEP_ERRNO;
	if (!path && log_limit > LOG_OFF)
		fstat(STDERR_FILENO, &at_start);
}

static bool stderr_is_as_it_was(void)
{
	struct stat now;
	return at_start.st_ino && fstat(STDERR_FILENO, &now) == 0 && now.st_ino == at_start.st_ino &&
	       now.st_dev == at_start.st_dev;
}

/* If nobody reads any more, a message of ours must not end the program. */
static void write_quietly(int fd, const char *line, size_t size)
{
	sigset_t pipe, before;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe,
		&before); /* of this thread, like pthread_sigmask(), which isn't in libc before glibc 2.32 */
	if (write(fd, line, size) < 0 && errno == EPIPE && !sigismember(&before, SIGPIPE))
		sigtimedwait(&pipe, NULL, &(struct timespec){0, 0});
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void log_write(const char *first, ...)
{
	KEEP_ERRNO;
	int outer = cancel_later();
	char line[512] = "ip2vsock: ";
	size_t used = strlen(line);
	va_list list;
	va_start(list, first);
	for (const char *part = first; part; part = va_arg(list, const char *))
		while (*part && used < sizeof line - 1)
			line[used++] = *part++;
	va_end(list);
	line[used++] = '\n';

	if (path) { /* opened each time: a library can't keep an fd in a program that may close them all */
		int fd = open(path,
			O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
			0600); /* O_NONBLOCK: it may be a FIFO that nobody reads */
		if (fd >= 0) {
			write_quietly(fd, line, used);
			libc.close(fd);
		}
	} else if (stderr_is_as_it_was()) {
		write_quietly(STDERR_FILENO, line, used);
	}
	cancel_as_before(outer);
}

const char *log_errno(int error)
{
#define NAMED(name)                                                                                          \
	case name:                                                                                           \
		return #name;
	switch (error) {
		NAMED(EACCES)
		NAMED(EADDRINUSE)
		NAMED(EADDRNOTAVAIL)
		NAMED(EAFNOSUPPORT)
		NAMED(ECONNREFUSED)
		NAMED(ECONNRESET)
		NAMED(EHOSTUNREACH)
		NAMED(EINPROGRESS)
		NAMED(EINTR)
		NAMED(EMFILE)
		NAMED(ENETUNREACH)
		NAMED(ENFILE)
		NAMED(ENODEV)
		NAMED(ENOMEM)
		NAMED(ENOSYS)
		NAMED(EPERM)
		NAMED(ESRCH)
		NAMED(ETIMEDOUT)
	default:
		return "another error";
	}
#undef NAMED
}
