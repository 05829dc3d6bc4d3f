// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A process that is killed has stored what came before in program order, and nothing of what comes
 * behind: the compiler must keep the order, and x86 or arm64 need no more, since whoever goes on
 * reads what the coherent memory has once the dead one's threads are gone. Release stores do it.
 */
#include "device/inflight.h"

#include <stdlib.h>

#include "core/range.h"

#define ALIGNMENT 64u

uint64_t inflight_queue_size(uint32_t nr_descs)
{
	return vas_align_up(sizeof(struct inflight_queue) + nr_descs * sizeof(struct inflight_desc),
			    ALIGNMENT);
}

void inflight_init(void *parts, uint32_t nr_queues, uint16_t nr_descs)
{
	uint32_t i;

	for (i = 0; i < nr_queues; i++) {
		struct inflight_queue *part =
			(void *)((char *)parts + i * inflight_queue_size(nr_descs));

		part->version = INFLIGHT_VERSION;
		part->desc_num = nr_descs;
	}
}

void inflight_take(struct inflight_queue *part, uint16_t head, uint64_t counter)
{
	__atomic_store_n(&part->desc[head].counter, counter, __ATOMIC_RELAXED);
	__atomic_store_n(&part->desc[head].inflight, 1, __ATOMIC_RELEASE);
}

void inflight_before_give(struct inflight_queue *part, const struct vas_virtq_answer *answers,
			  uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		struct inflight_desc *desc = &part->desc[answers[i].head];

		__atomic_store_n(&desc->next, part->last_batch_head, __ATOMIC_RELAXED);
		__atomic_store_n(&part->last_batch_head, answers[i].head, __ATOMIC_RELEASE);
	}
}

void inflight_after_give(struct inflight_queue *part, const struct vas_virtq_answer *answers,
			 uint32_t nr, uint16_t used_idx)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		__atomic_store_n(&part->desc[answers[i].head].inflight, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&part->used_idx, used_idx, __ATOMIC_RELEASE);
}

/* Those that the driver has seen, whatever their flags say. */
static void finish_batch(struct inflight_queue *part, uint32_t nr_descs, uint16_t used_idx)
{
	uint16_t nr = (uint16_t)(used_idx - part->used_idx);
	uint16_t head = __atomic_load_n(&part->last_batch_head, __ATOMIC_RELAXED);

	for (; nr && head < nr_descs; nr--) {
		__atomic_store_n(&part->desc[head].inflight, 0, __ATOMIC_RELEASE);
		head = __atomic_load_n(&part->desc[head].next, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&part->used_idx, used_idx, __ATOMIC_RELEASE);
}

/* A private copy: what is compared must not change meanwhile. */
struct taken {
	uint64_t counter;
	uint16_t head;
};

static int by_counter(const void *a, const void *b)
{
	const struct taken *left = a, *right = b;

	return (left->counter > right->counter) - (left->counter < right->counter);
}

static uint32_t collect(const struct inflight_queue *part, uint32_t nr_descs, struct taken *taken)
{
	uint32_t i, nr = 0;

	for (i = 0; i < nr_descs; i++)
		if (__atomic_load_n(&part->desc[i].inflight, __ATOMIC_RELAXED))
			taken[nr++] = (struct taken){
				__atomic_load_n(&part->desc[i].counter, __ATOMIC_RELAXED),
				(uint16_t)i,
			};
	return nr;
}

uint32_t inflight_recover(struct inflight_queue *part, uint32_t nr_descs, uint16_t used_idx,
			  uint16_t *heads, uint64_t *counter)
{
	struct taken taken[INFLIGHT_MAX_DESCS];
	uint32_t i, nr;

	finish_batch(part, nr_descs, used_idx);
	nr = collect(part, nr_descs, taken);
	qsort(taken, nr, sizeof(taken[0]), by_counter);
	for (i = 0; i < nr; i++)
		heads[i] = taken[i].head;
	*counter = nr ? taken[nr - 1].counter + 1 : 0;
	return nr;
}
