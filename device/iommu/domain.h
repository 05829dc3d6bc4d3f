/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The tables of an IOMMU, changed by requests, one at a time. Each returns a status of virtio's,
 * VIRTIO_IOMMU_S_..., when nobody uses any more what it has taken away.
 */
#ifndef DEVICE_IOMMU_DOMAIN_H
#define DEVICE_IOMMU_DOMAIN_H

#include "device/iommu/iommu.h"

struct iommu_mapping {
	uint64_t first, last; /* iovas */
	uint64_t gpa;
	uint32_t flags; /* VIRTIO_IOMMU_MAP_F_... */
};

uint8_t iommu_attach(struct iommu *iommu, uint32_t domain, uint32_t endpoint, uint32_t flags);
uint8_t iommu_detach(struct iommu *iommu, uint32_t domain, uint32_t endpoint);
uint8_t iommu_map(struct iommu *iommu, uint32_t domain, const struct iommu_mapping *mapping);
uint8_t iommu_unmap(struct iommu *iommu, uint32_t domain, uint64_t first, uint64_t last);
bool iommu_has_endpoint(struct iommu *iommu, uint32_t endpoint);

/* All endpoints are in no domain. */
void iommu_detach_all(struct iommu *iommu);

/* Whether all iovas of those in no domain are gpas. */
void iommu_set_bypass(struct iommu *iommu, bool is_bypass);

/* At the end: nobody asks any more. */
void iommu_free_domains(struct iommu *iommu);

/* The next fault that the driver is to be told of; false: there is none. */
bool iommu_has_fault(struct iommu *iommu);
bool iommu_take_fault(struct iommu *iommu, struct virtio_iommu_fault *fault);

#endif
