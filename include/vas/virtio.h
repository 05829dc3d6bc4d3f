/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The interface between a virtio transport, which a guest's driver sees, and the device's server: a
 * thread of this process, a device on the bus, a vhost-user back end, the kernel's vhost. The
 * transport knows registers, and the driver's order of steps; the server knows queues and requests.
 *
 *	driver			transport			server
 *	status := 0 ----------> reset()  ---------------------> as it was at first
 *	features -------------> FEATURES_OK, or not <---------- accept()
 *	rings, queue_enable	remembers them
 *	DRIVER_OK ------------> start(), queue_start() each --> serves the queues
 *	doorbell =============== kick_fd =====================> by KVM; no call, or queue_kick()
 *	interrupt <============= call_fd ====================== by KVM; no call
 *	queue_reset ----------> queue_stop() -----------------> serves that one no more
 *				<---------------- vas_virtio_changed(), vas_virtio_broken()
 *
 * What a driver writes is checked by the transport as far as virtio's rules go: features that were
 * not offered, queues that do not exist or are larger than allowed, an order that makes no sense.
 * Where its rings are, and what is in them, the server checks; nothing of that can be trusted.
 *
 * Ops of one device are called one at a time, by the thread that handles the guest's access, which
 * is a vCPU's as a rule, or by the one that removes the device. That thread stands still meanwhile:
 * an op that has to ask somebody else has a deadline, and is back in seconds. After reset() and
 * after queue_stop() nothing of the queues' memory is touched, and no eventfd of theirs is used,
 * even if whoever served them has died.
 */
#ifndef VAS_VIRTIO_H
#define VAS_VIRTIO_H

#include <stdbool.h>
#include <vas/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VAS_VIRTIO_MAX_QUEUES 256u

/* A virtqueue, as the driver has set it up. */
struct vas_virtio_queue {
	uint32_t size;	 /* entries; of a split ring a power of two */
	uint32_t base;	 /* where it stands, as vhost-user encodes it: see queue_stop() */
	uint64_t desc;	 /* gpas of its three parts: descriptors, the driver's, the device's */
	uint64_t driver; /* a split ring's available ring */
	uint64_t device; /* a split ring's used ring */
	int kick_fd;	 /* eventfds of the transport's, good until the queue is stopped: the */
	int call_fd;	 /* driver has requests; there are answers. call_fd -1: the driver polls */
	uint32_t flags;	 /* VAS_VIRTIO_QUEUE_* */
};

/*
 * The driver has just made it: nothing of one that was here before counts, and no request of that
 * may be done any more. Else it goes on where it was stopped.
 */
#define VAS_VIRTIO_QUEUE_NEW 1u

/* Where a queue stands that was never served: a split one, and a packed one. */
#define VAS_VIRTIO_BASE_SPLIT  0u
#define VAS_VIRTIO_BASE_PACKED 0x80008000u

struct vas_virtio_server;

struct vas_virtio_ops {
	/*
	 * Copy len bytes of the config space from offset on; zeros behind its end. What is read in
	 * one call is of one moment.
	 */
	void (*config_read)(struct vas_virtio_server *server, uint32_t offset, void *to,
			    uint32_t len);
	/* The driver writes there. NULL: nothing can be written. */
	void (*config_write)(struct vas_virtio_server *server, uint32_t offset, const void *from,
			     uint32_t len);
	/*
	 * A number that was another one before the last change of the config space: it counts up in
	 * the moment that the bytes change, not when vas_virtio_changed() tells of it. NULL: they
	 * never change by themselves.
	 */
	uint32_t (*config_generation)(struct vas_virtio_server *server);

	/*
	 * The driver accepts these features, all of them offered. -errno: not together, and
	 * FEATURES_OK stays clear. NULL: any of them.
	 */
	int (*accept)(struct vas_virtio_server *server, uint64_t features);

	/*
	 * The driver is ready (DRIVER_OK): queues may start, those that it has enabled at once,
	 * others later. -errno: the device cannot be served, and the driver is told that it needs a
	 * reset. NULL: there is nothing to be done.
	 */
	int (*start)(struct vas_virtio_server *server, uint64_t features);

	/*
	 * Serve a queue from now on, at its base. The eventfds stay the transport's: duplicate
	 * those that are to be used later than queue_stop() or reset(). A queue has to be looked at
	 * once without a kick. -errno: its ring is not in memory, or makes no sense; the driver is
	 * told that the device needs a reset.
	 */
	int (*queue_start)(struct vas_virtio_server *server, uint32_t index,
			   const struct vas_virtio_queue *queue);
	/*
	 * Serve it no more. Requests that were taken have been answered, or are kept for the next
	 * start of it, unless that is of a new one. *base is where it stands: of a split ring the
	 * next available index, of a packed one two positions with their wrap counters, the used
	 * one in the upper half. A queue that does not run is no error, and *base is not touched
	 * then.
	 */
	void (*queue_stop)(struct vas_virtio_server *server, uint32_t index, uint32_t *base);

	/*
	 * The driver has rung the doorbell of a queue that runs, and its vCPU stands still until
	 * this returns. For a device whose driver waits for the answer there and then, as an
	 * IOMMU's does: nobody has to be woken, nor to run beside it. KVM does not know the
	 * doorbells of such a device. False: the transport writes to kick_fd instead. NULL, as for
	 * most devices: doorbells are kick_fd's.
	 */
	bool (*queue_kick)(struct vas_virtio_server *server, uint32_t index);

	/*
	 * The driver has written 0 to the status, or the device is removed: all queues stop, what
	 * was accepted is forgotten. It cannot fail: a driver waits for it, and is a guest that
	 * boots.
	 */
	void (*reset)(struct vas_virtio_server *server);

	/* What the driver has written to the status, after all else was done. NULL: not wanted. */
	void (*status)(struct vas_virtio_server *server, uint8_t status);
};

/* What a transport tells of: bits for vas_virtio_told(). */
#define VAS_VIRTIO_CONFIG_CHANGED 1u
#define VAS_VIRTIO_NEEDS_RESET	  2u

/*
 * A device, as its server describes it: embedded in a struct of the server's, which lives until the
 * device was removed from its transport. All fields but the last two are set before the device is
 * given to a transport, and stay as they are. Of the features, VIRTIO_F_NOTIFICATION_DATA and
 * VIRTIO_F_RING_RESET are the transport's.
 */
struct vas_virtio_server {
	const struct vas_virtio_ops *ops;
	const char *name;    /* whom errors name, and the device's events */
	uint32_t device_id;  /* virtio's: 1 net, 2 block, ... */
	uint32_t nr_queues;  /* up to VAS_VIRTIO_MAX_QUEUES */
	uint32_t queue_size; /* of the largest queue that it serves, up to 32768 */
	uint32_t config_size;
	uint64_t features; /* that it offers, those of rings among them, and VIRTIO_F_VERSION_1 */

	/* The transport's: stored atomically, told last. */
	void (*told)(struct vas_virtio_server *server, uint32_t what);
	void *transport;
};

/*
 * The server tells the driver: the config space has changed; what the driver did makes no sense, or
 * the server is gone for good, and the device needs a reset. From any thread, also from within an
 * op, as long as the device is not removed; they never wait, and never call an op. So a thread of
 * the server's own calls them under a lock which its reset() takes too: then none of these calls is
 * under way after the reset of a removal.
 */
static inline void vas_virtio_tell(struct vas_virtio_server *server, uint32_t what)
{
	void (*told)(struct vas_virtio_server *, uint32_t) =
		__atomic_load_n(&server->told, __ATOMIC_ACQUIRE);

	if (told)
		told(server, what);
}

static inline void vas_virtio_changed(struct vas_virtio_server *server)
{
	vas_virtio_tell(server, VAS_VIRTIO_CONFIG_CHANGED);
}

static inline void vas_virtio_broken(struct vas_virtio_server *server)
{
	vas_virtio_tell(server, VAS_VIRTIO_NEEDS_RESET);
}

#ifdef __cplusplus
}
#endif

#endif
