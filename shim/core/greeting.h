/* SPDX-License-Identifier: MIT */
/* What is said on a fresh connection before it is the program's: the port that a Unix socket of Firecracker's
 * family is to lead to. Pure: bytes in, bytes out; no system call, no errno; safe in any thread and signal
 * handler. */
#ifndef IP2VSOCK_GREETING_H
#define IP2VSOCK_GREETING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum greeting_kind { GREETING_NONE, GREETING_FIRECRACKER };

/* The longest answer, with its newline: docs/vsock.md of Firecracker 1.16; Cloud Hypervisor 49 and
 * vhost-device-vsock 0.3 send less. */
enum { GREETING_ANSWER = 32, GREETING_REQUEST = 32 };

struct greeting {
	enum greeting_kind kind;
	bool sent;	/* the request */
	uint8_t length; /* of the answer so far */
	char answer[GREETING_ANSWER];
};

/* The request, which must arrive whole; returns its length. */
size_t greeting_request(const struct greeting *greeting, uint32_t port, char to[GREETING_REQUEST]);

enum greeting_outcome { GREETING_MORE, GREETING_DONE, GREETING_WRONG };
/* Looks at what has arrived. *taken: how many bytes of it belong to the greeting; what follows is the
 * program's. */
enum greeting_outcome greeting_take(struct greeting *greeting, const char *bytes, size_t size, size_t *taken);

/* What came instead of the answer, for a message: printable, with the other bytes as "?". */
void greeting_quote(const struct greeting *greeting, char text[GREETING_ANSWER + 1]);

#endif
