/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Planning a file, and checking bytes that somebody else wrote. All checks are made on private
 * copies: the caller copies once, checks, and uses what it checked.
 */
#ifndef VAS_CORE_LAYOUT_H
#define VAS_CORE_LAYOUT_H

#include <vas/format.h>

#include "core/range.h"

/*
 * Fill in extents, file_size and what is fixed, from page_size, ram_size, limit and the counts.
 * -EINVAL: they make no sense; -EFBIG: the file would be larger than a file can be.
 */
int vas_superblock_plan(struct vas_superblock *sb);

/* Where the control area begins: behind the RAM, if that is in the same file. */
static inline uint64_t vas_control_start(const struct vas_superblock *sb)
{
	return sb->features_required & VAS_FEATURE_RAM_APART ? 0 : sb->ram_size;
}

/* There is the extent of the bus. */
static inline bool vas_has_devices(const struct vas_superblock *sb)
{
	return sb->features_optional & VAS_FEATURE_DEVICES;
}

/*
 * -EPROTO: not a vas, or damaged; -EOPNOTSUPP: of a kind that the caller does not know, who knows
 * these required features.
 */
int vas_superblock_check(const struct vas_superblock *sb, uint64_t file_size,
			 uint64_t features_known);

/* The state of a generation: -EPROTO, or 0. */
int vas_state_check(const struct vas_superblock *sb, const struct vas_state *state,
		    uint64_t generation);

/* What is wrong with a region, the first of these that is. */
enum vas_region_fault {
	VAS_REGION_IS_FINE,
	VAS_REGION_IS_EMPTY,
	VAS_REGION_HAS_UNKNOWN_FLAGS,
	VAS_REGION_HAS_ENDLESS_NAME,
	VAS_REGION_IS_LOCAL_AND_PLACED, /* a backing, an offset or ALIAS: a local one has none */
	VAS_REGION_IS_DEVICE_BUT_NOT_LOCAL,
	VAS_REGION_HAS_NO_BACKING,
	VAS_REGION_HAS_UNALIGNED_GPA,
	VAS_REGION_HAS_UNALIGNED_SIZE,
	VAS_REGION_HAS_UNALIGNED_OFFSET,
	VAS_REGION_IS_BEYOND_LIMIT,
	VAS_REGION_IS_BEYOND_BACKING,
};

/* One region by itself, against its backing's entry. */
enum vas_region_fault vas_region_fault(const struct vas_superblock *sb,
				       const struct vas_region_entry *region,
				       const struct vas_backing_entry *backing);

/* The same: -EINVAL, or 0. */
int vas_region_check(const struct vas_superblock *sb, const struct vas_region_entry *region,
		     const struct vas_backing_entry *backing);

/* The entries that the state names: -EPROTO, or 0. */
int vas_backings_check(const struct vas_superblock *sb, const struct vas_state *state,
		       const struct vas_backing_entry *backings);

/*
 * The table as a whole, and the backings: every region by itself, sorted by gpa, no overlap, no
 * backing that is not there. -EPROTO, or 0. Does not look for double ids.
 */
int vas_table_check(const struct vas_superblock *sb, const struct vas_state *state,
		    const struct vas_region_entry *regions,
		    const struct vas_backing_entry *backings);

#endif
