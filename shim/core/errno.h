/* SPDX-License-Identifier: MIT */
/* errno as the program sees it: code that runs beside the program's own calls, at start, or in its signal
 * handlers, leaves it unchanged. */
#ifndef IP2VSOCK_CORE_ERRNO_H
#define IP2VSOCK_CORE_ERRNO_H

#include <errno.h>

/* When the enclosing block ends, errno is what it was here. */
#define KEEP_ERRNO __attribute__((cleanup(errno_again), unused)) const int errno_kept = errno

static inline void errno_again(const int *kept)
{
	errno = *kept;
}

#endif
