// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a view says, to whom, and what neither a guest nor its owner can make of it. */
#include <unistd.h>
#include <vas/iommu.h>
#include <vas/vas.h>

#include "tests/harness.h"

#define RW    (VAS_IOMMU_READ | VAS_IOMMU_WRITE)
#define SHORT 20000000ull /* a deadline that is to pass */

static struct vas_iommu_view *view;
static struct vas_iommu_slot *slot;
static struct vas_iommu_options options = {
	.max_entries = 64,
	.nr_slots = 4,
	.miss_ns = TEST_HANG_NS,
};

static void begin(void)
{
	CHECK_OK(vas_iommu_view_create(&options, &view));
	CHECK_OK(vas_iommu_slot_claim(view, &slot));
}

static void end(void)
{
	vas_iommu_slot_release(slot);
	vas_iommu_view_destroy(view);
}

/* In a section of its own. */
static int translate(uint64_t iova, uint32_t prot, uint64_t *len, uint64_t *gpa)
{
	int err;

	vas_iommu_enter(slot);
	err = vas_iommu_translate(slot, iova, prot, len, gpa);
	vas_iommu_leave(slot);
	return err;
}

static void is_at(uint64_t iova, uint64_t wanted_gpa, uint64_t wanted_len)
{
	uint64_t len = UINT64_MAX, gpa = 0;

	CHECK_OK(translate(iova, VAS_IOMMU_READ, &len, &gpa));
	CHECK_EQ(gpa, wanted_gpa);
	CHECK_EQ(len, wanted_len);
}

static void is_miss(uint64_t iova)
{
	uint64_t len = 1, gpa;

	CHECK_EQ(translate(iova, VAS_IOMMU_READ, &len, &gpa), -EFAULT);
}

/* ---- maps --------------------------------------------------------------------------------- */

TEST(a_map_is_found_and_what_is_unmapped_is_not)
{
	begin();
	is_miss(0x1000);
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x2000, 0x70000, RW));
	is_at(0x1000, 0x70000, 0x2000);
	is_at(0x2fff, 0x71fff, 1);
	is_miss(0x3000);
	is_miss(0xfff);
	vas_iommu_unmap(view, 0x1000, 0x2000);
	is_miss(0x1000);
	end();
}

TEST(a_length_is_cut_at_the_end_of_an_entry)
{
	uint64_t len = 0x800, gpa;

	begin();
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x1000, 0x70000, RW));
	CHECK_OK(vas_iommu_map(view, 0x2000, 0x1000, 0x71000, RW));
	CHECK_OK(translate(0x1100, RW, &len, &gpa));
	CHECK_EQ(len, 0x800);
	CHECK_OK(translate(0x1900, RW, &len, &gpa));
	CHECK_EQ(len, 0x700);
	end();
}

TEST(a_device_may_do_what_the_map_allows)
{
	uint64_t len = 1, gpa;

	begin();
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x1000, 0, VAS_IOMMU_READ));
	CHECK_OK(vas_iommu_map(view, 0x2000, 0x1000, 0, VAS_IOMMU_WRITE));
	CHECK_OK(translate(0x1000, VAS_IOMMU_READ, &len, &gpa));
	CHECK_EQ(translate(0x1000, VAS_IOMMU_WRITE, &len, &gpa), -EACCES);
	CHECK_EQ(translate(0x1000, RW, &len, &gpa), -EACCES);
	CHECK_EQ(translate(0x2000, VAS_IOMMU_READ, &len, &gpa), -EACCES);
	CHECK_OK(translate(0x2000, VAS_IOMMU_WRITE, &len, &gpa));
	end();
}

TEST(ranges_end_with_the_address_space_and_not_behind_it)
{
	begin();
	CHECK_OK(vas_iommu_map(view, 0xfffffffffffff000, 0x1000, 0x5000, RW));
	is_at(0xffffffffffffffff, 0x5fff, 1);
	CHECK_EQ(vas_iommu_map(view, 0xffffffffffffe000, 0x3000, 0x5000, RW), -EINVAL);
	CHECK_EQ(vas_iommu_map(view, 0x0, 0x2000, 0xfffffffffffff000, RW), -EINVAL);
	CHECK_HAS(vas_error(), "iova 0");
	vas_iommu_unmap(view, 0xfffffffffffff800, 0x100000);
	is_miss(0xfffffffffffff000);
	end();
}

TEST(what_makes_no_sense_is_refused)
{
	begin();
	CHECK_EQ(vas_iommu_map(view, 0x1000, 0, 0, RW), -EINVAL);
	CHECK_EQ(vas_iommu_map(view, 0x1000, 1, 0, 0), -EINVAL);
	CHECK_EQ(vas_iommu_map(view, 0x1000, 1, 0, 4), -EINVAL);
	is_miss(0x1000);
	end();
}

TEST(no_alignment_is_asked_for)
{
	begin();
	CHECK_OK(vas_iommu_map(view, 0x1003, 5, 0x7001, RW));
	is_at(0x1007, 0x7005, 1);
	CHECK_OK(vas_iommu_map(view, 0x1008, 1, 0, RW));
	is_at(0x1008, 0, 1);
	end();
}

TEST(what_is_in_the_way_stays)
{
	begin();
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x2000, 0x70000, RW));
	/* The same, and a part of the same. */
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x2000, 0x70000, RW));
	CHECK_OK(vas_iommu_map(view, 0x2000, 0x1000, 0x71000, VAS_IOMMU_READ));
	CHECK_EQ(vas_iommu_map(view, 0x1000, 0x2000, 0x80000, RW), -EEXIST);
	CHECK_EQ(vas_iommu_map(view, 0x0, 0x1001, 0x6f000, RW), -EEXIST);
	CHECK_EQ(vas_iommu_map(view, 0x2000, 0x1001, 0x71000, RW), -EEXIST);
	CHECK_HAS(vas_error(), "mapped otherwise");
	is_at(0x1000, 0x70000, 0x2000);
	end();
}

TEST(whole_maps_go_if_a_part_does)
{
	begin();
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x3000, 0x70000, RW));
	CHECK_OK(vas_iommu_map(view, 0x5000, 0x1000, 0x90000, RW));
	vas_iommu_unmap(view, 0x2000, 1);
	is_miss(0x1000);
	is_miss(0x3fff);
	is_at(0x5000, 0x90000, 0x1000);
	vas_iommu_unmap(view, 0, 0);
	is_miss(0x5000);
	end();
}

TEST(a_full_view_says_so_and_has_room_again)
{
	begin();
	for (uint64_t i = 0; i < options.max_entries; i++)
		CHECK_OK(vas_iommu_map(view, i << 12, 0x1000, i << 13, RW));
	CHECK_EQ(vas_iommu_map(view, 1ull << 40, 0x1000, 0, RW), -ENOSPC);
	CHECK_HAS(vas_error(), "all 64 entries");
	is_at(63 << 12, 63 << 13, 0x1000);
	vas_iommu_unmap(view, 7 << 12, 1);
	CHECK_OK(vas_iommu_map(view, 1ull << 40, 0x1000, 0, RW));
	end();
}

TEST(options_are_bounded)
{
	struct vas_iommu_options wrong = options;

	wrong.max_entries = 0;
	CHECK_EQ(vas_iommu_view_create(&wrong, &view), -EINVAL);
	wrong.max_entries = VAS_IOMMU_MAX_ENTRIES + 1;
	CHECK_EQ(vas_iommu_view_create(&wrong, &view), -EINVAL);
	wrong.max_entries = 1;
	wrong.nr_slots = 0;
	CHECK_EQ(vas_iommu_view_create(&wrong, &view), -EINVAL);
	wrong.nr_slots = VAS_IOMMU_MAX_SLOTS + 1;
	CHECK_EQ(vas_iommu_view_create(&wrong, &view), -EINVAL);
	CHECK_HAS(vas_error(), "4097 slots");
	vas_iommu_view_destroy(NULL);
}

/* ---- sections ----------------------------------------------------------------------------- */

/* There is something for an invalidation to wait for. */
static void unmap_something(void)
{
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x1000, 0, RW));
	vas_iommu_unmap(view, 0x1000, 0x1000);
}

TEST(an_invalidation_waits_for_sections_and_says_which_does_not_end)
{
	begin();
	unmap_something();
	CHECK_OK(vas_iommu_invalidate(view, 0));
	unmap_something();
	vas_iommu_enter(slot);
	CHECK(!vas_iommu_has_moved(slot));
	CHECK_EQ(vas_iommu_invalidate(view, SHORT), -ETIMEDOUT);
	CHECK_HAS(vas_error(), "slot 0");
	CHECK(vas_iommu_has_moved(slot));
	/* Nor has it by being asked again. */
	CHECK_EQ(vas_iommu_invalidate(view, 0), -ETIMEDOUT);
	vas_iommu_leave(slot);
	CHECK_OK(vas_iommu_invalidate(view, 0));
	end();
}

TEST(where_nothing_was_unmapped_there_is_nothing_to_wait_for)
{
	begin();
	unmap_something();
	CHECK_OK(vas_iommu_invalidate(view, 0));
	vas_iommu_enter(slot);
	CHECK_OK(vas_iommu_invalidate(view, 0));
	vas_iommu_unmap(view, 0x1000, 0x1000);
	CHECK_OK(vas_iommu_invalidate(view, 0));
	CHECK(!vas_iommu_has_moved(slot));
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x1000, 0, RW));
	vas_iommu_unmap(view, 0, 0);
	CHECK_EQ(vas_iommu_invalidate(view, 0), -ETIMEDOUT);
	vas_iommu_leave(slot);
	end();
}

TEST(a_section_that_begins_later_is_not_waited_for)
{
	uint64_t before;

	begin();
	vas_iommu_enter(slot);
	before = vas_iommu_generation(slot);
	vas_iommu_leave(slot);
	unmap_something();
	CHECK_OK(vas_iommu_invalidate(view, 0));
	vas_iommu_enter(slot);
	CHECK(vas_iommu_generation(slot) != before);
	CHECK(!vas_iommu_has_moved(slot));
	vas_iommu_leave(slot);
	end();
}

TEST(another_devices_sections_are_not_waited_for)
{
	struct vas_iommu_view *other;
	struct vas_iommu_slot *others;

	begin();
	CHECK_OK(vas_iommu_view_create(&options, &other));
	CHECK_OK(vas_iommu_slot_claim(other, &others));
	vas_iommu_enter(others);
	unmap_something();
	CHECK_OK(vas_iommu_invalidate(view, 0));
	CHECK(!vas_iommu_has_moved(others));
	vas_iommu_leave(others);
	vas_iommu_slot_release(others);
	vas_iommu_view_destroy(other);
	end();
}

TEST(slots_are_as_many_as_there_are)
{
	struct vas_iommu_slot *slots[4];
	int fds = test_count_fds(), i;

	CHECK_OK(vas_iommu_view_create(&options, &view));
	for (i = 0; i < 4; i++)
		CHECK_OK(vas_iommu_slot_claim(view, &slots[i]));
	CHECK_EQ(vas_iommu_slot_claim(view, &slot), -EBUSY);
	vas_iommu_slot_release(slots[2]);
	CHECK_OK(vas_iommu_slot_claim(view, &slots[2]));
	for (i = 0; i < 4; i++)
		vas_iommu_slot_release(slots[i]);
	vas_iommu_view_destroy(view);
	CHECK_EQ(test_count_fds(), fds);
}

/* ---- misses ------------------------------------------------------------------------------- */

static int nr_asked, answer_err;
static uint64_t asked_iova;
static uint32_t asked_prot;

static int note_miss(void *owner, uint64_t iova, uint32_t prot)
{
	CHECK(owner == &nr_asked);
	asked_iova = iova;
	asked_prot = prot;
	nr_asked++;
	return answer_err;
}

static int map_miss(void *owner, uint64_t iova, uint32_t prot)
{
	note_miss(owner, iova, prot);
	return vas_iommu_map(view, iova & ~0xfffull, 0x1000, 0x40000, prot);
}

static void begin_with(int (*miss)(void *owner, uint64_t iova, uint32_t prot))
{
	options.miss = miss;
	options.owner = &nr_asked;
	begin();
}

static int is_readable(void)
{
	uint64_t count;

	return read(vas_iommu_slot_fd(slot), &count, sizeof(count)) > 0;
}

TEST(a_miss_is_asked_once_and_answered_by_a_map)
{
	begin_with(note_miss);
	CHECK_EQ(vas_iommu_ask(slot, 0x1234, RW), -EINPROGRESS);
	CHECK_EQ(vas_iommu_ask(slot, 0x1234, RW), -EINPROGRESS);
	CHECK_EQ(nr_asked, 1);
	CHECK_EQ(asked_iova, 0x1234);
	CHECK_EQ(asked_prot, RW);
	CHECK_OK(vas_iommu_map(view, 0x5000, 0x1000, 0, RW));
	CHECK_EQ(vas_iommu_ask(slot, 0x1234, RW), -EINPROGRESS);
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x1000, 0, RW));
	CHECK(is_readable());
	is_at(0x1234, 0x234, 0xdcc);
	end();
}

TEST(an_owner_may_answer_at_once)
{
	begin_with(map_miss);
	CHECK_OK(vas_iommu_fault(slot, 0x7001, VAS_IOMMU_READ));
	is_at(0x7001, 0x40001, 0xfff);
	CHECK_EQ(nr_asked, 1);
	end();
}

TEST(an_owner_may_say_no)
{
	begin_with(note_miss);
	CHECK_EQ(vas_iommu_ask(slot, 0x1000, RW), -EINPROGRESS);
	vas_iommu_refuse(view, 0x2000);
	CHECK_EQ(vas_iommu_ask(slot, 0x1000, RW), -EINPROGRESS);
	vas_iommu_refuse(view, 0x1000);
	CHECK(is_readable());
	CHECK_EQ(vas_iommu_ask(slot, 0x1000, RW), -EFAULT);
	answer_err = -ENOENT;
	CHECK_EQ(vas_iommu_fault(slot, 0x3000, RW), -EFAULT);
	end();
}

TEST(without_an_owner_the_answer_is_no)
{
	begin_with(NULL);
	CHECK_EQ(vas_iommu_fault(slot, 0x1000, RW), -EFAULT);
	end();
}

TEST(silence_has_a_deadline)
{
	options.miss_ns = SHORT;
	begin_with(note_miss);
	CHECK_EQ(vas_iommu_fault(slot, 0x1000, RW), -ETIMEDOUT);
	/* Also where it cannot even be asked. */
	answer_err = -EAGAIN;
	CHECK_EQ(vas_iommu_fault(slot, 0x2000, RW), -ETIMEDOUT);
	CHECK(nr_asked >= 2);
	end();
}

static int map_readonly(void *owner, uint64_t iova, uint32_t prot)
{
	note_miss(owner, iova, prot);
	return vas_iommu_map(view, iova & ~0xfffull, 0x1000, 0x40000, VAS_IOMMU_READ);
}

/* An answer that is none does not make a device ask for ever. */
TEST(answers_that_do_not_help_are_a_no)
{
	uint64_t len = 1, gpa;
	int err;

	begin_with(map_readonly);
	do {
		err = vas_iommu_fault(slot, 0x1000, VAS_IOMMU_WRITE);
		CHECK_OK(translate(0x1000, VAS_IOMMU_READ, &len, &gpa));
		CHECK_EQ(translate(0x1000, VAS_IOMMU_WRITE, &len, &gpa), -EACCES);
	} while (!err && nr_asked < 1000);
	CHECK_EQ(err, -EFAULT);
	end();
}

/* But what was answered, used and invalidated is asked for as often as that happens. */
TEST(an_entry_that_goes_is_asked_for_again_and_again)
{
	begin_with(map_miss);
	for (int i = 1; i <= 1000; i++) {
		CHECK_OK(vas_iommu_fault(slot, 0x7000, VAS_IOMMU_READ));
		is_at(0x7000, 0x40000, 0x1000);
		CHECK_EQ(nr_asked, i);
		vas_iommu_unmap(view, 0x7000, 1);
		CHECK_OK(vas_iommu_invalidate(view, 0));
		is_miss(0x7000);
	}
	end();
}

/* Nor does it matter whether there was time to use it. */
TEST(an_entry_that_is_gone_before_it_is_used_is_no_answer_less)
{
	begin_with(map_miss);
	for (int i = 1; i <= 100; i++) {
		CHECK_OK(vas_iommu_fault(slot, 0x7000, VAS_IOMMU_READ));
		CHECK_EQ(nr_asked, i);
		vas_iommu_unmap(view, 0x7000, 1);
	}
	CHECK_OK(vas_iommu_fault(slot, 0x7000, VAS_IOMMU_READ));
	is_at(0x7000, 0x40000, 0x1000);
	end();
}

TEST(another_question_takes_the_place_of_one)
{
	begin_with(note_miss);
	CHECK_EQ(vas_iommu_ask(slot, 0x1000, RW), -EINPROGRESS);
	CHECK_EQ(vas_iommu_ask(slot, 0x2000, RW), -EINPROGRESS);
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x1000, 0, RW));
	CHECK_EQ(vas_iommu_ask(slot, 0x2000, RW), -EINPROGRESS);
	CHECK_EQ(vas_iommu_ask(slot, 0x2000, VAS_IOMMU_READ), -EINPROGRESS);
	CHECK_EQ(nr_asked, 3);
	/* Whoever has the slot next has asked for nothing. */
	vas_iommu_slot_release(slot);
	CHECK_OK(vas_iommu_slot_claim(view, &slot));
	CHECK_OK(vas_iommu_map(view, 0x2000, 0x1000, 0x1000, RW));
	CHECK(!is_readable());
	end();
}

/* ---- ahead -------------------------------------------------------------------------------- */

#define NR_WANTS 4u

static struct vas_iommu_want asked[16];

static int note_all(void *owner, uint64_t iova, uint32_t prot)
{
	CHECK((size_t)nr_asked < sizeof(asked) / sizeof(asked[0]));
	asked[nr_asked] = (struct vas_iommu_want){ iova, prot };
	return note_miss(owner, iova, prot);
}

static const struct vas_iommu_want wants[NR_WANTS] = {
	{ 0x1000, VAS_IOMMU_READ },
	{ 0x2000, VAS_IOMMU_WRITE },
	{ 0x3000, VAS_IOMMU_READ },
	{ 0x4000, VAS_IOMMU_WRITE },
};

TEST(what_will_be_wanted_is_asked_for_at_once_and_the_owner_knows_which_is_the_last)
{
	begin_with(note_all);
	CHECK_OK(vas_iommu_map(view, 0x2000, 0x1000, 0, RW));
	CHECK_OK(vas_iommu_map(view, 0x4000, 0x1000, 0, RW));
	CHECK_OK(vas_iommu_ask_ahead(slot, wants, NR_WANTS));
	CHECK_EQ(nr_asked, 2);
	CHECK_EQ(asked[0].iova, 0x1000);
	CHECK_EQ(asked[0].prot, VAS_IOMMU_READ | VAS_IOMMU_MORE);
	CHECK_EQ(asked[1].iova, 0x3000);
	CHECK_EQ(asked[1].prot, VAS_IOMMU_READ);
	CHECK(!is_readable());
	CHECK_OK(vas_iommu_ask_ahead(slot, wants, 0));
	CHECK_OK(vas_iommu_ask_ahead(slot, &wants[1], 1));
	CHECK_EQ(nr_asked, 2);
	answer_err = -EALREADY;
	CHECK_OK(vas_iommu_ask_ahead(slot, wants, NR_WANTS));
	answer_err = -EAGAIN;
	CHECK_EQ(vas_iommu_ask_ahead(slot, wants, NR_WANTS), -EAGAIN);
	end();
	begin_with(NULL);
	CHECK_EQ(vas_iommu_ask_ahead(slot, wants, NR_WANTS), -EFAULT);
	end();
}

/* It was put when nobody waited, and may be of another time: only an answer counts. */
TEST(a_no_to_a_question_that_was_put_before_is_asked_once_more)
{
	begin_with(note_all);
	answer_err = -EALREADY;
	CHECK_EQ(vas_iommu_ask(slot, 0x1000, RW), -EINPROGRESS);
	vas_iommu_refuse(view, 0x1000);
	CHECK(is_readable());
	CHECK_EQ(nr_asked, 1);
	answer_err = 0;
	CHECK_EQ(vas_iommu_ask(slot, 0x1000, RW), -EINPROGRESS);
	CHECK_EQ(nr_asked, 2);
	vas_iommu_refuse(view, 0x1000);
	CHECK_EQ(vas_iommu_ask(slot, 0x1000, RW), -EFAULT);
	CHECK_EQ(nr_asked, 2);
	/* And where that goes on it ends. */
	answer_err = -EALREADY;
	CHECK_EQ(vas_iommu_ask(slot, 0x2000, RW), -EINPROGRESS);
	for (nr_asked = 1; nr_asked < 16;) {
		vas_iommu_refuse(view, 0x2000);
		CHECK_EQ(vas_iommu_ask(slot, 0x2000, RW), -EINPROGRESS);
	}
	vas_iommu_refuse(view, 0x2000);
	CHECK_EQ(vas_iommu_ask(slot, 0x2000, RW), -EFAULT);
	end();
}

TEST(an_answer_to_a_question_that_was_put_before_is_one)
{
	begin_with(note_all);
	answer_err = -EALREADY;
	CHECK_EQ(vas_iommu_ask(slot, 0x1000, RW), -EINPROGRESS);
	CHECK_OK(vas_iommu_map(view, 0x1000, 0x1000, 0x5000, RW));
	CHECK(is_readable());
	is_at(0x1000, 0x5000, 0x1000);
	CHECK_EQ(nr_asked, 1);
	end();
}
