/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A VFIO container that is not there: the test program is linked with --wrap=ioctl, and this answers
 * VFIO's calls as type 1 does, from a list of maps; and those by which devices are stopped. What
 * only a device and an IOMMU show is tested in a machine that has them.
 */
#ifndef TESTS_CONSUMER_VFIO_FAKE_TYPE1_H
#define TESTS_CONSUMER_VFIO_FAKE_TYPE1_H

#include <linux/vfio.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_MAPS 256

struct fake_type1 {
	struct vfio_iommu_type1_dma_map maps[FAKE_MAPS]; /* sorted by iova */
	size_t nr;
	size_t most;	     /* dma_entry_limit */
	uint64_t lockable;   /* bytes: what RLIMIT_MEMLOCK allows */
	uint64_t page_sizes; /* a bitmap */
	struct vfio_iova_range ranges[3];
	uint32_t nr_ranges; /* 0: no such capability */
	size_t nr_map_calls, nr_unmap_calls;
	size_t refuse_map;	   /* the call with this number, from 1 on, is refused: EFAULT */
	uint64_t stays, stays_end; /* no unmap may touch it: a device is using it */
	size_t nr_touched;	   /* how often one has */
	/* Its devices: how many have a migration state, and how many of those run. */
	int nr_devices, nr_running;
	int nr_state_calls, refuse_state; /* as refuse_map: EIO */
	/* It is an iommufd, without memory; how many devices are in its address space. */
	int is_iommufd, nr_entered;
};

extern struct fake_type1 fake_type1;

/* Nothing is mapped and much is allowed; x86's addresses. */
void fake_type1_reset(void);
/* Where the device would find iova, and how much is contiguous in that map; NULL: a fault. */
void *fake_type1_find(uint64_t iova, uint64_t *left, uint32_t *flags);

#endif
