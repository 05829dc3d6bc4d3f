// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/garbage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"
#include "core/range.h"
#include "lib/error.h"
#include "lib/pin.h"
#include "lib/publish.h"
#include "lib/snapshot.h"
#include "lib/view.h"

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
	vas_garbage_free(garbage);
}

void vas_garbage_free(struct garbage *garbage)
{
	free(garbage->ranges);
	free(garbage->lost);
	*garbage = (struct garbage){ 0 };
}

/* ---- what somebody may still have mapped ---------------------------------------------------- */

static int by_gpa(const void *a, const void *b)
{
	const struct vas_region *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* Sorted, and overlaps made one: a half-written table can have them. */
static void set_lost(struct garbage *garbage, struct vas_region *lost, size_t nr)
{
	size_t i, last = 0;

	if (lost)
		qsort(lost, nr, sizeof(*lost), by_gpa);
	for (i = 1; i < nr; i++) {
		uint64_t end = lost[last].gpa + lost[last].size;

		if (lost[i].gpa > end)
			lost[++last] = lost[i];
		else if (lost[i].gpa + lost[i].size > end)
			lost[last].size = lost[i].gpa + lost[i].size - lost[last].gpa;
	}
	free(garbage->lost);
	garbage->lost = lost;
	garbage->nr_lost = last + 1;
}

void vas_garbage_lose(struct vas *vas, const struct vas_region *ranges, size_t nr,
		      uint64_t generation)
{
	struct vas_region *lost;

	if (!nr)
		return;
	vas_garbage_add(vas, ranges, nr);
	lost = malloc(nr * sizeof(*lost));
	if (lost)
		memcpy(lost, ranges, nr * sizeof(*lost));
	else
		nr = 1; /* no room to say which: all that was mapped then */
	set_lost(&vas->garbage, lost, nr);
	vas->garbage.since = generation;
	vas->garbage.before = generation + 1;
}

static bool is_owned(const struct vas *vas, const struct vas_region_entry *entry)
{
	const struct vas_map_entry *e = vas_map_find(&vas->view->map, entry->gpa);
	const struct vas_region *r;

	if (!e)
		return false;
	r = &vas->view->set->regions[e->region];
	return r->id == entry->id && r->gpa == entry->gpa && r->size == entry->size &&
	       r->offset == entry->offset && r->backing == entry->backing &&
	       r->flags == entry->flags;
}

/* An entry makes sense by itself, and the present layout does not have it. */
static bool is_lost(const struct vas *vas, const struct vas_region_entry *entry)
{
	return entry->backing < VAS_MAX_BACKINGS &&
	       !vas_region_check(&vas->sb, entry, &vas->backings[entry->backing].entry) &&
	       !(entry->flags & VAS_REGION_LOCAL) && !is_owned(vas, entry);
}

int vas_garbage_inherit(struct vas *vas)
{
	const struct vas_region_entry *table =
		vas_extent(vas, vas->own.table ? VAS_EXT_TABLE0 : VAS_EXT_TABLE1);
	struct vas_region *lost = NULL;
	size_t nr = 0, room = 0;
	uint32_t i;

	/* From the start up to what was never written, whatever its owner says of their number. */
	for (i = 0; i < vas->sb.max_regions; i++) {
		struct vas_region_entry entry = *(const volatile struct vas_region_entry *)&table[i];

		if (!entry.id)
			break;
		if (!is_lost(vas, &entry))
			continue;
		if (nr == room) {
			struct vas_region *grown;

			room = room ? 2 * room : 16;
			grown = realloc(lost, room * sizeof(*lost));
			if (!grown) {
				free(lost);
				return vas_fail(-ENOMEM, "no memory for a list of regions");
			}
			lost = grown;
		}
		vas_region_from_entry(&entry, &lost[nr++]);
	}
	if (!nr)
		return 0;
	vas_garbage_add(vas, lost, nr);
	set_lost(&vas->garbage, lost, nr);
	vas->garbage.since = 0;
	vas->garbage.before = vas->own.generation;
	return 0;
}

int vas_garbage_collect(struct vas *vas, uint64_t deadline_ns, struct vas_blocker *blocker)
{
	const struct garbage *garbage = &vas->garbage;
	const struct vas_region everything = { .size = vas->sb.limit };
	struct pin_set pins = { garbage->lost ? garbage->lost : &everything, garbage->nr_lost,
				garbage->since, garbage->before };
	int err;

	if (!garbage->nr && !garbage->nr_lost)
		return 0;
	err = vas_publish_wait(vas, garbage->nr_lost ? &pins : NULL, deadline_ns, blocker);
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
