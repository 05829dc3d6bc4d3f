// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/queue_iommu.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_SEARCHES 16384u /* for one peek: no driver has as many pages in a request */
#define MAX_MISSES   32768u /* without any progress */
#define ANSWER_MS    100
#define RETRY_ASK_MS 5 /* where the front end takes no messages */

int queue_iommu_begin(struct device_queue *queue)
{
	int err;

	queue->iovas = malloc(DEVICE_QUEUE_IOVAS * sizeof(*queue->iovas));
	if (!queue->iovas)
		return -ENOMEM;
	err = vas_iommu_slot_claim(queue->view, &queue->slot);
	if (err) {
		free(queue->iovas);
		queue->iovas = NULL;
	}
	queue->ring_generation = 0;
	queue->is_ready = queue->has_missed = false;
	queue->nr_misses = 0;
	return err;
}

void queue_iommu_end(struct device_queue *queue)
{
	if (!queue->slot)
		return;
	vas_iommu_slot_release(queue->slot);
	free(queue->iovas);
	queue->has_missed = false;
	queue->slot = NULL;
	queue->iovas = NULL;
}

/* ---- misses ------------------------------------------------------------------------------- */

static int find(struct device_queue *queue, uint64_t iova, uint32_t prot, uint64_t *len,
		uint64_t *gpa)
{
	if (!vas_iommu_translate(queue->slot, iova, prot, len, gpa))
		return 0;
	queue->missed_iova = iova;
	queue->missed_prot = prot;
	queue->has_missed = true;
	return -EAGAIN;
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

/* ---- single ranges ------------------------------------------------------------------------ */

int queue_iommu_range(struct device_queue *queue, uint64_t iova, uint64_t len, uint32_t prot,
		      uint64_t *gpa)
{
	uint64_t done = 0, there, at;
	uint32_t searches = 0;
	int err;

	if (iova + len < iova)
		return -EFAULT;
	for (; done < len; done += there) {
		there = len - done;
		err = searches++ < MAX_SEARCHES ? find(queue, iova + done, prot, &there, &at) :
						  -EFAULT;
		if (err)
			return err;
		if (!done)
			*gpa = at;
		else if (at != *gpa + done)
			return -EFAULT;
	}
	return 0;
}

int queue_iommu_read(void *user, uint64_t iova, void *to, uint32_t len)
{
	struct device_queue *queue = user;
	uint64_t there, gpa;
	int err = 0;

	for (; len && !err; len -= (uint32_t)there) {
		there = len;
		err = find(queue, iova, VAS_IOMMU_READ, &there, &gpa);
		if (!err)
			err = memory_read(queue->memory, gpa, to, (uint32_t)there);
		to = (char *)to + there;
		iova += there;
	}
	return err;
}

/* ---- chains ------------------------------------------------------------------------------- */

struct translation {
	struct device_queue *queue;
	struct vas_virtq_segment *room; /* of this chain's pieces, the first nr */
	uint32_t nr, max, searches;
};

static int put(struct translation *to, uint64_t gpa, uint32_t len, uint32_t write)
{
	if (to->nr == to->max)
		return -EPROTO;
	to->room[to->nr++] = (struct vas_virtq_segment){ gpa, len, write };
	return 0;
}

/* In pieces; one that goes on in the guest's memory where the one before ends is none. */
static int translate_segment(struct translation *to, const struct vas_virtq_segment *segment)
{
	uint32_t first = to->nr, prot = segment->write ? VAS_IOMMU_WRITE : VAS_IOMMU_READ;
	uint64_t iova = segment->gpa, left, there, gpa;
	int err = 0;

	if (!segment->len)
		return put(to, 0, 0, segment->write);
	for (left = segment->len; left && !err; left -= there) {
		struct vas_virtq_segment *last = to->nr > first ? &to->room[to->nr - 1] : NULL;

		there = left;
		if (to->searches++ == MAX_SEARCHES)
			return -EPROTO;
		err = find(to->queue, iova, prot, &there, &gpa);
		if (err)
			return err;
		if (last && last->gpa + last->len == gpa)
			last->len += (uint32_t)there;
		else
			err = put(to, gpa, (uint32_t)there, segment->write);
		iova += there;
	}
	return err;
}

static int translate_chain(struct translation *to, struct vas_virtq_chain *chain)
{
	uint32_t i, nr_out = 0;
	int err;

	for (i = 0; i < chain->nr_out + chain->nr_in; i++) {
		err = translate_segment(to, &chain->segments[i]);
		if (err)
			return err;
		if (i < chain->nr_out)
			nr_out = to->nr;
	}
	chain->segments = to->room;
	chain->nr_out = nr_out;
	chain->nr_in = to->nr - nr_out;
	return 0;
}

int queue_iommu_translate(struct device_queue *queue, struct vas_virtq_chain *chains, uint32_t nr,
			  struct vas_virtq_segment *room, uint32_t max)
{
	struct translation to = { .queue = queue, .room = room, .max = max };
	uint32_t i;
	int err;

	for (i = 0; i < nr; i++) {
		err = translate_chain(&to, &chains[i]);
		if (err)
			return i ? (int)i : err;
		to.room += to.nr;
		to.max -= to.nr;
		to.nr = 0;
	}
	queue->nr_misses = 0;
	return (int)nr;
}
