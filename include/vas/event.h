/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Doorbells and interrupts: eventfds that belong to a vas. The owner declares them, with a name and
 * an id, and attaches them to KVM (<vas/kvm.h>). vas_send_fds() passes their fds on. A binder waits
 * for a doorbell or raises an interrupt without talking to KVM. They are KVM's ioeventfd and irqfd.
 */
#ifndef VAS_EVENT_H
#define VAS_EVENT_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_event {
	uint32_t kind;	/* VAS_EVENT_DOORBELL or VAS_EVENT_IRQ */
	uint32_t id;	/* not 0; the caller's choice, unique in the vas */
	uint32_t flags; /* VAS_EVENT_PIO, DATAMATCH, MSI, RESAMPLE */
	uint32_t len;	/* doorbell: width of the write; 0: any, or 1, 2, 4, 8 */
	uint64_t addr;	/* doorbell: gpa or port; MSI: address */
	uint64_t data;	/* doorbell: the value to match; MSI: data */
	uint32_t gsi;	/* irq */
	char name[VAS_REGION_NAME_LEN];
};

/*
 * Declare an event and create its eventfd(s); remove one and close them. Owner only (-EPERM).
 * Declare events before vas_send_fds(), which passes those that exist. No thread may wait on an
 * event that is removed.
 *
 * -EINVAL: fields that make no sense together. -EEXIST: id or name is taken. -ENOSPC: 188 exist.
 * -ENOENT: no such event. -EMFILE, -ENFILE, -ENOMEM.
 */
VAS_API int vas_event_add(struct vas *vas, const struct vas_event *event);
VAS_API int vas_event_remove(struct vas *vas, uint32_t id);

/*
 * Give the event with this id another address, data, len or gsi, and other flags, as a guest does
 * that moves a device or its messages. Its eventfds and name stay, whatever event->name is. KVM
 * follows when the event is detached from it and attached again. Owner only (-EPERM). After an
 * error nothing has changed. -ENOENT; -EINVAL: as for vas_event_add(), or kind or
 * VAS_EVENT_RESAMPLE differs.
 */
VAS_API int vas_event_change(struct vas *vas, const struct vas_event *event);

/* Store up to nr events and return how many there are. */
VAS_API ssize_t vas_events(struct vas *vas, struct vas_event *events, size_t nr);

/* One event, by id or by name. -ENOENT. */
VAS_API int vas_event_find(struct vas *vas, uint32_t id, struct vas_event *event);
VAS_API int vas_event_find_by_name(struct vas *vas, const char *name, struct vas_event *event);

/*
 * The event's eventfd, for poll, epoll or io_uring; it belongs to the handle. The resample fd is
 * the second one of a VAS_EVENT_RESAMPLE interrupt: readable once the guest has acknowledged it.
 * -ENOENT: no such event. -ENXIO: the fd was not sent to this process.
 */
VAS_API int vas_event_fd(struct vas *vas, uint32_t id);
VAS_API int vas_event_resample_fd(struct vas *vas, uint32_t id);

/*
 * Wait until the doorbell rings. timeout_ns 0 does not wait, UINT64_MAX waits for ever. Returns how
 * often it rang since the last wait. -ETIMEDOUT, -EINTR; -ENOENT, -ENXIO as vas_event_fd().
 */
VAS_API int64_t vas_doorbell_wait(struct vas *vas, uint32_t id, uint64_t timeout_ns);

/*
 * Raise the interrupt, or ring the doorbell in the guest's place: the eventfd counts up, and stays
 * raised until it is taken, however often it is raised. Never sleeps, whatever peers do to the
 * eventfd: the kernel counts, when an AIO request (io_submit(2)) completes. In a process that may
 * not use AIO a thread writes instead, which takes much longer. -ENOENT, -ENXIO as vas_event_fd().
 * -EAGAIN: neither can be had.
 */
VAS_API int vas_irq_raise(struct vas *vas, uint32_t id);
VAS_API int vas_doorbell_ring(struct vas *vas, uint32_t id);

/* ---- values ------------------------------------------------------------------------------- */

/*
 * An eventfd does not say which value was written. A doorbell whose values matter has a ring beside
 * it, in shared memory: a page at an agreed gpa, or a backing of its own. One producer (the VMM's
 * exit handler), one consumer (the device process). nr values follow the struct, a power of two.
 * Zeroed memory is an empty ring.
 */
struct vas_value_ring {
	uint32_t head; /* next to write; the producer's */
	uint32_t pad0[15];
	uint32_t tail; /* next to read; the consumer's */
	uint32_t pad1[15];
};
#define VAS_VALUE_RING_SIZE(nr) (sizeof(struct vas_value_ring) + (nr) * sizeof(uint64_t))

/*
 * Put a value in the ring, and take the oldest out. Neither waits. -EAGAIN: the ring is full, or
 * empty. -EPROTO: the peer's index makes no sense.
 */
VAS_API int vas_value_ring_post(struct vas_value_ring *ring, uint32_t nr, uint64_t value);
VAS_API int vas_value_ring_take(struct vas_value_ring *ring, uint32_t nr, uint64_t *value);

#ifdef __cplusplus
}
#endif

#endif
