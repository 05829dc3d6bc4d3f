/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Doorbells and interrupts: the eventfds that go with a vas. The owner declares them, by name and
 * id, and ties them to KVM (<vas/kvm.h>); vas_send_fds() carries their fds; a binder waits for a doorbell
 * or raises an interrupt, and never talks to KVM.
 */
#ifndef VAS_EVENT_H
#define VAS_EVENT_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_event {
	uint32_t kind;	/* VAS_EVENT_DOORBELL or VAS_EVENT_IRQ */
	uint32_t id;	/* not 0, the caller's choice, unique in the vas */
	uint32_t flags; /* VAS_EVENT_PIO, DATAMATCH, MSI, RESAMPLE */
	uint32_t len;	/* doorbell: 0 (any), 1, 2, 4 or 8 */
	uint64_t addr;	/* doorbell: gpa or port; MSI: address */
	uint64_t data;	/* doorbell: the value to match; MSI: data */
	uint32_t gsi;	/* irq */
	char name[VAS_REGION_NAME_LEN];
};

/*
 * Declare an event and make its eventfd(s). Owner only (-EPERM). Declare before vas_send_fds(), which
 * carries the fds that there are. -EEXIST: id or name is taken; -EINVAL: fields that make no sense
 * together; -ENOSPC: 188 are there already; -EMFILE, -ENFILE, -ENOMEM.
 * Removing one closes its eventfds here: no thread may be waiting on them.
 */
VAS_API int vas_event_add(struct vas *vas, const struct vas_event *event);
VAS_API int vas_event_remove(struct vas *vas, uint32_t id);

/* Up to nr events are stored; returns how many there are. */
VAS_API ssize_t vas_events(struct vas *vas, struct vas_event *events, size_t nr);
/* One of them: 0 or -ENOENT. */
VAS_API int vas_event_find(struct vas *vas, uint32_t id, struct vas_event *event);
VAS_API int vas_event_find_by_name(struct vas *vas, const char *name, struct vas_event *event);

/*
 * The eventfd, owned by the handle: for poll, epoll, io_uring. -ENOENT: no such event; -ENXIO: the
 * event is there but its fd was not sent to this process.
 */
VAS_API int vas_event_fd(struct vas *vas, uint32_t id);
/* The second eventfd of a RESAMPLE irq: readable once the guest has acknowledged the interrupt. */
VAS_API int vas_event_resample_fd(struct vas *vas, uint32_t id);

/*
 * Wait until the doorbell rings, at most timeout_ns (0: just look; UINT64_MAX: for ever). Returns
 * how often it rang since the last wait, -ETIMEDOUT, -EINTR, -ENOENT, -ENXIO. Wait for a resampled
 * interrupt's acknowledgement by polling vas_event_resample_fd().
 */
VAS_API int64_t vas_doorbell_wait(struct vas *vas, uint32_t id, uint64_t timeout_ns);

/*
 * Raise the interrupt, or ring the doorbell in the guest's stead: the eventfd counts up, and stays
 * raised until it is taken, however often it is raised. Never sleeps, whatever peers do to the eventfd:
 * it is the kernel that counts, when an AIO request (io_submit(2)) completes. A process that may not use
 * AIO has a thread write instead, which takes much longer. -ENOENT, -ENXIO; -EAGAIN: neither can be had.
 */
VAS_API int vas_irq_raise(struct vas *vas, uint32_t id);
VAS_API int vas_doorbell_ring(struct vas *vas, uint32_t id);

/*
 * An eventfd cannot say which value was written. A doorbell whose values matter has a ring in guest
 * RAM's company: one producer (the VMM's exit handler), one consumer (the device process), in a page
 * of shared memory at an agreed gpa or in a backing of its own. The producer never waits: a full
 * ring is -EAGAIN, and the VMM decides (spin, stop the vCPU). Indices are the peer's, so they are
 * checked: -EPROTO.
 */
struct vas_value_ring {
	uint32_t head; /* next to write; producer */
	uint32_t pad0[15];
	uint32_t tail; /* next to read; consumer */
	uint32_t pad1[15];
	uint64_t values[]; /* nr, a power of two */
};
#define VAS_VALUE_RING_SIZE(nr) (sizeof(struct vas_value_ring) + (nr) * sizeof(uint64_t))

VAS_API int vas_value_ring_post(struct vas_value_ring *ring, uint32_t nr, uint64_t value);
VAS_API int vas_value_ring_take(struct vas_value_ring *ring, uint32_t nr, uint64_t *value);

#ifdef __cplusplus
}
#endif

#endif
