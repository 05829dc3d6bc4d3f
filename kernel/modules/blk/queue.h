/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A queue and its thread. */
#ifndef VAS_BLK_QUEUE_H
#define VAS_BLK_QUEUE_H

#include <linux/atomic.h>
#include <linux/mutex.h>

#include <linux/vas.h>

#include "disk.h"
#include "ring.h"
#include "vas_blk.h"

struct task_struct;

/**
 * struct queue - one virtqueue
 * @disk: what its requests are for
 * @lock: protects @ring, @request and @is_quiet; held while requests are served
 * @nr_waiting: others that want @lock: then no further step is done before they have had it
 * @ring: the queue in guest memory
 * @is_quiet: the memory is frozen
 * @is_broken: the ring made no sense; nothing more is served
 * @kicked: there may be something to do
 * @has_err: @err is attached
 * @thread: serves
 * @kick: sets @kicked
 * @call: interrupts the guest
 * @err: tells the VMM of @is_broken
 * @chain: the request that is being served, as the guest described it
 * @request: how far that is; if @has_request
 * @has_request: it was begun
 * @buffer: DISK_BUFFER bytes, for its data
 * @nr_requests: how many have been served
 */
struct queue {
	struct disk *disk;
	struct mutex lock;
	atomic_t nr_waiting;
	struct ring ring;
	bool is_quiet;
	bool is_broken;
	bool kicked;
	bool has_err;
	struct task_struct *thread;
	struct vas_doorbell kick;
	struct vas_irq call;
	struct vas_irq err;
	struct vas_virtq_chain chain;
	struct request request;
	bool has_request;
	void *buffer;
	u64 nr_requests;
};

struct queue *queue_start(struct disk *disk, u64 features, const struct vas_blk_queue *config);
void queue_halt(struct queue *queue, struct vas_blk_stopped *stopped);
void queue_stop(struct queue *queue);
void queue_invalidate(struct queue *queue, struct vas_mapping *mapping);
void queue_quiet(struct queue *queue, bool quiet);

#endif
