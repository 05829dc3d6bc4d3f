// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A layout, put together from the present one. Each change is checked when it is made. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/base/name.h"
#include "lib/handle/generation.h"
#include "lib/handle/lock.h"
#include "lib/handle/thread.h"
#include "lib/layout/alias.h"
#include "lib/layout/layout.h"

static bool in_section(struct vas *vas)
{
	const struct thread *t = vas_thread_find(vas);

	return t && vas_thread_is_inside(t);
}

int vas_layout_begin(struct vas *vas, struct vas_layout **out)
{
	NO_CANCEL;
	struct vas_layout *layout;
	int err = vas_owner_check(vas, "changes its layout");

	if (err)
		return err;
	if (in_section(vas))
		return vas_error_set(-EDEADLK,
				     "a layout change inside a section would wait for itself");
	layout = calloc(1, sizeof(*layout));
	if (!layout)
		return vas_error_set(-ENOMEM, "no memory for a layout");
	pthread_mutex_lock(&vas->change);
	if (vas->own.flags & VAS_STATE_LAZY) {
		pthread_mutex_unlock(&vas->change);
		free(layout);
		return vas_error_set(-EAGAIN,
				     "lazy pages are not all filled: vas_lazy_wait() first");
	}
	layout->vas = vas;
	layout->nr = vas->own.nr;
	layout->room = layout->nr + 16;
	layout->next_id = vas->own.next_id;
	layout->regions = malloc(layout->room * sizeof(*layout->regions));
	if (!layout->regions) {
		pthread_mutex_unlock(&vas->change);
		free(layout);
		return vas_error_set(-ENOMEM, "no memory for a layout of %u regions", vas->own.nr);
	}
	memcpy(layout->regions, vas->own.regions, layout->nr * sizeof(*layout->regions));
	*out = layout;
	return 0;
}

void vas_layout_abort(struct vas_layout *layout)
{
	NO_CANCEL;
	if (!layout)
		return;
	pthread_mutex_unlock(&layout->vas->change);
	free(layout->regions);
	free(layout->listed.regions);
	free(layout);
}

uint32_t vas_layout_place(const struct vas_layout *layout, uint64_t gpa)
{
	uint32_t low = 0, high = layout->nr;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct vas_region *r = &layout->regions[middle];

		if (r->gpa + r->size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- what is wrong with a region -------------------------------------------------------- */

#define ULL(value) ((unsigned long long)(value))

static int refuse_alignment(const char *what, uint64_t value, const struct vas_region *region,
			    uint32_t page_size)
{
	if (region->flags & VAS_REGION_LOCAL)
		return vas_error_set(-EINVAL, "%s %#llx: not a multiple of 4096", what, ULL(value));
	return vas_error_set(-EINVAL, "%s %#llx: not a multiple of %u, the page size of backing %u",
			     what, ULL(value), page_size, region->backing);
}

static int refuse(const struct vas *vas, const struct vas_region *r, enum vas_region_fault fault)
{
	const struct vas_backing_entry *backing = &vas->backings[r->backing].entry;

	switch (fault) {
	case VAS_REGION_IS_FINE:
		break;
	case VAS_REGION_IS_EMPTY:
		return vas_error_set(-EINVAL, "size: a region of 0 bytes");
	case VAS_REGION_HAS_UNKNOWN_FLAGS:
		return vas_error_set(-EINVAL, "flags %#x: %#x is unknown", r->flags,
				     r->flags & ~VAS_REGION_KNOWN);
	case VAS_REGION_HAS_ENDLESS_NAME:
		return vas_error_set(-EINVAL, "name: longer than %d bytes",
				     VAS_REGION_NAME_LEN - 1);
	case VAS_REGION_IS_LOCAL_AND_PLACED:
		return vas_error_set(-EINVAL,
				     "offset %#llx, backing %u, flags %#x: a region with "
				     "VAS_REGION_LOCAL has no backing to be in, nor an alias",
				     ULL(r->offset), r->backing, r->flags);
	case VAS_REGION_IS_DEVICE_BUT_NOT_LOCAL:
		return vas_error_set(-EINVAL,
				     "flags %#x: VAS_REGION_DEVICE comes with VAS_REGION_LOCAL",
				     r->flags);
	case VAS_REGION_HAS_NO_BACKING:
		return vas_error_set(-EBADF, "backing %u: there is none", r->backing);
	case VAS_REGION_HAS_UNALIGNED_GPA:
		return refuse_alignment("gpa", r->gpa, r, backing->page_size);
	case VAS_REGION_HAS_UNALIGNED_SIZE:
		return refuse_alignment("size", r->size, r, backing->page_size);
	case VAS_REGION_HAS_UNALIGNED_OFFSET:
		return refuse_alignment("offset", r->offset, r, backing->page_size);
	case VAS_REGION_IS_BEYOND_LIMIT:
		return vas_error_set(-EINVAL, "gpa %#llx, size %#llx: ends above the limit, %#llx",
				     ULL(r->gpa), ULL(r->size), ULL(vas->sb.limit));
	case VAS_REGION_IS_BEYOND_BACKING:
		return vas_error_set(-EINVAL,
				     "offset %#llx, size %#llx: ends above the end of backing %u, "
				     "%#llx",
				     ULL(r->offset), ULL(r->size), r->backing, ULL(backing->size));
	}
	return 0;
}

static int check_hva(const struct vas_region *region)
{
	if (region->flags & VAS_REGION_LOCAL && !region->hva)
		return vas_error_set(-EINVAL, "hva: a region with VAS_REGION_LOCAL needs one");
	if (!(region->flags & VAS_REGION_LOCAL) && region->hva)
		return vas_error_set(-EINVAL, "hva: only a region with VAS_REGION_LOCAL has one");
	if ((uintptr_t)region->hva % VAS_PAGE_SIZE)
		return vas_error_set(-EINVAL, "hva %p: not a multiple of 4096", region->hva);
	return 0;
}

static int check_region(const struct vas_layout *layout, const struct vas_region *region)
{
	const struct vas *vas = layout->vas;
	struct vas_region_entry entry;
	int err;

	if (region->backing >= VAS_MAX_BACKINGS)
		return vas_error_set(-EBADF, "backing %u: there is none", region->backing);
	vas_region_to_entry(region, &entry);
	err = refuse(vas, region,
		     vas_region_fault(&vas->sb, &entry, &vas->backings[region->backing].entry));
	return err ? err : check_hva(region);
}

/* ---- the changes --------------------------------------------------------------------------- */

static int grow(struct vas_layout *layout)
{
	struct vas_region *regions;
	uint32_t room = layout->room * 2;

	if (layout->nr < layout->room)
		return 0;
	regions = realloc(layout->regions, room * sizeof(*regions));
	if (!regions)
		return vas_error_set(-ENOMEM, "no memory for a layout of %u regions", room);
	layout->regions = regions;
	layout->room = room;
	return 0;
}

static void put(struct vas_layout *layout, const struct vas_region *region, uint32_t at)
{
	struct vas_region *here = &layout->regions[at];

	vas_alias_put(layout, region);
	memmove(here + 1, here, (layout->nr - at) * sizeof(*here));
	*here = *region;
	layout->nr++;
}

static int insert(struct vas_layout *layout, const struct vas_region *region)
{
	const struct vas_region *here;
	uint32_t at = vas_layout_place(layout, region->gpa);
	int err;

	here = &layout->regions[at];
	if (at < layout->nr && here->gpa < region->gpa + region->size)
		return vas_error_set(
			-EEXIST, "region [%#llx, +%#llx) would overlap [%#llx, +%#llx)",
			(unsigned long long)region->gpa, (unsigned long long)region->size,
			(unsigned long long)here->gpa, (unsigned long long)here->size);
	if (layout->nr >= layout->vas->sb.max_regions)
		return vas_error_set(-ENOSPC, "this vas was created for %u regions", layout->nr);
	err = vas_alias_check(layout, region);
	if (!err)
		err = grow(layout);
	if (!err)
		put(layout, region, at);
	return err;
}

int vas_layout_add(struct vas_layout *layout, const struct vas_region *region, uint64_t *id)
{
	size_t len = strnlen(region->name, sizeof(region->name) - 1);
	struct vas_region added = *region;
	int err;

	if (added.offset == VAS_OFFSET_GPA)
		added.offset = added.gpa;
	vas_name_clean(added.name, sizeof(added.name));
	err = check_region(layout, &added);
	if (err)
		return err;
	added.id = layout->next_id;
	/* What follows the name's end in the caller's memory has no place in the file. */
	memset(added.name + len, 0, sizeof(added.name) - len);
	err = insert(layout, &added);
	if (err)
		return err;
	layout->next_id++;
	if (id)
		*id = added.id;
	return 0;
}

static struct vas_region *find_id(const struct vas_layout *layout, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < layout->nr; i++)
		if (layout->regions[i].id == id)
			return &layout->regions[i];
	vas_error_set(-ENOENT, "there is no region with the id %llu", (unsigned long long)id);
	return NULL;
}

static void take_out(struct vas_layout *layout, struct vas_region *region)
{
	struct vas_region *end = layout->regions + layout->nr--;

	vas_alias_take_out(layout, region);
	memmove(region, region + 1, (size_t)(end - region - 1) * sizeof(*region));
}

int vas_layout_remove(struct vas_layout *layout, uint64_t id)
{
	struct vas_region *region = find_id(layout, id);

	if (!region)
		return -ENOENT;
	take_out(layout, region);
	return 0;
}

/* Take the region out and put it back changed; as it was, if that cannot be. */
static int change(struct vas_layout *layout, struct vas_region *region,
		  const struct vas_region *changed)
{
	struct vas_region before = *region;
	int err = check_region(layout, changed);

	if (err)
		return err;
	take_out(layout, region);
	err = insert(layout, changed);
	if (err)
		put(layout, &before, vas_layout_place(layout, before.gpa));
	return err;
}

int vas_layout_resize(struct vas_layout *layout, uint64_t id, uint64_t size)
{
	struct vas_region *region = find_id(layout, id), changed;

	if (!region)
		return -ENOENT;
	changed = *region;
	changed.size = size;
	return change(layout, region, &changed);
}

int vas_layout_move(struct vas_layout *layout, uint64_t id, uint64_t gpa)
{
	struct vas_region *region = find_id(layout, id), changed;

	if (!region)
		return -ENOENT;
	changed = *region;
	changed.gpa = gpa;
	return change(layout, region, &changed);
}
