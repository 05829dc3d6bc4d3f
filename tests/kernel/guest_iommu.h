/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest's IOMMU between its driver and a device of a module's, both played by the test: tables, a
 * thread that answers what the device misses, and DMA memory in pages that lie all over the guest.
 * A page that is not mapped has a pattern, which nobody may change: then it is *guarded*.
 */
#ifndef TESTS_KERNEL_GUEST_IOMMU_H
#define TESTS_KERNEL_GUEST_IOMMU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "include/uapi/linux/vas_queue.h"
#include "tests/core/packed_driver.h"
#include "tests/harness.h"
#include "virtqueue.h"

#define IOVA	      0x7f0000000000ull /* of gpa 0, for rings and tables of descriptors */
#define DMA_IOVA      0x100000000000ull
#define DMA_GPA	      0x100000ull
#define DMA_PAGES     512u
#define DMA_IOVAS     4096u /* pages */
#define IOMMU_PAGE    4096u
#define IOMMU_ENTRIES 2048u
#define GUARD	      0x5a
#define PLATFORM      (1ull << 33)
#define PACKED	      (1ull << 34)

struct iommu {
	char *ram;
	int fd; /* the device's file */
	pthread_t thread, forgets;
	int is_stopping, is_settled;
	bool is_mute; /* answers nothing */
	pthread_mutex_t lock;
	struct test_random random;
	uint16_t page_of[DMA_IOVAS]; /* number of the page, from 1 on, or 0 */
	uint8_t prot_of[DMA_IOVAS];
	bool is_used[DMA_PAGES];
	uint32_t next_iova;
	uint64_t nr_misses, nr_refused, nr_unmaps;
};

/* Before the rings start, and after them. flags: as VAS_QUEUE_VIEW has them. */
void iommu_begin(struct iommu *iommu, int fd, char *ram, uint32_t max_entries, uint32_t flags);
void iommu_end(struct iommu *iommu);

/* From now on misses have no answer, or have one again. */
void iommu_be_mute(struct iommu *iommu, bool is_mute);
/* There is one that nobody has been told of. */
void iommu_wait_for_miss(struct iommu *iommu);

/* All the time parts of the view go, as they may: of rings, of tables, of DMA memory. */
void iommu_begin_to_forget(struct iommu *iommu);
void iommu_end_to_forget(struct iommu *iommu);

/* As the ioctls: 0 or -errno. */
int iommu_view(int fd, uint32_t max_entries, uint32_t flags);
int iommu_map(int fd, uint64_t iova, uint64_t size, uint64_t gpa, uint32_t prot);
int iommu_unmap(int fd, uint64_t iova, uint64_t size, uint32_t timeout_ms);
int iommu_refuse(int fd, uint64_t iova);
/* How many, at most 64; at least one where there must be. */
uint32_t iommu_misses(int fd, struct vas_queue_miss *misses);

/* The driver's: so many bytes at an offset in their first page; how the device may use them. */
uint64_t dma_map(struct iommu *iommu, uint32_t offset, uint32_t len, uint32_t prot);
/* No device uses them any more: they are guarded. */
void dma_unmap(struct iommu *iommu, uint64_t iova, uint32_t len);
/* The same iova stands for other memory. */
void dma_move(struct iommu *iommu, uint64_t iova);
void dma_write(struct iommu *iommu, uint64_t iova, const void *from, uint32_t len);
void dma_read(struct iommu *iommu, uint64_t iova, void *to, uint32_t len);
/* All guarded pages are as they were. */
void dma_check(struct iommu *iommu);

/* A ring of either format, at iovas. */
struct guest_ring {
	bool is_packed;
	uint64_t gpa;
	uint32_t index;
	int kick, call, err;
	struct virtqueue split;
	struct packed_driver packed;
};

#define RING_SIZE  64u
#define RING_SPACE 0x8000ull

void ring_init(struct guest_ring *ring, char *ram, uint64_t gpa, uint32_t index, bool is_packed);
/* By VAS_NET_START or VAS_BLK_START: 0 or -errno. */
int ring_start(struct guest_ring *ring, int fd, unsigned long cmd, uint32_t base);
uint32_t ring_new_base(const struct guest_ring *ring);
/* parts are iovas; a table is at a gpa, or 0. Kicks. */
uint16_t ring_add(struct guest_ring *ring, const struct part *parts, uint32_t nr, uint64_t table);
int ring_get(struct guest_ring *ring, uint16_t *id, uint32_t *len);
void ring_wait(struct guest_ring *ring, uint16_t *id, uint32_t *len);
int ring_is_broken(struct guest_ring *ring, int timeout_ms);

#endif
