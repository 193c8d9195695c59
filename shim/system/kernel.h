/* SPDX-License-Identifier: MIT */
/* The kernel's version, for behaviour that can't be found out by trying, and calls that the headers of an
 * older system lack. */
#ifndef IP2VSOCK_KERNEL_H
#define IP2VSOCK_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Linux 5.3, 5.9 and 5.6; the same on all architectures: include/uapi/asm-generic/unistd.h. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef CLOSE_RANGE_CLOEXEC /* Linux 5.11 */
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* A version as a number, so that two can be compared. */
#define KERNEL(major, minor, patch) ((uint64_t)(major) << 32 | (uint64_t)(minor) << 16 | (patch))

/* The kernel's version according to uname(2), whose third number distributions may use as they like; 0 if it
 * isn't known. Async-signal-safe; errno is untouched. */
uint64_t kernel_version(void);

/* Is the kernel older than MAJOR.MINOR, according to uname(2)? A distribution's kernel may be older and have
 * the fix, so what this decides must do no harm there. Async-signal-safe; errno is untouched. */
bool kernel_is_before(unsigned major, unsigned minor);
/* The same, but the kernel is asked once: the answer is kept in *known, which is 0 at first. */
bool kernel_was_before(_Atomic int *known, unsigned major, unsigned minor);

#endif
