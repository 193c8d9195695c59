/* SPDX-License-Identifier: MIT */
/* What the environment says, read once: the map and all IP2VSOCK_* variables. The library reads it when it is
 * loaded, the command before it starts a program, so both refuse the same mistakes with the same words. */
#ifndef IP2VSOCK_SETTINGS_H
#define IP2VSOCK_SETTINGS_H

#include "map.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_CONNECT, LOG_DEBUG };

struct settings {
	const struct map *map; /* NULL: IP2VSOCK_MAP is unset or holds no rule, everything is left to IP */
	struct ranges
		ranges; /* IP2VSOCK_PEERS, IP2VSOCK_NAMES: IPv4 prefixes, /8 to /24, that don't overlap */
	const char *emulated; /* IP2VSOCK_TRANSPORT=unix:DIR: the absolute directory; NULL: kernel vsock
				 ("vsock") */
	uint32_t cid; /* IP2VSOCK_CID: this end's CID among emulated ones, default CID_LOCAL; 1 to 2^32-2 */
	enum log_level log;   /* IP2VSOCK_LOG=off|error|connect|debug[:PATH], default error */
	const char *log_path; /* absolute; NULL: stderr */
	bool follow;	      /* IP2VSOCK_FOLLOW=0|1, default 1: children keep the library and the map */
};

enum { SETTINGS_MESSAGE = 2048 };
enum {
	EXIT_REFUSED = 125
}; /* the status of a program that isn't run, or ended, as the settings or the command
      refuse it: as of env(1) */

/* Reads the environment `environ` (NULL-terminated "NAME=value" strings). Uses open, read, mmap: no malloc,
 * no stdio on the way that succeeds. What Kubernetes says of a service called ip2vsock isn't a mistake, other
 * variables that begin with IP2VSOCK_ are. The strings are copied, so the program may overwrite its
 * environment later. false: a mistake; `message` is the text for a person, whole, with newlines. errno is
 * untouched. Memory is kept for the life of the process. Not for signal handlers; call once. */
bool settings_read(struct settings *settings, char *const *environ, char message[SETTINGS_MESSAGE]);

/* Whether "NAME=value" is one of the variables that it reads, of which there are SETTINGS. Pure; safe in
 * signal handlers. */
enum { SETTINGS = 7 };
bool is_setting(const char *assignment);

#endif
