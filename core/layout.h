/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Planning a file, and checking bytes that somebody else wrote. All checks are made on private
 * copies: the caller copies once, checks, and uses what it checked.
 */
#ifndef VAS_CORE_LAYOUT_H
#define VAS_CORE_LAYOUT_H

#include <vas/format.h>

/*
 * Fill in extents, file_size and what is fixed, from page_size, ram_size, limit and the counts.
 * -EINVAL: they make no sense; -EFBIG: the file would be larger than a file can be.
 */
int vas_superblock_plan(struct vas_superblock *sb);

/* -EPROTO: not a vas, or damaged; -EOPNOTSUPP: of a kind that this code does not know. */
int vas_superblock_check(const struct vas_superblock *sb, uint64_t file_size);

/* The state of a generation: -EPROTO, or 0. */
int vas_state_check(const struct vas_superblock *sb, const struct vas_state *state,
		    uint64_t generation);

/*
 * One region by itself, against its backing's entry: -EINVAL: alignment, size, flags, beyond the
 * limit or the backing.
 */
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
