/* SPDX-License-Identifier: MIT */
/* Where the command's map comes from: -m rules, then -f files, then the environment's IP2VSOCK_MAP, joined to
 * the one IP2VSOCK_MAP that the program gets. What the command line says is checked by itself first, so that
 * a mistake is told where it was made; settings_read() has checked the environment. */
#ifndef IP2VSOCK_SOURCES_H
#define IP2VSOCK_SOURCES_H

#include "core/map.h"

struct source {
	const char *name;	    /* "-m", a file's path, "IP2VSOCK_MAP" */
	char *text;		    /* what stands for it in the joined map */
	uint32_t first_line, lines; /* there */
};

struct sources {
	const struct ranges *ranges;
	struct source *list;
	size_t count;
	char message[2048]; /* of the last mistake, a text for a person with its newlines */
};

/* In the order of the map. false: a mistake, see message. */
bool sources_add_rule(struct sources *sources, const char *rule);
bool sources_add_file(struct sources *sources, const char *path);
void sources_add_environment(struct sources *sources, const char *map);

/* The joined map, to be freed. NULL: larger than the kernel lets a variable be, see message. */
char *sources_join(struct sources *sources);

/* Where a rule of the joined map was written. */
void sources_origin(
	const struct sources *sources, const struct rule *rule, const char **name, uint32_t *line);

#endif
