/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* For the queues' own files: how a walk over descriptors makes a chain, whatever their format. */
#ifndef VAS_CORE_VIRTQUEUE_WALK_H
#define VAS_CORE_VIRTQUEUE_WALK_H

#include <linux/errno.h>

#include "core/range.h"
#include "core/virtqueue/chain.h"

#define VAS_VIRTQ_MAX_CHAIN_LEN (1ull << 32)
#define VAS_VIRTQ_DESC_LEN	16u
#define VAS_VIRTQ_GPA_END	(~0ull)

static inline void vas_virtq_begin_chain(struct vas_virtq_chain *chain)
{
	chain->nr_out = 0;
	chain->nr_in = 0;
	chain->len_out = 0;
	chain->len_in = 0;
}

static inline int vas_virtq_add_segment(struct vas_virtq_chain *chain, uint64_t gpa, uint32_t len,
					uint16_t flags)
{
	uint32_t nr = chain->nr_out + chain->nr_in, write = flags / VAS_VIRTQ_DESC_WRITE & 1;

	if (nr == chain->max_segments || !vas_range_fits(gpa, len, VAS_VIRTQ_GPA_END))
		return -EPROTO;
	chain->segments[nr] = (struct vas_virtq_segment){ gpa, len, write };
	if (write) {
		chain->nr_in++;
		chain->len_in += len;
		return 0;
	}
	chain->nr_out++;
	chain->len_out += len;
	return chain->nr_in ? -EPROTO : 0;
}

/* What peek returns for a chain that was walked to its end. */
static inline int vas_virtq_end_chain(const struct vas_virtq_chain *chain)
{
	return chain->len_out + chain->len_in > VAS_VIRTQ_MAX_CHAIN_LEN ? -EPROTO : 1;
}

static inline void vas_virtq_begin_burst(struct vas_virtq_burst *burst)
{
	burst->nr = 0;
	burst->chains[0].segments = burst->segments;
	burst->chains[0].max_segments = burst->max_segments;
}

/*
 * The chain is whole. The next one's room is what is left; 0: no further one is to be looked at.
 * One that doesn't fit makes no sense there, and is the next burst's first.
 */
static inline int vas_virtq_add_to_burst(struct vas_virtq_burst *burst)
{
	const struct vas_virtq_chain *chain = &burst->chains[burst->nr++];
	uint32_t nr = chain->nr_out + chain->nr_in;

	if (burst->nr == burst->max_chains || nr == chain->max_segments)
		return 0;
	burst->chains[burst->nr].segments = chain->segments + nr;
	burst->chains[burst->nr].max_segments = chain->max_segments - nr;
	return 1;
}

/* Copy a table of `len` bytes whole into its room: how many descriptors it has, or an error. */
static inline int vas_virtq_read_table(const struct vas_virtq_tables *tables, uint64_t gpa,
				       uint32_t len)
{
	uint32_t nr = len / VAS_VIRTQ_DESC_LEN;
	int err;

	if (!nr || nr > tables->max || len % VAS_VIRTQ_DESC_LEN ||
	    !vas_range_fits(gpa, len, VAS_VIRTQ_GPA_END))
		return -EPROTO;
	err = tables->read(tables->user, gpa, tables->room, len);
	if (err)
		return err == -EFAULT ? -EPROTO : err;
	return (int)nr;
}

#endif
