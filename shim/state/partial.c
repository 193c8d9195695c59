/* SPDX-License-Identifier: MIT */
#include "partial.h"

#include "system/pool.h"

static struct pool partials = {.size = sizeof(struct partial), .chunk = 16};

uint32_t partial_take(void)
{
	return pool_take(&partials);
}

struct partial *partial_at(uint32_t index)
{
	return pool_at(&partials, index);
}

void partial_forget(uint32_t index)
{
	if (index)
		pool_release(&partials, index);
}
