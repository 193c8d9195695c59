/* SPDX-License-Identifier: MIT */
/* The list in LD_PRELOAD: paths separated by blanks or colons. Pure: no allocation, no errno; safe in signal
 * handlers. */
#ifndef IP2VSOCK_PRELOAD_LIST_H
#define IP2VSOCK_PRELOAD_LIST_H

#include <stddef.h>

/* The entry that is this library, wherever it is installed. *length 0: there is none. */
const char *preload_list_find(const char *list, size_t *length);

/* Writes `list` (NULL: none) with the library in it exactly once: first, but after the runtimes of
 * sanitizers, which must come first. `to` has room for strlen(list) + strlen(library) + 3 bytes. Returns the
 * length. */
size_t preload_list_complete(const char *library, const char *list, char *to);

/* Writes `list` without the library. `to` has room for strlen(list) + 1 bytes, and may be `list` itself. */
void preload_list_remove(const char *list, char *to);

#endif
