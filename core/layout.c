// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/layout.h"

#include <linux/errno.h>

#include "core/log.h"
#include "core/range.h"

#define HUGE_2M	      (2ull << 20)
#define MAX_FILE_SIZE ((1ull << 63) - 1)

/* Bytes of each extent, from limits and counts that have been checked. */
static uint64_t extent_size(const struct vas_superblock *sb, int id)
{
	struct vas_log_layout log;

	switch (id) {
	case VAS_EXT_CONTROL:
		return sizeof(struct vas_control);
	case VAS_EXT_SLOTS:
		return VAS_SLOT_SIZE * sb->nr_slots;
	case VAS_EXT_BINDERS:
		return VAS_BINDER_SIZE * sb->nr_binders;
	case VAS_EXT_PINS:
		return VAS_PIN_SIZE * sb->nr_pins;
	case VAS_EXT_EVENTS:
		return sizeof(struct vas_event_entry) * sb->nr_events;
	case VAS_EXT_BACKINGS:
		return sizeof(struct vas_backing_entry) * sb->nr_backings;
	case VAS_EXT_TABLE0:
	case VAS_EXT_TABLE1:
		return sizeof(struct vas_region_entry) * (uint64_t)sb->max_regions;
	case VAS_EXT_TRACKERS:
		return VAS_TRACKER_SIZE * sb->nr_trackers;
	case VAS_EXT_DEVICES:
		return VAS_DEVICE_SIZE * sb->nr_devices;
	default: /* VAS_EXT_LOG: the log that all mark, and one a tracker */
		vas_log_layout(sb->limit, &log);
		return log.size * (1 + sb->nr_trackers);
	}
}

/* The devices' is the last one, and what it says counts for nothing where there is none. */
static int nr_extents(const struct vas_superblock *sb)
{
	return vas_has_devices(sb) ? VAS_EXT_COUNT : VAS_EXT_DEVICES;
}

static int counts_check(const struct vas_superblock *sb)
{
	if (!sb->max_regions || sb->max_regions > VAS_MAX_REGIONS || !sb->nr_slots ||
	    sb->nr_slots > VAS_MAX_SLOTS || !sb->nr_binders || sb->nr_binders > VAS_MAX_BINDERS ||
	    !sb->nr_pins || sb->nr_pins > VAS_MAX_PINS || !sb->nr_events ||
	    sb->nr_events > VAS_MAX_EVENTS || !sb->nr_backings ||
	    sb->nr_backings > VAS_MAX_BACKINGS || !sb->nr_trackers ||
	    sb->nr_trackers > VAS_MAX_TRACKERS)
		return -EINVAL;
	if (vas_has_devices(sb) && (!sb->nr_devices || sb->nr_devices > VAS_MAX_DEVICES))
		return -EINVAL;
	return 0;
}

static int sizes_check(const struct vas_superblock *sb)
{
	if (sb->page_size != VAS_PAGE_SIZE && sb->page_size != HUGE_2M)
		return -EINVAL;
	if (!sb->limit || sb->limit > VAS_MAX_GPA || !vas_is_aligned(sb->limit, sb->page_size))
		return -EINVAL;
	if (!sb->ram_size || sb->ram_size > VAS_MAX_GPA ||
	    !vas_is_aligned(sb->ram_size, sb->page_size))
		return -EINVAL;
	return 0;
}

int vas_superblock_plan(struct vas_superblock *sb)
{
	uint64_t at;
	int i;

	if (counts_check(sb) || sizes_check(sb))
		return -EINVAL;
	at = vas_control_start(sb);
	for (i = 0; i < nr_extents(sb); i++) {
		sb->extents[i].offset = at;
		sb->extents[i].size = extent_size(sb, i);
		at += vas_align_up(sb->extents[i].size, VAS_PAGE_SIZE);
	}
	sb->file_size = vas_align_up(at + sizeof(*sb), sb->page_size);
	sb->magic = VAS_MAGIC;
	sb->version = VAS_VERSION;
	return sb->file_size > MAX_FILE_SIZE ? -EFBIG : 0;
}

static int extents_check(const struct vas_superblock *sb)
{
	uint64_t end = vas_control_start(sb);
	int i;

	/* In the order of their ids, so that one pass shows that no two overlap. */
	for (i = 0; i < nr_extents(sb); i++) {
		const struct vas_extent *e = &sb->extents[i];

		if (e->offset < end || !vas_is_aligned(e->offset, VAS_PAGE_SIZE) ||
		    e->size != extent_size(sb, i) ||
		    !vas_range_fits(e->offset, e->size, sb->file_size - sizeof(*sb)))
			return -EPROTO;
		end = e->offset + e->size;
	}
	return 0;
}

int vas_superblock_check(const struct vas_superblock *sb, uint64_t file_size,
			 uint64_t features_known)
{
	if (sb->magic != VAS_MAGIC)
		return -EPROTO;
	if (sb->version != VAS_VERSION || sb->features_required & ~features_known)
		return -EOPNOTSUPP;
	if (sb->file_size != file_size || file_size > MAX_FILE_SIZE || file_size < sizeof(*sb) ||
	    sb->name[VAS_NAME_LEN - 1])
		return -EPROTO;
	if (counts_check(sb) || sizes_check(sb) || !vas_is_aligned(file_size, sb->page_size))
		return -EPROTO;
	return extents_check(sb);
}

int vas_state_check(const struct vas_superblock *sb, const struct vas_state *state,
		    uint64_t generation)
{
	if (!generation || state->generation != generation ||
	    state->regions_generation > generation || state->table > 1 ||
	    state->nr_regions > sb->max_regions || state->flags & ~VAS_STATE_KNOWN ||
	    !state->nr_backings || state->nr_backings > sb->nr_backings)
		return -EPROTO;
	return 0;
}

/* Alone, of what is its own. */
static enum vas_region_fault entry_fault(const struct vas_region_entry *region)
{
	const bool is_local = region->flags & VAS_REGION_LOCAL;

	if (!region->size)
		return VAS_REGION_IS_EMPTY;
	if (region->flags & ~VAS_REGION_KNOWN)
		return VAS_REGION_HAS_UNKNOWN_FLAGS;
	if (region->name[VAS_REGION_NAME_LEN - 1])
		return VAS_REGION_HAS_ENDLESS_NAME;
	if (is_local && (region->offset || region->backing || region->flags & VAS_REGION_ALIAS))
		return VAS_REGION_IS_LOCAL_AND_PLACED;
	if (!is_local && region->flags & VAS_REGION_DEVICE)
		return VAS_REGION_IS_DEVICE_BUT_NOT_LOCAL;
	return VAS_REGION_IS_FINE;
}

enum vas_region_fault vas_region_fault(const struct vas_superblock *sb,
				       const struct vas_region_entry *region,
				       const struct vas_backing_entry *backing)
{
	const bool is_local = region->flags & VAS_REGION_LOCAL;
	const uint64_t align = is_local ? VAS_PAGE_SIZE : backing->page_size;
	const enum vas_region_fault fault = entry_fault(region);

	if (fault)
		return fault;
	if (!is_local && !(backing->flags & VAS_BACKING_USED))
		return VAS_REGION_HAS_NO_BACKING;
	if (!vas_is_aligned(region->gpa, align))
		return VAS_REGION_HAS_UNALIGNED_GPA;
	if (!vas_is_aligned(region->size, align))
		return VAS_REGION_HAS_UNALIGNED_SIZE;
	if (!vas_is_aligned(region->offset, align))
		return VAS_REGION_HAS_UNALIGNED_OFFSET;
	if (!vas_range_fits(region->gpa, region->size, sb->limit))
		return VAS_REGION_IS_BEYOND_LIMIT;
	if (!is_local && !vas_range_fits(region->offset, region->size, backing->size))
		return VAS_REGION_IS_BEYOND_BACKING;
	return VAS_REGION_IS_FINE;
}

int vas_region_check(const struct vas_superblock *sb, const struct vas_region_entry *region,
		     const struct vas_backing_entry *backing)
{
	return vas_region_fault(sb, region, backing) ? -EINVAL : 0;
}

/* Of backing 0 only the RAM may be mapped as a region, never the control area. */
int vas_backings_check(const struct vas_superblock *sb, const struct vas_state *state,
		       const struct vas_backing_entry *backings)
{
	uint32_t i;

	for (i = 0; i < state->nr_backings; i++) {
		const struct vas_backing_entry *b = &backings[i];

		if (b->flags & ~VAS_BACKING_KNOWN)
			return -EPROTO;
		if (b->flags & VAS_BACKING_USED &&
		    ((b->page_size != VAS_PAGE_SIZE && b->page_size != HUGE_2M) ||
		     b->size > MAX_FILE_SIZE))
			return -EPROTO;
	}
	if (!(backings[0].flags & VAS_BACKING_USED) || backings[0].size != sb->ram_size ||
	    backings[0].page_size != sb->page_size)
		return -EPROTO;
	return 0;
}

int vas_table_check(const struct vas_superblock *sb, const struct vas_state *state,
		    const struct vas_region_entry *regions,
		    const struct vas_backing_entry *backings)
{
	uint64_t end = 0;
	uint32_t i;

	if (vas_backings_check(sb, state, backings))
		return -EPROTO;
	for (i = 0; i < state->nr_regions; i++) {
		const struct vas_region_entry *r = &regions[i];

		if (r->backing >= state->nr_backings || !r->id || r->gpa < end ||
		    vas_region_check(sb, r, &backings[r->backing]))
			return -EPROTO;
		end = r->gpa + r->size;
	}
	return 0;
}
