/* SPDX-License-Identifier: MIT */
/* Queries to a name server over TCP that have come in part wait here for their next bytes. Async-signal-safe,
 * no lock; errno is untouched. */
#ifndef IP2VSOCK_PARTIAL_H
#define IP2VSOCK_PARTIAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* As much of a query as is examined: more than its question and OPT need, whatever the padding. A longer
 * query is malformed. */
#define PARTIAL_QUERY ((size_t)1024)
#define PARTIAL_LENGTH ((size_t)2) /* bytes before a query over TCP, which contain its length */

struct partial {
	_Atomic uint32_t link; /* pool.h's */
	uint32_t have; /* bytes that have come, including those of the length; bytes beyond PARTIAL_QUERY
			  weren't kept */
	uint8_t bytes[PARTIAL_LENGTH + PARTIAL_QUERY];
};

uint32_t partial_take(void); /* the index of a record for the caller; 0: out of memory */
struct partial *partial_at(uint32_t index);
void partial_forget(uint32_t index); /* 0: nothing is done */

#endif
