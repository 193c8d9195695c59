/* SPDX-License-Identifier: MIT */
/* errno as the program sees it: what runs beside its own calls, at start and in its signal handlers leaves it
 * alone. */
#ifndef IP2VSOCK_CORE_ERRNO_H
#define IP2VSOCK_CORE_ERRNO_H

#include <errno.h>

/* When the block that this stands in ends, errno is what it was here. */
#define KEEP_ERRNO __attribute__((cleanup(errno_again), unused)) const int errno_kept = errno

static inline void errno_again(const int *kept)
{
	errno = *kept;
}

#endif
