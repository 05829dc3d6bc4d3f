/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Queues that a module of the kernel's serves, on vas_virtqueue.ko, for a guest on a bus. This
 * process keeps it: it follows the bus, and tells the module where each queue is and where it
 * begins; a queue that stops tells where it stands.
 *
 *	device_module_check()		is it loaded, and what can it do?
 *	device_module_begin()		a session, which the device's own code opens for the guest
 *	device_module_iotlb()		its view, if the guest has an IOMMU
 *	device_module_set_features()	those of the driver
 *	device_module_serve()		in a queue's thread: the queue is lent until it is to stop
 *	device_module_end()
 *
 * Should the process die, its files are closed, and all queues stop with nothing in flight. Only
 * then others find the process dead: the module is given the file by whose lock they do.
 */
#ifndef DEVICE_MODULE_H
#define DEVICE_MODULE_H

#include <stdbool.h>
#include <stdint.h>

struct device_queue;
struct vas;
struct vas_device;
struct vas_iotlb;

/* A module: its device, and its codes for what <linux/vas_queue.h> has. */
struct device_module_kind {
	const char *name;     /* "vas_net.ko" */
	const char *device;   /* "/dev/vas_net" */
	const char *no_iommu; /* why a device cannot be behind one, if it cannot */
	unsigned long get_features, set_features, start, stop, offer, keep;
};

struct device_module {
	const struct device_module_kind *kind;
	struct vas *vas;
	int fd; /* of the session */
	/* Of the view: what was unmapped last, and may be in use still. */
	uint64_t iova, size;
	bool is_unsettled;
};

/*
 * The device offers no more than the module can do. -errno, and vas_error() says why: it is not
 * loaded, or lacks rings.
 */
int device_module_check(const struct device_module_kind *kind, struct vas_device *device);

/*
 * A session for the guest with this vas. Its first ioctl is the caller's, and names the file of
 * device_module_vas_fd(). -errno, and vas_error() says why.
 */
int device_module_begin(struct device_module *module, const struct device_module_kind *kind,
			struct vas *vas);
int device_module_vas_fd(const struct device_module *module);

/* All queues have stopped. */
void device_module_end(struct device_module *module);

/* As vas_device_ops have it. */
int device_module_iotlb(struct device_module *module, uint32_t max_entries,
			struct vas_iotlb *iotlb);

/* No queue is lent. -errno, and vas_error() says why. */
int device_module_set_features(const struct device_module *module, uint64_t features);

/*
 * Nothing is in flight, or the queue is ending. Until that ends the module serves it. -errno: it
 * cannot be lent, or not be had back.
 */
int device_module_serve(const struct device_module *module, struct device_queue *queue);

#endif
