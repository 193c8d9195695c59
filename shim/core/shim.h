/* SPDX-License-Identifier: MIT */
/* What the library was told at start. Read-only afterwards. */
#ifndef IP2VSOCK_SHIM_H
#define IP2VSOCK_SHIM_H

#include "settings.h"

extern struct settings shim;
extern struct summary shim_rules; /* of its map */

/* Once, at start, with a map: from here on the hooks take part. */
void shim_start(const struct settings *settings);

/* No map, nothing to do: the hooks pass everything on. */
static inline bool shim_active(void)
{
	return shim.map != NULL;
}

#endif
