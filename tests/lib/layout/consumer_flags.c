// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a consumer declares, and regions that are a device's. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <vas/dirty.h>

#include "tests/lib/layout/recorder.h"

#define DEVICE (VAS_REGION_LOCAL | VAS_REGION_DEVICE)

static uint64_t add_device(struct vas *vas, uint64_t page, void *hva, uint32_t flags)
{
	const struct vas_region region = { .gpa = page * PAGE,
					   .size = PAGE,
					   .flags = DEVICE | flags,
					   .hva = hva,
					   .name = "bar0" };
	uint64_t id;

	CHECK_OK(vas_region_add(vas, &region, &id));
	return id;
}

static void *page_of_a_device(void)
{
	void *p = aligned_alloc(PAGE, PAGE);

	CHECK(p);
	memset(p, 'd', PAGE);
	return p;
}

/* ---- regions of devices -------------------------------------------------------------------- */

TEST(a_devices_region_is_its_owners_mapping)
{
	struct vas *vas = simple_vas();
	struct vas_region region = { .gpa = PAGE, .size = PAGE, .flags = VAS_REGION_DEVICE };
	void *p = page_of_a_device();

	CHECK_EQ(vas_region_add(vas, &region, NULL), -EINVAL);
	region.hva = p;
	CHECK_EQ(vas_region_add(vas, &region, NULL), -EINVAL);
	region.flags = DEVICE;
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_region_at(vas, PAGE, &region));
	CHECK_EQ(region.flags, DEVICE);
	vas_destroy(vas);
	free(p);
}

TEST(nobody_accesses_a_device_as_memory)
{
	static const char d[] = { 'd' };
	struct vas *vas = simple_vas(), *binder;
	struct vas_mapping *mapping;
	struct vas_region region;
	uint64_t found;
	void *p = page_of_a_device();
	char byte;

	simple_add(vas, 1, 1);
	add_device(vas, 2, p, 0);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_EQ(vas_read(vas, 2 * PAGE, &byte, 1, NULL), -ENXIO);
	CHECK_HAS(vas_error(), "it is a device's, and not RAM");
	CHECK_EQ(vas_write(vas, 2 * PAGE - 1, "xx", 2, NULL), -ENXIO);
	CHECK_EQ(vas_mapping_create(vas, 2 * PAGE, PAGE, 0, &mapping), -ENXIO);
	CHECK_EQ(vas_search(vas, 0, 256 * PAGE, &(struct vas_pattern){ d, NULL, 1 }, &found),
		 -ENOENT);
	CHECK_EQ(vas_read(binder, 2 * PAGE, &byte, 1, NULL), -ENXIO);
	CHECK_OK(vas_region_at(binder, 2 * PAGE, &region));
	CHECK(region.flags & VAS_REGION_DEVICE);
	CHECK(!region.hva);
	CHECK_EQ(*(char *)p, 'd');
	vas_unbind(binder);
	vas_destroy(vas);
	free(p);
}

TEST(only_consumers_that_ask_for_them_are_told_of_devices)
{
	struct vas *vas = simple_vas();
	struct recorder ram, all;
	void *p = page_of_a_device();
	uint64_t id;

	recorder_init(&ram, 'A', 0);
	recorder_init(&all, 'B', VAS_CONSUMER_DEVICE_REGIONS);
	simple_add(vas, 1, 1);
	add_device(vas, 2, p, 0);
	simple_add(vas, 3, 1);
	CHECK_OK(vas_consumer_attach(vas, &ram.consumer, TEST_HANG_NS, NULL));
	CHECK_OK(vas_consumer_attach(vas, &all.consumer, TEST_HANG_NS, NULL));
	CHECK_EQ(ram.nr_added, 2);
	CHECK_EQ(ram.added[1].gpa, 3 * PAGE);
	CHECK_EQ(all.nr_added, 3);
	CHECK(all.added[1].hva == p);
	id = add_device(vas, 4, p, 0);
	CHECK_EQ(ram.nr_added, 0);
	CHECK_EQ(all.nr_added, 1);
	CHECK_OK(vas_region_remove(vas, id));
	CHECK_EQ(ram.nr_removed + ram.nr_gone, 0);
	CHECK_EQ(all.nr_removed, 1);
	vas_consumer_detach(&all.consumer);
	CHECK_EQ(all.nr_removed, 3);
	/* In two runs, with the device's region between them. */
	memset(journal, 0, sizeof(journal));
	vas_consumer_detach(&ram.consumer);
	check_journal("Ac Ac");
	CHECK_EQ(ram.nr_removed, 1);
	CHECK_EQ(ram.removed[0].gpa, 3 * PAGE);
	vas_destroy(vas);
	free(p);
}

/* ---- dirty pages --------------------------------------------------------------------------- */

/* Pages of an epoch, as bits: all of them lie in the first word. */
static uint64_t epoch(struct vas_tracker *dirty)
{
	const struct vas_dirty_word *words;
	uint64_t gpa = 0, bits = 0;
	ssize_t nr;

	CHECK_OK(vas_tracker_begin(dirty));
	do {
		nr = vas_tracker_harvest(dirty, &gpa, 256 * PAGE, 4, &words);
		CHECK(nr >= 0);
		for (ssize_t i = 0; i < nr; i++) {
			CHECK_EQ(words[i].gpa, 0);
			bits |= words[i].bits;
		}
	} while (gpa < 256 * PAGE);
	CHECK_OK(vas_tracker_commit(dirty));
	return bits;
}

TEST(a_device_is_never_dirty)
{
	struct vas *vas = simple_vas();
	void *p = page_of_a_device();
	struct vas_tracker *dirty;
	struct recorder r;

	simple_add(vas, 1, 1);
	add_device(vas, 2, p, 0);
	CHECK_OK(vas_write(vas, PAGE, "a", 1, NULL));
	recorder_init(&r, 'A', VAS_CONSUMER_DEVICE_REGIONS | VAS_CONSUMER_ALWAYS_DIRTY);
	recorder_attach(vas, &r);
	CHECK_OK(vas_tracker_attach(vas, "test", VAS_TRACKER_ALL, &dirty));
	CHECK_EQ(epoch(dirty), 1 << 1);
	CHECK_EQ(epoch(dirty), 1 << 1);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
	free(p);
}

TEST(what_an_unlogged_consumer_may_write_is_dirty_in_each_epoch)
{
	struct vas *vas = simple_vas();
	struct vas_region rom = simple_region(6, 1);
	struct vas_tracker *dirty;
	struct recorder r;

	simple_add(vas, 1, 4);
	rom.flags = VAS_REGION_READONLY;
	CHECK_OK(vas_region_add(vas, &rom, NULL));
	CHECK_OK(vas_write(vas, PAGE, "a", 1, NULL));
	CHECK_OK(vas_write(vas, 3 * PAGE, "a", 1, NULL));
	CHECK_EQ(pwrite(vas_fd(vas), "a", 1, 6 * PAGE), 1);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_EQ(epoch(dirty), 0);
	recorder_init(&r, 'A', VAS_CONSUMER_ALWAYS_DIRTY);
	recorder_attach(vas, &r);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(epoch(dirty), 1 << 1 | 1 << 3);
	/* What it wrote last is not lost with it. */
	vas_consumer_detach(&r.consumer);
	CHECK_EQ(epoch(dirty), 1 << 1 | 1 << 3);
	CHECK_EQ(epoch(dirty), 0);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(an_unlogged_consumer_and_a_tracker_exclude_each_other)
{
	struct vas *vas = simple_vas();
	struct vas_tracker *dirty;
	struct recorder r;

	recorder_init(&r, 'A', VAS_CONSUMER_UNLOGGED);
	recorder_attach(vas, &r);
	CHECK_EQ(vas_tracker_attach(vas, "test", 0, &dirty), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "recorder writes guest memory without logging");
	vas_consumer_detach(&r.consumer);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_EQ(vas_consumer_attach(vas, &r.consumer, TEST_HANG_NS, NULL), -EBUSY);
	CHECK_HAS(vas_error(), "the vas is tracked");
	vas_tracker_detach(dirty);
	CHECK_OK(vas_consumer_attach(vas, &r.consumer, TEST_HANG_NS, NULL));
	vas_destroy(vas);
}

TEST(a_consumer_that_cannot_be_stopped_refuses_a_freeze_before_it_begins)
{
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;
	struct recorder other, r;
	uint64_t generation;

	recorder_init(&other, 'A', 0);
	recorder_attach(vas, &other);
	recorder_init(&r, 'B', VAS_CONSUMER_UNSTOPPABLE);
	recorder_attach(vas, &r);
	generation = vas_generation(vas);
	CHECK_EQ(vas_freeze_check(vas, &blocker), -EOPNOTSUPP);
	CHECK_STR(blocker.name, "recorder");
	CHECK_EQ(vas_freeze(vas, TEST_HANG_NS, &blocker), -EOPNOTSUPP);
	CHECK_STR(vas_error(),
		  "recorder writes guest memory, and cannot be stopped: detach it first");
	CHECK_EQ(vas_generation(vas), generation);
	check_journal("");
	vas_consumer_detach(&r.consumer);
	check_journal("Bc");
	CHECK_OK(vas_freeze_check(vas, NULL));
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
	CHECK_EQ(vas_consumer_attach(vas, &r.consumer, TEST_HANG_NS, NULL), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "cannot be stopped, and the vas is frozen");
	vas_destroy(vas);
}

TEST(flags_that_contradict_each_other_are_refused)
{
	struct vas *vas = simple_vas();
	struct recorder r;

	recorder_init(&r, 'A', VAS_CONSUMER_UNLOGGED | VAS_CONSUMER_ALWAYS_DIRTY);
	CHECK_EQ(vas_consumer_attach(vas, &r.consumer, TEST_HANG_NS, NULL), -EINVAL);
	recorder_init(&r, 'A', 1u << 31);
	CHECK_EQ(vas_consumer_attach(vas, &r.consumer, TEST_HANG_NS, NULL), -EINVAL);
	check_journal("");
	vas_destroy(vas);
}

TEST(who_comes_to_a_tracked_vas_logs_before_it_has_memory)
{
	struct vas *vas = simple_vas();
	struct vas_tracker *dirty;
	struct recorder r;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	recorder_init(&r, 'A', 0);
	CHECK_OK(vas_consumer_attach(vas, &r.consumer, TEST_HANG_NS, NULL));
	check_journal("Al Ap Ac");
	vas_consumer_detach(&r.consumer);
	check_journal("Ac Au");
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

/* ---- pinned memory ------------------------------------------------------------------------- */

/* Pages of the file that are allocated: those of the control area among them. */
static uint64_t nr_allocated(struct vas *vas)
{
	struct stat st;

	CHECK_OK(fstat(vas_fd(vas), &st));
	return (uint64_t)st.st_blocks / (PAGE / 512);
}

TEST(memory_is_there_before_it_is_pinned)
{
	struct vas *vas = simple_vas();
	uint64_t before = nr_allocated(vas);
	struct recorder r;

	simple_add(vas, 0, 100);
	CHECK(nr_allocated(vas) < before + 100);
	recorder_init(&r, 'A', VAS_CONSUMER_PINS);
	recorder_attach(vas, &r);
	CHECK(nr_allocated(vas) >= before + 100);
	simple_add(vas, 100, 100);
	CHECK(nr_allocated(vas) >= before + 200);
	vas_consumer_detach(&r.consumer);
	before = nr_allocated(vas);
	simple_add(vas, 200, 50);
	CHECK(nr_allocated(vas) < before + 50);
	vas_destroy(vas);
}

/* A change that is refused has brought no memory either. */
TEST(memory_that_was_not_pinned_goes_back)
{
	const struct vas_region region = simple_region(5, 100);
	struct vas *vas = simple_vas();
	struct recorder r;
	uint64_t before;

	recorder_init(&r, 'A', VAS_CONSUMER_PINS);
	recorder_attach(vas, &r);
	r.refuse = -ENOSPC;
	before = nr_allocated(vas);
	CHECK_EQ(vas_region_add(vas, &region, NULL), -ENOSPC);
	CHECK(nr_allocated(vas) < before + 100);
	vas_destroy(vas);
}

TEST(pinned_memory_is_not_discarded)
{
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;
	struct recorder r;

	simple_add(vas, 1, 1);
	recorder_init(&r, 'A', VAS_CONSUMER_PINS);
	recorder_attach(vas, &r);
	CHECK_EQ(vas_discard(vas, PAGE, PAGE, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker.name, "recorder");
	CHECK_HAS(vas_error(), "recorder pins memory");
	vas_consumer_detach(&r.consumer);
	CHECK_OK(vas_discard(vas, PAGE, PAGE, &blocker));
	vas_destroy(vas);
}
