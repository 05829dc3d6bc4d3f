/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What owners of views within the library need beside <vas/iommu.h>. */
#ifndef LIB_IOMMU_VIEW_H
#define LIB_IOMMU_VIEW_H

#include <vas/iommu.h>

#include "core/protocol/device.h"

/*
 * The owner is another process, and sees sections in its device's entry. These unmaps of its were
 * taken already. Before a slot is claimed, and of VAS_DEVICE_MAX_QUEUES at most.
 */
void vas_iommu_share(struct vas_iommu_view *view, struct vas_device_entry *entry, uint64_t unmaps);

/* No more: nobody looks at that entry. */
void vas_iommu_unshare(struct vas_iommu_view *view);

/* What these took away is found no more: sections may begin. */
void vas_iommu_took_unmaps(struct vas_iommu_view *view, uint64_t unmaps);

/* The owner knows of no question any more: those without an answer are to be put again. */
void vas_iommu_ask_again(struct vas_iommu_view *view);

#endif
