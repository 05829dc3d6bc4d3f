/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The joint between a device and what connects it to a guest (a vhost-user front end). A device
 * knows requests and its config space; whoever connects it knows rings, memory and eventfds.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct device_queue;
struct vas;
struct vas_device;
struct vas_iotlb;

struct vas_device_ops {
	/*
	 * On a bus: could it be bound to the guest with this vas? Asked before whoever serves it is
	 * asked to leave. NULL: yes. -errno: no, and vas_error() says why.
	 */
	int (*may_bind)(struct vas_device *device, struct vas *vas);

	/*
	 * On a bus: the device is to be served for the guest with this vas, before all else; and no
	 * more, after all else. NULL: it is of no interest to it. -errno, and vas_error() says why.
	 */
	int (*bind)(struct vas_device *device, struct vas *vas);
	void (*unbind)(struct vas_device *device);

	/*
	 * On a bus, bound, and behind an IOMMU, once: others serve its queues by a TLB of theirs,
	 * with room for so many ranges, which is good until unbind. NULL, or what is not filled in:
	 * nobody does. -errno, and vas_error() says why.
	 */
	int (*iotlb)(struct vas_device *device, uint32_t max_entries, struct vas_iotlb *iotlb);

	/*
	 * The first queue is about to be served, for a driver that has accepted these features, all
	 * of them offered. -errno: it must not be, and vas_error() says why.
	 */
	int (*start)(struct vas_device *device, uint64_t features);

	/* The last queue has stopped: what the device works on may be another's from now on. */
	void (*stop)(struct vas_device *device);

	/* The driver has reset it: as it was before its first start. No queue is being served. */
	void (*reset)(struct vas_device *device);

	/* Copy len bytes of the config space; behind its end there are zeros. */
	void (*config)(struct vas_device *device, uint32_t offset, void *to, uint32_t len);

	/*
	 * The driver writes to the config space, whether queues are being served or not. NULL:
	 * nothing there is its to write.
	 */
	void (*configure)(struct vas_device *device, uint32_t offset, const void *from,
			  uint32_t len);

	/*
	 * What it works on may have changed, as a disk's size: look. True: so has the config space.
	 * While queues are being served, or not. NULL: it never does.
	 */
	bool (*look)(struct vas_device *device);

	/*
	 * A guest with this MAC address has come here from another host: tell the network. While
	 * queues are being served, or not. NULL: there is nobody to be told.
	 */
	void (*announce)(struct vas_device *device, const uint8_t *mac);

	/*
	 * Serve a queue, in a thread of its own, until device_queue_is_stopping(), and answer first
	 * what was taken: device/queue.h. An error ends it at once: there is no memory, or no fd.
	 */
	int (*queue)(struct vas_device *device, struct device_queue *queue);

	/*
	 * The driver has rung for this queue, and its processor waits: serve it here, beside the
	 * queue's thread. False: the thread is to be woken. NULL: it always is. Asked for by those
	 * who can (device/thread), and wherever it is called from, nothing waits for that thread.
	 */
	bool (*kick)(struct vas_device *device, uint32_t queue);
};

struct vas_device {
	const struct vas_device_ops *ops;
	uint32_t kind;	   /* virtio's number of it */
	uint64_t features; /* that it offers; those of rings are added by who connects it */
	uint32_t max_queues;
	uint32_t queue_num;   /* for vhost-user: of a network device pairs; 0: max_queues */
	uint32_t queue_size;  /* the largest */
	const char *no_iommu; /* NULL, or why it cannot be behind an IOMMU: "X knows none" */
	/*
	 * DEVICE_KEPT words for what the driver has asked for by commands: zeros after a reset, and
	 * what a process before this one has left. Others may write there. NULL: nothing is kept.
	 */
	uint64_t *kept;
};

#define DEVICE_KEPT 5u

/* A word of that. */
static inline uint64_t vas_device_kept(const struct vas_device *device, uint32_t index)
{
	return device->kept ? __atomic_load_n(&device->kept[index], __ATOMIC_RELAXED) : 0;
}

static inline void vas_device_keep(struct vas_device *device, uint32_t index, uint64_t word)
{
	if (device->kept)
		__atomic_store_n(&device->kept[index], word, __ATOMIC_RELAXED);
}

/* What an eventfd or a signalfd has, which does not block: it is not readable any more. */
static inline void vas_device_drain(int fd)
{
	char bytes[128]; /* of a signal */

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

/* What ->config() does, of a config space that is there whole. */
static inline void vas_device_copy_config(const void *config, uint32_t size, uint32_t offset,
					  void *to, uint32_t len)
{
	memset(to, 0, len);
	if (offset < size)
		memcpy(to, (const char *)config + offset,
		       len < size - offset ? len : size - offset);
}

#endif
