/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Changes of a layout that an IOMMU follows. */
#ifndef VAS_BENCH_KERNEL_VFIO_H
#define VAS_BENCH_KERNEL_VFIO_H

#include <stdbool.h>
#include <stdint.h>

enum vfio_kind {
	VFIO_VAS, /* a region comes and goes, in a vas that a device has */
	VFIO_BARE /* the container's own ioctls, for memory that comes and goes as well */
};

/*
 * What it takes that memory comes and goes: mib of it, beside ram_mib that stay. VAS_BENCH_DEVICE
 * is the device's PCI address. Ticks of the processor's clock, or ns. Returns 0 or -errno; -ENODEV:
 * no device is named, or its container is an iommufd, which VFIO_BARE does not know.
 */
int vfio_measure(enum vfio_kind kind, uint64_t mib, uint64_t ram_mib, bool ticks, double *rounds,
		 unsigned int nr_rounds);

#endif
