/* SPDX-License-Identifier: MIT */
/* Mapped names and the addresses that stand for them. An address stands for a host pattern of the map (the
 * k-th named pattern is names + k, counted from 1 in the order of the map), so nothing is stored, and every
 * process with the same map gives the same answer. Only a glob whose target contains {host} or is a proxy
 * needs an address for each name: these are kept in a table of this process (a child of fork() has it as it
 * was). errno is untouched; no lock is held while waiting. Safe in any thread; names_address isn't for signal
 * handlers. */
#ifndef IP2VSOCK_NAMES_H
#define IP2VSOCK_NAMES_H

#include "map.h"

enum { NAME_TEXT = 256 };	      /* a host name with its NUL */
enum { NAMES_DYNAMIC_LIMIT = 16384 }; /* names under globs that need the host, in a process */

enum names_answer { NAMES_TAKEN, NAMES_NOT_TAKEN, NAMES_FULL };

/* Does the map take this name? It does if the first rule that matches leads somewhere (its target is a CID,
 * unix:, a proxy or names): for `port`, or, if that is -1, for any port. A bare * takes names only if it
 * leads to a proxy; localhost and numeric hosts aren't names. If the name is taken, *ipv4 and *ipv6 are its
 * addresses (port 0). */
enum names_answer names_address(
	const struct map *map, const char *name, int port, struct address *ipv4, struct address *ipv6);

/* The name or pattern ("api.example.com", "*.example.com") that an address of the names range stands for.
 * false: it stands for nothing. *is_pattern: it is a glob. */
bool names_host(const struct map *map, const struct address *address, char name[NAME_TEXT], bool *is_pattern);

/* The {host} of a path: the name that the address stands for, or the address as text. */
void names_host_text(const struct map *map, const struct address *address, char host[NAME_TEXT]);

/* Is this a numeric host that a connect rule matches, with any port, or an address of the reserved ranges? */
bool names_numeric(const struct map *map, const char *host);

#endif
