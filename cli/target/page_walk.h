/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * From a guest-virtual address to a gpa, by the guest's page tables. No libc, no allocation. The
 * tables are whatever the guest has written there: a walk looks at one entry a level, so it ends
 * after five at most, wherever they point.
 */
#ifndef CLI_PAGE_WALK_H
#define CLI_PAGE_WALK_H

#include <stdint.h>

enum page_walk_mode {
	PAGE_WALK_X86_4_LEVELS, /* 48 bits of virtual address, pages of 4 KiB, 2 MiB, 1 GiB */
	PAGE_WALK_X86_5_LEVELS, /* 57 bits: CR4.LA57 */
	PAGE_WALK_ARM64,	/* 48 bits, granule of 4 KiB, blocks of 2 MiB and 1 GiB */
};

struct page_walk {
	enum page_walk_mode mode;
	uint64_t root; /* CR3, or TTBRn_EL1: what is no address in it does not matter */
	/* The 8 bytes at gpa, in the host's byte order: 0, or -errno, which page_walk() returns. */
	int (*read_entry)(void *context, uint64_t gpa, uint64_t *entry);
	void *context;
};

/* The entry that was looked at last. */
struct page_walk_result {
	uint64_t gpa;  /* of the byte at the virtual address */
	uint64_t size; /* of the range that the entry is for: of the page, if there is one */
	int level; /* as the architecture counts: from 4 or 5 to 1 on x86, from 0 to 3 on arm64 */
	uint64_t entry_gpa;
	uint64_t entry;
};

/*
 * Errors, besides those of read_entry(): -EINVAL, the address is not canonical, and nothing was
 * looked at; -ENOENT, the entry says that nothing is mapped; -EBADMSG, the entry is none that the
 * architecture allows. gpa counts only if it is 0; of -EINVAL, nothing does.
 */
int page_walk(const struct page_walk *walk, uint64_t va, struct page_walk_result *result);

#endif
