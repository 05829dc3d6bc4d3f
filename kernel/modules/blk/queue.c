// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "queue.h"

#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/virtio_ring.h>

/* Steps, of at most DISK_BUFFER bytes each, before the guest hears of them and others may run. */
#define MAX_STEPS 64

/* After this long a queue whose memory was frozen, or gone, tries again. */
#define RETRY_AFTER (HZ / 100 ?: 1)

static void wake(struct queue *queue)
{
	WRITE_ONCE(queue->kicked, true);
	wake_up_process(queue->thread);
}

static void kicked(struct vas_doorbell *doorbell)
{
	wake(container_of(doorbell, struct queue, kick));
}

static void break_queue(struct queue *queue)
{
	queue->is_broken = true;
	if (queue->has_err)
		vas_irq_raise(&queue->err);
}

/* For all but the queue's thread, which does no further step before they have had the lock. */
static void lock_queue(struct queue *queue)
{
	atomic_inc(&queue->nr_waiting);
	mutex_lock(&queue->lock);
	atomic_dec(&queue->nr_waiting);
}

/* 1: there is a request; 0: there is none; or why not. */
static int get_request(struct queue *queue)
{
	int result;

	if (queue->has_request)
		return 1;
	result = vas_split_queue_peek(&queue->ring.queue, &queue->chain);
	if (result <= 0)
		return result;
	result = disk_begin(queue->disk, &queue->chain, &queue->request);
	queue->has_request = !result;
	return result ? result : 1;
}

/* 1: there may be more to do; 0: there is none; or why it was not done. */
static int serve_step(struct queue *queue)
{
	struct vas_split_queue *ring = &queue->ring.queue;
	struct vas_virtq_answer answer = {};
	int result;

	result = get_request(queue);
	if (result <= 0)
		return result;
	result = disk_step(&queue->request, queue->buffer, &answer.len);
	if (result)
		return result;
	queue->has_request = false;
	/* Not before: whatever ends half-way is peeked at again, also by who goes on after us. */
	vas_split_queue_take(ring);
	answer.head = queue->chain.head;
	vas_split_queue_give(ring, &answer, 1);
	queue->nr_requests++;
	return 1;
}

static bool is_wanted(struct queue *queue)
{
	return atomic_read(&queue->nr_waiting) || kthread_should_stop();
}

/* The lock is held. 0: nothing left to do; 1: more; -EAGAIN: not now. */
static int serve_batch(struct queue *queue)
{
	struct vas_split_queue *ring = &queue->ring.queue;
	u64 before = queue->nr_requests;
	int nr, result;

	if (queue->is_broken)
		return 0;
	if (queue->is_quiet)
		return -EAGAIN;
	if (ring_map(&queue->ring))
		return -EAGAIN;
	result = 1;
	for (nr = 0; nr < MAX_STEPS && result > 0 && !is_wanted(queue); nr++)
		result = serve_step(queue);
	if (queue->nr_requests != before && vas_split_queue_wants_interrupt(ring))
		vas_irq_raise(&queue->call);
	if (result < 0 && result != -EAGAIN && result != -EINTR)
		break_queue(queue);
	else if (!result)
		result = vas_split_queue_enable_kick(ring);
	return result;
}

static int serve(struct queue *queue)
{
	int result;

	mutex_lock(&queue->lock);
	result = serve_batch(queue);
	mutex_unlock(&queue->lock);
	return result;
}

static void sleep_until_kicked(struct queue *queue, long timeout)
{
	set_current_state(TASK_INTERRUPTIBLE);
	if (!READ_ONCE(queue->kicked) && !kthread_should_stop())
		schedule_timeout(timeout);
	__set_current_state(TASK_RUNNING);
}

static int queue_thread(void *data)
{
	struct queue *queue = data;

	while (!kthread_should_stop()) {
		int result;

		WRITE_ONCE(queue->kicked, false);
		result = serve(queue);
		if (result > 0)
			cond_resched();
		else
			sleep_until_kicked(queue, result ? RETRY_AFTER : MAX_SCHEDULE_TIMEOUT);
	}
	return 0;
}

/* The rings are requested back: map them again when there is something to do. */
void queue_invalidate(struct queue *queue, struct vas_mapping *mapping)
{
	lock_queue(queue);
	if (ring_has(&queue->ring, mapping)) {
		ring_unmap(&queue->ring);
		/* Begun anew, if it is still there then. */
		queue->has_request = false;
		/* Nobody is told of the thaw of a map that is gone; there is no new one before. */
		queue->is_quiet = false;
	}
	mutex_unlock(&queue->lock);
	wake(queue);
}

/* Frozen, or not any more: once this returns nothing is served. */
void queue_quiet(struct queue *queue, bool quiet)
{
	lock_queue(queue);
	queue->is_quiet = quiet;
	mutex_unlock(&queue->lock);
	wake(queue);
}

static int attach_events(struct queue *queue, const struct vas_blk_queue *config)
{
	int err;

	err = vas_irq_attach(&queue->call, config->call_fd);
	if (err)
		return err;
	if (config->err_fd >= 0) {
		err = vas_irq_attach(&queue->err, config->err_fd);
		if (err)
			goto err_detach_call;
		queue->has_err = true;
	}
	queue->kick = (struct vas_doorbell){ .ring = kicked, .flags = VAS_DOORBELL_ATOMIC };
	err = vas_doorbell_attach(&queue->kick, config->kick_fd);
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

static void detach_events(struct queue *queue)
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

static int init_ring(struct queue *queue, u64 features, const struct vas_blk_queue *config)
{
	struct ring *ring = &queue->ring;

	if (config->size > VAS_BLK_MAX_SIZE)
		return -EINVAL;
	*ring = (struct ring){
		.vas = queue->disk->vas,
		.gpa = { config->desc, config->avail, config->used },
		.queue = {
			.size = config->size,
			.flags = ring_flags(features),
			.next_avail = config->next_avail,
			/* A device that has stopped owes no answers. */
			.next_used = config->next_avail,
		},
	};
	return ring_init(ring);
}

static struct queue *alloc_queue(struct disk *disk)
{
	struct queue *queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);

	if (!queue)
		return NULL;
	queue->chain.segments = kvmalloc_array(RING_MAX_SEGMENTS, sizeof(*queue->chain.segments),
					       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	queue->chain.max_segments = RING_MAX_SEGMENTS;
	queue->buffer = kvmalloc(DISK_BUFFER, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	queue->disk = disk;
	mutex_init(&queue->lock);
	return queue;
}

static void free_queue(struct queue *queue)
{
	kvfree(queue->buffer);
	kvfree(queue->chain.segments);
	kfree(queue);
}

/* A queue whose thread runs, or an ERR_PTR. */
struct queue *queue_start(struct disk *disk, u64 features, const struct vas_blk_queue *config)
{
	struct queue *queue = alloc_queue(disk);
	int err = -ENOMEM;

	if (!queue)
		return ERR_PTR(-ENOMEM);
	if (!queue->chain.segments || !queue->buffer)
		goto err_free;
	err = init_ring(queue, features, config);
	if (err)
		goto err_free;
	queue->thread = kthread_create(queue_thread, queue, "vas_blk-%u", config->index);
	if (IS_ERR(queue->thread)) {
		err = PTR_ERR(queue->thread);
		goto err_clean_ring;
	}
	get_task_struct(queue->thread);
	err = attach_events(queue, config);
	if (err)
		goto err_stop_thread;
	wake(queue);
	return queue;
err_stop_thread:
	kthread_stop(queue->thread);
	put_task_struct(queue->thread);
err_clean_ring:
	ring_clean(&queue->ring);
err_free:
	free_queue(queue);
	return ERR_PTR(err);
}

/* Serve no more, and tell how it stays. A request that is half done will be done again, whole. */
void queue_halt(struct queue *queue, struct vas_blk_stopped *stopped)
{
	lock_queue(queue);
	queue->is_quiet = true;
	stopped->next_avail = queue->ring.queue.next_avail;
	stopped->broken = queue->is_broken;
	stopped->nr_requests = queue->nr_requests;
	mutex_unlock(&queue->lock);
}

/* Nobody calls its ops any more. */
void queue_stop(struct queue *queue)
{
	detach_events(queue);
	kthread_stop(queue->thread);
	put_task_struct(queue->thread);
	mutex_lock(&queue->lock);
	ring_clean(&queue->ring);
	mutex_unlock(&queue->lock);
	free_queue(queue);
}
