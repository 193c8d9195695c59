/* SPDX-License-Identifier: MIT */
/* The settings in the environment, read once: the map and all IP2VSOCK_* variables. The library reads them
 * when it is loaded, and the command before it starts a program, so both refuse the same mistakes with the
 * same messages. */
#ifndef IP2VSOCK_SETTINGS_H
#define IP2VSOCK_SETTINGS_H

#include "map.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_CONNECT, LOG_DEBUG };

struct settings {
	const struct map *map; /* NULL: IP2VSOCK_MAP is unset or has no rules, and everything is left to IP */
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
}; /* the exit status if the settings or the command refuse a program: that of env(1) */

/* Reads the environment `environ` (NULL-terminated "NAME=value" strings). If all goes well, it uses only
 * open, read and mmap: no malloc and no stdio. Variables that Kubernetes sets for a service called ip2vsock
 * aren't a mistake; other unknown variables that begin with IP2VSOCK_ are. The strings are copied, so the
 * program may overwrite its environment later. false: there is a mistake, and `message` is the complete text
 * for the user, with newlines. errno is untouched. Memory is kept for the life of the process. Not for signal
 * handlers; call once. */
bool settings_read(struct settings *settings, char *const *environ, char message[SETTINGS_MESSAGE]);

/* Is "NAME=value" one of the variables that settings_read() reads? There are SETTINGS of them. Pure; safe in
 * signal handlers. */
enum { SETTINGS = 7 };
bool is_setting(const char *assignment);

#endif
