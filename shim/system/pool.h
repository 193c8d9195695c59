/* SPDX-License-Identifier: MIT */
/* Records of a fixed size, which have indexes from 1; 0 is none. They are taken and returned without locks or
 * malloc, so this works in signal handlers too. Memory grows in chunks and is never unmapped, so a late
 * reader may see a stale record but never faults. */
#ifndef IP2VSOCK_POOL_H
#define IP2VSOCK_POOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { POOL_CHUNKS = 4096 };

struct pool {
	uint32_t size;	/* bytes of a record, which begins with a uint32_t that the pool uses while the record
			   is free */
	uint32_t chunk; /* how many records are mapped at a time */
	_Atomic uint32_t used;
	_Atomic uint64_t free_top; /* the index at the top of the free list, and in the high bits a count
				      against ABA */
	void *_Atomic chunks[POOL_CHUNKS];
};

uint32_t pool_take(struct pool *pool); /* contents undefined; 0: out of memory. errno is untouched */
void pool_release(struct pool *pool, uint32_t index);

static inline void *pool_at(struct pool *pool, uint32_t index)
{
	char *chunk = atomic_load_explicit(&pool->chunks[(index - 1) / pool->chunk], memory_order_acquire);
	return chunk + (size_t)((index - 1) % pool->chunk) * pool->size;
}

#endif
