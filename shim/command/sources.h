/* SPDX-License-Identifier: MIT */
/* Where the command's map comes from: -m rules, then -f files, then the environment's IP2VSOCK_MAP, joined to
 * the one IP2VSOCK_MAP that the program gets. What the command line says is checked by itself first, so that
 * a mistake is reported where it was made; settings_read() has checked the environment. */
#ifndef IP2VSOCK_SOURCES_H
#define IP2VSOCK_SOURCES_H

#include "core/map.h"

struct sources {
	const struct ranges *ranges;
	char *map; /* so far; lines of #source in it say where the rules below them were written */
	size_t length;
	char message[2048]; /* of the last mistake, a text for a person with its newlines */
};

/* In the order of the map. false: a mistake, see message. */
bool sources_add_rule(struct sources *sources, const char *rule);
bool sources_add_file(struct sources *sources, const char *path);
void sources_add_environment(struct sources *sources, const char *map);

/* The joined map, of the sources. NULL: larger than the kernel lets a variable be, see message. */
const char *sources_map(struct sources *sources);

#endif
