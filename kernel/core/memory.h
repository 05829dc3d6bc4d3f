/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a gpa to memory, inside a section. */
#ifndef VAS_KERNEL_MEMORY_H
#define VAS_KERNEL_MEMORY_H

#include <linux/kasan-checks.h>
#include <linux/mm.h>
#include <linux/string.h>

struct vas_backing;
struct vas_region_map_entry;
struct vas_section;
struct vas_segment;

/**
 * struct vas_memory_range - what one region has of a range
 * @entry: the region, in the view's map
 * @backing: where it is; NULL: in the memory of the process that bound
 * @offset: in @backing, or the address if that is NULL
 * @len: bytes of the range that are here
 */
struct vas_memory_range {
	const struct vas_region_map_entry *entry;
	const struct vas_backing *backing;
	u64 offset;
	u64 len;
};

/*
 * memcpy(), but whole pages by what the kernel has for them: without a fast "rep movsb" that is
 * three times shorter than a memcpy() of newer kernels.
 */
static __always_inline void vas_bytes_copy(void *to, const void *from, size_t len)
{
	if (len != PAGE_SIZE || ((unsigned long)to | (unsigned long)from) & ~PAGE_MASK) {
		memcpy(to, from, len);
		return;
	}
	kasan_check_write(to, PAGE_SIZE); /* copy_page() is not instrumented */
	kasan_check_read(from, PAGE_SIZE);
	copy_page(to, (void *)from);
}

int vas_memory_range_find(const struct vas_section *section, u64 gpa, u64 len, u32 flags,
			  struct vas_memory_range *range);

#endif
