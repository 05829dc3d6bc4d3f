/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A queue behind an IOMMU, device/queue.c's own: its ring and its descriptors have iovas of a view.
 *
 *	a section of the view's	is entered and left with that of the memory's
 *	the ring's parts	are looked up anew in each section after an invalidation
 *	a chain			is translated when it is peeked at: what a device gets are gpas
 *
 * A miss ends each of these, and nothing is changed by it. The question is put at once;
 * device_queue_idle() waits for the answer, outside of a section, and everything is done again.
 */
#ifndef DEVICE_QUEUE_IOMMU_H
#define DEVICE_QUEUE_IOMMU_H

#include "device/queue.h"

/* Before and after its thread runs. -EBUSY: the view has no slot left; -ENOMEM, -EMFILE. */
int queue_iommu_begin(struct device_queue *queue);
void queue_iommu_end(struct device_queue *queue);

/*
 * In a section: the gpa of all of the range, which is read, or read and written. -EAGAIN: a miss;
 * -EPROTO: it is in several pieces.
 */
int queue_iommu_range(struct device_queue *queue, uint64_t iova, uint64_t len, bool is_written,
		      uint64_t *gpa);

/* For tables.read; user is the queue. -EAGAIN: a miss. */
int queue_iommu_read(void *user, uint64_t iova, void *to, uint32_t len);

/*
 * What `peek` finds, whose segments are iovas, in gpas. As it returns; or -EAGAIN: a miss, which
 * has been asked for; -EPROTO: the room is too small for a request in so many pieces. Of a burst,
 * those before the first miss.
 */
int queue_iommu_peek(struct device_queue *queue, struct vas_virtq_chain *chain,
		     int (*peek)(struct device_queue *queue, struct vas_virtq_chain *chain));
int queue_iommu_peek_burst(struct device_queue *queue, struct vas_virtq_burst *burst,
			   int (*peek)(struct device_queue *queue, struct vas_virtq_burst *burst));

/* There was a miss: ask for it. If that leads to nothing, the queue breaks. */
void queue_iommu_ask(struct device_queue *queue);

/* How long to sleep, at most, until there is something new to know of it; 0: not at all. */
int queue_iommu_wait_ms(struct device_queue *queue);

#endif
