// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "queue.h"

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>

/* Steps, of at most DISK_BUFFER bytes each, before the guest hears of them and others may run. */
#define MAX_STEPS 64

/**
 * struct blk_queue - one virtqueue
 * @queue: the ring and its thread
 * @target: whose it is
 * @request: how far the one is that is being served; if @has_request
 * @has_request: it was begun
 * @buffer: DISK_BUFFER bytes, for its data
 */
struct blk_queue {
	struct vas_queue queue;
	struct target *target;
	struct request request;
	bool has_request;
	void *buffer;
};

static struct blk_queue *to_blk(struct vas_queue *queue)
{
	return container_of(queue, struct blk_queue, queue);
}

static void blk_queue_free(struct vas_queue *queue)
{
	struct blk_queue *blk = to_blk(queue);

	kvfree(blk->buffer);
	kfree(blk);
}

static struct vas_queue *blk_queue_alloc(struct vas_queue_set *set, u32 index)
{
	struct blk_queue *blk = kzalloc(sizeof(*blk), GFP_KERNEL_ACCOUNT);

	if (!blk)
		return ERR_PTR(-ENOMEM);
	blk->target = container_of(set, struct target, set);
	blk->buffer = kvmalloc(DISK_BUFFER, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!blk->buffer) {
		kfree(blk);
		return ERR_PTR(-ENOMEM);
	}
	return &blk->queue;
}

/* 1: there is a request; 0: there is none; or why not. */
static int get_request(struct blk_queue *blk)
{
	int result;

	if (blk->has_request)
		return 1;
	result = vas_queue_peek(&blk->queue);
	if (result <= 0)
		return result;
	result = disk_begin(&blk->target->disk, &blk->queue.chain, blk->target->set.features,
			    &blk->request);
	blk->has_request = !result;
	return result ? result : 1;
}

/* 1: there may be more to do; 0: there is none; or why it was not done. */
static int serve_step(struct blk_queue *blk)
{
	struct vas_queue *queue = &blk->queue;
	struct vas_virtq_answer answer = {};
	int result;

	result = get_request(blk);
	if (result <= 0)
		return result;
	result = disk_step(&blk->request, blk->buffer, &answer.len);
	if (result)
		return result;
	blk->has_request = false;
	answer.head = queue->chain.head;
	answer.nr_descs = queue->chain.nr_descs;
	/* Not before: whatever ends half-way is peeked at again, also by who goes on after us. */
	vas_queue_take(queue);
	vas_queue_give(queue, &answer, 1);
	return 1;
}

/* What is done to the disk's file is done as whoever opened it, not as the kernel. */
static int blk_queue_serve(struct vas_queue *queue)
{
	const struct cred *own = override_creds(to_blk(queue)->target->disk.file->f_cred);
	int nr, result = 1;

	for (nr = 0; nr < MAX_STEPS && result > 0 && !vas_queue_is_wanted(queue); nr++)
		result = serve_step(to_blk(queue));
	revert_creds(own);
	return result ? result : vas_queue_enable_kick(queue);
}

static void blk_queue_forget(struct vas_queue *queue)
{
	to_blk(queue)->has_request = false;
}

const struct vas_queue_ops blk_queue_ops = {
	.max_size = VAS_BLK_MAX_SIZE,
	.max_queues = VAS_BLK_MAX_QUEUES,
	.alloc = blk_queue_alloc,
	.free = blk_queue_free,
	.serve = blk_queue_serve,
	.forget = blk_queue_forget,
};
