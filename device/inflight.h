/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Requests in flight, in memory that outlives the device's process: the front end keeps the file
 * and gives it to the next one, which does again what was taken and never answered. The bytes, and
 * the order of stores, are "Inflight I/O tracking" of vhost-user, for split rings:
 *
 *	take	counter, then inflight = 1
 *	give	next and last_batch_head of all, the used index, inflight = 0 of all, used_idx
 *
 * Killed before the used index, all of a batch is done again; killed behind it, the difference of
 * used_idx to the ring's says how many from last_batch_head on are not.
 */
#ifndef DEVICE_INFLIGHT_H
#define DEVICE_INFLIGHT_H

#include <stdint.h>

#include "core/virtqueue/chain.h"

struct inflight_desc {
	uint8_t inflight;
	uint8_t pad[5];
	uint16_t next;
	uint64_t counter; /* in which order they were taken */
};

struct inflight_queue {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_desc desc[];
};

#define INFLIGHT_VERSION   1u
#define INFLIGHT_MAX_DESCS 1024u

/* Of a queue in the file; queue i's part begins at i times as much. */
uint64_t inflight_queue_size(uint32_t nr_descs);

/* Parts for so many queues in zeroed memory. */
void inflight_init(void *parts, uint32_t nr_queues, uint16_t nr_descs);

void inflight_take(struct inflight_queue *part, uint16_t head, uint64_t counter);

/* Around a give: before the used index is published, and after. */
void inflight_before_give(struct inflight_queue *part, const struct vas_virtq_answer *answers,
			  uint32_t nr);
void inflight_after_give(struct inflight_queue *part, const struct vas_virtq_answer *answers,
			 uint32_t nr, uint16_t used_idx);

/*
 * What is to be done again: heads in the order in which they were taken, and the counter to go on
 * with. The part may hold anything. heads has room for nr_descs: at most the part's, and at most
 * INFLIGHT_MAX_DESCS.
 */
uint32_t inflight_recover(struct inflight_queue *part, uint32_t nr_descs, uint16_t used_idx,
			  uint16_t *heads, uint64_t *counter);

#endif
