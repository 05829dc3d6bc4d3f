/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A bounded set of ranges that do not overlap, each with the gpa that its first byte stands for:
 * what one device sees through an IOMMU. A B-tree of two levels, in arrays that its user provides:
 *
 *	root	{ first iova, leaf } in their order
 *	leaf	up to VAS_IOVA_LEAF ranges in their order
 *
 * One at a time may change it. Others may search it meanwhile, as long as they use nothing of what
 * they have found before they know that nothing was changed: a search ends after a fixed number of
 * steps, and stays within the arrays, whatever it reads.
 */
#ifndef VAS_CORE_IOVA_MAP_H
#define VAS_CORE_IOVA_MAP_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#define VAS_IOVA_LEAF 32u

struct vas_iova_range {
	uint64_t iova;
	uint64_t last; /* its last byte: a range may end with the address space */
	uint64_t gpa;
	uint64_t prot; /* its user's bits */
};

struct vas_iova_leaf {
	uint32_t nr;
	struct vas_iova_range ranges[VAS_IOVA_LEAF];
};

struct vas_iova_root {
	uint64_t first; /* of the leaf's first range */
	uint64_t leaf;
};

struct vas_iova_map {
	/* Room for vas_iova_map_leaves(max) each. */
	struct vas_iova_leaf *leaves;
	struct vas_iova_root *root;
	uint32_t *free;

	uint32_t max_leaves;
	uint32_t max; /* ranges */
	uint32_t nr;
	uint32_t nr_leaves; /* in use: the first ones of root */
};

/* Two neighbours together are more than half a leaf, and one may be new. */
static inline uint32_t vas_iova_map_leaves(uint32_t max)
{
	return max / (VAS_IOVA_LEAF / 4) + 2;
}

/* The arrays and max are set. It is empty then. */
void vas_iova_map_init(struct vas_iova_map *map);

/* -EEXIST: some of it is there already; -ENOSPC: there are `max` ranges. */
int vas_iova_map_add(struct vas_iova_map *map, const struct vas_iova_range *range);

/* Remove each range of which some lies in [iova, last]: how many. */
uint32_t vas_iova_map_remove(struct vas_iova_map *map, uint64_t iova, uint64_t last);

/* The range that has this byte. */
bool vas_iova_map_find(const struct vas_iova_map *map, uint64_t iova, struct vas_iova_range *found);

#endif
