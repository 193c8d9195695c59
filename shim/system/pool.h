/* SPDX-License-Identifier: MIT */
/* Fixed-size records by number, from 1; 0 is none. Taken and given back without locks or malloc, so in signal
 * handlers too; memory grows by chunks and is never unmapped, so a late reader sees something stale but never
 * faults. */
#ifndef IP2VSOCK_POOL_H
#define IP2VSOCK_POOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { POOL_CHUNKS = 4096 };

struct pool {
	uint32_t size;	/* bytes of a record; it begins with a uint32_t that the pool may use while the record
			   is free */
	uint32_t chunk; /* records that are mapped at a time */
	_Atomic uint32_t used;
	_Atomic uint64_t free_top; /* the number of the top of the free list, above it a count against ABA */
	void *_Atomic chunks[POOL_CHUNKS];
};

uint32_t pool_take(struct pool *pool); /* contents undefined; 0: out of memory. errno is untouched */
void pool_release(struct pool *pool, uint32_t number);

static inline void *pool_at(struct pool *pool, uint32_t number)
{
	char *chunk = atomic_load_explicit(&pool->chunks[(number - 1) / pool->chunk], memory_order_acquire);
	return chunk + (size_t)((number - 1) % pool->chunk) * pool->size;
}

#endif
