// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Whatever a search may read while it is changed is read and written by single words, in no order:
 * whoever searches finds out afterwards that something has changed.
 */
#include "core/iova_map.h"

#include <linux/errno.h>

#define get(field)	 __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define set(field, word) __atomic_store_n(&(field), (word), __ATOMIC_RELAXED)

static struct vas_iova_range get_range(const struct vas_iova_range *range)
{
	return (struct vas_iova_range){
		get(range->iova),
		get(range->last),
		get(range->gpa),
		get(range->prot),
	};
}

static void set_range(struct vas_iova_range *to, const struct vas_iova_range *range)
{
	set(to->iova, range->iova);
	set(to->last, range->last);
	set(to->gpa, range->gpa);
	set(to->prot, range->prot);
}

static void set_root(struct vas_iova_root *to, struct vas_iova_root root)
{
	set(to->first, root.first);
	set(to->leaf, root.leaf);
}

/* ---- searching ---------------------------------------------------------------------------- */

/* How many leaves begin at iova or before. */
static uint32_t count_leaves(const struct vas_iova_map *map, uint64_t iova)
{
	uint32_t low = 0, high = get(map->nr_leaves);

	if (high > map->max_leaves)
		high = map->max_leaves;
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (get(map->root[middle].first) <= iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many of a leaf's ranges end before iova. */
static uint32_t count_before(const struct vas_iova_leaf *leaf, uint64_t iova)
{
	uint32_t low = 0, high = get(leaf->nr);

	if (high > VAS_IOVA_LEAF)
		high = VAS_IOVA_LEAF;
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (get(leaf->ranges[middle].last) < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool vas_iova_map_find(const struct vas_iova_map *map, uint64_t iova, struct vas_iova_range *found)
{
	uint32_t nr = count_leaves(map, iova), at;
	const struct vas_iova_leaf *leaf;
	uint64_t index;

	if (!nr)
		return false;
	index = get(map->root[nr - 1].leaf);
	if (index >= map->max_leaves)
		return false;
	leaf = &map->leaves[index];
	at = count_before(leaf, iova);
	if (at >= VAS_IOVA_LEAF || at >= get(leaf->nr))
		return false;
	*found = get_range(&leaf->ranges[at]);
	return found->iova <= iova && iova <= found->last;
}

/* ---- leaves ------------------------------------------------------------------------------- */

static struct vas_iova_leaf *leaf_at(const struct vas_iova_map *map, uint32_t at)
{
	return &map->leaves[map->root[at].leaf];
}

/* Free ones are the first max_leaves - nr_leaves of map->free. */
static void drop_leaf(struct vas_iova_map *map, uint64_t leaf, uint32_t nr_in_use)
{
	map->free[map->max_leaves - nr_in_use] = (uint32_t)leaf;
}

static void move_ranges(struct vas_iova_range *to, const struct vas_iova_range *from, uint32_t nr)
{
	uint32_t i;

	if (to < from) {
		for (i = 0; i < nr; i++)
			set_range(&to[i], &from[i]);
	} else {
		for (i = nr; i--;)
			set_range(&to[i], &from[i]);
	}
}

/* Into the root at this place, with the leaves from there on moved by one. */
static struct vas_iova_leaf *insert_leaf(struct vas_iova_map *map, uint32_t at, uint64_t first)
{
	uint32_t leaf = map->free[map->max_leaves - map->nr_leaves - 1], i;

	for (i = map->nr_leaves; i > at; i--)
		set_root(&map->root[i], map->root[i - 1]);
	set_root(&map->root[at], (struct vas_iova_root){ first, leaf });
	set(map->nr_leaves, map->nr_leaves + 1);
	set(map->leaves[leaf].nr, 0);
	return &map->leaves[leaf];
}

static void remove_leaf(struct vas_iova_map *map, uint32_t at)
{
	drop_leaf(map, map->root[at].leaf, map->nr_leaves);
	for (; at + 1 < map->nr_leaves; at++)
		set_root(&map->root[at], map->root[at + 1]);
	set(map->nr_leaves, map->nr_leaves - 1);
}

/* The upper half of a full one goes to a new one behind it. */
static void split(struct vas_iova_map *map, uint32_t at)
{
	struct vas_iova_leaf *full = leaf_at(map, at), *half;

	half = insert_leaf(map, at + 1, full->ranges[VAS_IOVA_LEAF / 2].iova);
	move_ranges(half->ranges, &full->ranges[VAS_IOVA_LEAF / 2], VAS_IOVA_LEAF / 2);
	set(half->nr, VAS_IOVA_LEAF / 2);
	set(full->nr, VAS_IOVA_LEAF / 2);
}

/* Leaf and the one before it become one, if they are half of one together. */
static void merge(struct vas_iova_map *map, uint32_t at)
{
	struct vas_iova_leaf *leaf, *before;

	if (!at || at >= map->nr_leaves)
		return;
	leaf = leaf_at(map, at);
	before = leaf_at(map, at - 1);
	if (leaf->nr + before->nr > VAS_IOVA_LEAF / 2)
		return;
	move_ranges(&before->ranges[before->nr], leaf->ranges, leaf->nr);
	set(before->nr, before->nr + leaf->nr);
	remove_leaf(map, at);
}

/* ---- changing ----------------------------------------------------------------------------- */

void vas_iova_map_init(struct vas_iova_map *map)
{
	uint32_t i;

	map->max_leaves = vas_iova_map_leaves(map->max);
	map->nr = map->nr_leaves = 0;
	for (i = 0; i < map->max_leaves; i++)
		map->free[i] = i;
}

/* The first range that ends at `first` or behind, and where it is; false: there is none. */
static bool find_next(const struct vas_iova_map *map, uint64_t first, uint32_t *leaf, uint32_t *at)
{
	uint32_t nr = count_leaves(map, first);

	*leaf = nr ? nr - 1 : 0;
	*at = 0;
	if (nr)
		*at = count_before(leaf_at(map, *leaf), first);
	if (nr && *at == leaf_at(map, *leaf)->nr && nr < map->nr_leaves) {
		*leaf = nr;
		*at = 0;
	}
	return map->nr_leaves && *at < leaf_at(map, *leaf)->nr;
}

int vas_iova_map_add(struct vas_iova_map *map, const struct vas_iova_range *range)
{
	uint32_t nr = count_leaves(map, range->iova), at_leaf, at;
	struct vas_iova_leaf *leaf;

	if (find_next(map, range->iova, &at_leaf, &at) &&
	    leaf_at(map, at_leaf)->ranges[at].iova <= range->last)
		return -EEXIST;
	if (map->nr == map->max)
		return -ENOSPC;
	if (!map->nr_leaves)
		insert_leaf(map, 0, range->iova);
	at_leaf = nr ? nr - 1 : 0;
	if (leaf_at(map, at_leaf)->nr == VAS_IOVA_LEAF) {
		split(map, at_leaf);
		if (map->root[at_leaf + 1].first <= range->iova)
			at_leaf++;
	}
	leaf = leaf_at(map, at_leaf);
	at = count_before(leaf, range->iova);
	move_ranges(&leaf->ranges[at + 1], &leaf->ranges[at], leaf->nr - at);
	set_range(&leaf->ranges[at], range);
	set(leaf->nr, leaf->nr + 1);
	if (!at)
		set(map->root[at_leaf].first, range->iova);
	set(map->nr, map->nr + 1);
	return 0;
}

/* Those of one leaf: how many. */
static uint32_t cut(struct vas_iova_leaf *leaf, uint64_t iova, uint64_t last)
{
	uint32_t from = count_before(leaf, iova), to = from;

	while (to < leaf->nr && leaf->ranges[to].iova <= last)
		to++;
	move_ranges(&leaf->ranges[from], &leaf->ranges[to], leaf->nr - to);
	set(leaf->nr, leaf->nr - (to - from));
	return to - from;
}

uint32_t vas_iova_map_remove(struct vas_iova_map *map, uint64_t iova, uint64_t last)
{
	uint32_t nr = count_leaves(map, iova), at = nr ? nr - 1 : 0, kept = at, removed = 0, end;
	uint32_t nr_leaves = map->nr_leaves;

	/* Leaves that are empty then go all at once: at most the first and the last are not. */
	for (; at < map->nr_leaves && map->root[at].first <= last; at++) {
		struct vas_iova_leaf *leaf = leaf_at(map, at);
		uint64_t index = map->root[at].leaf;

		removed += cut(leaf, iova, last);
		if (leaf->nr)
			set_root(&map->root[kept++],
				 (struct vas_iova_root){ leaf->ranges[0].iova, index });
		else
			drop_leaf(map, index, nr_leaves--);
	}
	for (end = kept; at < map->nr_leaves; at++)
		set_root(&map->root[end++], map->root[at]);
	set(map->nr_leaves, nr_leaves);
	set(map->nr, map->nr - removed);
	merge(map, kept);
	if (kept)
		merge(map, kept - 1);
	if (kept > 1)
		merge(map, kept - 2);
	return removed;
}
