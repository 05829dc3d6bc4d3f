// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Page tables made by hand, in some pages of memory. */
#include "cli/target/page_walk.h"

#include <errno.h>
#include <string.h>

#include "tests/harness.h"

#define NR_PAGES 8

struct memory {
	uint64_t entries[NR_PAGES][512];
	int nr_reads;
};

static int read_entry(void *context, uint64_t gpa, uint64_t *entry)
{
	struct memory *memory = context;

	memory->nr_reads++;
	if (gpa / 4096 >= NR_PAGES)
		return -EFAULT;
	*entry = memory->entries[gpa / 4096][gpa % 4096 / 8];
	return 0;
}

static int walk_as(enum page_walk_mode mode, struct memory *memory, uint64_t root, uint64_t va,
		   struct page_walk_result *result)
{
	const struct page_walk walk = { mode, root, read_entry, memory };

	memory->nr_reads = 0;
	return page_walk(&walk, va, result);
}

/* Entry `index` of each level, of x86, from the page `from` on, downwards. */
static void chain(struct memory *memory, uint64_t from, int nr, int index)
{
	for (int i = 0; i < nr; i++, from++)
		memory->entries[from][index] = (from + 1) * 4096 | 0x63;
}

TEST(x86_pages_of_each_size_are_found)
{
	static struct memory m;
	struct page_walk_result at;
	/* Indexes 1, 2, 3, 4 from the top. */
	const uint64_t va = 1ull << 39 | 2ull << 30 | 3ull << 21 | 4ull << 12;

	m.entries[1][1] = 0x2067;
	m.entries[2][2] = 0x3067;
	m.entries[3][3] = 0x4067;
	/* With PAT where large pages have their bit, not executable, and of a protection key. */
	m.entries[4][4] = 0x85001234567890e7ull;
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1abc, va | 0xdef, &at), 0);
	CHECK_EQ(at.gpa, 0x0000123456789def);
	CHECK_EQ(at.size, 4096);
	CHECK_EQ(at.level, 1);
	CHECK_EQ(at.entry_gpa, 0x4020);
	m.entries[3][3] = 0x40001000 | 0xe7; /* its PAT */
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, va | 0xdef, &at), 0);
	CHECK_EQ(at.gpa, 0x40004def);
	CHECK_EQ(at.size, 2 << 20);
	CHECK_EQ(at.level, 2);
	m.entries[2][2] = 0x7c0000000 | 0xe7;
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, va | 0xdef, &at), 0);
	CHECK_EQ(at.gpa, 0x7c0000000 + (va & 0x3fffffff) + 0xdef);
	CHECK_EQ(at.size, 1 << 30);
	CHECK_EQ(at.level, 3);
	CHECK_EQ(m.nr_reads, 2);
}

TEST(x86_has_a_fifth_level)
{
	static struct memory m;
	struct page_walk_result at;

	chain(&m, 1, 5, 511);
	CHECK_EQ(walk_as(PAGE_WALK_X86_5_LEVELS, &m, 0x1000, ~0ull, &at), 0);
	CHECK_EQ(at.gpa, 0x6fff);
	CHECK_EQ(m.nr_reads, 5);
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, ~0ull, &at), 0);
	CHECK_EQ(at.gpa, 0x5fff);
	/* The address space of four levels ends where that of five goes on. */
	CHECK_EQ(walk_as(PAGE_WALK_X86_5_LEVELS, &m, 0x1000, 1ull << 47, &at), -ENOENT);
	CHECK_EQ(at.level, 5);
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, 1ull << 47, &at), -EINVAL);
}

TEST(addresses_that_are_not_canonical_are_refused_unseen)
{
	static const uint64_t bad4[] = { 1ull << 47, 1ull << 63, 0xffff7fffffffffffull,
					 0x0000800000000000ull };
	static const uint64_t bad5[] = { 1ull << 56, 1ull << 63, 0xfeffffffffffffffull };
	static const uint64_t bad_arm[] = { 1ull << 48, 0xfffeffffffffffffull, 1ull << 63 };
	static struct memory m;
	struct page_walk_result at;

	for (int i = 0; i < 4; i++) {
		CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0, bad4[i], &at), -EINVAL);
		CHECK_EQ(m.nr_reads, 0);
	}
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(walk_as(PAGE_WALK_X86_5_LEVELS, &m, 0, bad5[i], &at), -EINVAL);
		CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0, bad_arm[i], &at), -EINVAL);
		CHECK_EQ(m.nr_reads, 0);
	}
	/* The last ones that are. */
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0, 0x00007fffffffffffull, &at), -ENOENT);
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0, 0xffff800000000000ull, &at), -ENOENT);
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0, 0x0000ffffffffffffull, &at), -ENOENT);
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0, 0xffff000000000000ull, &at), -ENOENT);
}

TEST(what_is_not_mapped_is_told_with_its_entry)
{
	static struct memory m;
	struct page_walk_result at;

	for (int nr = 0; nr < 4; nr++) {
		memset(&m, 0, sizeof(m));
		chain(&m, 1, nr, 5);
		m.entries[1 + nr][5] = 0xdead000; /* but not present */
		CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, 0x0000028140a05000ull, &at),
			 -ENOENT);
		CHECK_EQ(at.level, 4 - nr);
		CHECK_EQ(at.entry, 0xdead000);
		CHECK_EQ(at.entry_gpa, 0x1000 + nr * 0x1000 + 5 * 8);
		CHECK_EQ(at.size, 4096ull << 9 * (3 - nr));
	}
}

TEST(tables_of_a_hostile_guest_end_each_walk)
{
	static struct memory m;
	struct page_walk_result at;

	/* A table that is its own next one, all the way: four looks, and a page. */
	for (int i = 0; i < 512; i++)
		m.entries[1][i] = 0x1067;
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, 0x123456789abc, &at), 0);
	CHECK_EQ(at.gpa, 0x1abc);
	CHECK_EQ(m.nr_reads, 4);
	CHECK_EQ(walk_as(PAGE_WALK_X86_5_LEVELS, &m, 0x1000, 0x123456789abc, &at), 0);
	CHECK_EQ(m.nr_reads, 5);
	/* Tables where no memory is, the root too. */
	m.entries[1][0] = 0x000ffffffffff067;
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, 0, &at), -EFAULT);
	CHECK_EQ(at.level, 3);
	CHECK_EQ(at.entry_gpa, 0x000ffffffffff000);
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, ~0ull, 0, &at), -EFAULT);
	CHECK_EQ(at.level, 4);
	/* Large pages where there are none, or that do not begin where they must. */
	m.entries[1][0] = 0xe7;
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, 0, &at), -EBADMSG);
	CHECK_EQ(at.level, 4);
	m.entries[1][0] = 0x2067;
	m.entries[2][0] = 0x4000e7;
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, 0, &at), -EBADMSG);
	m.entries[2][0] = 0x3067;
	m.entries[3][0] = 0x2020e7;
	CHECK_EQ(walk_as(PAGE_WALK_X86_4_LEVELS, &m, 0x1000, 0, &at), -EBADMSG);
	CHECK_EQ(at.level, 2);
}

TEST(arm64_pages_and_blocks_are_found)
{
	static struct memory m;
	struct page_walk_result at;
	const uint64_t va = 1ull << 39 | 2ull << 30 | 3ull << 21 | 4ull << 12;

	m.entries[1][1] = 0x8000000000002003; /* attributes of tables */
	m.entries[2][2] = 0x3003;
	m.entries[3][3] = 0x4003;
	m.entries[4][4] = 0x0068123456789f43;
	/* ASID and CnP are in the register as well. */
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0x00ff000000001001, va | 0xdef, &at), 0);
	CHECK_EQ(at.gpa, 0x123456789def);
	CHECK_EQ(at.size, 4096);
	CHECK_EQ(at.level, 3);
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0x1000, va | 0xdefull | 0xffffull << 48, &at), 0);
	CHECK_EQ(at.gpa, 0x123456789def);
	m.entries[3][3] = 0x0060000040200f41;
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0x1000, va | 0xdef, &at), 0);
	CHECK_EQ(at.gpa, 0x40204def);
	CHECK_EQ(at.size, 2 << 20);
	m.entries[2][2] = 0x0060000080000f41;
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0x1000, va | 0xdef, &at), 0);
	CHECK_EQ(at.gpa, 0x80000000 + (va & 0x3fffffff) + 0xdef);
	CHECK_EQ(at.level, 1);
	m.entries[1][1] = 0x0060000080000f41; /* no block is so large */
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0x1000, va, &at), -EBADMSG);
	CHECK_EQ(at.level, 0);
	m.entries[1][1] = 0x2002;
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0x1000, va, &at), -ENOENT);
	m.entries[1][1] = 0x2003;
	m.entries[2][2] = 0x3003;
	m.entries[3][3] = 0x4003;
	m.entries[4][4] = 0x9f41; /* valid, but no page */
	CHECK_EQ(walk_as(PAGE_WALK_ARM64, &m, 0x1000, va, &at), -EBADMSG);
	CHECK_EQ(at.level, 3);
}
