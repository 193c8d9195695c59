/* SPDX-License-Identifier: MIT */
/* Which file a program's name means. */
#ifndef IP2VSOCK_SEARCH_H
#define IP2VSOCK_SEARCH_H

#include <limits.h>

/* As execvp: a directory of PATH (NULL: unset) without the file, or with one that mustn't be executed, is
 * passed by. 0, or an errno; errno itself is whatever the search left. Async-signal-safe, no cancellation
 * point. */
int search_program(const char *name, const char *directories, char path[PATH_MAX]);

#endif
