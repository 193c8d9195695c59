/* SPDX-License-Identifier: MIT */
/* The kernel's version, for behaviour that can't be found out by trying. */
#ifndef IP2VSOCK_KERNEL_H
#define IP2VSOCK_KERNEL_H

#include <stdbool.h>

/* Is the kernel older than MAJOR.MINOR, according to uname(2)? A distribution's kernel may be older and have
 * the fix, so what this decides must do no harm there. Async-signal-safe; errno is untouched. */
bool kernel_is_before(unsigned major, unsigned minor);

#endif
