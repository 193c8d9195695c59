/* SPDX-License-Identifier: MIT */
#include "log.h"

#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum log_level log_limit = LOG_ERROR;
static const char *path;
static struct stat at_start; /* what number 2 was; st_ino 0: closed */

void log_start(const struct settings *settings)
{
	log_limit = settings->log;
	path = settings->log_path;
	int saved = errno;
	if (!path && log_limit > LOG_OFF)
		fstat(STDERR_FILENO, &at_start);
	errno = saved;
}

static bool stderr_is_as_it_was(void)
{
	struct stat now;
	return at_start.st_ino && fstat(STDERR_FILENO, &now) == 0 && now.st_ino == at_start.st_ino &&
	       now.st_dev == at_start.st_dev;
}

void log_write(const char *first, ...)
{
	int saved = errno;
	char line[512] = "ip2vsock: ";
	size_t used = strlen(line);
	va_list list;
	va_start(list, first);
	for (const char *part = first; part; part = va_arg(list, const char *))
		while (*part && used < sizeof line - 1)
			line[used++] = *part++;
	va_end(list);
	line[used++] = '\n';

	ssize_t written = 0;
	if (path) { /* opened each time: a library keeps no fd in a program that may close them all */
		int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
		if (fd >= 0) {
			written = write(fd, line, used);
			libc.close(fd);
		}
	} else if (stderr_is_as_it_was()) {
		written = write(STDERR_FILENO, line, used);
	}
	(void)written;
	errno = saved;
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
		NAMED(EPERM)
		NAMED(ETIMEDOUT)
	default:
		return "another error";
	}
#undef NAMED
}
