/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* From a gpa to memory, inside a section. */
#ifndef VAS_KERNEL_MEMORY_H
#define VAS_KERNEL_MEMORY_H

#include <linux/kasan-checks.h>
#include <linux/mm.h>
#include <linux/string.h>

#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#endif

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

/* As many bytes as are worth a "rep movsq". */
#define VAS_BYTES_MANY 256

/*
 * memcpy(), and its promises, but many bytes by "rep movsq" where there is no fast "rep movsb" for
 * short lengths: newer kernels' memcpy() goes word by word then, in three times the instructions.
 */
static __always_inline void vas_bytes_copy(void *to, const void *from, size_t len)
{
#ifdef CONFIG_X86_64
	if (len >= VAS_BYTES_MANY && !static_cpu_has(X86_FEATURE_FSRM)) {
		size_t nr = len / 8;

		kasan_check_write(to, len); /* assembly is not instrumented */
		kasan_check_read(from, len);
		asm volatile("rep movsq" : "+c"(nr), "+D"(to), "+S"(from) : : "memory");
		len %= 8;
		if (!len)
			return;
	}
#endif
	memcpy(to, from, len);
}

int vas_memory_range_find(const struct vas_section *section, u64 gpa, u64 len, u32 flags,
			  struct vas_memory_range *range);

#endif
