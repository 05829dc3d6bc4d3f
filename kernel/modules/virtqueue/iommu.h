/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A queue behind an IOMMU, as queue.c has it: its ring and its descriptors have iovas of a view.
 *
 *	the ring's parts	are looked up anew in each section after an invalidation
 *	a chain			is translated when it is peeked at: what a device gets are gpas
 *
 * A section is the time in which somebody has the queue: its lock, or its gate. A miss ends it, and
 * nothing is changed by it. It is asked for then, and everything is done again.
 */
#ifndef VAS_VIRTQUEUE_IOMMU_H
#define VAS_VIRTQUEUE_IOMMU_H

#include "ring.h"
#include "view.h"

#include "core/virtqueue/iova.h"

/* Of a chain that is translated: it may be in pieces. */
#define IOMMU_MAX_SEGMENTS 4096

struct queue_ahead;
struct vas_queue;

/**
 * struct queue_iommu - of one queue
 * @view: the device's
 * @parts: iovas of the ring's
 * @ring_generation: of the view, when the ring was looked up; 0: never
 * @iovas: room for a chain before it is translated
 * @nr_out: segments in there, of the chain that the device has
 * @nr_in: the same
 * @again: room to translate that once more; NULL: no request is served in several sections
 * @ahead: room to look ahead of a miss
 * @search: what is being done
 * @has_missed: it has led to nothing: @missed_iova, @missed_write
 * @is_asking: @question has led to no translation yet
 * @missed_write: the device wants to write there
 * @missed_iova: where
 * @question: what the queue waits for
 */
struct queue_iommu {
	struct view *view;
	u64 parts[VAS_RING_NR_PARTS];
	u64 ring_generation;
	struct vas_virtq_segment *iovas;
	u32 nr_out;
	u32 nr_in;
	struct vas_virtq_segment *again;
	struct queue_ahead *ahead;
	struct vas_virtq_iommu search;
	bool has_missed;
	bool is_asking;
	u32 missed_write;
	u64 missed_iova;
	struct view_question question;
};

/* Its ring is as it was started with. */
int queue_iommu_create(struct vas_queue *queue, struct view *view);
void queue_iommu_destroy(struct vas_queue *queue);

/* In a section. As vas_queue_peek(); -EAGAIN: maybe a miss. */
int queue_iommu_peek(struct vas_queue *queue);
/* In one of who may sleep: 0: the ring is where it was or found again; or as peek. */
int queue_iommu_follow(struct vas_queue *queue);
/* In one of who may not: the ring is where it was. */
bool queue_iommu_is_here(struct vas_queue *queue);
/* After a miss: for how many jiffies to sleep; or an error: it will not be answered. */
long queue_iommu_request(struct vas_queue *queue);
/* What was asked is, if it is missed again, another question. */
void queue_iommu_forget(struct vas_queue *queue);

#endif
