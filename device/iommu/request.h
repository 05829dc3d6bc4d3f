/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A request of the driver's: a chain, of what it asks for and the room for an answer. */
#ifndef DEVICE_IOMMU_REQUEST_H
#define DEVICE_IOMMU_REQUEST_H

#include "device/iommu/iommu.h"
#include "device/memory.h"

#define IOMMU_PROBE_SIZE 64u /* bytes of an endpoint's properties */

/*
 * Do it. How many bytes were written: 0, it is no request, or has no room for a status. -EPROTO: it
 * is not in memory.
 */
int iommu_request(struct iommu *iommu, const struct memory *memory,
		  const struct vas_virtq_chain *chain);

#endif
