// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/page_walk.h"

#include <errno.h>

#define PAGE_SHIFT	12
#define BITS_PER_LEVEL	9
#define BITS(high, low) (((2ull << ((high) - (low))) - 1) << (low))

#define X86_ADDRESS   BITS(51, 12)
#define X86_PRESENT   (1ull << 0)
#define X86_LARGE     (1ull << 7) /* of a last-level entry: PAT */
#define X86_LARGE_PAT (1ull << 12)

#define ARM64_ADDRESS BITS(47, 12)
#define ARM64_VALID   (1ull << 0)
#define ARM64_TABLE   (1ull << 1) /* of a last-level entry: a page */

/* What an entry is, on the level that has `below` levels below it. */
enum entry_kind { ENTRY_NONE, ENTRY_TABLE, ENTRY_PAGE, ENTRY_BAD };

static int nr_levels(enum page_walk_mode mode)
{
	return mode == PAGE_WALK_X86_5_LEVELS ? 5 : 4;
}

static uint64_t level_size(int below)
{
	return 1ull << (PAGE_SHIFT + BITS_PER_LEVEL * below);
}

static uint64_t address_of(enum page_walk_mode mode, uint64_t entry)
{
	return entry & (mode == PAGE_WALK_ARM64 ? ARM64_ADDRESS : X86_ADDRESS);
}

static enum entry_kind x86_kind(uint64_t entry, int below)
{
	if (!(entry & X86_PRESENT))
		return ENTRY_NONE;
	if (!below)
		return ENTRY_PAGE;
	if (!(entry & X86_LARGE))
		return ENTRY_TABLE;
	if (below > 2 || entry & X86_ADDRESS & (level_size(below) - 1) & ~X86_LARGE_PAT)
		return ENTRY_BAD;
	return ENTRY_PAGE;
}

static enum entry_kind arm64_kind(uint64_t entry, int below)
{
	if (!(entry & ARM64_VALID))
		return ENTRY_NONE;
	if (!below)
		return entry & ARM64_TABLE ? ENTRY_PAGE : ENTRY_BAD;
	if (entry & ARM64_TABLE)
		return ENTRY_TABLE;
	return below > 2 ? ENTRY_BAD : ENTRY_PAGE;
}

/* All bits from the highest that is translated on are equal: one sign. */
static int is_canonical(enum page_walk_mode mode, uint64_t va)
{
	const int bits = PAGE_SHIFT + BITS_PER_LEVEL * nr_levels(mode);
	/* arm64 chooses the register by the bits above these, so the highest is a bit as any. */
	const uint64_t sign = va >> (mode == PAGE_WALK_ARM64 ? bits : bits - 1);

	return !sign || sign == ~0ull >> (mode == PAGE_WALK_ARM64 ? bits : bits - 1);
}

int page_walk(const struct page_walk *walk, uint64_t va, struct page_walk_result *result)
{
	const enum page_walk_mode mode = walk->mode;
	const int levels = nr_levels(mode);
	uint64_t table = address_of(mode, walk->root);

	if (!is_canonical(mode, va))
		return -EINVAL;
	for (int below = levels - 1; below >= 0; below--) {
		const uint64_t size = level_size(below), index = va / size % 512;
		enum entry_kind kind;
		int err;

		*result = (struct page_walk_result){
			.size = size,
			.level = mode == PAGE_WALK_ARM64 ? levels - 1 - below : below + 1,
			.entry_gpa = table + index * sizeof(uint64_t),
		};
		err = walk->read_entry(walk->context, result->entry_gpa, &result->entry);
		if (err)
			return err;
		table = address_of(mode, result->entry);
		result->gpa = (table & ~(size - 1)) | (va & (size - 1));
		kind = mode == PAGE_WALK_ARM64 ? arm64_kind(result->entry, below) :
						 x86_kind(result->entry, below);
		if (kind != ENTRY_TABLE)
			return kind == ENTRY_PAGE ? 0 : kind == ENTRY_NONE ? -ENOENT : -EBADMSG;
	}
	return -EBADMSG; /* not reached: the last level has no tables */
}
