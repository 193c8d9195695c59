/* SPDX-License-Identifier: MIT */
/* Does this process have a supervisor (shim/outside)? A process asks with a call that the kernel itself
 * refuses, and that only a supervisor answers. */
#ifndef IP2VSOCK_SUPERVISED_H
#define IP2VSOCK_SUPERVISED_H

#include "core/settings.h"

#include <stdbool.h>
#include <stdint.h>

enum { SUPERVISED_QUESTION = 0x76736f63 }; /* the level of a getsockopt() on fd -1 */

/* *identity: that of the supervisor's map. errno is untouched; async-signal-safe. */
bool supervised(uint64_t *identity);
/* A hash of the map, and of all settings that decide about connections: equal if they are the same. Not for
 * signal handlers. */
uint64_t supervised_identity(const struct settings *settings);

#endif
