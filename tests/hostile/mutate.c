// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Every field of every struct of the format, given every value that it should not have, one at a
 * time: to a binder that comes later, to one that is bound already, and to the owner.
 */
#include <unistd.h>

#include "core/protocol/entries.h"
#include "field.h"
#include "victim.h"

/* Where the object is in a victim. */
typedef void *locate(const struct victim *v);

static void *at_superblock(const struct victim *v)
{
	return v->sb;
}

static void *at_control(const struct victim *v)
{
	return v->ctl;
}

static void *at_state(const struct victim *v)
{
	return victim_state(v);
}

static void *at_first_region(const struct victim *v)
{
	return victim_table(v);
}

static void *at_backed_region(const struct victim *v)
{
	return victim_table(v) + 2;
}

static void *at_own_backing(const struct victim *v)
{
	return victim_extent(v, VAS_EXT_BACKINGS);
}

static void *at_second_backing(const struct victim *v)
{
	return (struct vas_backing_entry *)victim_extent(v, VAS_EXT_BACKINGS) + 1;
}

static void *at_event(const struct victim *v)
{
	return victim_extent(v, VAS_EXT_EVENTS);
}

static void *at_slot(const struct victim *v)
{
	return victim_extent(v, VAS_EXT_SLOTS);
}

static void *at_free_slot(const struct victim *v)
{
	return (struct vas_slot *)victim_extent(v, VAS_EXT_SLOTS) + 7;
}

static void *at_binder(const struct victim *v)
{
	return victim_extent(v, VAS_EXT_BINDERS);
}

static void *at_free_binder(const struct victim *v)
{
	return (struct vas_binder *)victim_extent(v, VAS_EXT_BINDERS) + 1;
}

static void *at_pin(const struct victim *v)
{
	return victim_extent(v, VAS_EXT_PINS);
}

static void *at_free_pin(const struct victim *v)
{
	return (struct vas_pin *)victim_extent(v, VAS_EXT_PINS) + 1;
}

static void *at_tracker(const struct victim *v)
{
	return victim_extent(v, VAS_EXT_TRACKERS);
}

/* A handle that was bound before the mutation: it must go on, or fail cleanly. */
static void try_bound(struct victim *v, struct vas *bound)
{
	victim_exercise(bound);
	vas_unbind(bound);
	victim_exercise_owner(v);
}

static void try_value(locate *at, const struct field *field, unsigned int i)
{
	struct vas *bound;
	struct victim v;

	victim_make(&v);
	CHECK_OK(vas_bind(vas_fd(v.owner), 0, &bound));
	if (field_mutate(at(&v), field, i)) {
		victim_try_bind(vas_fd(v.owner), 0);
		victim_try_bind(vas_fd(v.owner), VAS_BIND_OBSERVE);
		try_bound(&v, bound);
		victim_try_bind(vas_fd(v.owner), VAS_BIND_NO_WINDOW);
	} else {
		vas_unbind(bound);
	}
	victim_free(&v);
}

/* The same, published as a new generation, so that whoever is bound reads it. */
static void try_published(locate *at, const struct field *field, unsigned int i)
{
	struct vas *bound;
	struct victim v;

	victim_make(&v);
	CHECK_OK(vas_bind(vas_fd(v.owner), 0, &bound));
	victim_exercise(bound);
	victim_republish(&v);
	field_mutate(at(&v), field, i);
	try_bound(&v, bound);
	victim_free(&v);
}

typedef void attempt(locate *at, const struct field *field, unsigned int i);

static void try_all(const struct struct_fields *s, locate *at, attempt *attempt)
{
	int fds = -1, maps = 0;

	for (size_t f = 0; f < s->nr; f++)
		for (unsigned int i = 0; i < field_nr_values(&s->fields[f]); i++) {
			test_note("%s.%s, value %u", s->name, s->fields[f].name, i);
			attempt(at, &s->fields[f], i);
			if (fds < 0) { /* the first run may leave something for good */
				fds = test_count_fds();
				maps = test_count_maps();
			}
			CHECK_EQ(test_count_fds(), fds);
		}
	test_note("%s: after all", s->name);
	CHECK(test_count_maps() < maps + 64); /* stacks that are kept for later threads, and such */
}

#define MUTATE(test, id, where)                              \
	TEST(mutated_##test)                                 \
	{                                                    \
		try_all(&id##_fields, where, try_value);     \
	}                                                    \
	TEST(published_##test)                               \
	{                                                    \
		try_all(&id##_fields, where, try_published); \
	}

MUTATE(superblock, superblock, at_superblock)
MUTATE(control, control, at_control)
MUTATE(state, state, at_state)
MUTATE(region, region, at_first_region)
MUTATE(region_with_a_backing, region, at_backed_region)
MUTATE(own_backing, backing, at_own_backing)
MUTATE(second_backing, backing, at_second_backing)
MUTATE(event, event, at_event)
MUTATE(slot, slot, at_slot)
MUTATE(free_slot, slot, at_free_slot)
MUTATE(binder, binder, at_binder)
MUTATE(free_binder, binder, at_free_binder)
MUTATE(pin, pin, at_pin)
MUTATE(free_pin, pin, at_free_pin)
MUTATE(tracker, tracker, at_tracker)

static void try_extent(int id, const struct field *field, unsigned int i)
{
	struct victim v;

	victim_make(&v);
	if (field_mutate(&v.sb->extents[id], field, i))
		CHECK_EQ(victim_try_bind(vas_fd(v.owner), 0), -EPROTO);
	victim_free(&v);
}

TEST(mutated_extents)
{
	for (int id = 0; id < VAS_EXT_COUNT; id++)
		for (size_t f = 0; f < extent_fields.nr; f++)
			for (unsigned int i = 0; i < field_nr_values(&extent_fields.fields[f]);
			     i++) {
				test_note("extent %d, %s, value %u", id,
					  extent_fields.fields[f].name, i);
				try_extent(id, &extent_fields.fields[f], i);
			}
}

/* Two parts that change places: each by itself is in range. */
TEST(swapped_extents)
{
	for (int a = 0; a < VAS_EXT_COUNT; a++)
		for (int b = 0; b < a; b++) {
			struct vas_extent extent;
			struct victim v;

			test_note("extents %d and %d", a, b);
			victim_make(&v);
			extent = v.sb->extents[a];
			v.sb->extents[a] = v.sb->extents[b];
			v.sb->extents[b] = extent;
			CHECK_EQ(victim_try_bind(vas_fd(v.owner), 0), -EPROTO);
			victim_free(&v);
		}
}

static void refuse_table(void (*poison)(struct vas_region_entry *table))
{
	struct victim v;

	victim_make(&v);
	CHECK_EQ(victim_try_bind(vas_fd(v.owner), 0), 0);
	poison(victim_table(&v));
	CHECK_EQ(victim_try_bind(vas_fd(v.owner), 0), -EPROTO);
	victim_exercise_owner(&v);
	victim_free(&v);
}

static void poison_order(struct vas_region_entry *t)
{
	struct vas_region_entry first = t[0];

	t[0] = t[1];
	t[1] = first;
}

static void poison_overlap(struct vas_region_entry *t)
{
	t[0].size += 4096;
}

static void poison_same(struct vas_region_entry *t)
{
	t[1] = t[0];
}

static void poison_wrap(struct vas_region_entry *t)
{
	t[3].size = -4096ull;
}

static void poison_into_control(struct vas_region_entry *t)
{
	t[3].offset = 33 * 4096;
}

static void poison_empty(struct vas_region_entry *t)
{
	t[0].size = 0;
}

static void poison_alignment(struct vas_region_entry *t)
{
	t[0].gpa = 8;
}

static void poison_backing_end(struct vas_region_entry *t)
{
	t[2].offset = 9 * 4096;
}

TEST(tables_that_lie)
{
	static void (*const spoils[])(struct vas_region_entry *) = {
		poison_order, poison_overlap,	poison_same,	     poison_wrap,
		poison_empty, poison_alignment, poison_into_control, poison_backing_end,
	};

	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		test_note("spoil %zu", i);
		refuse_table(spoils[i]);
	}
}

#define NR_RANDOM 400

/* Several bytes at once, anywhere in the first pages of the control area. */
TEST(random_bytes_anywhere)
{
	struct test_random random = { test_seed() };

	for (int round = 0; round < NR_RANDOM; round++) {
		struct victim v;
		unsigned int nr = 1 + (unsigned int)test_random_below(&random, 16);

		test_note("round %d", round);
		victim_make(&v);
		while (nr--) {
			uint64_t part = test_random_below(&random, VAS_EXT_LOG);
			char *p = victim_extent(&v, (enum vas_extent_id)part);

			p[test_random_below(&random, 512)] = (char)test_random_next(&random);
		}
		victim_try_bind(vas_fd(v.owner), 0);
		victim_exercise_owner(&v);
		victim_free(&v);
	}
}

/* The whole control area as a hole, as after a punch: zeros everywhere but the superblock. */
TEST(zeros_everywhere)
{
	struct victim v;

	victim_make(&v);
	for (int id = 0; id < VAS_EXT_COUNT; id++)
		if (id != VAS_EXT_BINDERS && id != VAS_EXT_SLOTS)
			memset(victim_extent(&v, id), 0, v.sb->extents[id].size);
	CHECK_EQ(victim_try_bind(vas_fd(v.owner), 0), -EPROTO);
	victim_exercise_owner(&v);
	victim_free(&v);
}
