// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/queue_iommu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/virtqueue/iova.h"

#define MAX_SEARCHES 16384u /* for one peek: no driver has as many pages in a request */
#define MAX_MISSES   32768u /* without any progress */
#define ANSWER_MS    100
#define RETRY_ASK_MS 5 /* where the front end takes no messages */

/* Of one look ahead. */
#define AHEAD_CHAINS   64u
#define AHEAD_WANTS    63u /* pages, beside the one that is missed */
#define AHEAD_SEARCHES 2048u

/* What is missing of the chains that are in the ring, in their order. */
struct queue_ahead {
	struct vas_virtq_chain chains[AHEAD_CHAINS];
	struct vas_iommu_want wants[AHEAD_WANTS + 1];
	uint32_t nr;
	struct vas_virtq_iommu iommu;
};

static void free_room(struct device_queue *queue)
{
	free(queue->iovas);
	free(queue->ahead);
	queue->iovas = NULL;
	queue->ahead = NULL;
}

int queue_iommu_begin(struct device_queue *queue)
{
	int err = -ENOMEM;

	queue->iovas = malloc(DEVICE_QUEUE_IOVAS * sizeof(*queue->iovas));
	queue->ahead = malloc(sizeof(*queue->ahead));
	if (queue->iovas && queue->ahead)
		err = vas_iommu_slot_claim(queue->view, &queue->slot);
	if (err)
		free_room(queue);
	queue->ring_generation = 0;
	queue->is_ready = queue->has_missed = queue->is_ahead = false;
	queue->nr_misses = 0;
	return err;
}

void queue_iommu_end(struct device_queue *queue)
{
	if (!queue->slot)
		return;
	vas_iommu_slot_release(queue->slot);
	free_room(queue);
	queue->has_missed = false;
	queue->slot = NULL;
}

/* ---- misses ------------------------------------------------------------------------------- */

static uint32_t prot_of(uint32_t write)
{
	return write ? VAS_IOMMU_WRITE : VAS_IOMMU_READ;
}

static int find_for(struct device_queue *queue, uint64_t iova, uint32_t prot, uint64_t *len,
		    uint64_t *gpa)
{
	if (!vas_iommu_translate(queue->slot, iova, prot, len, gpa))
		return 0;
	queue->missed_iova = iova;
	queue->missed_prot = prot;
	queue->has_missed = true;
	return -EAGAIN;
}

static int find(void *user, uint64_t iova, uint32_t write, uint64_t *len, uint64_t *gpa)
{
	return find_for(user, iova, prot_of(write), len, gpa);
}

/* With one question for both: two could have answers that do not go together. */
static int find_both(void *user, uint64_t iova, uint32_t write, uint64_t *len, uint64_t *gpa)
{
	(void)write;
	return find_for(user, iova, VAS_IOMMU_READ | VAS_IOMMU_WRITE, len, gpa);
}

static struct vas_virtq_iommu iommu_of(struct device_queue *queue)
{
	return (struct vas_virtq_iommu){ .find = find, .user = queue, .nr_left = MAX_SEARCHES };
}

static void fail(struct device_queue *queue)
{
	queue->has_missed = false;
	if (queue->tell_fault)
		queue->tell_fault(queue->tell_user, queue->missed_iova, queue->missed_prot);
	device_queue_break(queue);
}

void queue_iommu_ask(struct device_queue *queue)
{
	int err = vas_iommu_ask(queue->slot, queue->missed_iova, queue->missed_prot);

	queue->nr_misses += !err;
	queue->answer_ms = !err ? 0 : err == -EAGAIN ? RETRY_ASK_MS : ANSWER_MS;
	if ((err && err != -EINPROGRESS && err != -EAGAIN) || queue->nr_misses > MAX_MISSES)
		fail(queue);
}

int queue_iommu_wait_ms(struct device_queue *queue)
{
	queue_iommu_ask(queue);
	if (!queue->has_missed)
		return 0;
	if (!queue->answer_ms)
		queue->has_missed = false;
	return queue->answer_ms;
}

/* ---- ahead of a miss ---------------------------------------------------------------------- */

static int find_ahead(void *user, uint64_t iova, uint32_t write, uint64_t *len, uint64_t *gpa)
{
	const struct device_queue *queue = user;

	return vas_iommu_translate(queue->slot, iova, prot_of(write), len, gpa);
}

/* The miss itself comes last. */
static void want(void *user, uint64_t iova, uint32_t write)
{
	struct device_queue *queue = user;
	struct queue_ahead *ahead = queue->ahead;

	if (iova != queue->missed_iova)
		ahead->wants[ahead->nr++] = (struct vas_iommu_want){ iova, prot_of(write) };
	if (ahead->nr == AHEAD_WANTS)
		ahead->iommu.nr_left = 0;
}

/* After a miss: each page that is missing of what is in the ring, as far as there is room. */
static void ask_ahead(struct device_queue *queue)
{
	struct queue_ahead *ahead = queue->ahead;
	struct vas_virtq_burst burst = {
		.chains = ahead->chains,
		.segments = queue->iovas,
		.max_chains = AHEAD_CHAINS,
		.max_segments = DEVICE_QUEUE_IOVAS,
	};
	const struct vas_iommu_want missed = { queue->missed_iova, queue->missed_prot };
	uint32_t i;

	ahead->nr = 0;
	ahead->iommu = (struct vas_virtq_iommu){ find_ahead, queue, AHEAD_SEARCHES };
	queue->is_ahead = true;
	vas_virtq_peek_burst(&queue->ring, queue->format, &burst);
	queue->is_ahead = false;
	/* A table that has gone meanwhile is another miss, and not the one to wait for. */
	queue->missed_iova = missed.iova;
	queue->missed_prot = missed.prot;
	for (i = 0; i < burst.nr; i++)
		vas_virtq_find_missing_of(&ahead->iommu, &ahead->chains[i], want);
	ahead->wants[ahead->nr++] = missed;
	vas_iommu_ask_ahead(queue->slot, ahead->wants, ahead->nr);
}

/* A peek has missed something: when that is answered, so is what else is there. */
static void ask_for_all(struct device_queue *queue)
{
	ask_ahead(queue);
	queue_iommu_ask(queue);
}

/* ---- single ranges ------------------------------------------------------------------------ */

int queue_iommu_range(struct device_queue *queue, uint64_t iova, uint64_t len, bool is_written,
		      uint64_t *gpa)
{
	struct vas_virtq_iommu iommu = iommu_of(queue);

	if (is_written)
		iommu.find = find_both;
	return vas_virtq_translate_range(&iommu, iova, len, is_written, gpa);
}

/* Ahead of a miss, a table that is missing has nothing in it. */
int queue_iommu_read(void *user, uint64_t iova, void *to, uint32_t len)
{
	struct device_queue *queue = user;
	uint64_t there, gpa;
	int err = 0;

	if (queue->is_ahead && !vas_virtq_find_missing(&queue->ahead->iommu, iova, len, 0, want)) {
		memset(to, 0, len);
		return 0;
	}
	for (; len && !err; len -= (uint32_t)there) {
		there = len;
		err = find(queue, iova, 0, &there, &gpa);
		if (!err)
			err = memory_read(queue->memory, gpa, to, (uint32_t)there);
		to = (char *)to + there;
		iova += there;
	}
	return err;
}

/* ---- chains ------------------------------------------------------------------------------- */

/* How many of the nr chains; or why not the first. */
static int translate(struct device_queue *queue, struct vas_virtq_chain *chains, uint32_t nr,
		     struct vas_virtq_segment *room, uint32_t max)
{
	struct vas_virtq_iommu iommu = iommu_of(queue);
	uint32_t i;

	for (i = 0; i < nr; i++) {
		int err = vas_virtq_translate_chain(&iommu, &chains[i], room, max);

		if (err)
			return i ? (int)i : err;
		room += chains[i].nr_out + chains[i].nr_in;
		max -= chains[i].nr_out + chains[i].nr_in;
	}
	queue->nr_misses = 0;
	return (int)nr;
}

static uint32_t max_iovas(uint32_t max)
{
	return max < DEVICE_QUEUE_IOVAS ? max : DEVICE_QUEUE_IOVAS;
}

int queue_iommu_peek(struct device_queue *queue, struct vas_virtq_chain *chain,
		     int (*peek)(struct device_queue *queue, struct vas_virtq_chain *chain))
{
	struct vas_virtq_segment *room = chain->segments;
	uint32_t max = chain->max_segments;
	int result;

	queue->has_missed = false;
	chain->segments = queue->iovas;
	chain->max_segments = max_iovas(max);
	result = peek(queue, chain);
	if (result > 0)
		result = translate(queue, chain, 1, room, max);
	chain->segments = room;
	chain->max_segments = max;
	if (queue->has_missed)
		ask_for_all(queue);
	return result;
}

int queue_iommu_peek_burst(struct device_queue *queue, struct vas_virtq_burst *burst,
			   int (*peek)(struct device_queue *queue, struct vas_virtq_burst *burst))
{
	struct vas_virtq_segment *room = burst->segments;
	uint32_t max = burst->max_segments;
	int result;

	queue->has_missed = false;
	burst->segments = queue->iovas;
	burst->max_segments = max_iovas(max);
	result = peek(queue, burst);
	if (result > 0)
		result = translate(queue, burst->chains, burst->nr, room, max);
	burst->segments = room;
	burst->max_segments = max;
	burst->nr = result > 0 ? (uint32_t)result : 0;
	if (queue->has_missed)
		ask_for_all(queue);
	return result;
}
