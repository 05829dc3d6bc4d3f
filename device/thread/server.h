/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A device that threads of the VMM serve: the server (<vas/virtio.h>) of a struct vas_device, on
 * the memory of a vas that this process owns.
 *
 * It has a handle of its own, and all writable regions mapped: a pin each. When the owner wants
 * one back, or nobody to write, the queues stop, with nothing in flight, and go on afterwards where
 * they stood. So they follow changes of the layout, and freezes. As nothing is marked, all of these
 * regions count as dirty while the device is there.
 */
#ifndef DEVICE_THREAD_SERVER_H
#define DEVICE_THREAD_SERVER_H

#include <vas/iommu.h>
#include <vas/virtio.h>

#include "device/device.h"

struct thread_server;

/*
 * device and name stay the caller's, and in use until thread_server_destroy(), before which the
 * server is removed from its transport. config_size is of what device->ops->config() has. -errno,
 * and vas_error() says why.
 */
struct thread_server_options {
	const char *name;
	uint32_t device_id;
	uint32_t config_size;
	uint64_t poll_ns; /* how long an idle queue is looked at before its thread sleeps */
	/*
	 * It is behind an IOMMU, for drivers that know what that is, and no others: all addresses
	 * are iovas of this view, with a slot for each queue. The caller's; NULL: there is none.
	 */
	struct vas_iommu_view *view;
};

int thread_server_create(struct vas *vas, struct vas_device *device,
			 const struct thread_server_options *options,
			 struct thread_server **server);
void thread_server_destroy(struct thread_server *server);

struct vas_virtio_server *thread_server_virtio(struct thread_server *server);

#endif
