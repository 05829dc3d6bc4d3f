/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A queue that a device serves: a virtqueue, with what belongs to it. While it runs, it is its
 * thread's; while it does not, it is the thread's that starts and stops it.
 *
 *	device_queue_next()	a request, those first that a dead device had taken
 *	device_queue_peek()	many at once, of which as many are taken as the device can serve
 *	device_queue_answer()	some are done: the log, the requests in flight, the interrupt
 *	device_queue_idle()	nothing to do: look for a while, then sleep until there is
 */
#ifndef DEVICE_QUEUE_H
#define DEVICE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vas/iommu.h>

#include "core/virtqueue/virtq.h"
#include "device/device.h"
#include "device/inflight.h"
#include "device/inflight_packed.h"
#include "device/memory.h"

#define DEVICE_QUEUE_MAX_SIZE INFLIGHT_MAX_DESCS
#define DEVICE_QUEUE_IOVAS    1024u /* segments that are translated at once */

/* Where a ring's three parts are in the guest: descriptors, the driver's part, the device's. */
struct device_ring_place {
	uint64_t desc, driver, device;
};

struct device_queue {
	/* Set before a start. */
	struct vas_device *device;
	uint32_t index; /* among the device's */
	const struct memory *memory;
	void *inflight; /* of its format, with room for `size` requests; NULL: nothing is kept */
	struct device_ring_place place; /* gpas, or iovas of the view */
	struct vas_iommu_view *view;	/* of the device; NULL: no IOMMU is between */
	enum vas_virtq_format format;
	uint32_t flags; /* VAS_VIRTQ_... */
	uint32_t size;
	uint32_t base; /* where the ring stands, as vhost-user encodes it; also after a stop */
	uint64_t poll_ns;
	bool is_inherited; /* a process before this one has served this ring; its user clears it */
	int kick_fd, call_fd, err_fd;	      /* eventfds, or -1 */
	struct vas_device_counters *counters; /* its thread's; NULL: its own */
	/* The driver lets the device use what the view does not have: before the queue breaks. */
	void (*tell_fault)(void *user, uint64_t iova, uint32_t prot);
	void *tell_user;

	/* Its own. */
	struct vas_virtq ring;
	struct device_ring_place gpas; /* of the ring's parts */
	struct vas_mapping *maps[3];   /* of the ring's parts, of a vas without a table */
	bool is_inside;		       /* in a section of the memory's */
	uint64_t generation;	       /* of that */
	uint32_t nr_taken;	       /* and not answered */
	struct inflight_packed packed; /* of a packed ring, if something is kept */
	/* Heads that a dead device had taken; of a packed ring, entries. */
	uint16_t again[DEVICE_QUEUE_MAX_SIZE];
	uint32_t nr_again, at_again;
	uint64_t counter; /* of requests, for those in flight */
	uint64_t busy_ns; /* when there was something to do last */
	void *table;	  /* room for an indirect one */
	int wake_fd;
	int sleep_fd; /* an epoll, while it runs: of wake_fd, of kicks, and of other_fd or -1 */
	int other_fd;
	bool is_stopping; /* atomic */
	bool is_running;
	bool wants_kicks; /* the driver was asked for them, or may have been */
	/* Atomic: what the driver wrote made no sense. Nothing is served before this is cleared. */
	bool is_broken;
	pthread_t thread;
	struct vas_device_counters own_counters;

	/* Behind an IOMMU: device/queue_iommu.h. */
	struct vas_iommu_slot *slot;	 /* NULL: it is not, or does not run */
	struct vas_virtq_segment *iovas; /* of chains, before they are translated */
	struct queue_ahead *ahead;	 /* room to look ahead of a miss */
	bool is_ahead;			 /* it does so now */
	uint64_t ring_generation;	 /* of the section in which the ring was found; 0: none */
	uint64_t ring_serial;		 /* and of the memory's addresses there */
	bool is_ready;			 /* the ring was found once */
	bool has_missed;
	uint32_t missed_prot;
	uint64_t missed_iova;
	uint32_t nr_misses; /* that were answered, since there was progress */
	uint32_t answer_ms; /* when to ask again; 0: it is answered */
};

/* Counters have one writer; others read them. */
static inline void device_queue_count(uint64_t *counter, uint64_t nr)
{
	__atomic_store_n(counter, *counter + nr, __ATOMIC_RELAXED);
}

int device_queue_init(struct device_queue *queue);
void device_queue_clean(struct device_queue *queue);

/*
 * Start its thread. -EFAULT: the ring is not in memory; -EINVAL: it is not aligned, its size is
 * none, or it cannot stand there; -EPROTO: what is kept of requests in flight makes no sense;
 * -EAGAIN: the memory is frozen; or another -errno. The queue is as before, then.
 */
int device_queue_start(struct device_queue *queue);

/* Something wants a part of the ring back, or wants quiet: stop it. Of a vas without a table. */
bool device_queue_is_requested(const struct device_queue *queue);

/* Have its thread answer what was taken, and end. One that does not run is no error. */
void device_queue_stop(struct device_queue *queue);

/* ---- for the device ----------------------------------------------------------------------- */

/* 1: the chain is taken. 0: there is none, or the queue is ending, or broken. */
int device_queue_next(struct device_queue *queue, struct vas_virtq_chain *chain);

/*
 * Chains that are there, and stay there: how many. Then take the first nr of them, or of those that
 * are left. 0: there is none, or the queue is ending, or broken.
 */
uint32_t device_queue_peek(struct device_queue *queue, struct vas_virtq_burst *burst);
void device_queue_take(struct device_queue *queue, const struct vas_virtq_chain *chains,
		       uint32_t nr);

/* At least one, in any order, of those that were taken. */
void device_queue_answer(struct device_queue *queue, const struct vas_virtq_answer *answers,
			 uint32_t nr);

/* With VIRTIO_F_IN_ORDER, and no in segments: the oldest that were taken, in their order. */
void device_queue_answer_in_order(struct device_queue *queue,
				  const struct vas_virtq_answer *answers, uint32_t nr);

/*
 * There was nothing to do, neither in the queue nor behind fd (-1: there is no such fd). Returns at
 * once for a while, then when there may be something.
 */
void device_queue_idle(struct device_queue *queue, int fd);

/*
 * The same where the ring is of no interest, but fd alone, and nothing is in flight. With -1 it
 * waits for the end, and others may call for this queue meanwhile.
 */
void device_queue_wait(struct device_queue *queue, int fd);

/*
 * For a queue that its thread and others serve, one at a time, under a lock of theirs: nobody has
 * requests of it in flight, and others may go on. How many ms until it has to be looked at again;
 * -1: then there will be a kick.
 */
int device_queue_rest(struct device_queue *queue);
/* Without that lock, its thread: so long, or until a kick by kick_fd, or until it is to end. */
void device_queue_sleep(const struct device_queue *queue, int timeout_ms);

/*
 * For a device that keeps addresses from one look at the ring to the next: true, and they hold
 * until device_queue_leave(), or until it has nothing in flight and calls this again, or waits.
 * False: the memory is frozen, say; device_queue_idle() waits for it. What is kept from an earlier
 * section is good while memory_serial() is the same.
 */
bool device_queue_enter(struct device_queue *queue);

/*
 * Chains that were peeked at, and not taken, in a section with another number have to be peeked at
 * again: what their iovas stand for may have changed. 0: always the same, there is no IOMMU.
 */
static inline uint64_t device_queue_generation(const struct device_queue *queue)
{
	return queue->slot ? vas_iommu_generation(queue->slot) : 0;
}

void device_queue_leave(struct device_queue *queue);

/* A dead device had taken more, which device_queue_next() returns before all else. */
static inline bool device_queue_has_again(const struct device_queue *queue)
{
	return queue->at_again < queue->nr_again;
}

/*
 * Answer with no bytes what a dead device had taken: buffers for what is gone with it. `room` is
 * for a chain. What can't be answered now stays in flight.
 */
void device_queue_give_back(struct device_queue *queue, struct vas_virtq_chain *room);

/*
 * Another serves the ring from where it stands, as vhost-user encodes it, while the queue waits for
 * its end, device_queue_wait(), or breaks; then it has the ring back. False: the queue is ending,
 * or broken, or something is in flight. -EINVAL: a ring cannot stand there.
 */
bool device_queue_lend(struct device_queue *queue, uint32_t *base);
int device_queue_take_back(struct device_queue *queue, uint32_t base);

/* What the driver wrote makes no sense: nothing further is served. */
void device_queue_break(struct device_queue *queue);

/* The same, and it is a request that was taken: it is never answered. */
void device_queue_abandon(struct device_queue *queue);

static inline bool device_queue_is_stopping(const struct device_queue *queue)
{
	return __atomic_load_n(&queue->is_stopping, __ATOMIC_ACQUIRE);
}

#endif
