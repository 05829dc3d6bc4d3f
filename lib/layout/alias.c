// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/layout/alias.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/range.h"
#include "lib/base/error.h"

static bool is_identity(const struct vas_region *r)
{
	return !r->backing && r->offset == r->gpa;
}

static bool may_share(const struct vas_region *r)
{
	return r->flags & (VAS_REGION_LOCAL | VAS_REGION_ALIAS);
}

static bool is_listed(const struct vas_region *r)
{
	return !may_share(r) && !is_identity(r);
}

static int by_place(const void *a, const void *b)
{
	const struct vas_region *x = a, *y = b;

	if (x->backing != y->backing)
		return x->backing < y->backing ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int grow(struct alias_list *list, uint32_t nr)
{
	struct vas_region *regions;
	uint32_t room = nr * 2;

	if (nr <= list->room)
		return 0;
	regions = realloc(list->regions, room * sizeof(*regions));
	if (!regions)
		return vas_error_set(-ENOMEM, "no memory for a list of %u regions", room);
	list->regions = regions;
	list->room = room;
	return 0;
}

/* With the first check: a change that only removes needs no list. */
static int make_list(struct vas_layout *layout)
{
	struct alias_list *list = &layout->listed;
	uint32_t i, nr = 1;
	int err;

	if (list->room)
		return 0;
	for (i = 0; i < layout->nr; i++)
		nr += is_listed(&layout->regions[i]);
	err = grow(list, nr);
	if (err)
		return err;
	for (i = 0; i < layout->nr; i++)
		if (is_listed(&layout->regions[i]))
			list->regions[list->nr++] = layout->regions[i];
	qsort(list->regions, list->nr, sizeof(*list->regions), by_place);
	return 0;
}

/* The first that ends after this place. */
static uint32_t find(const struct alias_list *list, uint32_t backing, uint64_t offset)
{
	uint32_t low = 0, high = list->nr;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct vas_region *r = &list->regions[middle];

		if (r->backing < backing ||
		    (r->backing == backing && r->offset + r->size <= offset))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool shares(const struct vas_region *a, const struct vas_region *b)
{
	return a->backing == b->backing &&
	       vas_ranges_overlap(a->offset, a->size, b->offset, b->size);
}

/* Among those with offset = gpa, which are found by gpa. */
static const struct vas_region *shared_identity(const struct vas_layout *layout,
						const struct vas_region *region)
{
	uint32_t i = vas_layout_place(layout, region->offset);

	if (region->backing)
		return NULL;
	for (; i < layout->nr; i++) {
		const struct vas_region *r = &layout->regions[i];

		if (r->gpa >= region->offset + region->size)
			break;
		if (is_identity(r) && !may_share(r))
			return r;
	}
	return NULL;
}

static const struct vas_region *shared(const struct vas_layout *layout,
				       const struct vas_region *region)
{
	const struct alias_list *list = &layout->listed;
	uint32_t i = find(list, region->backing, region->offset);

	if (i < list->nr && shares(&list->regions[i], region))
		return &list->regions[i];
	return is_identity(region) ? NULL : shared_identity(layout, region);
}

int vas_alias_check(struct vas_layout *layout, const struct vas_region *region)
{
	const struct vas_region *other;
	int err;

	if (may_share(region))
		return 0;
	err = make_list(layout);
	if (!err)
		err = grow(&layout->listed, layout->listed.nr + 1);
	if (err)
		return err;
	other = shared(layout, region);
	if (!other)
		return 0;
	return vas_error_set(
		-EEXIST,
		"region %s%s[%#llx, +%#llx) at offset %#llx of backing %u would have bytes of "
		"region %s%s[%#llx, +%#llx): give it another offset, or VAS_REGION_ALIAS",
		region->name, region->name[0] ? " " : "", (unsigned long long)region->gpa,
		(unsigned long long)region->size, (unsigned long long)region->offset,
		region->backing, other->name, other->name[0] ? " " : "",
		(unsigned long long)other->gpa, (unsigned long long)other->size);
}

void vas_alias_put(struct vas_layout *layout, const struct vas_region *region)
{
	struct alias_list *list = &layout->listed;
	struct vas_region *here;
	uint32_t at;

	if (!list->room || !is_listed(region))
		return;
	at = find(list, region->backing, region->offset);
	here = &list->regions[at];
	memmove(here + 1, here, (list->nr - at) * sizeof(*here));
	*here = *region;
	list->nr++;
}

void vas_alias_take_out(struct vas_layout *layout, const struct vas_region *region)
{
	struct alias_list *list = &layout->listed;
	uint32_t i;

	if (!is_listed(region))
		return;
	for (i = 0; i < list->nr && list->regions[i].id != region->id; i++)
		;
	if (i == list->nr)
		return;
	list->nr--;
	memmove(&list->regions[i], &list->regions[i + 1],
		(list->nr - i) * sizeof(list->regions[i]));
}
