/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a gpa to memory, inside a section. */
#ifndef VAS_KERNEL_MEMORY_H
#define VAS_KERNEL_MEMORY_H

#include <linux/types.h>

struct vas_backing;
struct vas_map_entry;
struct vas_section;
struct vas_span;

/**
 * struct vas_stretch - what one region has of a range
 * @entry: the region, in the view's map
 * @backing: where it is; NULL: in the memory of the process that bound
 * @offset: in @backing, or the address if that is NULL
 * @len: bytes of the range that are here
 */
struct vas_stretch {
	const struct vas_map_entry *entry;
	const struct vas_backing *backing;
	u64 offset;
	u64 len;
};

int vas_stretch_find(const struct vas_section *section, u64 gpa, u64 len, u32 flags,
		     struct vas_stretch *stretch);

#endif
