/* SPDX-License-Identifier: MIT */
/* The kernel's version, for behaviour that can't be found out by trying. */
#ifndef IP2VSOCK_KERNEL_H
#define IP2VSOCK_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

/* A version as a number, so that two can be compared. */
#define KERNEL(major, minor, patch) ((uint64_t)(major) << 32 | (uint64_t)(minor) << 16 | (patch))

/* The kernel's version according to uname(2), whose third number distributions may use as they like; 0 if it
 * isn't known. Async-signal-safe; errno is untouched. */
uint64_t kernel_version(void);

/* Is the kernel older than MAJOR.MINOR, according to uname(2)? A distribution's kernel may be older and have
 * the fix, so what this decides must do no harm there. Async-signal-safe; errno is untouched. */
bool kernel_is_before(unsigned major, unsigned minor);

#endif
