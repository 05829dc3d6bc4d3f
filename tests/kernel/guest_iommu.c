// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "guest_iommu.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAUSE_US 500
#define RW	 (VAS_QUEUE_READ | VAS_QUEUE_WRITE)

/* ---- calls -------------------------------------------------------------------------------- */

int iommu_view(int fd, uint32_t max_entries, uint32_t flags)
{
	struct vas_queue_view arg = { .max_entries = max_entries, .flags = flags };

	return ioctl(fd, VAS_QUEUE_VIEW, &arg) ? -errno : 0;
}

int iommu_map(int fd, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot)
{
	struct vas_queue_map map = { .iova = iova, .size = size, .gpa = gpa, .prot = prot };
	struct vas_queue_maps arg = { .maps = (uintptr_t)&map, .nr = 1 };

	return ioctl(fd, VAS_QUEUE_MAP, &arg) ? -errno : 0;
}

int iommu_unmap(int fd, uint64_t iova, uint64_t size, uint32_t timeout_ms)
{
	struct vas_queue_unmap arg = { .iova = iova, .size = size, .timeout_ms = timeout_ms };

	return ioctl(fd, VAS_QUEUE_UNMAP, &arg) ? -errno : 0;
}

int iommu_refuse(int fd, uint64_t iova)
{
	return ioctl(fd, VAS_QUEUE_REFUSE, &iova) ? -errno : 0;
}

uint32_t iommu_misses(int fd, struct vas_queue_miss *misses)
{
	struct vas_queue_misses arg = { .misses = (uintptr_t)misses, .nr = 64 };

	CHECK_OK(ioctl(fd, VAS_QUEUE_MISSES, &arg));
	return arg.nr;
}

/* ---- the IOMMU ---------------------------------------------------------------------------- */

/* What the tables say, under the lock. */
static bool look_up(struct iommu *iommu, uint64_t iova, struct vas_queue_map *map)
{
	uint64_t page = (iova - DMA_IOVA) / IOMMU_PAGE;

	*map = (struct vas_queue_map){ .iova = iova & ~(IOMMU_PAGE - 1ull), .size = IOMMU_PAGE };
	if (iova - IOVA < DMA_GPA) {
		map->gpa = map->iova - IOVA;
		map->prot = RW;
		return true;
	}
	if (iova - DMA_IOVA >= (uint64_t)DMA_IOVAS * IOMMU_PAGE || !iommu->page_of[page])
		return false;
	map->gpa = DMA_GPA + (iommu->page_of[page] - 1ull) * IOMMU_PAGE;
	map->prot = iommu->prot_of[page];
	return true;
}

/* Under the lock, so that the view has it in the order of the tables' changes. */
static void answer(struct iommu *iommu, const struct vas_queue_miss *miss)
{
	struct vas_queue_map map;
	int err;

	if (!look_up(iommu, miss->iova, &map) || miss->prot & ~map.prot) {
		iommu->nr_refused++;
		CHECK_OK(iommu_refuse(iommu->fd, miss->iova));
		return;
	}
	err = iommu_map(iommu->fd, map.iova, map.size, map.gpa, map.prot);
	if (err == -ENOSPC) {
		CHECK_OK(iommu_unmap(iommu->fd, 0, 0, VAS_QUEUE_MAX_WAIT_MS));
		err = iommu_map(iommu->fd, map.iova, map.size, map.gpa, map.prot);
	}
	CHECK_OK(err);
}

static void answer_some(struct iommu *iommu)
{
	struct vas_queue_miss misses[64];
	uint32_t nr = 0;

	pthread_mutex_lock(&iommu->lock);
	if (!iommu->is_mute)
		nr = iommu_misses(iommu->fd, misses);
	for (uint32_t i = 0; i < nr; i++)
		answer(iommu, &misses[i]);
	iommu->nr_misses += nr;
	pthread_mutex_unlock(&iommu->lock);
}

static void *answer_all(void *arg)
{
	struct iommu *iommu = arg;
	struct pollfd poll_fd = { .fd = iommu->fd, .events = POLLIN };

	while (!__atomic_load_n(&iommu->is_stopping, __ATOMIC_RELAXED)) {
		poll(&poll_fd, 1, 10);
		answer_some(iommu);
	}
	return NULL;
}

void iommu_be_mute(struct iommu *iommu, bool is_mute)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->is_mute = is_mute;
	pthread_mutex_unlock(&iommu->lock);
}

void iommu_wait_for_miss(struct iommu *iommu)
{
	struct pollfd poll_fd = { .fd = iommu->fd, .events = POLLIN };

	CHECK_EQ(poll(&poll_fd, 1, TEST_HANG_MS), 1);
}

void iommu_begin(struct iommu *iommu, int fd, char *ram, uint32_t max_entries, uint32_t flags)
{
	*iommu = (struct iommu){ .ram = ram, .fd = fd, .random = { test_seed() } };
	pthread_mutex_init(&iommu->lock, NULL);
	memset(ram + DMA_GPA, GUARD, DMA_PAGES * IOMMU_PAGE);
	CHECK_OK(iommu_view(fd, max_entries, flags));
	CHECK_EQ(pthread_create(&iommu->thread, NULL, answer_all, iommu), 0);
}

void iommu_end(struct iommu *iommu)
{
	__atomic_store_n(&iommu->is_stopping, 1, __ATOMIC_RELAXED);
	pthread_join(iommu->thread, NULL);
}

static void forget_some(struct iommu *iommu)
{
	uint64_t iova = IOVA + test_random_below(&iommu->random, DMA_GPA);

	switch (test_random_below(&iommu->random, 8)) {
	case 0:
		CHECK_OK(iommu_unmap(iommu->fd, 0, 0, VAS_QUEUE_MAX_WAIT_MS));
		return;
	case 1:
	case 2:
		iova = DMA_IOVA + test_random_below(&iommu->random, DMA_IOVAS * IOMMU_PAGE);
		break;
	default:
		break;
	}
	CHECK_OK(iommu_unmap(iommu->fd, iova, 1 + test_random_below(&iommu->random, 0x20000),
			     VAS_QUEUE_MAX_WAIT_MS));
}

static void *forget(void *arg)
{
	struct iommu *iommu = arg;

	while (!__atomic_load_n(&iommu->is_settled, __ATOMIC_RELAXED)) {
		forget_some(iommu);
		usleep(PAUSE_US);
	}
	return NULL;
}

void iommu_begin_to_forget(struct iommu *iommu)
{
	iommu->is_settled = 0;
	CHECK_EQ(pthread_create(&iommu->forgets, NULL, forget, iommu), 0);
}

void iommu_end_to_forget(struct iommu *iommu)
{
	__atomic_store_n(&iommu->is_settled, 1, __ATOMIC_RELAXED);
	pthread_join(iommu->forgets, NULL);
}

/* ---- DMA ---------------------------------------------------------------------------------- */

/* Under the lock. */
static uint16_t take_page(struct iommu *iommu)
{
	uint32_t page = (uint32_t)test_random_below(&iommu->random, DMA_PAGES), tries;

	for (tries = 0; iommu->is_used[page]; tries++) {
		CHECK(tries < DMA_PAGES);
		page = (page + 1) % DMA_PAGES;
	}
	iommu->is_used[page] = true;
	return (uint16_t)(page + 1);
}

static char *page_at(struct iommu *iommu, uint16_t page)
{
	return iommu->ram + DMA_GPA + (page - 1) * (uint64_t)IOMMU_PAGE;
}

static void check_guard(struct iommu *iommu, uint16_t page)
{
	const char *bytes = page_at(iommu, page);

	for (uint32_t i = 0; i < IOMMU_PAGE; i++)
		if (bytes[i] != GUARD)
			test_fail(__FILE__, __LINE__, "page %u, byte %u was written: %#x", page, i,
				  (uint8_t)bytes[i]);
}

/* Under the lock, after the invalidation. */
static void guard(struct iommu *iommu, uint16_t page)
{
	memset(page_at(iommu, page), GUARD, IOMMU_PAGE);
	iommu->is_used[page - 1] = false;
}

static uint32_t nr_pages(uint64_t iova, uint32_t len)
{
	return (uint32_t)((iova % IOMMU_PAGE + len + IOMMU_PAGE - 1) / IOMMU_PAGE);
}

static uint32_t index_of(uint64_t iova)
{
	return (uint32_t)((iova - DMA_IOVA) / IOMMU_PAGE);
}

uint64_t dma_map(struct iommu *iommu, uint32_t offset, uint32_t len, uint32_t prot)
{
	uint32_t nr = nr_pages(offset, len), first;

	pthread_mutex_lock(&iommu->lock);
	if (iommu->next_iova + nr > DMA_IOVAS)
		iommu->next_iova = 0;
	first = iommu->next_iova;
	iommu->next_iova += nr;
	for (uint32_t i = first; i < first + nr; i++) {
		CHECK_EQ(iommu->page_of[i], 0);
		iommu->page_of[i] = take_page(iommu);
		iommu->prot_of[i] = (uint8_t)prot;
		check_guard(iommu, iommu->page_of[i]);
	}
	pthread_mutex_unlock(&iommu->lock);
	return DMA_IOVA + (uint64_t)first * IOMMU_PAGE + offset;
}

void dma_unmap(struct iommu *iommu, uint64_t iova, uint32_t len)
{
	uint32_t first = index_of(iova), nr = nr_pages(iova, len), i;
	uint16_t pages[64];

	CHECK(nr <= 64);
	pthread_mutex_lock(&iommu->lock);
	for (i = 0; i < nr; i++) {
		pages[i] = iommu->page_of[first + i];
		iommu->page_of[first + i] = 0;
	}
	CHECK_OK(iommu_unmap(iommu->fd, iova, len, VAS_QUEUE_MAX_WAIT_MS));
	for (i = 0; i < nr; i++)
		guard(iommu, pages[i]);
	iommu->nr_unmaps++;
	pthread_mutex_unlock(&iommu->lock);
}

void dma_move(struct iommu *iommu, uint64_t iova)
{
	uint16_t *page = &iommu->page_of[index_of(iova)], old;

	pthread_mutex_lock(&iommu->lock);
	old = *page;
	CHECK(old);
	*page = take_page(iommu);
	check_guard(iommu, *page);
	CHECK_OK(iommu_unmap(iommu->fd, iova, 1, VAS_QUEUE_MAX_WAIT_MS));
	guard(iommu, old);
	iommu->nr_unmaps++;
	pthread_mutex_unlock(&iommu->lock);
}

static void copy(struct iommu *iommu, uint64_t iova, char *bytes, uint32_t len, bool is_write)
{
	while (len) {
		uint32_t at = iova % IOMMU_PAGE, nr = IOMMU_PAGE - at;
		char *page = page_at(iommu, iommu->page_of[index_of(iova)]);

		if (nr > len)
			nr = len;
		memcpy(is_write ? page + at : bytes, is_write ? bytes : page + at, nr);
		iova += nr;
		bytes += nr;
		len -= nr;
	}
}

void dma_write(struct iommu *iommu, uint64_t iova, const void *from, uint32_t len)
{
	copy(iommu, iova, (char *)(uintptr_t)from, len, true);
}

void dma_read(struct iommu *iommu, uint64_t iova, void *to, uint32_t len)
{
	copy(iommu, iova, to, len, false);
}

void dma_check(struct iommu *iommu)
{
	pthread_mutex_lock(&iommu->lock);
	for (uint32_t i = 0; i < DMA_PAGES; i++)
		if (!iommu->is_used[i])
			check_guard(iommu, (uint16_t)(i + 1));
	pthread_mutex_unlock(&iommu->lock);
}

/* ---- rings -------------------------------------------------------------------------------- */

static void init_packed(struct guest_ring *ring, char *ram)
{
	struct packed_driver *packed = &ring->packed;

	packed_driver_init(packed, ram, RING_SIZE, 0, true);
	free(packed->desc);
	free(packed->driver);
	free(packed->device);
	packed->desc = (void *)(ram + ring->gpa);
	packed->driver = (void *)(ram + ring->gpa + 0x2000);
	packed->device = (void *)(ram + ring->gpa + 0x4000);
	packed->iova = IOVA;
	memset(ram + ring->gpa, 0, RING_SPACE);
	ring->kick = packed->kick;
	ring->call = packed->call;
	ring->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void ring_init(struct guest_ring *ring, char *ram, uint64_t gpa, uint32_t index, bool is_packed)
{
	*ring = (struct guest_ring){ .is_packed = is_packed, .gpa = gpa, .index = index };
	if (is_packed) {
		init_packed(ring, ram);
		return;
	}
	virtqueue_init(&ring->split, ram, gpa, RING_SIZE);
	ring->split.iova = IOVA;
	ring->kick = ring->split.kick;
	ring->call = ring->split.call;
	ring->err = ring->split.err;
}

uint32_t ring_new_base(const struct guest_ring *ring)
{
	return ring->is_packed ? VAS_QUEUE_NEW_PACKED : VAS_QUEUE_NEW_SPLIT;
}

int ring_start(struct guest_ring *ring, int fd, unsigned long cmd, uint32_t base)
{
	struct vas_queue_start arg = {
		.index = ring->index,
		.size = RING_SIZE,
		.kick_fd = ring->kick,
		.call_fd = ring->call,
		.err_fd = ring->err,
		.base = base,
	};

	if (ring->is_packed) {
		arg.parts[0] = IOVA + ring->gpa;
		arg.parts[1] = IOVA + ring->gpa + 0x2000;
		arg.parts[2] = IOVA + ring->gpa + 0x4000;
	} else {
		arg.parts[0] = IOVA + ring->split.desc_gpa;
		arg.parts[1] = IOVA + ring->split.avail_gpa;
		arg.parts[2] = IOVA + ring->split.used_gpa;
	}
	return ioctl(fd, cmd, &arg) ? -errno : 0;
}

uint16_t ring_add(struct guest_ring *ring, const struct part *parts, uint32_t nr, uint64_t table)
{
	uint16_t id = ring->is_packed ? packed_driver_add(&ring->packed, parts, nr, table) :
					virtqueue_add(&ring->split, parts, (int)nr, table);

	eventfd_write(ring->kick, 1);
	return id;
}

int ring_get(struct guest_ring *ring, uint16_t *id, uint32_t *len)
{
	struct vring_used_elem elem;

	if (ring->is_packed)
		return packed_driver_get(&ring->packed, id, len);
	if (!virtqueue_wait(&ring->split, &elem, 0))
		return 0;
	*id = (uint16_t)elem.id;
	*len = elem.len;
	return 1;
}

void ring_wait(struct guest_ring *ring, uint16_t *id, uint32_t *len)
{
	struct pollfd poll_fd = { .fd = ring->call, .events = POLLIN };
	uint64_t end = test_now_ns() + TEST_HANG_NS;
	eventfd_t count;

	while (!ring_get(ring, id, len)) {
		CHECK(test_now_ns() < end);
		CHECK(!ring_is_broken(ring, 0));
		poll(&poll_fd, 1, 10);
		eventfd_read(ring->call, &count);
	}
}

int ring_is_broken(struct guest_ring *ring, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = ring->err, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}
