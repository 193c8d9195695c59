/* SPDX-License-Identifier: MIT */
/* Queries to a name server over TCP that have come in part: the rest of one waits here for its next bytes.
 * Async-signal-safe, no lock; errno is untouched. */
#ifndef IP2VSOCK_PARTIAL_H
#define IP2VSOCK_PARTIAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* What is looked at of a query: more than its question and OPT need, whatever padding. A longer one is
 * malformed. */
#define PARTIAL_QUERY ((size_t)1024)
#define PARTIAL_LENGTH ((size_t)2) /* bytes before a query over TCP, which say how long it is */

struct partial {
	_Atomic uint32_t link; /* pool.h's */
	uint32_t have;	       /* bytes that came, the length's among them; those behind QUERY weren't kept */
	uint8_t bytes[PARTIAL_LENGTH + PARTIAL_QUERY];
};

uint32_t partial_take(void); /* the number of a record, which is the caller's; 0: out of memory */
struct partial *partial_at(uint32_t number);
void partial_forget(uint32_t number); /* 0: nothing is done */

#endif
