/* SPDX-License-Identifier: MIT */
/* The time since some moment before the start; adjusting the date doesn't change it. Async-signal-safe; errno
 * is untouched. */
#ifndef IP2VSOCK_CLOCK_H
#define IP2VSOCK_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t now_ms(void)
{
	return now_ns() / 1000000;
}

#endif
