/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An IOMMU between the device of a test and memory, if TEST_IOMMU is in the environment: an iova is
 * a gpa and something, and a thread takes pieces away at random, of which the device knows, or not.
 */
#ifndef TESTS_DEVICE_BUS_IOMMU_H
#define TESTS_DEVICE_BUS_IOMMU_H

#include <errno.h>
#include <linux/virtio_config.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/device.h>

#include "tests/harness.h"

#define BUS_IOMMU_AT   0xffffffff80000000ull /* of gpa 0 */
#define BUS_IOMMU_PAGE 4096ull

static struct bus_iommu_test {
	uint64_t size; /* of what is mapped; no more than gpas from 0 on */
	struct vas_bus_device *device;
	pthread_mutex_t lock;
	uint64_t moved[4096]; /* by page: what is to be added to its gpa */
	uint64_t nr_misses;   /* atomic */
	pthread_t thread;
	int is_taking, is_ending; /* atomic: is_ending */
	struct test_random random;
} bus_iommu = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline int bus_iommu_is_there(void)
{
	return getenv("TEST_IOMMU") != NULL;
}

/* What a driver writes for a gpa. */
static inline uint64_t bus_iommu_iova(uint64_t gpa)
{
	return bus_iommu_is_there() ? gpa + BUS_IOMMU_AT : gpa;
}

static inline uint64_t bus_iommu_feature(void)
{
	return bus_iommu_is_there() ? 1ull << VIRTIO_F_ACCESS_PLATFORM : 0;
}

static int bus_iommu_miss(struct vas_bus_device *device, void *user, uint64_t iova, uint32_t prot)
{
	uint64_t gpa = (iova - BUS_IOMMU_AT) & ~(BUS_IOMMU_PAGE - 1);
	int err = -EFAULT;

	(void)user;
	(void)prot;
	__atomic_add_fetch(&bus_iommu.nr_misses, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&bus_iommu.lock);
	if (iova >= BUS_IOMMU_AT && gpa < bus_iommu.size)
		err = vas_device_map(device, gpa + BUS_IOMMU_AT, BUS_IOMMU_PAGE,
				     gpa + bus_iommu.moved[gpa / BUS_IOMMU_PAGE],
				     VAS_IOMMU_READ | VAS_IOMMU_WRITE);
	pthread_mutex_unlock(&bus_iommu.lock);
	return err;
}

static inline void bus_iommu_options(struct vas_device_options *options, uint64_t size)
{
	if (!bus_iommu_is_there())
		return;
	pthread_mutex_lock(&bus_iommu.lock);
	bus_iommu.size = size;
	pthread_mutex_unlock(&bus_iommu.lock);
	options->miss = bus_iommu_miss;
}

/* The iova of a gpa stands for another page from now on, and nobody uses the one that it was. */
static inline void bus_iommu_move(struct vas_bus_device *device, uint64_t gpa, uint64_t to)
{
	pthread_mutex_lock(&bus_iommu.lock);
	bus_iommu.moved[gpa / BUS_IOMMU_PAGE] = to - gpa;
	vas_device_unmap(device, gpa + BUS_IOMMU_AT, BUS_IOMMU_PAGE);
	pthread_mutex_unlock(&bus_iommu.lock);
	CHECK_OK(vas_device_invalidate(device));
}

static inline void bus_iommu_take_one(void)
{
	uint64_t nr_pages = bus_iommu.size / BUS_IOMMU_PAGE;
	uint64_t page = test_random_below(&bus_iommu.random, nr_pages);
	uint64_t nr = test_random_below(&bus_iommu.random, 8) ? nr_pages / 64 : 0; /* 0: all */

	pthread_mutex_lock(&bus_iommu.lock);
	vas_device_unmap(bus_iommu.device, BUS_IOMMU_AT + page * BUS_IOMMU_PAGE,
			 nr * BUS_IOMMU_PAGE);
	pthread_mutex_unlock(&bus_iommu.lock);
	CHECK_OK(vas_device_invalidate(bus_iommu.device));
}

static void *bus_iommu_take(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&bus_iommu.is_ending, __ATOMIC_ACQUIRE)) {
		bus_iommu_take_one();
		usleep((useconds_t)test_random_below(&bus_iommu.random, 2000)); /* any moment */
	}
	return NULL;
}

/* After requests that were served. */
static inline void bus_iommu_was_used(void)
{
	if (bus_iommu_is_there())
		CHECK(__atomic_load_n(&bus_iommu.nr_misses, __ATOMIC_RELAXED) > 0);
}

/* From now on, of this device, until the end. */
static inline void bus_iommu_begin(struct vas_bus_device *device)
{
	if (!bus_iommu_is_there())
		return;
	bus_iommu.device = device;
	bus_iommu.random = (struct test_random){ test_seed() };
	bus_iommu.is_ending = 0;
	CHECK_OK(pthread_create(&bus_iommu.thread, NULL, bus_iommu_take, NULL));
	bus_iommu.is_taking = 1;
}

static inline void bus_iommu_end(void)
{
	if (!bus_iommu.is_taking)
		return;
	__atomic_store_n(&bus_iommu.is_ending, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(bus_iommu.thread, NULL));
	bus_iommu.is_taking = 0;
}

#endif
