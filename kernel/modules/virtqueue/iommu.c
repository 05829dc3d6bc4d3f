// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "iommu.h"

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "queue.h"

/* For one peek: no driver has as many pages in a request. Who may not sleep looks at fewer. */
#define MAX_SEARCHES	 16384
#define MAX_NOW_SEARCHES 256

/* Of one look ahead. */
#define AHEAD_CHAINS   64
#define AHEAD_PAGES    63 /* beside the one that is missed */
#define AHEAD_SEARCHES 2048

/* What is missing of the chains that are in the ring. */
struct queue_ahead {
	struct vas_virtq_chain chains[AHEAD_CHAINS];
	u32 nr;
	bool is_looking;
};

static void free_room(struct queue_iommu *iommu)
{
	kvfree(iommu->iovas);
	kvfree(iommu->again);
	kvfree(iommu->ahead);
	kvfree(iommu);
}

/* ---- searching ---------------------------------------------------------------------------- */

static void settle(struct queue_iommu *iommu)
{
	view_settle(iommu->view, &iommu->question);
	iommu->is_asking = false;
}

static bool is_asked_for(const struct queue_iommu *iommu, u64 iova, u32 write, u64 len)
{
	return iommu->question.iova - iova < len && iommu->question.write == write;
}

static int find(void *user, u64 iova, u32 write, u64 *len, u64 *gpa)
{
	struct queue_iommu *iommu = ((struct vas_queue *)user)->iommu;

	if (unlikely(view_find(iommu->view, iova, write, len, gpa))) {
		iommu->missed_iova = iova;
		iommu->missed_write = write;
		iommu->has_missed = true;
		return -EAGAIN;
	}
	if (unlikely(iommu->is_asking) && is_asked_for(iommu, iova, write, *len))
		settle(iommu);
	return 0;
}

static void begin_search(struct vas_queue *queue, u32 max)
{
	queue->iommu->has_missed = false;
	queue->iommu->search = (struct vas_virtq_iommu){ find, queue, max };
}

/* ---- ahead of a miss ---------------------------------------------------------------------- */

static int find_ahead(void *user, u64 iova, u32 write, u64 *len, u64 *gpa)
{
	return view_find(((struct vas_queue *)user)->iommu->view, iova, write, len, gpa);
}

/* The miss itself is asked for last: when it is answered, so are the others. */
static void want(void *user, u64 iova, u32 write)
{
	struct queue_iommu *iommu = ((struct vas_queue *)user)->iommu;

	if (iova == iommu->missed_iova)
		return;
	view_want(iommu->view, iova, write);
	if (++iommu->ahead->nr == AHEAD_PAGES)
		iommu->search.nr_left = 0;
}

static void begin_ahead(struct vas_queue *queue)
{
	struct queue_iommu *iommu = queue->iommu;

	iommu->ahead->nr = 0;
	iommu->search = (struct vas_virtq_iommu){ find_ahead, queue, AHEAD_SEARCHES };
}

/* ---- chains ------------------------------------------------------------------------------- */

/* For tables of descriptors. Ahead of a miss one that is missing has nothing in it. */
static int read_table(void *user, u64 iova, void *to, u32 len)
{
	struct vas_queue *queue = user;
	struct queue_iommu *iommu = queue->iommu;
	u64 there, gpa;
	int err = 0;

	if (iommu->ahead->is_looking &&
	    !vas_virtq_find_missing(&iommu->search, iova, len, 0, want)) {
		memset(to, 0, len);
		return 0;
	}
	for (; len && !err; len -= there) {
		there = len;
		if (!iommu->search.nr_left)
			return -EPROTO;
		iommu->search.nr_left--;
		err = find(queue, iova, 0, &there, &gpa);
		if (!err)
			err = vas_ring_read(&queue->ring, gpa, to, there);
		to += there;
		iova += there;
	}
	return err;
}

static int peek(struct vas_queue *queue, struct vas_virtq_chain *chain)
{
	struct queue_iommu *iommu = queue->iommu;
	int err, result = vas_virtq_peek(&queue->ring.queue, queue->ring.queue.format, chain);

	if (result <= 0)
		return result;
	iommu->nr_out = chain->nr_out;
	iommu->nr_in = chain->nr_in;
	err = vas_virtq_translate_chain(&iommu->search, chain, queue->chain.segments,
					IOMMU_MAX_SEGMENTS);
	if (err)
		return err;
	iommu->question.nr_asked = 0;
	return 1;
}

int queue_iommu_peek(struct vas_queue *queue)
{
	struct queue_iommu *iommu = queue->iommu;
	struct vas_virtq_chain chain = { .segments = iommu->iovas,
					 .max_segments = VAS_RING_MAX_SEGMENTS };
	int result;

	begin_search(queue, queue->ring.no_sleep ? MAX_NOW_SEARCHES : MAX_SEARCHES);
	result = peek(queue, &chain);
	if (result > 0) {
		chain.max_segments = queue->chain.max_segments;
		queue->chain = chain;
	}
	/* One for who may sleep. */
	if (result == -EPROTO && queue->ring.no_sleep && !iommu->search.nr_left)
		result = -EAGAIN;
	return result;
}

/* What the device has is what the driver's iovas stand for. */
static bool is_chain_same(struct vas_queue *queue)
{
	struct queue_iommu *iommu = queue->iommu;
	const struct vas_virtq_chain *chain = &queue->chain;
	struct vas_virtq_chain again = { .segments = iommu->iovas,
					 .nr_out = iommu->nr_out,
					 .nr_in = iommu->nr_in };

	begin_search(queue, MAX_SEARCHES);
	return !vas_virtq_translate_chain(&iommu->search, &again, iommu->again,
					  IOMMU_MAX_SEGMENTS) &&
	       again.nr_out == chain->nr_out && again.nr_in == chain->nr_in &&
	       !memcmp(iommu->again, chain->segments,
		       (again.nr_out + again.nr_in) * sizeof(*iommu->again));
}

/* ---- the ring ----------------------------------------------------------------------------- */

static int find_parts(struct vas_queue *queue, u32 max, u64 gpa[VAS_RING_NR_PARTS])
{
	struct queue_iommu *iommu = queue->iommu;
	int part, err = 0;

	begin_search(queue, max);
	for (part = 0; part < VAS_RING_NR_PARTS && !err; part++)
		err = vas_virtq_translate_range(
			&iommu->search, iommu->parts[part], vas_ring_part_size(&queue->ring, part),
			vas_ring_part_is_written(&queue->ring, part), &gpa[part]);
	return err;
}

static int find_ring(struct vas_queue *queue)
{
	struct vas_ring *ring = &queue->ring;
	u64 gpa[VAS_RING_NR_PARTS];
	int err = find_parts(queue, MAX_SEARCHES, gpa);

	if (!err && !memcmp(gpa, ring->gpa, sizeof(gpa)))
		return 0;
	vas_ring_unmap(ring);
	if (err)
		return err;
	memcpy(ring->gpa, gpa, sizeof(gpa));
	return vas_ring_is_aligned(ring) ? 0 : -EPROTO;
}

int queue_iommu_follow(struct vas_queue *queue)
{
	struct queue_iommu *iommu = queue->iommu;
	int err;

	iommu->has_missed = false;
	if (iommu->ring_generation == queue->generation)
		return 0;
	iommu->ring_generation = 0;
	err = find_ring(queue);
	if (err)
		return err;
	/* A request that is half done is begun anew, unless it is where it was. */
	if (queue->ops->forget && !is_chain_same(queue))
		queue->ops->forget(queue);
	iommu->has_missed = false;
	iommu->ring_generation = queue->generation;
	return 0;
}

bool queue_iommu_is_here(struct vas_queue *queue)
{
	struct queue_iommu *iommu = queue->iommu;
	u64 gpa[VAS_RING_NR_PARTS], generation = view_generation(iommu->view);

	if (likely(iommu->ring_generation == generation))
		return true;
	/* What is half done is for the thread to look after. */
	if (!iommu->ring_generation || queue->ops->forget ||
	    find_parts(queue, MAX_NOW_SEARCHES, gpa) || memcmp(gpa, queue->ring.gpa, sizeof(gpa)))
		return false;
	iommu->ring_generation = generation;
	return true;
}

/* ---- misses ------------------------------------------------------------------------------- */

static void want_ring(struct vas_queue *queue)
{
	struct queue_iommu *iommu = queue->iommu;
	int part;

	begin_ahead(queue);
	for (part = 0; part < VAS_RING_NR_PARTS; part++)
		vas_virtq_find_missing(&iommu->search, iommu->parts[part],
				       vas_ring_part_size(&queue->ring, part),
				       vas_ring_part_is_written(&queue->ring, part), want);
}

/* Each page that is missing of what is in the ring, as far as there is room. */
static void want_chains(struct vas_queue *queue)
{
	struct queue_iommu *iommu = queue->iommu;
	struct vas_virtq_burst burst = {
		.chains = iommu->ahead->chains,
		.segments = iommu->iovas,
		.max_chains = AHEAD_CHAINS,
		.max_segments = VAS_RING_MAX_SEGMENTS,
	};
	u64 iova = iommu->missed_iova;
	u32 i, write = iommu->missed_write;

	begin_ahead(queue);
	iommu->ahead->is_looking = true;
	vas_virtq_peek_burst(&queue->ring.queue, queue->ring.queue.format, &burst);
	iommu->ahead->is_looking = false;
	/* A table that has gone meanwhile is another miss, and not the one to wait for. */
	iommu->missed_iova = iova;
	iommu->missed_write = write;
	for (i = 0; i < burst.nr; i++)
		vas_virtq_find_missing_of(&iommu->search, &burst.chains[i], want);
	iommu->nr_out = 0;
	iommu->nr_in = 0;
}

static void want_more(struct vas_queue *queue)
{
	if (queue->ring.maps[0])
		want_chains(queue);
	else
		want_ring(queue);
}

long queue_iommu_request(struct vas_queue *queue)
{
	struct queue_iommu *iommu = queue->iommu;

	/* Woken by something else, it misses the same. */
	if (!iommu->is_asking || !is_asked_for(iommu, iommu->missed_iova, iommu->missed_write, 1))
		want_more(queue);
	iommu->is_asking = true;
	return view_request(iommu->view, &iommu->question, iommu->missed_iova, iommu->missed_write);
}

void queue_iommu_forget(struct vas_queue *queue)
{
	settle(queue->iommu);
}

/* ---- the queue's life --------------------------------------------------------------------- */

static int alloc_room(struct queue_iommu *iommu, bool has_again)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;

	iommu->iovas = kvmalloc_array(VAS_RING_MAX_SEGMENTS, sizeof(*iommu->iovas), gfp);
	iommu->ahead = kvzalloc(sizeof(*iommu->ahead), gfp);
	if (has_again)
		iommu->again = kvmalloc_array(IOMMU_MAX_SEGMENTS, sizeof(*iommu->again), gfp);
	return iommu->iovas && iommu->ahead && (iommu->again || !has_again) ? 0 : -ENOMEM;
}

int queue_iommu_create(struct vas_queue *queue, struct view *view)
{
	struct queue_iommu *iommu = kvzalloc(sizeof(*iommu), GFP_KERNEL_ACCOUNT);

	if (!iommu)
		return -ENOMEM;
	if (alloc_room(iommu, queue->ops->forget)) {
		free_room(iommu);
		return -ENOMEM;
	}
	iommu->view = view;
	iommu->question.queue = queue;
	INIT_LIST_HEAD(&iommu->question.node);
	/* The ring's own are gpas from now on. */
	memcpy(iommu->parts, queue->ring.gpa, sizeof(iommu->parts));
	vas_ring_set_reader(&queue->ring, read_table, queue);
	queue->iommu = iommu;
	return 0;
}

/* Its thread runs no more. */
void queue_iommu_destroy(struct vas_queue *queue)
{
	if (!queue->iommu)
		return;
	free_room(queue->iommu);
	queue->iommu = NULL;
}
