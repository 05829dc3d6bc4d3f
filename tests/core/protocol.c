// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* core/protocol by itself, on tables of this process, with locks that the tests set. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "core/layout.h"
#include "core/protocol/entries.h"
#include "core/protocol/protocol.h"

#define NR_BINDERS 64
#define NR_SLOTS   512
#define NR_PINS	   512

/* What several handles share. */
struct shared {
	struct vas_superblock sb;
	struct vas_control control;
	struct vas_slot slots[NR_SLOTS];
	struct vas_binder binders[NR_BINDERS];
	struct vas_pin pins[NR_PINS];
	struct vas_tracker_entry trackers[2];
	struct vas_proto *locks[NR_BINDERS]; /* who has each byte */
	bool readers[NR_BINDERS];	     /* somebody has it locked for reading */
	uint64_t now_ns;
	uint64_t look_ns; /* what a look at a lock takes */
	uint64_t marked;
	int mark_err;
};

static struct shared *s;

static int lock(struct vas_proto *proto, uint64_t offset)
{
	if (s->readers[offset] || (s->locks[offset] && s->locks[offset] != proto))
		return -EBUSY;
	s->locks[offset] = proto;
	return 0;
}

static void unlock(struct vas_proto *proto, uint64_t offset)
{
	CHECK(s->locks[offset] == proto);
	s->locks[offset] = NULL;
}

static bool is_locked(struct vas_proto *proto, uint64_t offset)
{
	s->now_ns += s->look_ns;
	return s->locks[offset] && s->locks[offset] != proto;
}

/* Each look at the clock takes a microsecond. */
static uint64_t now_ns(void)
{
	return s->now_ns += 1000;
}

static void yield(void)
{
}

static int mark(struct vas_proto *proto, uint64_t gpa, uint64_t len)
{
	(void)proto;
	(void)gpa;
	s->marked += len;
	return s->mark_err;
}

static int copy(struct vas_proto *proto, void *to, uint64_t offset, uint64_t size)
{
	(void)proto;
	memcpy(to, (char *)s->trackers + (offset - s->sb.extents[VAS_EXT_TRACKERS].offset), size);
	return 0;
}

static const struct vas_proto_ops ops = { lock, unlock, is_locked, now_ns, yield, mark, copy };

static void share(void)
{
	free(s);
	s = calloc(1, sizeof(*s));
	CHECK(s);
	s->sb.nr_binders = NR_BINDERS;
	s->sb.nr_slots = NR_SLOTS;
	s->sb.nr_pins = NR_PINS;
	s->sb.nr_trackers = 2;
	s->sb.limit = 1ull << 40;
}

static struct vas_proto *handle(void)
{
	struct vas_binder_about about = { .pid = 7, .comm = "test" };
	struct vas_proto *proto = calloc(1, sizeof(*proto));

	CHECK(proto);
	*proto = (struct vas_proto){ &ops,    &s->sb,	   &s->control, s->slots,     s->binders,
				     s->pins, s->trackers, VAS_NO_TAG,	VAS_NO_ENTRY, { 0 } };
	CHECK_OK(vas_binder_claim(proto, &about, 0));
	return proto;
}

/* kill -9: the lock goes, and nothing else. */
static void die(struct vas_proto *proto)
{
	s->locks[proto->index] = NULL;
	free(proto);
}

static struct vas_scan scan_of(struct vas_proto *proto)
{
	struct vas_scan scan;

	vas_scan_begin(&scan, proto, 0);
	return scan;
}

static bool alive(struct vas_proto *proto, uint32_t tag)
{
	struct vas_scan scan = scan_of(proto);

	return vas_tag_is_alive(&scan, tag);
}

TEST(a_tag_dies_with_its_life_and_never_lives_again)
{
	struct vas_proto *a, *b;
	uint32_t tag;

	share();
	a = handle();
	b = handle();
	tag = b->tag;
	CHECK(alive(a, tag));
	CHECK(alive(a, a->tag));
	die(b);
	CHECK(!alive(a, tag));
	b = handle();
	CHECK_EQ(b->index, tag & VAS_TAG_INDEX);
	CHECK(!alive(a, tag));
	CHECK(alive(a, b->tag));
}

TEST(a_read_lock_is_no_life_and_keeps_nobody_from_another_index)
{
	struct vas_proto *a, *b;
	uint32_t tag;

	share();
	a = handle();
	b = handle();
	tag = b->tag;
	die(b);
	s->readers[tag & VAS_TAG_INDEX] = true;
	CHECK(!alive(a, tag));
	b = handle();
	CHECK(b->index != (tag & VAS_TAG_INDEX));
}

TEST(no_index_is_had_while_all_are_locked)
{
	struct vas_binder_about about = { 0 };
	struct vas_proto proto;

	share();
	proto = *handle();
	memset(s->readers, 1, sizeof(s->readers));
	CHECK_EQ(vas_binder_claim(&proto, &about, 3), -EAGAIN);
}

TEST(a_dead_holders_slot_is_claimed_when_no_other_is_free)
{
	struct vas_proto *a, *b;
	struct vas_scan scan;
	uint64_t *word;

	share();
	a = handle();
	b = handle();
	for (int i = 0; i < NR_SLOTS; i++) {
		scan = scan_of(b);
		CHECK(vas_slot_claim(&scan, 0, &word) != VAS_NO_ENTRY);
	}
	scan = scan_of(a);
	CHECK_EQ(vas_slot_claim(&scan, 0, &word), VAS_NO_ENTRY);
	*(uint64_t *)&s->slots[0].generation = 5;
	die(b);
	scan = scan_of(a);
	CHECK_EQ(vas_slot_claim(&scan, 0, &word), 0);
	CHECK_EQ(*word, 0);
	/* It died in a section. */
	CHECK_EQ(s->control.log_incomplete, 1);
}

TEST(a_slot_is_reaped_from_the_dead_only_and_the_log_says_so_first)
{
	struct vas_proto *a, *b;
	struct vas_scan scan;
	uint64_t *word;
	uint32_t slot;

	share();
	a = handle();
	b = handle();
	scan = scan_of(b);
	slot = vas_slot_claim(&scan, 9, &word);
	*word = 4;
	CHECK(vas_slot_is_inside(a, slot, 5));
	CHECK(!vas_slot_is_inside(a, slot, 4));
	scan = scan_of(a);
	CHECK(!vas_slot_reap(&scan, slot));
	die(b);
	CHECK(vas_slot_reap(&scan, slot));
	CHECK_EQ(s->control.log_incomplete, 1);
	CHECK(!vas_slot_is_inside(a, slot, 5));
}

static bool hits_all(const struct vas_pin_set *set, const struct vas_pin_about *about)
{
	(void)set;
	(void)about;
	return true;
}

TEST(what_the_dead_have_pinned_is_marked_and_given_back)
{
	const struct vas_pin_set all = { hits_all };
	struct vas_pin_about about = { .gpa = 4096, .size = 8192, .flags = VAS_PIN_WRITABLE };
	struct vas_proto *a, *b;
	struct vas_scan scan;
	uint32_t told;

	share();
	a = handle();
	b = handle();
	scan = scan_of(b);
	CHECK_EQ(vas_pin_claim(&scan, &about), 0);
	scan = scan_of(a);
	CHECK_EQ(vas_pins_request(&scan, &all, VAS_PINS_INVALIDATE, &told, NULL), 1);
	CHECK_EQ(told, 1);
	CHECK_EQ(vas_pin_state(b, 0), VAS_PIN_INVALIDATE);
	die(b);
	scan = scan_of(a);
	CHECK_EQ(vas_pins_request(&scan, &all, VAS_PINS_INVALIDATE, &told, NULL), 0);
	CHECK_EQ(s->marked, 8192);
	CHECK_EQ(s->pins[0].tag, 0);
	CHECK_EQ(s->control.log_incomplete, 0);
}

/* Between the look at a pin and the swap of its state, its holder answers. */
static bool answers_meanwhile(const struct vas_pin_set *set, const struct vas_pin_about *about)
{
	(void)set;
	(void)about;
	s->pins[0].state = VAS_PIN_QUIESCED;
	return true;
}

TEST(a_request_is_taken_back_from_a_holder_that_answers_meanwhile)
{
	struct vas_pin_about about = { .size = 4096, .flags = VAS_PIN_WRITABLE };
	struct vas_pin_set meanwhile = { answers_meanwhile };
	struct vas_proto *a, *b;
	struct vas_scan scan;
	uint32_t told;

	share();
	a = handle();
	b = handle();
	scan = scan_of(b);
	CHECK_EQ(vas_pin_claim(&scan, &about), 0);
	s->pins[0].state = VAS_PIN_QUIESCE;
	scan = scan_of(a);
	vas_pins_request(&scan, &meanwhile, VAS_PINS_KEEP, &told, NULL);
	CHECK_EQ(vas_pin_state(b, 0), VAS_PIN_HELD);
	CHECK_EQ(told, 1);
}

/* Between the look at a pin and the swap of its state, it becomes another's. */
static bool is_first_page(const struct vas_pin_set *set, const struct vas_pin_about *about)
{
	(void)set;
	if (about->gpa)
		return false;
	s->pins[0].gpa = 1 << 20;
	return true;
}

TEST(a_request_that_meets_another_pin_is_taken_back)
{
	struct vas_pin_about about = { .size = 4096, .flags = VAS_PIN_WRITABLE };
	struct vas_pin_set first_page = { is_first_page };
	struct vas_proto *a, *b;
	struct vas_scan scan;
	uint32_t told;

	share();
	a = handle();
	b = handle();
	scan = scan_of(b);
	CHECK_EQ(vas_pin_claim(&scan, &about), 0);
	scan = scan_of(a);
	CHECK_EQ(vas_pins_request(&scan, &first_page, VAS_PINS_INVALIDATE, &told, NULL), 0);
	CHECK_EQ(vas_pin_state(b, 0), VAS_PIN_HELD);
	/* Who has seen the request meanwhile is woken to see that there is none. */
	CHECK_EQ(told, 1);
}

TEST(marks_that_cannot_be_made_make_the_log_incomplete)
{
	struct vas_pin_about about = { .size = 4096, .flags = VAS_PIN_WRITABLE };
	struct vas_proto *a, *b;
	struct vas_scan scan;

	share();
	a = handle();
	b = handle();
	scan = scan_of(b);
	CHECK_EQ(vas_pin_claim(&scan, &about), 0);
	die(b);
	s->mark_err = -ENOMEM;
	scan = scan_of(a);
	CHECK(vas_pins_reap(&scan));
	CHECK_EQ(s->control.log_incomplete, 1);
}

/* A peer writes what it likes: pins of as many dead holders, each over all memory. */
TEST(one_scan_marks_no_more_than_its_allowance)
{
	struct vas_proto *a;
	struct vas_scan scan;

	share();
	a = handle();
	for (uint32_t i = 0; i < NR_PINS; i++)
		s->pins[i] = (struct vas_pin){ .state = VAS_PIN_HELD,
					       .tag = 1u << VAS_TAG_INDEX_BITS | (i % NR_BINDERS),
					       .size = 16ull << 30,
					       .flags = VAS_PIN_WRITABLE };
	s->control.pins_claimed = UINT32_MAX;
	scan = scan_of(a);
	CHECK(vas_pins_reap(&scan));
	CHECK(s->marked <= VAS_SCAN_ROOM);
	CHECK(s->control.log_incomplete > 0);
	CHECK_EQ(a->work.marked, s->marked);
}

/* One binder's entries cost one look at its lock; nobody's cost none. */
TEST(a_scan_remembers_who_lives)
{
	struct vas_proto *a, *b;
	struct vas_scan scan;
	uint64_t *word, before;

	share();
	a = handle();
	b = handle();
	for (int i = 0; i < NR_SLOTS; i++) {
		scan = scan_of(b);
		CHECK(vas_slot_claim(&scan, 0, &word) != VAS_NO_ENTRY);
	}
	before = a->work.looks;
	scan = scan_of(a);
	CHECK_EQ(vas_slots_count(&scan), NR_SLOTS);
	CHECK_EQ(a->work.looks - before, 1);
	for (int i = 0; i < NR_SLOTS; i++)
		s->slots[i].tag = 99u << VAS_TAG_INDEX_BITS | 5;
	before = a->work.looks;
	scan = scan_of(a);
	CHECK_EQ(vas_slots_count(&scan), 0);
	CHECK_EQ(a->work.looks, before);
}

TEST(a_scan_ends_at_its_deadline)
{
	struct vas_proto *a;
	struct vas_scan scan;
	uint32_t i;

	share();
	a = handle();
	for (i = 0; i < NR_SLOTS; i++)
		s->slots[i].tag = VAS_TAG_IMMORTAL;
	vas_scan_begin(&scan, a, s->now_ns + 1000);
	for (i = 0; i < 1000 && vas_scan_step(&scan); i++)
		;
	CHECK(i < 600);
	CHECK(!vas_slots_reap(&scan));
}

/* Each slot, each pin is another binder's, so that each is a look at a lock. */
TEST(a_scan_whose_looks_at_locks_are_slow_ends_at_its_deadline)
{
	struct vas_proto *a;
	struct vas_scan scan;
	uint32_t i;

	share();
	a = handle();
	for (i = 0; i < NR_SLOTS; i++) {
		s->slots[i].tag = 7u << VAS_TAG_INDEX_BITS | (1 + i % (NR_BINDERS - 1));
		s->slots[i].generation = 1;
		s->pins[i].tag = s->slots[i].tag;
		s->pins[i].state = VAS_PIN_HELD;
	}
	for (i = 0; i < NR_BINDERS; i++)
		s->binders[i].claims = 7;
	s->control.pins_claimed = UINT32_MAX;
	s->look_ns = VAS_SCAN_NS / 10;
	scan = scan_of(a);
	CHECK(!vas_slots_reap(&scan));
	scan = scan_of(a);
	CHECK(!vas_pins_reap(&scan));
	scan = scan_of(a);
	vas_slots_count(&scan);
	vas_pins_count(&scan);
	CHECK(a->work.looks <= 3 * 11);
}

/* A busy machine, in which all but a look at a lock takes long, comes to the end of its tables. */
TEST(a_scan_without_a_deadline_ends_with_its_table)
{
	struct vas_pin_about about = { .size = 4096 };
	struct vas_proto *a, *b;
	struct vas_scan scan;

	share();
	a = handle();
	b = handle();
	for (uint32_t i = 0; i < NR_PINS; i++) {
		scan = scan_of(b);
		CHECK_EQ(vas_pin_claim(&scan, &about), i);
	}
	die(b);
	scan = scan_of(a);
	s->now_ns += 100 * VAS_SCAN_NS;
	CHECK_EQ(vas_pin_claim(&scan, &about), 0);
}

TEST(the_drain_lock_is_taken_from_the_dead_and_says_so)
{
	struct vas_proto *a, *b;
	struct vas_scan scan;

	share();
	a = handle();
	b = handle();
	scan = scan_of(b);
	CHECK_EQ(vas_drain_trylock(&scan), 0);
	scan = scan_of(a);
	CHECK_EQ(vas_drain_trylock(&scan), -EBUSY);
	die(b);
	CHECK_EQ(vas_drain_trylock(&scan), 1);
	vas_drain_release(a);
	CHECK_EQ(vas_drain_trylock(&scan), 0);
}

TEST(a_tracker_entry_is_claimed_from_the_dead)
{
	struct vas_proto *a, *b;
	struct vas_scan scan;

	share();
	a = handle();
	b = handle();
	scan = scan_of(b);
	CHECK_EQ(vas_tracker_claim(&scan, b->tag), 0);
	CHECK_EQ(vas_tracker_claim(&scan, VAS_TAG_IMMORTAL), 1);
	vas_tracker_start(b, 0, "b");
	scan = scan_of(a);
	CHECK(vas_tracker_is_alive(&scan, 0));
	CHECK(!vas_tracker_is_alive(&scan, 1));
	CHECK_EQ(vas_tracker_claim(&scan, a->tag), VAS_NO_ENTRY);
	die(b);
	scan = scan_of(a);
	CHECK(!vas_tracker_is_alive(&scan, 0));
	CHECK_EQ(vas_tracker_claim(&scan, a->tag), 0);
	CHECK(!vas_tracker_is_in_use(a, 0));
}

TEST(counts_of_claims_skip_what_is_no_tag)
{
	struct vas_proto *a;

	share();
	s->binders[0].claims = (UINT32_MAX >> VAS_TAG_INDEX_BITS) - 1;
	a = handle();
	CHECK(a->tag != VAS_NO_TAG && a->tag != VAS_TAG_IMMORTAL);
	CHECK_EQ(a->tag >> VAS_TAG_INDEX_BITS, 1);
	CHECK(alive(a, a->tag));
}
