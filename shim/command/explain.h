/* SPDX-License-Identifier: MIT */
/* What the map means, in words: ip2vsock --check and --explain. */
#ifndef IP2VSOCK_EXPLAIN_H
#define IP2VSOCK_EXPLAIN_H

#include "core/settings.h"

/* Prints the map as it was understood, itself a map, and warns of rules that no address can reach. */
void explain_map(const struct map *map);

/* Prints which rule decides about "HOST:PORT" and what happens then. false: the text isn't HOST:PORT. */
bool explain_address(const struct settings *settings, enum side side, const char *text);

#endif
