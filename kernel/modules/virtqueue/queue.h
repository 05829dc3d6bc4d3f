/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vas_virtqueue.ko: virtqueues in a guest's memory, for modules that serve devices. It has the
 * ring, its thread, its events, and what the guest's owner asks for meanwhile: an unplug, a freeze.
 * Its user has the requests.
 */
#ifndef VAS_VIRTQUEUE_QUEUE_H
#define VAS_VIRTQUEUE_QUEUE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include <linux/vas.h>

#include "ring.h"
#include <uapi/linux/vas_queue.h>

#define VAS_QUEUE_MAX 64u /* of a device */

struct file;
struct page;
struct poll_table_struct;
struct queue_iommu;
struct task_struct;
struct vas_queue;
struct vas_queue_set;
struct view;

/**
 * struct vas_queue_ops - a device, as its queues need it
 * @max_size: of a queue
 * @max_queues: at most VAS_QUEUE_MAX
 * @alloc: zeroed memory for a queue, in which struct vas_queue comes first; or an ERR_PTR
 * @free: it again, after @alloc or after all else
 * @started: the queue's thread is about to run. May be NULL
 * @stopping: whoever else may wake the queue must not any more. May be NULL
 * @serve: serve some requests, a bounded number, and leave early if vas_queue_is_wanted(). 1: there
 *	is more to do; 0: there is not, and a kick or vas_queue_wake() will tell of more; -EAGAIN,
 *	-EINTR, -ENOMEM: not now; another error: the ring makes no sense
 * @forget: a request that was begun is to be begun anew. May be NULL
 *
 * @serve and @forget run with the queue's lock held, in process context. Whoever may not sleep can
 * serve, too, between vas_queue_try_begin() and vas_queue_end().
 */
struct vas_queue_ops {
	u32 max_size;
	u32 max_queues;
	struct vas_queue *(*alloc)(struct vas_queue_set *set, u32 index);
	void (*free)(struct vas_queue *queue);
	void (*started)(struct vas_queue *queue);
	void (*stopping)(struct vas_queue *queue);
	int (*serve)(struct vas_queue *queue);
	void (*forget)(struct vas_queue *queue);
};

/**
 * struct vas_queue - one virtqueue and its thread
 * @ops: whose it is
 * @lock: protects @ring and all that changes, among those who may sleep; held while requests are
 *	served
 * @gate: the same, against those who may not: they hold it meanwhile
 * @is_taken: somebody has @lock. Under @gate
 * @nr_waiting: others that want @lock, or that it is let go of: then nothing further is served
 *	before that
 * @ended: is woken for the latter
 * @iommu: NULL: there is none between the driver and memory
 * @generation: of the view, when @lock was taken. Under @gate
 * @ring: the queue in guest memory
 * @is_quiet: the memory is frozen
 * @is_halted: the set does not have it yet, or not for long: nobody could ask it to be quiet
 * @is_broken: the ring made no sense; nothing more is served
 * @is_kicked: there may be something to do
 * @has_err: @err is attached
 * @retry_after: the thread looks again after so many jiffies, where it could not go on
 * @thread: serves
 * @kick: sets @is_kicked
 * @call: interrupts the guest
 * @err: tells the VMM of @is_broken
 * @chain: as vas_queue_peek() has found it
 * @nr_requests: how many have been answered
 * @nr_told: how many of them the driver has been interrupted for, unless it did not want to be
 */
struct vas_queue {
	const struct vas_queue_ops *ops;
	struct mutex lock;
	spinlock_t gate;
	bool is_taken;
	atomic_t nr_waiting;
	wait_queue_head_t ended;
	struct queue_iommu *iommu;
	u64 generation;
	struct vas_ring ring;
	bool is_quiet;
	bool is_halted;
	bool is_broken;
	bool has_err;
	bool is_kicked; /* not beside those that are read together, under the gate */
	long retry_after;
	struct task_struct *thread;
	struct vas_doorbell kick;
	struct vas_irq call;
	struct vas_irq err;
	struct vas_virtq_chain chain;
	u64 nr_requests;
	u64 nr_told;
};

/**
 * struct vas_queue_kept - where a queue's place is written when it stops
 * @page: of a process's, pinned; NULL: it is not
 * @offset: in there, of a struct vas_queue_place
 */
struct vas_queue_kept {
	struct page *page;
	u32 offset;
};

/**
 * struct vas_queue_set - the queues of a device
 * @ops: the device
 * @name: of threads
 * @file: that it was bound by, of which others may see by a lock that a queue may run
 * @vas: the guest's memory; NULL before vas_queue_set_bind()
 * @view: what the device sees through an IOMMU; NULL before vas_queue_set_view()
 * @asked: is woken when the user is to be asked for a part of @view
 * @features: as negotiated
 * @lock: protects @queues; vas_ops read it, so it is not held where a queue stops
 * @queues: those that run
 * @kept: of packed queues, each until its queue stops
 * @released: the binding has ended
 *
 * vas_queue_set_start(), _stop(), _keep(), _is_idle() and _clean() exclude each other by a lock of
 * the caller's.
 */
struct vas_queue_set {
	const struct vas_queue_ops *ops;
	const char *name;
	struct file *file;
	struct vas *vas;
	struct view *view;
	wait_queue_head_t asked;
	u64 features;
	struct rw_semaphore lock;
	struct vas_queue *queues[VAS_QUEUE_MAX];
	struct vas_queue_kept kept[VAS_QUEUE_MAX];
	struct completion released;
};

/* What all rings understand: INDIRECT_DESC, EVENT_IDX, VERSION_1, ACCESS_PLATFORM, RING_PACKED. */
#define VAS_QUEUE_FEATURES (1ull << 28 | 1ull << 29 | 1ull << 32 | 1ull << 33 | 1ull << 34)

/* A binding with a set as its priv. Each module has its own, and stays while that lives. */
#define VAS_QUEUE_SET_OPS(_name)                                                           \
	{                                                                                  \
		.owner = THIS_MODULE, .name = (_name), .invalidate = vas_queue_invalidate, \
		.quiesce = vas_queue_quiesce, .resume = vas_queue_resume,                  \
		.release = vas_queue_released,                                             \
	}

void vas_queue_invalidate(void *priv, struct vas_mapping *mapping, ktime_t deadline);
int vas_queue_quiesce(void *priv, struct vas_mapping *mapping, ktime_t deadline);
void vas_queue_resume(void *priv, struct vas_mapping *mapping);
void vas_queue_released(void *priv);

void vas_queue_set_init(struct vas_queue_set *set, const struct vas_queue_ops *ops,
			const char *name);
int vas_queue_set_bind(struct vas_queue_set *set, int fd, const struct vas_ops *ops, u64 features);
long vas_queue_set_offer(struct vas_queue_set *set, const void __user *arg);
long vas_queue_set_start(struct vas_queue_set *set, const void __user *arg);
long vas_queue_set_stop(struct vas_queue_set *set, void __user *arg);
long vas_queue_set_keep(struct vas_queue_set *set, const void __user *arg);
bool vas_queue_set_is_idle(const struct vas_queue_set *set);
void vas_queue_set_stop_all(struct vas_queue_set *set);
void vas_queue_set_clean(struct vas_queue_set *set);

/* A device's file: its IOMMU. set_view.c */
long vas_queue_set_view(struct vas_queue_set *set, const void __user *arg);
long vas_queue_view_ioctl(struct vas_queue_set *set, unsigned int cmd, void __user *arg);
__poll_t vas_queue_view_poll(struct vas_queue_set *set, struct file *file,
			     struct poll_table_struct *table);

void vas_queue_wake(struct vas_queue *queue);
bool vas_queue_try_begin(struct vas_queue *queue);
void vas_queue_end(struct vas_queue *queue);

/* While one serves: vas_queue_peek() does not sleep either, but says -EAGAIN. */
static inline void vas_queue_set_no_sleep(struct vas_queue *queue, bool no_sleep)
{
	queue->ring.no_sleep = no_sleep;
}

/* While one serves; as the functions of core/virtqueue/virtq.h, for the queue's own chain. */
bool vas_queue_is_wanted(const struct vas_queue *queue);
int vas_queue_peek(struct vas_queue *queue);
void vas_queue_take(struct vas_queue *queue);
void vas_queue_give(struct vas_queue *queue, const struct vas_virtq_answer *answers, u32 nr);
bool vas_queue_enable_kick(struct vas_queue *queue);

/* Within the module. */
int vas_queue_start(struct vas_queue *queue, const struct vas_queue_set *set,
		    const struct vas_queue_start *arg);
void vas_queue_go(struct vas_queue *queue);
void vas_queue_halt(struct vas_queue *queue, struct vas_queue_stopped *stopped);
void vas_queue_stop(struct vas_queue *queue);
int vas_queue_wait_for_section(struct vas_queue *queue, u64 generation, unsigned long deadline);
void vas_queue_unmap(struct vas_queue *queue, const struct vas_mapping *mapping);
void vas_queue_set_quiet(struct vas_queue *queue, const struct vas_mapping *mapping, bool quiet);

#endif
