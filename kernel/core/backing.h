/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file that holds guest memory, and how to reach its pages without anybody's page tables. */
#ifndef VAS_KERNEL_BACKING_H
#define VAS_KERNEL_BACKING_H

#include <linux/mm.h>

#include <vas/format.h>

struct file;
struct mem_cgroup;
struct vas;

enum vas_backing_kind {
	VAS_BACKING_SHMEM,
	VAS_BACKING_HUGETLB,
	VAS_BACKING_OTHER, /* read and written, never mapped */
};

/**
 * struct vas_backing - an open file that holds guest memory
 * @file: an open file description of our own; NULL: not available. One that can be written stands
 *	against F_SEAL_WRITE, as a map would
 * @kind: by what means pages are found
 * @shift: log2 of the page size
 * @size: the file's size when it was opened; sealed, unless @kind is VAS_BACKING_OTHER
 * @memcg: of the process that opened it, which pays for what is allocated on its behalf: other
 *	threads are the kernel's, for whom nobody pays
 */
struct vas_backing {
	struct file *file;
	enum vas_backing_kind kind;
	unsigned int shift;
	u64 size;
	struct mem_cgroup *memcg;
};

/**
 * struct vas_segment - a range of a backing that is contiguous in the kernel
 * @addr: its address, good as long as @folio is referenced
 * @len: its length in bytes
 * @folio: what it lies in; the holder of the segment has a reference
 */
struct vas_segment {
	void *addr;
	u64 len;
	struct folio *folio;
};

#define VAS_SEGMENT_ALLOC  1u /* fill a hole */
#define VAS_SEGMENT_ATOMIC 2u /* do not sleep */

#define VAS_OPEN_READONLY 1u /* not to be written, even if the file can be */
#define VAS_OPEN_SEALED	  2u /* only if it cannot shrink, grow, or lose its seals */

unsigned int vas_file_seals(const struct file *file);
int vas_backing_open(struct vas_backing *backing, struct file *file, u32 flags);
void vas_backing_close(struct vas_backing *backing);
bool vas_backing_is_readonly(const struct vas_backing *backing);
bool vas_backing_is(const struct vas_backing *backing, const struct vas_backing_entry *entry);
int vas_backing_read(const struct vas_backing *backing, u64 offset, void *buf, size_t len);
int vas_backing_write(const struct vas_backing *backing, u64 offset, const void *buf, size_t len);

int vas_segment_get(const struct vas_backing *backing, u64 offset, u64 len, u32 flags,
		    struct vas_segment *segment);
void vas_segment_put(struct vas_segment *segment);

/* Reclaim may drop a clean page of shmem, so a page is set dirty each time it was written. */
static inline void vas_folio_dirty(struct folio *folio)
{
	if (unlikely(!folio_test_dirty(folio)))
		folio_mark_dirty(folio);
}

#endif
