/* SPDX-License-Identifier: MIT */
/* Messages of one line each, "ip2vsock: …", to stderr or to the file that IP2VSOCK_LOG names.
 * Async-signal-safe: no stdio, no malloc, no lock; errno is untouched. stderr is written to only while fd 2
 * is still the file that it was at start: a program may have closed it and opened its data there. */
#ifndef IP2VSOCK_LOG_H
#define IP2VSOCK_LOG_H

#include "core/settings.h"

void log_start(const struct settings *settings);

extern enum log_level log_limit;

/* Joins the strings. A line of more than 512 bytes is cut. */
void log_write(const char *first, ...) __attribute__((sentinel));
#define log_at(level, ...)                                                                                   \
	do {                                                                                                 \
		if (log_limit >= (level))                                                                    \
			log_write(__VA_ARGS__, (char *)NULL);                                                \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_connect(...) log_at(LOG_CONNECT, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* "ECONNREFUSED" and the like, for the errors of sockets. */
const char *log_errno(int error);

#endif
