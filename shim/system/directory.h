/* SPDX-License-Identifier: MIT */
/* What is in a directory, most often one of /proc. Async-signal-safe; errno is undefined afterwards. */
#ifndef IP2VSOCK_DIRECTORY_H
#define IP2VSOCK_DIRECTORY_H

#include <stdbool.h>

/* Calls `each` with every name in the directory, "." and ".." too, until it returns false. directory: an fd
 * of it. false: it can't be opened, or not be read to its end. */
bool directory_each(
	const char *path, bool (*each)(void *context, int directory, const char *name), void *context);

#endif
