// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What was unmapped before an invalidation that has returned is never reached again: the pages that
 * it was are forbidden to this process then, so that whoever does reach them dies of it.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vas/iommu.h>
#include <vas/vas.h>

#include "tests/harness.h"

#define PAGE	   4096ull
#define NR_PAGES   16u
#define NR_IOVAS   8u
#define NR_DEVICES 3u
#define IOVA	   0xffff0000ull
#define RW	   (VAS_IOMMU_READ | VAS_IOMMU_WRITE)

struct device {
	pthread_t thread;
	struct vas_iommu_slot *slot;
	uint64_t seed;
	uint64_t nr_writes;
};

static struct vas_iommu_view *view;
static uint8_t *memory;
static bool is_ending;
static struct device devices[NR_DEVICES];

/* In a section: as a device does that has found a descriptor. */
static int write_once(struct device *device, struct test_random *random)
{
	uint64_t iova = IOVA + test_random_below(random, NR_IOVAS) * PAGE, len = 64, gpa, i;
	int err = vas_iommu_translate(device->slot, iova, RW, &len, &gpa);

	if (err)
		return err;
	for (i = 0; i < len; i++)
		__atomic_store_n(&memory[gpa + i], (uint8_t)i, __ATOMIC_RELAXED);
	__atomic_store_n(&device->nr_writes, device->nr_writes + 1, __ATOMIC_RELAXED);
	return 0;
}

static void *run_device(void *arg)
{
	struct device *device = arg;
	struct test_random random = { device->seed };

	while (!__atomic_load_n(&is_ending, __ATOMIC_RELAXED)) {
		vas_iommu_enter(device->slot);
		while (!vas_iommu_has_moved(device->slot) && test_random_below(&random, 8))
			write_once(device, &random);
		vas_iommu_leave(device->slot);
	}
	return NULL;
}

static void start(void)
{
	static const struct vas_iommu_options options = {
		.max_entries = 256,
		.nr_slots = NR_DEVICES,
	};

	memory = mmap(NULL, NR_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK_OK(vas_iommu_view_create(&options, &view));
	for (uint32_t i = 0; i < NR_DEVICES; i++) {
		devices[i].seed = test_seed() + i;
		CHECK_OK(vas_iommu_slot_claim(view, &devices[i].slot));
		CHECK_OK(pthread_create(&devices[i].thread, NULL, run_device, &devices[i]));
	}
}

static uint64_t count_writes(void)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < NR_DEVICES; i++)
		nr += __atomic_load_n(&devices[i].nr_writes, __ATOMIC_RELAXED);
	return nr;
}

static int has_written(void *arg)
{
	return count_writes() > *(uint64_t *)arg;
}

static void stop(void)
{
	__atomic_store_n(&is_ending, true, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < NR_DEVICES; i++) {
		CHECK_OK(pthread_join(devices[i].thread, NULL));
		vas_iommu_slot_release(devices[i].slot);
	}
	vas_iommu_view_destroy(view);
}

static void allow(uint64_t page, int prot)
{
	CHECK_OK(mprotect(memory + page * PAGE, PAGE, prot));
}

TEST(no_stale_iova_reaches_memory)
{
	struct test_random random = { test_seed() };
	uint32_t page_of[NR_IOVAS], i, round, used = 0;

	start();
	for (i = 0; i < NR_IOVAS; i++)
		page_of[i] = NR_PAGES;
	for (round = 0; round < 1000; round++) {
		uint32_t page = (uint32_t)test_random_below(&random, NR_PAGES);
		uint64_t iova, nr = count_writes();

		i = (uint32_t)test_random_below(&random, NR_IOVAS);
		iova = IOVA + i * PAGE;
		if (page_of[i] < NR_PAGES) {
			vas_iommu_unmap(view, iova, PAGE);
			CHECK_OK(vas_iommu_invalidate(view, TEST_HANG_NS));
			used &= ~(1u << page_of[i]);
			allow(page_of[i], PROT_NONE);
			page_of[i] = NR_PAGES;
		} else if (!(used & 1u << page)) {
			allow(page, PROT_READ | PROT_WRITE);
			CHECK_OK(vas_iommu_map(view, iova, PAGE, page * PAGE, RW));
			page_of[i] = page;
			used |= 1u << page;
			if (round % 16 == 0)
				test_wait(has_written, &nr, TEST_HANG_MS);
		}
	}
	stop();
	CHECK(count_writes());
}

static void *change_others(void *arg)
{
	struct test_random random = { test_seed() };

	(void)arg;
	while (!__atomic_load_n(&is_ending, __ATOMIC_RELAXED)) {
		uint64_t iova = test_random_below(&random, 128) * PAGE;

		if (test_random_below(&random, 2))
			vas_iommu_map(view, iova, PAGE, 0, RW);
		else
			vas_iommu_unmap(view, iova, PAGE);
	}
	return NULL;
}

/* Searches meet changes all the time, and find what stays none the less. */
TEST(what_stays_is_found_while_others_change)
{
	static const struct vas_iommu_options options = { .max_entries = 256, .nr_slots = 1 };
	struct vas_iommu_slot *slot;
	pthread_t changer;

	CHECK_OK(vas_iommu_view_create(&options, &view));
	CHECK_OK(vas_iommu_slot_claim(view, &slot));
	for (uint64_t i = 0; i < NR_IOVAS; i++)
		CHECK_OK(vas_iommu_map(view, IOVA + i * PAGE, PAGE, i * PAGE, RW));
	CHECK_OK(pthread_create(&changer, NULL, change_others, NULL));
	for (uint64_t i = 0; i < 50000; i++) {
		uint64_t len = PAGE, gpa;

		vas_iommu_enter(slot);
		CHECK_OK(vas_iommu_translate(slot, IOVA + i % NR_IOVAS * PAGE, RW, &len, &gpa));
		vas_iommu_leave(slot);
		CHECK_EQ(gpa, i % NR_IOVAS * PAGE);
		CHECK_EQ(len, PAGE);
	}
	__atomic_store_n(&is_ending, true, __ATOMIC_RELAXED);
	CHECK_OK(pthread_join(changer, NULL));
	vas_iommu_slot_release(slot);
	vas_iommu_view_destroy(view);
}
