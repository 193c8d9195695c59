/* SPDX-License-Identifier: MIT */
/* The library's settings, set once at start. Read-only afterwards. */
#ifndef IP2VSOCK_SHIM_H
#define IP2VSOCK_SHIM_H

#include "settings.h"

extern struct settings shim;
extern struct summary shim_rules; /* of its map */

/* Once, at start, if there is a map: from here on the hooks take effect. */
void shim_start(const struct settings *settings);

/* Without a map there is nothing to do: the hooks pass everything on. */
static inline bool shim_active(void)
{
	return shim.map != NULL;
}

#endif
