/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "core/errno.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

static bool have_chunk(struct pool *pool, uint32_t which)
{
	if (which >= POOL_CHUNKS)
		return false;
	if (atomic_load_explicit(&pool->chunks[which], memory_order_acquire))
		return true;
	size_t size = (size_t)pool->chunk * pool->size;
	KEEP_ERRNO;
	void *fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	     *none = NULL;
	if (fresh == MAP_FAILED)
		fresh = NULL;
	else if (!atomic_compare_exchange_strong(&pool->chunks[which], &none, fresh))
		munmap(fresh, size); /* another thread was first */
	return fresh != NULL;
}

/* The link of a free record. Another thread may take the record while this one reads the link; the count in
 * free_top then makes the exchange fail, but the read must be atomic. */
static _Atomic uint32_t *link_of(struct pool *pool, uint32_t index)
{
	return pool_at(pool, index);
}

uint32_t pool_take(struct pool *pool)
{
	uint64_t top = atomic_load(&pool->free_top);
	while ((uint32_t)top) {
		uint64_t rest = ((top >> 32) + 1) << 32 | atomic_load(link_of(pool, (uint32_t)top));
		if (atomic_compare_exchange_weak(&pool->free_top, &top, rest))
			return (uint32_t)top;
	}
	uint32_t used = atomic_load(&pool->used);
	do {
		if (!have_chunk(pool, used / pool->chunk))
			return 0;
	} while (!atomic_compare_exchange_weak(&pool->used, &used, used + 1));
	return used + 1;
}

void pool_release(struct pool *pool, uint32_t index)
{
	uint64_t top = atomic_load(&pool->free_top), with;
	do {
		atomic_store(link_of(pool, index), (uint32_t)top);
		with = ((top >> 32) + 1) << 32 | index;
	} while (!atomic_compare_exchange_weak(&pool->free_top, &top, with));
}
