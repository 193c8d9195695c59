/* SPDX-License-Identifier: MIT */
/* What the library was told at start. Read-only afterwards. */
#ifndef IP2VSOCK_SHIM_H
#define IP2VSOCK_SHIM_H

#include "settings.h"

extern struct settings shim;
extern uint32_t shim_listen_rules; /* how many of the map's rules are listen rules */
extern uint32_t shim_names_rules;  /* … and how many have the target names */

/* Once, at start, with a map: from here on the hooks take part. */
void shim_start(const struct settings *settings);

/* No map, nothing to do: the hooks pass everything on. */
static inline bool shim_active(void)
{
	return shim.map != NULL;
}

#endif
