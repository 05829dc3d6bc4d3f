// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/garbage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/range.h"
#include "lib/error.h"
#include "lib/publish.h"

static int is_in_file(const struct vas_region *region)
{
	return !region->backing && !(region->flags & VAS_REGION_LOCAL);
}

/* Part of the file that no region of the present layout holds, as large as possible, from start. */
static uint64_t unused_from(const struct vas *vas, uint64_t *start, uint64_t end)
{
	uint64_t run = end - *start;
	uint32_t i;

	for (i = 0; i < vas->own.nr && *start < end; i++) {
		const struct vas_region *r = &vas->own.regions[i];

		if (!is_in_file(r) || !vas_ranges_overlap(r->offset, r->size, *start, run))
			continue;
		if (r->offset <= *start) {
			*start = r->offset + r->size;
			run = *start < end ? end - *start : 0;
			i = UINT32_MAX; /* the new start may be in a region that was passed */
		} else {
			run = r->offset - *start;
		}
	}
	return *start < end ? run : 0;
}

static void punch(struct vas *vas, uint64_t offset, uint64_t size)
{
	fallocate(vas->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
}

static void punch_unused(struct vas *vas, uint64_t start, uint64_t end)
{
	uint64_t run;

	for (run = unused_from(vas, &start, end); run; run = unused_from(vas, &start, end)) {
		punch(vas, start, run);
		start += run;
	}
}

void vas_garbage_add(struct vas *vas, const struct vas_region *ranges, size_t nr)
{
	struct garbage *garbage = &vas->garbage;
	struct vas_extent *grown;
	size_t i;

	if (!nr)
		return;
	grown = realloc(garbage->ranges, (garbage->nr + nr) * sizeof(*grown));
	if (!grown)
		return; /* the memory stays with the file: costs, but harms nobody */
	garbage->ranges = grown;
	for (i = 0; i < nr; i++)
		if (is_in_file(&ranges[i]))
			grown[garbage->nr++] = (struct vas_extent){ ranges[i].offset,
								    ranges[i].size };
}

void vas_garbage_punch(struct vas *vas)
{
	struct garbage *garbage = &vas->garbage;
	size_t i;

	for (i = 0; i < garbage->nr; i++)
		punch_unused(vas, garbage->ranges[i].offset,
			     garbage->ranges[i].offset + garbage->ranges[i].size);
	free(garbage->ranges);
	*garbage = (struct garbage){ 0 };
}

int vas_garbage_collect(struct vas *vas, uint64_t deadline_ns, struct vas_blocker *blocker)
{
	int err;

	if (!vas->garbage.nr)
		return 0;
	err = vas_publish_wait(vas, NULL, 0, deadline_ns, blocker);
	if (!err)
		vas_garbage_punch(vas);
	return err;
}

int vas_memory_reserve(struct vas *vas, const struct delta *delta)
{
	size_t i;

	if (!(vas->create_flags & VAS_CREATE_RESERVE))
		return 0;
	for (i = 0; i < delta->head.nr_added; i++) {
		const struct vas_region *r = &delta->head.added[i];
		int err;

		if (!is_in_file(r) || !fallocate(vas->fd, 0, (off_t)r->offset, (off_t)r->size))
			continue;
		err = errno == ENOSPC ? -ENOMEM : -errno;
		vas_memory_release(vas, delta);
		return vas_fail(err, "cannot reserve %llu bytes of memory: %s",
				(unsigned long long)r->size, strerror(-err));
	}
	return 0;
}

void vas_memory_release(struct vas *vas, const struct delta *delta)
{
	size_t i;

	if (!(vas->create_flags & VAS_CREATE_RESERVE))
		return;
	for (i = 0; i < delta->head.nr_added; i++) {
		const struct vas_region *r = &delta->head.added[i];

		if (is_in_file(r))
			punch_unused(vas, r->offset, r->offset + r->size);
	}
}
