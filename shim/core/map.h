/* SPDX-License-Identifier: MIT */
/* The address map: which TCP address goes where. Built once from text, then read-only: look-ups take no lock,
 * allocate nothing, don't touch errno and are safe in any thread and signal handler. Pure: no system call;
 * files and memory come through struct map_source. ip2vsock-map(5) is the grammar. */
#ifndef IP2VSOCK_MAP_H
#define IP2VSOCK_MAP_H

#include "endpoint.h"
#include "greeting.h"

enum side { SIDE_CONNECT, SIDE_LISTEN };
enum target_kind {
	TARGET_CID,
	TARGET_UNIX,
	TARGET_FIRECRACKER,
	TARGET_SOCKS5,
	TARGET_HTTP,
	TARGET_NAMES,
	TARGET_REFUSE,
	TARGET_DIRECT,
	TARGET_KINDS
};

/* What the kinds of target have in common; map_target.c says which has what. */
enum target_property {
	TARGET_LEADS = 1,	 /* a connection goes somewhere, so that the names of its rules resolve */
	TARGET_CARRIED = 2,	 /* over a transport, which options can bear on */
	TARGET_TAKES_TIME = 4,	 /* an attempt may take long: timeout= */
	TARGET_KNOWS_PEERS = 8,	 /* an accepted connection says whose it is: allow= */
	TARGET_FROM_AFAR = 16,	 /* accepted connections come from another machine, whose CID nobody says */
	TARGET_LOGS_IN = 32,	 /* the greeting may carry a user and a password: login= */
	TARGET_TAKES_NAMES = 64, /* a bare * takes names, too: the other end resolves them */
};

enum host_kind { HOST_ANY, HOST_PREFIX, HOST_LOCALHOST, HOST_NAME, HOST_SUFFIX };

/* The HOST of a rule. HOST_LOCALHOST is 127/8, ::1 and the name. */
struct host {
	enum host_kind kind;
	struct prefix prefix; /* HOST_PREFIX */
	uint8_t name_length;
	const char *
		name; /* HOST_NAME, and HOST_SUFFIX without its "*."; lower case, no final dot, ends in NUL */
};

struct target {
	enum target_kind kind;
	uint32_t cid;	     /* where there is no path; CID_ANY only for a listen rule */
	uint32_t port_first; /* the vsock port of the pattern's first port, of a proxy its only one; unused
				if keep_port */
	uint32_t port_last;  /* of its last port; equal to port_first: all of the pattern's ports go to this
				one */
	bool keep_port;	     /* the vsock port is the TCP port */
	int error;	     /* TARGET_REFUSE: the errno */
	const char *path;    /* of a Unix socket: absolute, as written, {port} and {host} still in it; ends in
				NUL. NULL: the target is a CID, or none */
	bool needs_host; /* an address must lead back to its name: {host} occurs in the path, or a proxy is
			    asked for it */
};

struct rule {
	enum side side;
	uint32_t number;       /* 1, 2, … over all sources: the order in which rules are tried */
	uint32_t line, column; /* in its source */
	const char *source;    /* "IP2VSOCK_MAP", "-m", a file's path; ends in NUL */
	const char *text;      /* the rule as written, trimmed; text_length bytes, no NUL */
	uint32_t text_length;
	struct host host;
	uint16_t port_first, port_last; /* the pattern's; 0 to 65535 for "*", which alone takes port 0 */
	struct target target;
	uint32_t retry_ms;	/* 0: don't */
	uint32_t timeout_ms;	/* 0: the kernel's default */
	uint32_t buffer;	/* bytes, default BUFFER_DEFAULT */
	uint32_t chunk;		/* bytes that are written at once at most; 0: no limit */
	const char *login;	/* "USER:PASSWORD", login_length bytes, no NUL; NULL: none. Never shown */
	const char *login_path; /* the file that it is from; ends in NUL */
	uint16_t login_length;
	const uint32_t *allow; /* CIDs; allow_count of them, none: everybody */
	uint32_t allow_count;
};

enum { BUFFER_DEFAULT = 1 << 20 };
enum { MAP_TEXT_LIMIT = 8 << 20 }; /* bytes of text, all sources together */

/* What was wrong, where. Rules, lines and columns count from 1, columns in bytes of the line as written.
 * `rule` is 0 where the place is no rule (an @FILE, a comment), `line` where there is no place. */
struct map_error {
	char source[128];
	uint32_t rule, line, column;
	char line_text[256]; /* the part of the line around the place; caret is the place's offset in it */
	uint32_t caret;
	char what[256]; /* "expected a port (1 to 65535), * or n-m, found “https”" */
	char hint[256]; /* "" if there is none */
};

/* Where the text and the memory come from. `memory` returns zeroed memory for as long as the map lives,
 * aligned for any type, or NULL. `read` gives the text of a file that "@PATH" names: 0, or an errno (EFBIG:
 * larger than MAP_TEXT_LIMIT, EINVAL: not a regular file). */
struct map_source {
	void *(*memory)(void *context, size_t size);
	int (*read)(void *context, const char *path, const char **text, size_t *length);
	void *context;
};

struct map;

/* Builds a map from `text` (rules, and @FILE where a rule may stand). NULL on an error, with *error filled
 * in. `name` is what errors call the text. The text and what `read` gave must live as long as the map. */
const struct map *map_build(const char *name, const char *text, size_t length, const struct ranges *ranges,
	const struct map_source *source, struct map_error *error);

/* The message for a person: "ip2vsock: …: rule 3, column 12: expected …", the line, the caret, the hint.
 * Returns its length; always ends in NUL, cut to `size`. */
size_t map_error_format(const struct map_error *error, char *text, size_t size);

/* What a map asks for, as a whole. A rule: one of that kind, NULL: there is none. */
struct summary {
	uint32_t listen_rules, names_rules, unix_rules; /* how many listen, have the target names, unix: */
	bool cids;					/* a rule has a CID as its target */
	const struct rule *at_local;			/* listens at CID 1 */
	const struct rule *to_remote;			/* connects to another machine */
	const struct rule *low_port;			/* listens on a vsock port below 1024 */
	const struct rule *at_one_cid;			/* listens at the CID of one transport, not 1 */
};
const struct summary *map_summary(const struct map *map);

uint32_t map_count(const struct map *map); /* rules */
const struct rule *map_rule(const struct map *map, uint32_t index);

/* The first rule that takes this address, NULL: none, leave it to IP. An address in the names range is looked
 * up as the host pattern it stands for. For SIDE_CONNECT a wildcard address means this host, as in TCP; for
 * SIDE_LISTEN 0.0.0.0 and :: are the same. */
const struct rule *map_find(const struct map *map, enum side side, const struct address *address);
/* The same for a host name or a numeric host (no brackets). `host` need not end in NUL. */
const struct rule *map_find_host(
	const struct map *map, enum side side, const char *host, size_t length, uint16_t port);

/* The vsock port, or PORT_ANY where `port` is 0 and the rule keeps ports: any free one. Of a target with a
 * CID, and of TARGET_FIRECRACKER in a connect rule. */
uint32_t rule_port(const struct rule *rule, uint16_t port);
/* Fills in {port} and {host} ("*", if the host isn't known, never happens on a checked map). Of a target with
 * a path. false: the path wouldn't fit a sockaddr_un, or {host} holds a slash. */
bool rule_path(const struct rule *rule, const char *host, uint16_t port, char path[108]);
/* The first listen rule with a CID that leads to this vsock port, among at most `most` of them; *own is the
 * TCP port that it stands for. NULL: none. */
const struct rule *map_listener(const struct map *map, uint32_t port, uint32_t most, uint16_t *own);
/* The rule as it was understood, one line, in canonical form (what --check prints). */
size_t rule_format(const struct rule *rule, char *text, size_t size);
bool target_has(const struct rule *rule, unsigned properties); /* all of these: enum target_property */
const char *target_word(const struct rule *rule);	       /* of its kind: "unix"; NULL: a CID */
bool target_has_cid(const struct rule *rule); /* it leads to target.cid, and target.path is NULL */
enum greeting_kind target_greeting(const struct rule *rule); /* how a connection by the rule begins */

/* What --explain says of a rule, in whole lines: where this address goes, and what the options do. */
struct asked {
	enum side side; /* what the program does: a connection may end at a listen rule */
	const char *host;
	uint16_t port;
	const char *emulated; /* the directory of emulated CIDs; NULL: none */
	uint32_t own_cid;     /* this end's, if emulated */
};
size_t rule_explain(const struct rule *rule, const struct asked *asked, char *text, size_t size);
/* The earlier rule that takes all that this one matches, so that nothing can reach it; the rule itself where
 * its own pattern is to blame (connect to 0.0.0.0 or [::], which is looked up as loopback). NULL: none, or
 * none so simple. */
const struct rule *map_shadowed_by(const struct map *map, const struct rule *rule);

#endif
