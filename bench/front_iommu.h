/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A front end's IOMMU: misses are answered page by page, as QEMU does, from what a guest's driver
 * would have mapped: each buffer has its own pages of iovas, as Linux gives it.
 */
#ifndef BENCH_FRONT_IOMMU_H
#define BENCH_FRONT_IOMMU_H

#include <stdint.h>

#include "tests/device/front_end.h"

#define FRONT_IOMMU_PAGES 2u /* of a buffer's iovas */

struct front_iommu {
	struct front_end *front; /* NULL: there is none */
	const uint64_t *gpas;	 /* of all buffers */
	uint32_t nr;
	int sock; /* misses come here */
};

/* The connection is made, and ACCESS_PLATFORM accepted. 0 or -errno. */
int front_iommu_begin(struct front_iommu *iommu, struct front_end *front, const uint64_t *gpas,
		      uint32_t nr);
void front_iommu_end(struct front_iommu *iommu);

/* Where a device finds a buffer. */
uint64_t front_iommu_iova(const struct front_iommu *iommu, uint32_t buffer);

/* Answer the misses that are there. */
int front_iommu_answer(struct front_iommu *iommu);

/* The driver unmaps a buffer: when this returns, the device does not use it any more. */
int front_iommu_unmap(struct front_iommu *iommu, uint32_t buffer);

#endif
