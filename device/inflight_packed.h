/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Requests in flight of a packed ring: device/inflight.h for what they are kept for. The device
 * writes its answers over the descriptors, so a copy of those is kept, in entries of a list:
 *
 *	take	the first free entry: num = 0, counter, inflight = 1; each descriptor into
 *		one; free_head behind them, then old_free_head
 *	give	entries back to the list, free_head, used_idx; the ring; inflight = 0 of all;
 *		old_free_head, old_used_idx with its wrap counter, by one store
 *
 * Killed within a take, the old head takes it back. Killed within a give, the ring says whether it
 * was seen: then the new head and index hold, else the old ones.
 */
#ifndef DEVICE_INFLIGHT_PACKED_H
#define DEVICE_INFLIGHT_PACKED_H

#include <stdbool.h>

#include "core/virtqueue/packed.h"
#include "device/inflight.h"

struct inflight_packed_desc {
	uint8_t inflight; /* of a chain's first entry, as are last, num and counter */
	uint8_t pad;
	uint16_t next; /* entry: of the chain, or of the free list */
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t gpa;
};

struct inflight_packed_part {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
	union {
		struct {
			uint16_t used_idx;
			uint16_t old_used_idx;
			uint8_t used_wrap;
			uint8_t old_used_wrap;
			uint8_t has_begun; /* padding to others */
			uint8_t pad0;
		};
		uint64_t place; /* all of these: an index and its wrap counter are one */
	};
	uint8_t pad[8];
	struct inflight_packed_desc desc[];
};

/* A queue's, with what its device knows of it. */
struct inflight_packed {
	struct inflight_packed_part *part; /* NULL: nothing is kept */
	uint32_t size;			   /* of the ring, and at most part->desc_num */
	uint64_t counter;
	uint16_t entry_of[INFLIGHT_MAX_DESCS]; /* by buffer id: a chain's first entry */
	uint16_t num_of[INFLIGHT_MAX_DESCS];   /* by entry: of chains to be done again */
};

/* Of a queue in the file; queue i's part begins at i times as much. */
uint64_t inflight_packed_size(uint32_t nr_descs);

/* Parts for so many queues in zeroed memory. */
void inflight_packed_init(void *parts, uint32_t nr_queues, uint16_t nr_descs);

/* Before a part's first use, whose ring stands at this base. Later on the part knows better. */
void inflight_packed_begin(struct inflight_packed_part *part, uint32_t base);

/*
 * The chain that a peek has yielded, before it is taken. -EPROTO: the part makes no sense, and
 * nothing can be kept in it.
 */
int inflight_packed_take(struct inflight_packed *inflight, const struct vas_packed_queue *queue,
			 const struct vas_virtq_chain *chain);

/* Around a give. -EPROTO, as above. */
int inflight_packed_before_give(struct inflight_packed *inflight,
				const struct vas_virtq_answer *answers, uint32_t nr);
void inflight_packed_after_give(struct inflight_packed *inflight,
				const struct vas_virtq_answer *answers, uint32_t nr);

/*
 * What is to be done again: entries in the order in which they were taken, and where the ring
 * stands, as vhost-user encodes it. The part may hold anything: -EPROTO. Else how many.
 */
int inflight_packed_recover(struct inflight_packed *inflight, const struct vas_packed_desc *ring,
			    uint16_t entries[INFLIGHT_MAX_DESCS], uint32_t *base);

/* The descriptors of a chain that is to be done again: how many, or -EPROTO. */
int inflight_packed_chain(struct inflight_packed *inflight, uint16_t entry,
			  struct vas_packed_desc descs[INFLIGHT_MAX_DESCS]);

#endif
