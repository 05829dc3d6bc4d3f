/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The guest's IOMMU, a virtio-iommu that threads of this process serve, and devices behind it: what
 * one of them asks for, the IOMMU's tables answer, and what the guest takes back is taken from it.
 */
#ifndef TINYVMM_IOMMU_H
#define TINYVMM_IOMMU_H

#include <stddef.h>
#include <stdint.h>

#include <vas/device.h>
#include <vas/iommu.h>
#include <vas/virtio.h>

struct guest_iommu;

/* 0 or -errno, with vas_error(). */
int guest_iommu_create(struct vas *vas, struct guest_iommu **iommu);
/* When it is off the bus, and all endpoints have left. */
void guest_iommu_destroy(struct guest_iommu *iommu);

struct vas_virtio_server *guest_iommu_server(struct guest_iommu *iommu);

/* What its driver has made of it, malloced; while its queues stand still. */
int guest_iommu_save(struct guest_iommu *iommu, void **bytes, size_t *size);
int guest_iommu_load(struct guest_iommu *iommu, const void *bytes, size_t size);

/* A device behind it: what serves it has a view, here or in a process of its own. */
struct endpoint {
	struct guest_iommu *iommu;   /* NULL: it is behind none */
	uint32_t id;		     /* its function on PCI */
	int has_joined;		     /* atomic */
	struct vas_iommu_view *view; /* of threads, or */
	struct vas_bus_device *bus;  /* of whoever serves it on the bus */
};

/* For a device that threads of this process serve: a view with so many slots. */
int endpoint_open_view(struct endpoint *endpoint, struct guest_iommu *iommu, uint32_t nr_slots);

/* For one on the bus: add it with these options, which become those of a device behind an IOMMU. */
int endpoint_open_bus(struct endpoint *endpoint, struct guest_iommu *iommu, struct vas *vas,
		      struct vas_device_options *options);

/* The guest knows it as `id`; and no more. Of one that is behind none: nothing. */
int endpoint_join(struct endpoint *endpoint, uint32_t id);
void endpoint_leave(struct endpoint *endpoint);

/* When who serves it is gone. */
void endpoint_close(struct endpoint *endpoint);

#endif
