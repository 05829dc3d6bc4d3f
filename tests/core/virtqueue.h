/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What holds for every chain that a virtqueue yields, whatever the guest wrote into its ring. */
#ifndef TESTS_CORE_VIRTQUEUE_H
#define TESTS_CORE_VIRTQUEUE_H

#include <stddef.h>

#include "core/virtqueue/chain.h"

/* NULL, or what is wrong with it. */
static inline const char *chain_error(const struct vas_virtq_chain *chain, uint32_t size)
{
	uint64_t len[2] = { 0, 0 };

	if (chain->head >= size)
		return "its head is no descriptor";
	if (!(chain->nr_out + chain->nr_in) || chain->nr_out + chain->nr_in > chain->max_segments)
		return "it has no segment, or more than there is room for";
	for (uint32_t i = 0; i < chain->nr_out + chain->nr_in; i++) {
		const struct vas_virtq_segment *segment = &chain->segments[i];

		if (segment->write != (i >= chain->nr_out))
			return "a segment stands among those of the other direction";
		if (segment->gpa + segment->len < segment->gpa)
			return "a segment wraps";
		len[segment->write] += segment->len;
	}
	if (len[0] != chain->len_out || len[1] != chain->len_in)
		return "the lengths of the segments are another sum";
	return len[0] + len[1] > 1ull << 32 ? "it is longer than 4 GiB" : NULL;
}

#endif
