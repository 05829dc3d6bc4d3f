// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdbool.h>

#include "tests/lib/simple_vas.h"

static void refuse(struct vas *vas, struct vas_region region, int err)
{
	CHECK_EQ(vas_region_add(vas, &region, NULL), err);
}

static struct vas_region placed(uint64_t page, uint64_t offset_page, uint64_t nr)
{
	struct vas_region region = simple_region(page, nr);

	region.offset = offset_page * PAGE;
	return region;
}

TEST(a_forgotten_offset_is_no_second_name_of_other_memory)
{
	struct vas *vas = simple_vas();
	struct vas_region low = { .size = 4 * PAGE, .name = "low" };
	struct vas_region high = { .gpa = 128 * PAGE, .size = 4 * PAGE, .name = "high" };

	CHECK_OK(vas_region_add(vas, &low, NULL));
	refuse(vas, high, -EEXIST);
	CHECK_HAS(vas_error(),
		  "region high [0x80000, +0x4000) at offset 0 of backing 0 would have bytes of "
		  "region low [0, +0x4000): give it another offset, or VAS_REGION_ALIAS");
	high.offset = VAS_OFFSET_GPA;
	CHECK_OK(vas_region_add(vas, &high, NULL));
	CHECK_OK(vas_region_at(vas, high.gpa, &high));
	CHECK_EQ(high.offset, high.gpa);
	vas_destroy(vas);
}

TEST(an_alias_is_had_by_its_flag_on_either_region)
{
	struct vas *vas = simple_vas();
	struct vas_region second = placed(64, 0, 2), third = placed(72, 0, 1), found;
	char byte = 'x', there;

	simple_add(vas, 0, 4);
	second.flags = VAS_REGION_ALIAS;
	CHECK_OK(vas_region_add(vas, &second, NULL));
	refuse(vas, third, -EEXIST);
	CHECK_OK(vas_region_at(vas, second.gpa, &found));
	CHECK_EQ(found.flags, VAS_REGION_ALIAS);
	CHECK_OK(vas_write(vas, second.gpa + 5, &byte, 1, NULL));
	CHECK_OK(vas_read(vas, 5, &there, 1, NULL));
	CHECK_EQ(there, byte);
	vas_destroy(vas);

	vas = simple_vas();
	CHECK_OK(vas_region_add(vas, &second, NULL));
	CHECK_OK(vas_region_add(vas, &third, NULL));
	vas_destroy(vas);
}

TEST(a_region_that_grows_or_moves_takes_no_bytes_of_another)
{
	struct vas *vas = simple_vas();
	struct vas_region there = placed(10, 40, 4), below = placed(20, 38, 2), first;
	uint64_t there_id, below_id, moved;

	CHECK_OK(vas_region_add(vas, &there, &there_id));
	CHECK_OK(vas_region_add(vas, &below, &below_id));
	CHECK_EQ(vas_region_resize(vas, below_id, 3 * PAGE), -EEXIST);
	CHECK_HAS(vas_error(), "would have bytes of region");
	CHECK_OK(vas_region_resize(vas, there_id, 6 * PAGE));
	/* Where it was, its bytes are still its own. */
	moved = simple_add(vas, 60, 2);
	CHECK_OK(vas_region_move(vas, moved, 70 * PAGE));
	first = simple_region(60, 1);
	refuse(vas, first, -EEXIST);
	CHECK_OK(vas_region_remove(vas, moved));
	CHECK_OK(vas_region_add(vas, &first, NULL));
	/* A failed change leaves its place taken. */
	refuse(vas, placed(90, 38, 1), -EEXIST);
	CHECK_OK(vas_region_remove(vas, below_id));
	simple_add(vas, 38, 2);
	refuse(vas, placed(90, 38, 1), -EEXIST);
	vas_destroy(vas);
}

/* ---- against the definition ---------------------------------------------------------------- */

struct model {
	struct vas_region all[16];
	size_t nr;
	struct vas_layout *layout;
	struct test_random random;
};

static bool meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int expected(const struct model *m, const struct vas_region *r)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct vas_region *other = &m->all[i];

		if (other->id == r->id)
			continue;
		if (meet(other->gpa, other->size, r->gpa, r->size))
			return -EEXIST;
		if (!((other->flags | r->flags) & VAS_REGION_ALIAS) &&
		    meet(other->offset, other->size, r->offset, r->size))
			return -EEXIST;
	}
	return 0;
}

static uint64_t below(struct model *m, uint64_t nr)
{
	return test_random_below(&m->random, nr);
}

static struct vas_region any_region(struct model *m)
{
	struct vas_region r = placed(below(m, 40), below(m, 40), 1 + below(m, 4));

	if (!below(m, 3))
		r.offset = r.gpa;
	if (!below(m, 8))
		r.flags = VAS_REGION_ALIAS;
	return r;
}

static void try_add(struct model *m)
{
	struct vas_region r = any_region(m);
	int err = expected(m, &r);

	if (m->nr == 16)
		return;
	CHECK_EQ(vas_layout_add(m->layout, &r, &r.id), err);
	if (!err)
		m->all[m->nr++] = r;
}

static void try_change(struct model *m, struct vas_region *at)
{
	struct vas_region changed = *at, like = any_region(m);
	bool moves = below(m, 2);
	int err;

	if (moves)
		changed.gpa = like.gpa;
	else
		changed.size = like.size;
	err = expected(m, &changed);
	CHECK_EQ(moves ? vas_layout_move(m->layout, at->id, changed.gpa) :
			 vas_layout_resize(m->layout, at->id, changed.size),
		 err);
	if (!err)
		*at = changed;
}

static void try_anything(struct model *m)
{
	struct vas_region *at = m->all + (m->nr ? below(m, m->nr) : 0);
	uint64_t what = below(m, 5);

	if (what < 2 || !m->nr) {
		try_add(m);
	} else if (what < 4) {
		try_change(m, at);
	} else {
		CHECK_OK(vas_layout_remove(m->layout, at->id));
		*at = m->all[--m->nr];
	}
}

TEST(aliases_are_found_whatever_the_layout)
{
	struct model m = { .random = { test_seed() } };
	struct vas *vas = simple_vas();

	for (int i = 0; i < 500; i++) {
		CHECK_OK(vas_layout_begin(vas, &m.layout));
		for (uint64_t n = below(&m, 12); n; n--)
			try_anything(&m);
		CHECK_OK(vas_layout_commit(m.layout, TEST_HANG_NS, NULL));
	}
	vas_destroy(vas);
}
