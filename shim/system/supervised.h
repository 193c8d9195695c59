/* SPDX-License-Identifier: MIT */
/* Is this process below a supervisor (shim/outside)? A supervised process asks by a call that the kernel
 * itself refuses, and only its supervisor answers. */
#ifndef IP2VSOCK_SUPERVISED_H
#define IP2VSOCK_SUPERVISED_H

#include "core/settings.h"

#include <stdbool.h>
#include <stdint.h>

enum { SUPERVISED_QUESTION = 0x76736f63 }; /* the level of a getsockopt() on fd -1 */

/* *identity: of its map. errno is untouched; async-signal-safe. */
bool supervised(uint64_t *identity);
/* What tells one map from another, together with all settings that decide about connections. Not for signal
 * handlers. */
uint64_t supervised_identity(const struct settings *settings);

#endif
