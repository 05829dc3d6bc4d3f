/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* PCI devices of the machine, as sysfs has them. */
#ifndef TESTS_CONSUMER_VFIO_HOST_DEVICE_H
#define TESTS_CONSUMER_VFIO_HOST_DEVICE_H

#include <stddef.h>

/* The address of the n-th one of its kind; skips the case if there is none behind an IOMMU. */
void host_device_find(unsigned int vendor, unsigned int device, int index, char *address,
		      size_t size);

/* Have vfio-pci take it, if no driver has it. */
void host_device_give(const char *address);

#endif
