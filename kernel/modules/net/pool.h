/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory for frames that the guest sends. It is used again once the stack is done with it: to get
 * it from the system costs as much as to copy a frame, where that clears what it hands out.
 */
#ifndef VAS_NET_POOL_H
#define VAS_NET_POOL_H

#include <linux/types.h>

struct page;

/* As much as skbs get at once elsewhere: the largest that is cheap to have. */
#define POOL_ORDER 3

/* More than a batch of frames takes, in these pieces. 1 MiB. */
#define POOL_CHUNKS 32

/**
 * struct pool - chunks of memory, taken in turn
 * @chunks: each referred to by the pool, and by whoever has a part of it; NULL: not needed yet
 * @at: the one that is used now
 * @used: bytes of it that were handed out since it was its turn
 *
 * Its user's lock protects it. Zeroed is empty.
 */
struct pool {
	struct page *chunks[POOL_CHUNKS];
	u32 at;
	u32 used;
};

/**
 * struct pool_part - a part of a chunk
 * @page: the chunk, with a reference that is the caller's
 * @offset: in it
 * @len: of the part
 */
struct pool_part {
	struct page *page;
	u32 offset;
	u32 len;
};

void *pool_take(struct pool *pool, u32 len);
bool pool_take_some(struct pool *pool, u32 len, struct pool_part *part);
void pool_clean(struct pool *pool);

#endif
