/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pass a vas to the kernel's own device back ends, vhost-net and vhost-vsock: their memory table
 * follows the layout, their rings are given by guest-physical address, they stop for a freeze, and
 * what vhost-net writes is in the dirty log.
 *
 *	VMM			libvas				kernel
 *	open, SET_GUEST_CID
 *	vas_vhost_attach() ---> SET_OWNER, SET_MEM_TABLE -----> has the layout
 *	vas_vhost_start() ----> features, rings, back ends ---> serves the queues
 *	vas_vhost_stop() -----> back ends off, bases ---------> serves no more
 *
 * Neighbours of the layout that are neighbours in the process, too, are one entry of the table,
 * which has room for max_mem_regions of the module vhost (64): a layout of more is refused in
 * words. Read-only regions are mapped so that vhost cannot write to them; one that is local memory
 * (VAS_REGION_LOCAL) is left out, and so is what is a device's.
 *
 * vhost-vsock does not log what it writes: while it is attached, a vas cannot be tracked. While a
 * vas is frozen, newer kernels refuse what a program of the host sends over it: EHOSTUNREACH.
 */
#ifndef VAS_VHOST_H
#define VAS_VHOST_H

#include <vas/consumer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_vhost;

enum vas_vhost_kind { VAS_VHOST_NET, VAS_VHOST_VSOCK };

/* Both have two: what the guest receives by, and what it sends by. */
#define VAS_VHOST_QUEUES 2

/* A split virtqueue, as the guest's driver has set it up. */
struct vas_vhost_queue {
	uint32_t size; /* entries */
	uint32_t base; /* the next available entry: 0, or what vas_vhost_stop() has said */
	uint64_t desc; /* gpas of its parts, each within one region */
	uint64_t avail;
	uint64_t used;
	int kick_fd;	/* eventfds, which are duplicated; -1: none */
	int call_fd;	/* -1: the guest polls */
	int backend_fd; /* vhost-net: a tap or a packet socket; duplicated */
};

/*
 * Attach the vas (this handle must own it) to an fd of /dev/vhost-net or /dev/vhost-vsock of this
 * process, which is duplicated. name (NULL: "vhost-net" or "vhost-vsock") is whom errors and
 * vas_info name. *vhost is freed by vas_vhost_detach(), which comes before vas_unbind().
 *
 * -EINVAL: the name; -ENOTTY: not such an fd; -EPERM: not the owner, or another process's fd;
 * -ENOSPC: more regions than vhost's table has room for; -EBUSY: vhost-vsock, and the vas is
 * tracked; -ENOMEM; else as vas_consumer_attach(). After an error nothing is attached.
 */
VAS_API int vas_vhost_attach(struct vas *vas, int vhost_fd, enum vas_vhost_kind kind,
			     const char *name, struct vas_vhost **vhost);

/* Stop the queues, if they run, and take all memory away. NULL is allowed. */
VAS_API void vas_vhost_detach(struct vas_vhost *vhost);

/* The consumer that it is. */
VAS_API struct vas_consumer *vas_vhost_consumer(struct vas_vhost *vhost);

/*
 * Have both queues served from now on, with the features that the driver has accepted. As long as
 * they run, their rings keep the memory that they are in: a change of the layout that takes it away
 * is refused (-EBUSY), and vas_error() names the queue. In a frozen vas they are served when that
 * is thawed. From any thread, but not from an op of a consumer.
 *
 * -EBUSY: they run; -EFAULT: a ring is not within a region, or in a read-only one; -EINVAL: sizes,
 * alignment, or what else the kernel does not take. Nothing is served then.
 */
VAS_API int vas_vhost_start(struct vas_vhost *vhost, uint64_t features,
			    const struct vas_vhost_queue queues[VAS_VHOST_QUEUES]);

/*
 * Have them served no more. What was taken has been answered, and bases[] (NULL: not wanted) is
 * where each stands; it is not touched if they do not run.
 */
VAS_API void vas_vhost_stop(struct vas_vhost *vhost, uint32_t bases[VAS_VHOST_QUEUES]);

#ifdef __cplusplus
}
#endif

#endif
