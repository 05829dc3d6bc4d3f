/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a device sees of guest memory through an IOMMU: docs/design/iommu.md. The user maps and
 * unmaps; queues search, and ask for what they miss.
 */
#ifndef VAS_VIRTQUEUE_VIEW_H
#define VAS_VIRTQUEUE_VIEW_H

#include <linux/list.h>
#include <linux/seqlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "core/iova_map.h"

struct vas_queue;
struct vas_queue_view;

/* What was missed and has no answer yet: for all queues of a device. */
#define VIEW_MISSES 256

enum view_state { VIEW_NOTHING, VIEW_NOT_SENT, VIEW_SENT, VIEW_ANSWERED, VIEW_REFUSED };

/**
 * struct view_question - what one queue waits for
 * @node: among the view's, while it is VIEW_SENT
 * @queue: is woken by the answer
 * @state: of it
 * @is_own: the user is told of it, not of an older one for the same iova: a no is an answer to it
 * @write: the device wants to write there
 * @iova: where
 * @nr_answers: that have not helped
 * @nr_asked: this and others, without a chain that was found; its queue's
 * @deadline: in jiffies
 */
struct view_question {
	struct list_head node;
	struct vas_queue *queue;
	enum view_state state;
	bool is_own;
	u32 write;
	u64 iova;
	u32 nr_answers;
	u32 nr_asked;
	unsigned long deadline;
};

/**
 * struct view_miss - what the user is told
 * @node: of one of the view's lists
 * @iova: where
 * @write: 1: to be written; 0: to be read
 * @until: in jiffies, once it was told: after that it may be told again
 */
struct view_miss {
	struct list_head node;
	u64 iova;
	u32 write;
	unsigned long until;
};

/**
 * struct view - of one device
 * @lock: a search that meets a change is done again. All else is under its spinlock
 * @map: iova -> gpa
 * @generation: how often something was unmapped. A section of a queue's that has begun with one
 *	finds nothing that was unmapped before it
 * @questions: of queues that wait
 * @untold: misses, in their order
 * @told: those that the user has, in that order
 * @unused: room
 * @misses: all of them
 * @asked: is woken when there is something to be told
 * @has_deadline: a question that has no answer by then breaks its queue
 */
struct view {
	seqlock_t lock;
	struct vas_iova_map map;
	u64 generation;
	struct list_head questions;
	struct list_head untold;
	struct list_head told;
	struct list_head unused;
	struct view_miss misses[VIEW_MISSES];
	wait_queue_head_t *asked;
	bool has_deadline;
};

struct view *view_create(const struct vas_queue_view *options, wait_queue_head_t *asked);
void view_destroy(struct view *view);

/* For queues. From any context but interrupts. */
int view_find(struct view *view, u64 iova, u32 write, u64 *len, u64 *gpa);
void view_want(struct view *view, u64 iova, u32 write);
long view_request(struct view *view, struct view_question *question, u64 iova, u32 write);
void view_settle(struct view *view, struct view_question *question);

/* Partner: view_unmap(): who sees a generation finds nothing that was unmapped before it. */
static inline u64 view_generation(const struct view *view)
{
	return smp_load_acquire(&view->generation);
}

/* For the user. */
int view_map(struct view *view, u64 iova, u64 size, u64 gpa, u32 prot);
u64 view_unmap(struct view *view, u64 iova, u64 size);
void view_refuse(struct view *view, u64 iova);
bool view_tell(struct view *view, u64 *iova, u32 *write);
bool view_has_misses(struct view *view);

#endif
