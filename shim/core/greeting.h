/* SPDX-License-Identifier: MIT */
/* What is said on a fresh connection before it is the program's: where it is to lead from there. One who
 * greets sends greeting_request(), gives greeting_take() the bytes that come, and begins again while that
 * says GREETING_NEXT. Pure: bytes in, bytes out; no system call, errno untouched; safe in any thread and
 * signal handler.
 *
 * GREETING_FIRECRACKER: docs/vsock.md of Firecracker 1.16, Cloud Hypervisor 49, vhost-device-vsock 0.3.
 * GREETING_SOCKS5: RFC 1928, and RFC 1929 with a login. GREETING_HTTP: CONNECT, RFC 9110, 9.3.6. */
#ifndef IP2VSOCK_GREETING_H
#define IP2VSOCK_GREETING_H

#include "endpoint.h"

enum greeting_kind { GREETING_NONE, GREETING_FIRECRACKER, GREETING_SOCKS5, GREETING_HTTP, GREETING_KINDS };

/* What is asked for. */
struct greeting_wish {
	enum greeting_kind kind;
	uint32_t port;		/* GREETING_FIRECRACKER: vsock's; else TCP's */
	const char *name;	/* of the host; NULL: none is known, the address is asked for */
	struct address address; /* without `name`; its port is `port` */
	const char *login;	/* "USER:PASSWORD", login_length bytes; NULL: none */
	size_t login_length;
};

enum {
	GREETING_REQUEST = 2048, /* more than any request has */
	GREETING_ANSWER = 64,	 /* how much of an answer is kept */
	GREETING_LOGIN = 255,	 /* the longest user and the longest password, by RFC 1929 */
};

/* How far a greeting has got. Zero-filled: nothing was said yet. */
struct greeting {
	uint8_t step;	 /* of those that the kind has */
	bool sent;	 /* the request of this step */
	uint8_t line;	 /* GREETING_HTTP: how much of the present header line has come, at most 255 */
	uint16_t length; /* of this step's answer so far */
	char answer[GREETING_ANSWER]; /* its first bytes */
	int error;		      /* with which connect() fails */
	bool refused;		      /* by an answer that is one: the other end says no */
};

/* The request of this step, which must arrive whole; returns its length. */
size_t greeting_request(
	const struct greeting *greeting, const struct greeting_wish *wish, char to[GREETING_REQUEST]);

enum greeting_outcome {
	GREETING_MORE,	  /* is to come */
	GREETING_NEXT,	  /* the next request is to be sent */
	GREETING_DONE,	  /* what follows is the program's */
	GREETING_REFUSED, /* the other end says no: greeting->error */
	GREETING_WRONG,	  /* this is no answer: greeting->error */
};
/* Looks at what has arrived. *taken: how many bytes of it belong to the greeting. */
enum greeting_outcome greeting_take(struct greeting *greeting, const struct greeting_wish *wish,
	const char *bytes, size_t size, size_t *taken);

/* How long to wait for an answer if the rule doesn't say, in ms. */
uint32_t greeting_patience(enum greeting_kind kind);

/* For messages. What came instead of an answer: printable, with the other bytes as "?". */
void greeting_quote(const struct greeting *greeting, char text[GREETING_ANSWER + 1]);
const char *greeting_expected(enum greeting_kind kind); /* "an answer of …" */
/* What to do about a refusal that is the map's fault: the login, or that there is none. NULL: it isn't. */
const char *greeting_remedy(const struct greeting *greeting, enum greeting_kind kind, bool login);

#endif
