/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What owners of views within the library need beside <vas/iommu.h>. */
#ifndef LIB_IOMMU_VIEW_H
#define LIB_IOMMU_VIEW_H

#include <vas/iommu.h>

/* The owner knows of no question any more: those without an answer are to be put again. */
void vas_iommu_ask_again(struct vas_iommu_view *view);

#endif
