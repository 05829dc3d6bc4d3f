// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What a guest writes is in the vas's dirty log after a harvest, by bitmap and by ring. The binder
 * is driven here through its ops, as a harvest of the library does.
 */
#include <sched.h>
#include <stdlib.h>

#include "consumer/kvm/machine.h"
#include "kvm_fixture.h"
#include "lib/handle/handle.h"

/* Not at a multiple of 64 pages, nor that long: the words of KVM and of the log do not line up. */
#define GPA	 (HIGH_GPA + 37 * VAS_PAGE_SIZE)
#define PAGES	 1000u
#define MANY_GPA (2 * HIGH_GPA)
#define MANY	 8192u
#define DOORBELL 3
#define DEADLINE 20000000000ull
#define STEP	 50u
#define NR_STEPS 5u

static const struct vas_consumer_ops *ops(struct fixture *f)
{
	return f->machine.kvm->consumer.ops;
}

/* It is done in pieces: never more than there are slots. */
static void track(struct fixture *f)
{
	struct vas_consumer *consumer = &f->machine.kvm->consumer;
	int err = ops(f)->track(consumer, UINT64_MAX);

	while (err == VAS_CONSUMER_UNDER_WAY)
		err = ops(f)->finish(consumer);
	CHECK_OK(err);
}

static void untrack(struct fixture *f)
{
	ops(f)->untrack(&f->machine.kvm->consumer);
}

static void harvest(struct fixture *f)
{
	CHECK_OK(ops(f)->harvest(&f->machine.kvm->consumer));
}

/* Is the page dirty? It is not afterwards. */
static int log_take(struct fixture *f, uint64_t gpa)
{
	uint64_t page = gpa >> VAS_PAGE_SHIFT, bit = 1ull << page % 64;

	return !!(__atomic_fetch_and(&f->vas->log.words[page / 64], ~bit, __ATOMIC_RELAXED) & bit);
}

static void fixture_init_dirty(struct fixture *f, uint32_t flags, uint64_t gpa, uint32_t pages)
{
	fixture_init(f, flags);
	CHECK_EQ(vas_kvm_dirty_log(f->machine.kvm), flags ? flags : VAS_KVM_DIRTY_BITMAP);
	FIXTURE_LOAD(f, guest_dirty);
	fixture_region(f, gpa, pages * VAS_PAGE_SIZE, 0);
	f->list[0].gpa = gpa;
	f->list[0].size = pages * VAS_PAGE_SIZE;
	fixture_doorbell(f, DOORBELL, 0x600, 4, VAS_EVENT_PIO);
}

/* Draw what the guest draws, and see that these pages are dirty, and no others. */
static void check_step(struct fixture *f, uint64_t *seed)
{
	char dirty[PAGES] = { 0 };
	uint32_t i;

	for (i = 0; i < STEP; i++) {
		uint64_t page = ((guest_random(seed) >> 32) * PAGES) >> 32;

		dirty[page] = 1;
	}
	for (i = 0; i < PAGES; i++) {
		test_note("page %u of the region", i);
		CHECK_EQ(log_take(f, GPA + i * VAS_PAGE_SIZE), dirty[i]);
	}
	/* The guest counts in its mailbox. */
	CHECK(log_take(f, GUEST_MAILBOX));
}

static void harvest_is_exact(uint32_t flags)
{
	struct fixture f;
	uint64_t seed;
	uint32_t step;

	fixture_init_dirty(&f, flags, GPA, PAGES);
	f.box->rounds = NR_STEPS * STEP;
	f.box->level = STEP;
	f.box->turn = 1;
	seed = f.box->seed;
	track(&f);
	fixture_start(&f);
	for (step = 0; step < NR_STEPS; step++) {
		CHECK_EQ(vas_doorbell_wait(f.vas, DOORBELL, DEADLINE), 1);
		/* Out of KVM_RUN, so that nothing is left in the processor. */
		machine_pause(&f.machine);
		test_wait(machine_is_paused, &f.machine, 60000);
		harvest(&f);
		machine_resume(&f.machine);
		test_note("step %u", step);
		check_step(&f, &seed);
		__atomic_store_n(&f.box->turn, 1, __ATOMIC_RELEASE);
	}
	fixture_finish(&f);
	fixture_clean(&f);
}

TEST(bitmap_tells_each_written_page_once)
{
	harvest_is_exact(0);
}

TEST(ring_tells_each_written_page_once)
{
	harvest_is_exact(VAS_KVM_DIRTY_RING);
}

/*
 * A write of the guest goes to the VMM now and then: a KVM that emulates every instruction does not
 * look whether a ring is full in between, and would run over the 64 entries that it keeps free.
 */
static void exit_often(struct fixture *f)
{
	f->box->doorbell = 0x601; /* nobody's */
	f->box->level = 4;
}

static uint32_t dirty_copy(struct fixture *f, char *copy)
{
	uint32_t i, nr = 0;

	for (i = 0; i < MANY; i++) {
		uint64_t at = i * VAS_PAGE_SIZE;

		if (!log_take(f, MANY_GPA + at))
			continue;
		memcpy(copy + at, f->ram + MANY_GPA + at, VAS_PAGE_SIZE);
		nr++;
	}
	return nr;
}

/*
 * As a migration does it: copy what is dirty while the guest writes on, and once more when it has
 * stopped; then the copy is the memory. More pages than a ring has entries.
 */
static void copy_is_complete(uint32_t flags)
{
	char *copy = calloc(MANY, VAS_PAGE_SIZE);
	uint32_t harvests = 0, copied = 0;
	struct fixture f;

	CHECK(copy);
	fixture_init_dirty(&f, flags, MANY_GPA, MANY);
	f.box->rounds = 10000;
	exit_often(&f);
	track(&f);
	fixture_start(&f);
	while (f.box->done < f.box->rounds) {
		uint64_t done = f.box->done;

		harvest(&f);
		copied += dirty_copy(&f, copy);
		harvests++;
		while (f.box->done == done && done < f.box->rounds)
			sched_yield();
	}
	fixture_finish(&f);
	harvest(&f);
	copied += dirty_copy(&f, copy);
	test_note("%u harvests, %u pages copied", harvests, copied);
	CHECK(copied > 4096);
	CHECK_MEM(copy, f.ram + MANY_GPA, MANY * VAS_PAGE_SIZE);
	fixture_clean(&f);
	free(copy);
}

TEST(bitmap_harvested_under_a_writing_guest_loses_nothing)
{
	copy_is_complete(0);
}

TEST(ring_harvested_under_a_writing_guest_loses_nothing)
{
	copy_is_complete(VAS_KVM_DIRTY_RING);
}

/* Nobody harvests until the end: the vCPU finds its ring full, and has it collected. */
TEST(ring_that_fills_is_collected_by_the_vcpu)
{
	uint32_t i, dirty = 0;
	struct fixture f;

	fixture_init_dirty(&f, VAS_KVM_DIRTY_RING, MANY_GPA, MANY);
	f.box->rounds = 10000;
	exit_often(&f);
	track(&f);
	fixture_start(&f);
	fixture_finish(&f);
	harvest(&f);
	for (i = 0; i < MANY; i++) {
		int is_dirty = log_take(&f, MANY_GPA + i * VAS_PAGE_SIZE);

		test_note("page %u", i);
		CHECK_EQ(is_dirty, !!*(uint64_t *)(f.ram + MANY_GPA + i * VAS_PAGE_SIZE));
		dirty += is_dirty;
	}
	test_note("%u pages are dirty, the ring has %u entries", dirty,
		  f.machine.kvm->ring_entries);
	CHECK(dirty > f.machine.kvm->ring_entries);
	fixture_clean(&f);
}

/* The memslot goes and another comes; what it had logged of the part that stays is not lost. */
static void resize_keeps_marks(uint32_t flags)
{
	uint64_t page, seed;
	struct vas_region region;
	struct fixture f;

	fixture_init_dirty(&f, flags, GPA, PAGES);
	seed = f.box->seed;
	page = ((guest_random(&seed) >> 32) * PAGES) >> 32;
	track(&f);
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_OK(vas_region_at(f.vas, GPA, &region));
	CHECK_OK(vas_region_resize(f.vas, region.id, region.size + VAS_PAGE_SIZE));
	CHECK(log_take(&f, GPA + page * VAS_PAGE_SIZE));
	untrack(&f);
	fixture_clean(&f);
}

TEST(region_that_grows_keeps_its_marks)
{
	resize_keeps_marks(0);
	resize_keeps_marks(VAS_KVM_DIRTY_RING);
}

TEST(nothing_is_logged_while_tracking_is_off)
{
	struct fixture f;
	uint32_t i;

	fixture_init_dirty(&f, 0, GPA, PAGES);
	f.box->rounds = STEP;
	track(&f);
	untrack(&f);
	fixture_start(&f);
	fixture_finish(&f);
	harvest(&f);
	for (i = 0; i < PAGES; i++)
		CHECK(!log_take(&f, GPA + i * VAS_PAGE_SIZE));
	fixture_clean(&f);
}

TEST(ring_comes_before_the_first_vcpu)
{
	const struct vas_kvm_options ring = { .flags = VAS_KVM_DIRTY_RING };
	const struct vas_kvm_options either = { .flags =
							VAS_KVM_DIRTY_RING | VAS_KVM_DIRTY_BITMAP };
	struct vas_kvm *kvm;
	struct fixture f;

	fixture_init(&f, 0);
	vas_kvm_detach(f.machine.kvm);
	f.machine.kvm = NULL;
	CHECK_EQ(vas_kvm_attach(f.vas, f.machine.vm_fd, &ring, &kvm), -EBUSY);
	CHECK_HAS(vas_error(), "before the first vCPU");
	CHECK_OK(vas_kvm_attach(f.vas, f.machine.vm_fd, &either, &kvm));
	CHECK_EQ(vas_kvm_dirty_log(kvm), VAS_KVM_DIRTY_BITMAP);
	vas_kvm_detach(kvm);
	fixture_clean(&f);
}
