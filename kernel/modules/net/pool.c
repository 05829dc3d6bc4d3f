// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "pool.h"

#include <linux/cache.h>
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#define CHUNK_SIZE (PAGE_SIZE << POOL_ORDER)

/* Without sleeping, and without what is kept for emergencies: it will not come back soon. */
#define POOL_GFP (GFP_NOWAIT | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY | __GFP_NOMEMALLOC)

/*
 * The chunk whose turn it is now, from its start. What others still have of it they go on having:
 * then another chunk takes its place. False: no memory.
 */
static bool next_chunk(struct pool *pool)
{
	u32 at = (pool->at + 1) % POOL_CHUNKS;
	struct page *chunk = pool->chunks[at];

	/* Nobody but us has it, so that nobody can give it to others. */
	if (!chunk || page_ref_count(chunk) != 1) {
		struct page *new = alloc_pages(POOL_GFP, POOL_ORDER);

		if (!new)
			return false;
		if (chunk)
			put_page(chunk);
		pool->chunks[at] = new;
	}
	pool->at = at;
	pool->used = 0;
	return true;
}

static u32 left_in_chunk(const struct pool *pool)
{
	return pool->chunks[pool->at] ? CHUNK_SIZE - pool->used : 0;
}

static struct page *take_from_chunk(struct pool *pool, u32 len)
{
	struct page *chunk = pool->chunks[pool->at];

	get_page(chunk);
	pool->used += ALIGN(len, SMP_CACHE_BYTES);
	return chunk;
}

/* So many bytes, to be put as a page is; at most a chunk's. NULL: no memory at hand. */
void *pool_take(struct pool *pool, u32 len)
{
	u32 offset;

	if (left_in_chunk(pool) < len && !next_chunk(pool))
		return NULL;
	offset = pool->used;
	return page_address(take_from_chunk(pool, len)) + offset;
}

/* At most so many bytes, not 0. False: no memory at hand. */
bool pool_take_some(struct pool *pool, u32 len, struct pool_part *part)
{
	if (!left_in_chunk(pool) && !next_chunk(pool))
		return false;
	part->offset = pool->used;
	part->len = min(len, left_in_chunk(pool));
	part->page = take_from_chunk(pool, part->len);
	return true;
}

void pool_clean(struct pool *pool)
{
	u32 i;

	for (i = 0; i < POOL_CHUNKS; i++)
		if (pool->chunks[i])
			put_page(pool->chunks[i]);
}
