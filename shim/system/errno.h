/* SPDX-License-Identifier: MIT */
/* How a call fails, and how it releases what it held without changing errno. Async-signal-safe. */
#ifndef IP2VSOCK_ERRNO_H
#define IP2VSOCK_ERRNO_H

#include "core/errno.h"
#include "libc.h"

/* Sets errno and returns -1. */
static inline int fail(int error)
{
	errno = error;
	return -1;
}

/* close(2); errno is untouched. */
static inline void close_quietly(int fd)
{
	KEEP_ERRNO;
	libc.close(fd);
}

#endif
