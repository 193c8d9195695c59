/* SPDX-License-Identifier: MIT */
/* Where the library is, and LD_PRELOAD with it. */
#ifndef IP2VSOCK_PRELOAD_H
#define IP2VSOCK_PRELOAD_H

#include <limits.h>
#include <stdbool.h>

/* Finds the library by where the running command lies (core/installation.h).
 * false: `message` says why not. */
enum { PRELOAD_MESSAGE = 3 * PATH_MAX };
bool preload_library(char library[PATH_MAX], char message[PRELOAD_MESSAGE]);

/* `present`, LD_PRELOAD's value or NULL, with the library once: in front, but behind the runtimes of
 * sanitizers, which must be the first. Freed by the caller; NULL without memory. */
char *preload_value(const char *library, const char *present);
/* `present` without the library. Freed by the caller; NULL without memory. */
char *preload_without(const char *present);

#endif
