// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "iommu.h"
#include "queue.h"

#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

/* After this long a queue whose memory was frozen, or gone, tries again. */
#define RETRY_AFTER (HZ / 100 ?: 1)

/**
 * vas_queue_wake - have the queue's thread look for something to do
 * @queue: one that was started
 *
 * What the caller did before, the thread will see. From any context, an atomic doorbell included.
 */
void vas_queue_wake(struct vas_queue *queue)
{
	/* Pairs with queue_thread(): it sees what is to do, or we see that it will not look. */
	smp_mb();
	if (READ_ONCE(queue->is_kicked))
		return;
	WRITE_ONCE(queue->is_kicked, true);
	wake_up_process(queue->thread);
}
EXPORT_SYMBOL_GPL(vas_queue_wake);

static void kicked(struct vas_doorbell *doorbell)
{
	vas_queue_wake(container_of(doorbell, struct vas_queue, kick));
}

static void break_queue(struct vas_queue *queue)
{
	queue->is_broken = true;
	if (queue->has_err)
		vas_irq_raise(&queue->err);
}

static void set_taken(struct vas_queue *queue, bool is_taken)
{
	spin_lock_bh(&queue->gate);
	queue->is_taken = is_taken;
	if (unlikely(queue->iommu) && is_taken)
		queue->generation = view_generation(queue->iommu->view);
	spin_unlock_bh(&queue->gate);
}

static void lock_queue(struct vas_queue *queue)
{
	mutex_lock(&queue->lock);
	set_taken(queue, true);
}

static void unlock_queue(struct vas_queue *queue)
{
	set_taken(queue, false);
	if (unlikely(queue->iommu) && atomic_read(&queue->nr_waiting))
		wake_up_all(&queue->ended);
	mutex_unlock(&queue->lock);
}

/* For all but who serves: nothing further is served before they have had the lock. */
static void claim_queue(struct vas_queue *queue)
{
	atomic_inc(&queue->nr_waiting);
	lock_queue(queue);
	atomic_dec(&queue->nr_waiting);
}

/* Somebody has it since before that: what was unmapped then may be in use. */
static bool is_inside(struct vas_queue *queue, u64 generation)
{
	bool result;

	spin_lock_bh(&queue->gate);
	result = queue->is_taken && queue->iommu && queue->generation < generation;
	spin_unlock_bh(&queue->gate);
	return result;
}

/*
 * Until each section has ended that began with an older generation of the view, that of who holds
 * the gate among them. 0; -ETIMEDOUT: one has not, at the deadline; -EINTR: the caller is killed.
 */
int vas_queue_wait_for_section(struct vas_queue *queue, u64 generation, unsigned long deadline)
{
	long left = time_before(jiffies, deadline) ? deadline - jiffies : 0;

	if (!is_inside(queue, generation))
		return 0;
	atomic_inc(&queue->nr_waiting);
	left = wait_event_killable_timeout(queue->ended, !is_inside(queue, generation), left);
	atomic_dec(&queue->nr_waiting);
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}

/* The driver hears of what was answered since it did last, if it wants to. */
static void tell_driver(struct vas_queue *queue)
{
	struct vas_virtq *ring = &queue->ring.queue;

	if (queue->nr_told == queue->nr_requests)
		return;
	queue->nr_told = queue->nr_requests;
	if (!vas_virtq_wants_interrupt(ring, ring->format))
		return;
	vas_irq_raise(&queue->call);
}

/**
 * vas_queue_try_begin - serve a request here and now, without sleeping
 * @queue: one that was started; bottom halves are disabled
 *
 * A bounded number of requests, as ->serve() would. What takes sleep, or makes no sense, is left in
 * the ring for ->serve(): wake it. Tables of descriptors are read without sleeping, too: then
 * vas_queue_peek() may return -EAGAIN.
 *
 * Return: true: go on to vas_queue_end(); false: not now.
 */
bool vas_queue_try_begin(struct vas_queue *queue)
{
	/* Who has turned interrupts off (netconsole) may have come upon the gate's holder. */
	if (irqs_disabled() || !spin_trylock(&queue->gate))
		return false;
	if (queue->is_taken || queue->is_quiet || queue->is_halted || queue->is_broken ||
	    !queue->ring.maps[0] || atomic_read(&queue->nr_waiting) ||
	    (unlikely(queue->iommu) && !queue_iommu_is_here(queue))) {
		spin_unlock(&queue->gate);
		return false;
	}
	vas_queue_set_no_sleep(queue, true);
	return true;
}
EXPORT_SYMBOL_GPL(vas_queue_try_begin);

/**
 * vas_queue_end - what was served is told
 * @queue: after vas_queue_try_begin(), on the same processor; what was taken has been given back
 */
void vas_queue_end(struct vas_queue *queue)
{
	vas_queue_set_no_sleep(queue, false);
	tell_driver(queue);
	spin_unlock(&queue->gate);
}
EXPORT_SYMBOL_GPL(vas_queue_end);

/**
 * vas_queue_is_wanted - others wait for the queue
 * @queue: in ->serve(), which leaves then
 *
 * Return: true if they do.
 */
bool vas_queue_is_wanted(const struct vas_queue *queue)
{
	return atomic_read(&queue->nr_waiting) || kthread_should_stop();
}
EXPORT_SYMBOL_GPL(vas_queue_is_wanted);

/**
 * vas_queue_peek - the next chain
 * @queue: that is served
 *
 * Return: 1: it is in @queue->chain; 0: there is none; or an error, for ->serve() to return.
 */
int vas_queue_peek(struct vas_queue *queue)
{
	if (unlikely(queue->iommu))
		return queue_iommu_peek(queue);
	return vas_virtq_peek(&queue->ring.queue, queue->ring.queue.format, &queue->chain);
}
EXPORT_SYMBOL_GPL(vas_queue_peek);

/**
 * vas_queue_take - the chain that was peeked at is being served
 * @queue: that is served
 */
void vas_queue_take(struct vas_queue *queue)
{
	vas_virtq_take(&queue->ring.queue, queue->ring.queue.format, &queue->chain);
}
EXPORT_SYMBOL_GPL(vas_queue_take);

/**
 * vas_queue_give - answer chains that were taken
 * @queue: that is served
 * @answers: of which the driver sees all at once
 * @nr: how many, at least 1
 *
 * The driver is interrupted afterwards, if it wants to be.
 */
void vas_queue_give(struct vas_queue *queue, const struct vas_virtq_answer *answers, u32 nr)
{
	vas_virtq_give(&queue->ring.queue, queue->ring.queue.format, answers, nr);
	WRITE_ONCE(queue->nr_requests, queue->nr_requests + nr);
}
EXPORT_SYMBOL_GPL(vas_queue_give);

/**
 * vas_queue_enable_kick - have the driver kick for the next chain
 * @queue: that is served
 *
 * Return: true if there is one already.
 */
bool vas_queue_enable_kick(struct vas_queue *queue)
{
	return vas_virtq_enable_kick(&queue->ring.queue, queue->ring.queue.format);
}
EXPORT_SYMBOL_GPL(vas_queue_enable_kick);

/* No fault of the driver's: the same again, later. -ENOMEM: of what the host has, or allows. */
static bool is_passing(int err)
{
	return err == -EAGAIN || err == -EINTR || err == -ENOMEM;
}

static int serve_ring(struct vas_queue *queue)
{
	int result = unlikely(queue->iommu) ? queue_iommu_follow(queue) : 0;

	if (result)
		return result;
	if (vas_ring_map(&queue->ring))
		return -EAGAIN;
	result = queue->ops->serve(queue);
	tell_driver(queue);
	return result;
}

/* -EAGAIN: sleep until there is an answer; 1: there is one; or an error: none, and it breaks. */
static int request_missed(struct vas_queue *queue)
{
	long result = queue_iommu_request(queue);

	if (result < 0)
		return result;
	queue->retry_after = result;
	return result ? -EAGAIN : 1;
}

/* The lock is held. 0: nothing left to do; 1: more; or an error: not now, or it is broken. */
static int serve_batch(struct vas_queue *queue)
{
	int result;

	queue->retry_after = RETRY_AFTER;
	if (queue->is_broken)
		return 0;
	if (queue->is_quiet || queue->is_halted)
		return -EAGAIN;
	result = serve_ring(queue);
	if (unlikely(queue->iommu) && result == -EAGAIN && queue->iommu->has_missed)
		result = request_missed(queue);
	if (result < 0 && !is_passing(result))
		break_queue(queue);
	return result;
}

static int serve(struct vas_queue *queue)
{
	int result;

	lock_queue(queue);
	result = serve_batch(queue);
	unlock_queue(queue);
	return result;
}

static void sleep_until_kicked(struct vas_queue *queue, long timeout)
{
	set_current_state(TASK_INTERRUPTIBLE);
	if (!READ_ONCE(queue->is_kicked) && !kthread_should_stop())
		schedule_timeout(timeout);
	__set_current_state(TASK_RUNNING);
}

static int queue_thread(void *data)
{
	struct vas_queue *queue = data;

	while (!kthread_should_stop()) {
		int result;

		WRITE_ONCE(queue->is_kicked, false);
		smp_mb(); /* pairs with vas_queue_wake() */
		result = serve(queue);
		if (result > 0)
			cond_resched();
		else
			sleep_until_kicked(queue,
					   result ? queue->retry_after : MAX_SCHEDULE_TIMEOUT);
	}
	return 0;
}

/* The rings are requested back: map them again when there is something to do. */
void vas_queue_unmap(struct vas_queue *queue, const struct vas_mapping *mapping)
{
	claim_queue(queue);
	if (vas_ring_has(&queue->ring, mapping)) {
		vas_ring_unmap(&queue->ring);
		/* Begun anew, if it is still there then. */
		if (queue->ops->forget)
			queue->ops->forget(queue);
		/* Nobody is told of the thaw of a map that is gone; there is no new one before. */
		queue->is_quiet = false;
	}
	unlock_queue(queue);
	vas_queue_wake(queue);
}

/*
 * Frozen, or not any more: once this returns nothing is served. Each map is asked for itself: one
 * that is gone by then is not told of the thaw, so others must not wait for that.
 */
void vas_queue_set_quiet(struct vas_queue *queue, const struct vas_mapping *mapping, bool quiet)
{
	claim_queue(queue);
	if (vas_ring_has(&queue->ring, mapping))
		queue->is_quiet = quiet;
	/* The time that it was frozen is none of who is to answer. */
	if (unlikely(queue->iommu))
		queue_iommu_forget(queue);
	unlock_queue(queue);
	vas_queue_wake(queue);
}

static int attach_events(struct vas_queue *queue, const struct vas_queue_start *arg)
{
	int err;

	err = vas_irq_attach(&queue->call, arg->call_fd);
	if (err)
		return err;
	if (arg->err_fd >= 0) {
		err = vas_irq_attach(&queue->err, arg->err_fd);
		if (err)
			goto err_detach_call;
		queue->has_err = true;
	}
	queue->kick = (struct vas_doorbell){ .ring = kicked, .flags = VAS_DOORBELL_ATOMIC };
	err = vas_doorbell_attach(&queue->kick, arg->kick_fd);
	if (err)
		goto err_detach_err;
	return 0;
err_detach_err:
	if (queue->has_err)
		vas_irq_detach(&queue->err);
err_detach_call:
	vas_irq_detach(&queue->call);
	return err;
}

static void detach_events(struct vas_queue *queue)
{
	vas_doorbell_detach(&queue->kick);
	if (queue->has_err)
		vas_irq_detach(&queue->err);
	vas_irq_detach(&queue->call);
}

static u32 ring_flags(u64 features)
{
	return (features & 1ull << VIRTIO_RING_F_EVENT_IDX ? VAS_VIRTQ_EVENT_IDX : 0) |
	       (features & 1ull << VIRTIO_RING_F_INDIRECT_DESC ? VAS_VIRTQ_INDIRECT : 0);
}

static int init_ring(struct vas_queue *queue, const struct vas_queue_set *set,
		     const struct vas_queue_start *arg)
{
	struct vas_ring *ring = &queue->ring;

	if (arg->size > queue->ops->max_size)
		return -EINVAL;
	ring->vas = set->vas;
	memcpy(ring->gpa, arg->parts, sizeof(ring->gpa));
	ring->queue.format =
		set->features & 1ull << VIRTIO_F_RING_PACKED ? VAS_VIRTQ_PACKED : VAS_VIRTQ_SPLIT;
	return vas_ring_init(ring, arg->size, ring_flags(set->features), arg->base);
}

static bool is_behind_iommu(const struct vas_queue_set *set)
{
	return set->features & 1ull << VIRTIO_F_ACCESS_PLATFORM;
}

static int init_thread(struct vas_queue *queue, const struct vas_queue_set *set, u32 index)
{
	queue->thread = kthread_create(queue_thread, queue, "%s-%u", set->name, index);
	if (IS_ERR(queue->thread))
		return PTR_ERR(queue->thread);
	get_task_struct(queue->thread);
	return 0;
}

static void stop_thread(struct vas_queue *queue)
{
	kthread_stop(queue->thread);
	put_task_struct(queue->thread);
}

/* The queue has come from ->alloc(), and stays the caller's after an error. It is halted. */
int vas_queue_start(struct vas_queue *queue, const struct vas_queue_set *set,
		    const struct vas_queue_start *arg)
{
	int err;

	queue->ops = set->ops;
	queue->is_halted = true;
	mutex_init(&queue->lock);
	spin_lock_init(&queue->gate);
	init_waitqueue_head(&queue->ended);
	if (is_behind_iommu(set) && !set->view)
		return -ENXIO;
	queue->chain.max_segments =
		is_behind_iommu(set) ? IOMMU_MAX_SEGMENTS : VAS_RING_MAX_SEGMENTS;
	queue->chain.segments =
		kvmalloc_array(queue->chain.max_segments, sizeof(*queue->chain.segments),
			       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!queue->chain.segments)
		return -ENOMEM;
	err = init_ring(queue, set, arg);
	if (err)
		goto err_free_segments;
	if (is_behind_iommu(set))
		err = queue_iommu_create(queue, set->view);
	if (err)
		goto err_clean_ring;
	err = init_thread(queue, set, arg->index);
	if (err)
		goto err_destroy_iommu;
	err = attach_events(queue, arg);
	if (err)
		goto err_stop_thread;
	if (queue->ops->started)
		queue->ops->started(queue);
	return 0;
err_stop_thread:
	stop_thread(queue);
err_destroy_iommu:
	queue_iommu_destroy(queue);
err_clean_ring:
	vas_ring_clean(&queue->ring);
err_free_segments:
	kvfree(queue->chain.segments);
	return err;
}

/* The set has it: from now on it is served. */
void vas_queue_go(struct vas_queue *queue)
{
	claim_queue(queue);
	queue->is_halted = false;
	unlock_queue(queue);
	vas_queue_wake(queue);
}

/* Serve no more, and tell how it stays. A request that is half done will be done again, whole. */
void vas_queue_halt(struct vas_queue *queue, struct vas_queue_stopped *stopped)
{
	claim_queue(queue);
	queue->is_halted = true;
	stopped->base = vas_ring_base(&queue->ring);
	stopped->broken = queue->is_broken;
	stopped->nr_requests = queue->nr_requests;
	unlock_queue(queue);
}

/* It is halted, so nobody raises its interrupts; and nobody calls its ops any more. */
void vas_queue_stop(struct vas_queue *queue)
{
	if (queue->ops->stopping)
		queue->ops->stopping(queue);
	detach_events(queue);
	/* Nor does its thread ask any more. */
	if (queue->iommu)
		queue_iommu_forget(queue);
	stop_thread(queue);
	lock_queue(queue);
	vas_ring_clean(&queue->ring);
	unlock_queue(queue);
	queue_iommu_destroy(queue);
	kvfree(queue->chain.segments);
	queue->ops->free(queue);
}
