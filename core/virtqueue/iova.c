// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/virtqueue/iova.h"

#include <linux/errno.h>

static int find(struct vas_virtq_iommu *iommu, uint64_t iova, uint32_t write, uint64_t *len,
		uint64_t *gpa)
{
	if (!iommu->nr_left)
		return -EPROTO;
	iommu->nr_left--;
	return iommu->find(iommu->user, iova, write, len, gpa);
}

int vas_virtq_translate_range(struct vas_virtq_iommu *iommu, uint64_t iova, uint64_t len,
			      uint32_t write, uint64_t *gpa)
{
	uint64_t done, there, at;

	if (iova + len < iova)
		return -EPROTO;
	for (done = 0; done < len; done += there) {
		int err;

		there = len - done;
		err = find(iommu, iova + done, write, &there, &at);
		if (err)
			return err;
		if (!done)
			*gpa = at;
		else if (at != *gpa + done)
			return -EPROTO;
	}
	return 0;
}

/* ---- chains ------------------------------------------------------------------------------- */

/* Of a chain's pieces the first nr. */
struct translation {
	struct vas_virtq_segment *room;
	uint32_t nr, max;
};

static int put(struct translation *to, uint64_t gpa, uint32_t len, uint32_t write)
{
	if (to->nr == to->max)
		return -EPROTO;
	to->room[to->nr++] = (struct vas_virtq_segment){ gpa, len, write };
	return 0;
}

/* One that goes on in the guest's memory where the one before ends is none. */
static int translate_segment(struct vas_virtq_iommu *iommu, const struct vas_virtq_segment *segment,
			     struct translation *to)
{
	uint32_t first = to->nr;
	uint64_t iova = segment->gpa, left, there, gpa;
	int err = 0;

	if (!segment->len)
		return put(to, 0, 0, segment->write);
	for (left = segment->len; left && !err; left -= there) {
		struct vas_virtq_segment *last = to->nr > first ? &to->room[to->nr - 1] : (void *)0;

		there = left;
		err = find(iommu, iova, segment->write, &there, &gpa);
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

int vas_virtq_translate_chain(struct vas_virtq_iommu *iommu, struct vas_virtq_chain *chain,
			      struct vas_virtq_segment *room, uint32_t max)
{
	struct translation to = { .room = room, .max = max };
	uint32_t i, nr_out = 0;

	for (i = 0; i < chain->nr_out + chain->nr_in; i++) {
		int err = translate_segment(iommu, &chain->segments[i], &to);

		if (err)
			return err;
		if (i < chain->nr_out)
			nr_out = to.nr;
	}
	chain->segments = room;
	chain->nr_out = nr_out;
	chain->nr_in = to.nr - nr_out;
	return 0;
}

/* ---- what is missing ---------------------------------------------------------------------- */

bool vas_virtq_find_missing(struct vas_virtq_iommu *iommu, uint64_t iova, uint64_t len,
			    uint32_t write, void (*tell)(void *user, uint64_t iova, uint32_t write))
{
	uint64_t there, gpa;
	bool is_there = true;

	for (; len; iova += there, len -= there) {
		if (!iommu->nr_left)
			return false;
		there = len;
		if (!find(iommu, iova, write, &there, &gpa))
			continue;
		tell(iommu->user, iova, write);
		is_there = false;
		there = VAS_IOVA_PAGE - iova % VAS_IOVA_PAGE;
		if (there > len)
			there = len;
	}
	return is_there;
}

void vas_virtq_find_missing_of(struct vas_virtq_iommu *iommu, const struct vas_virtq_chain *chain,
			       void (*tell)(void *user, uint64_t iova, uint32_t write))
{
	uint32_t i;

	for (i = 0; i < chain->nr_out + chain->nr_in; i++) {
		const struct vas_virtq_segment *segment = &chain->segments[i];

		vas_virtq_find_missing(iommu, segment->gpa, segment->len, segment->write, tell);
	}
}
