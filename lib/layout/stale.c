// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/layout/stale.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"
#include "core/range.h"
#include "lib/access/view.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/handle/file.h"
#include "lib/handle/generation.h"
#include "lib/handle/pins.h"
#include "lib/layout/consumer.h"
#include "lib/layout/publish.h"

#define POPULATE_SIZE (64ull << 20) /* allocated at once */
#define PUNCHES	      64	    /* between two looks at the clock */

static int is_in_file(const struct vas_region *region)
{
	return !region->backing && !(region->flags & VAS_REGION_LOCAL);
}

static uint64_t end_of(const struct vas_extent *extent)
{
	return extent->offset + extent->size;
}

static int by_offset(const void *a, const void *b)
{
	const struct vas_extent *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Sorted, and what overlaps or touches made one: their number. */
static size_t merge(struct vas_extent *extents, size_t nr)
{
	size_t i, last = 0;

	if (!nr)
		return 0;
	qsort(extents, nr, sizeof(*extents), by_offset);
	for (i = 1; i < nr; i++) {
		if (extents[i].offset > end_of(&extents[last]))
			extents[++last] = extents[i];
		else if (end_of(&extents[i]) > end_of(&extents[last]))
			extents[last].size = end_of(&extents[i]) - extents[last].offset;
	}
	return last + 1;
}

/* The parts of the file that these regions are in. NULL: no memory for the list. */
static struct vas_extent *extents_of(const struct vas_region *regions, size_t nr, size_t *found)
{
	struct vas_extent *extents = malloc((nr + 1) * sizeof(*extents));
	size_t i, n = 0;

	for (i = 0; extents && i < nr; i++)
		if (is_in_file(&regions[i]))
			extents[n++] = (struct vas_extent){ regions[i].offset, regions[i].size };
	*found = extents ? merge(extents, n) : 0;
	return extents;
}

/* What is given back by a deadline, and how far it has come. */
struct punching {
	struct vas *vas;
	struct vas_extent *held; /* by regions of the present layout: merged */
	size_t nr_held;
	size_t next; /* of the held, the first that ends behind what was given back */
	size_t nr_punches;
	uint64_t deadline_ns;
};

static bool is_late(const struct punching *p)
{
	return p->nr_punches && p->nr_punches % PUNCHES == 0 && vas_now_ns() >= p->deadline_ns;
}

static void punch(struct punching *p, uint64_t offset, uint64_t end)
{
	p->nr_punches++;
	fallocate(p->vas->backings[0].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		  (off_t)(end - offset));
}

/* Of one range what nobody holds; the range is what is left of it. */
static void punch_range(struct punching *p, struct vas_extent *range)
{
	uint64_t at = range->offset, end = end_of(range);

	while (p->next < p->nr_held && end_of(&p->held[p->next]) <= at)
		p->next++;
	while (at < end && !is_late(p)) {
		const struct vas_extent *held = p->next < p->nr_held ? &p->held[p->next] : NULL;

		if (held && held->offset <= at) {
			at = end_of(held);
			p->next++;
		} else {
			uint64_t to = held && held->offset < end ? held->offset : end;

			punch(p, at, to);
			at = to;
		}
	}
	if (at > end) { /* the one that was passed reaches into what comes next */
		at = end;
		p->next--;
	}
	*range = (struct vas_extent){ at, end - at };
}

/*
 * Sorted ranges, without what the present layout holds: work as they and the regions are many, not
 * their product. How many of them are done; of the next one, some may be.
 */
static size_t punch_ranges(struct vas *vas, struct vas_extent *ranges, size_t nr,
			   uint64_t deadline_ns)
{
	struct punching p = { .vas = vas, .deadline_ns = deadline_ns };
	size_t i;

	p.held = extents_of(vas->own.regions, vas->own.nr, &p.nr_held);
	for (i = 0; p.held && i < nr; i++) {
		punch_range(&p, &ranges[i]);
		if (ranges[i].size)
			break;
	}
	free(p.held);
	return i;
}

void vas_stale_add(struct vas *vas, const struct vas_region *ranges, size_t nr)
{
	struct stale *stale = &vas->stale;
	struct vas_extent *grown;
	size_t i;

	if (!nr)
		return;
	grown = realloc(stale->ranges, (stale->nr + nr) * sizeof(*grown));
	if (!grown)
		return; /* the memory stays with the file: costs, but harms nobody */
	stale->ranges = grown;
	for (i = 0; i < nr; i++)
		if (is_in_file(&ranges[i]))
			grown[stale->nr++] =
				(struct vas_extent){ ranges[i].offset, ranges[i].size };
}

void vas_stale_punch(struct vas *vas, uint64_t deadline_ns)
{
	struct stale *stale = &vas->stale;
	size_t done;

	stale->nr = merge(stale->ranges, stale->nr);
	done = punch_ranges(vas, stale->ranges, stale->nr, deadline_ns);
	if (done == stale->nr) {
		vas_stale_free(stale);
		return;
	}
	/* The rest is for the next change. Nobody has mapped it: that was waited for. */
	stale->nr -= done;
	memmove(stale->ranges, stale->ranges + done, stale->nr * sizeof(*stale->ranges));
	free(stale->regions);
	stale->regions = NULL;
	stale->nr_regions = 0;
}

void vas_stale_free(struct stale *stale)
{
	free(stale->ranges);
	free(stale->regions);
	*stale = (struct stale){ 0 };
}

/* ---- what somebody may still have mapped ---------------------------------------------------- */

static int by_gpa(const void *a, const void *b)
{
	const struct vas_region *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* Sorted, and overlaps made one: a half-written table can have them. */
static void set_stale(struct stale *stale, struct vas_region *regions, size_t nr)
{
	size_t i, last = 0;

	if (regions)
		qsort(regions, nr, sizeof(*regions), by_gpa);
	for (i = 1; i < nr; i++) {
		uint64_t end = regions[last].gpa + regions[last].size;

		if (regions[i].gpa > end)
			regions[++last] = regions[i];
		else if (regions[i].gpa + regions[i].size > end)
			regions[last].size = regions[i].gpa + regions[i].size - regions[last].gpa;
	}
	free(stale->regions);
	stale->regions = regions;
	stale->nr_regions = last + 1;
}

void vas_stale_add_failed(struct vas *vas, const struct vas_region *ranges, size_t nr,
			  uint64_t generation)
{
	struct vas_region *regions;

	if (!nr)
		return;
	vas_stale_add(vas, ranges, nr);
	regions = malloc(nr * sizeof(*regions));
	if (regions)
		memcpy(regions, ranges, nr * sizeof(*regions));
	else
		nr = 1; /* no room to say which: all that was mapped then */
	set_stale(&vas->stale, regions, nr);
	vas->stale.since = generation;
	vas->stale.before = generation + 1;
}

static bool is_owned(const struct vas *vas, const struct vas_region_entry *entry)
{
	const struct vas_region_map_entry *e = vas_region_map_find(&vas->view->map, entry->gpa);
	const struct vas_region *r;

	if (!e)
		return false;
	r = &vas->view->set->regions[e->region];
	return r->id == entry->id && r->gpa == entry->gpa && r->size == entry->size &&
	       r->offset == entry->offset && r->backing == entry->backing &&
	       r->flags == entry->flags;
}

/* An entry makes sense by itself, and the present layout does not have it. */
static bool is_stale(const struct vas *vas, const struct vas_region_entry *entry)
{
	return entry->backing < VAS_MAX_BACKINGS &&
	       !vas_region_check(&vas->sb, entry, &vas->backings[entry->backing].entry) &&
	       !(entry->flags & VAS_REGION_LOCAL) && !is_owned(vas, entry);
}

int vas_stale_inherit(struct vas *vas)
{
	const struct vas_region_entry *table =
		vas_extent(vas, vas->own.table ? VAS_EXT_TABLE0 : VAS_EXT_TABLE1);
	struct vas_region *regions = NULL;
	size_t nr = 0, room = 0;
	uint32_t i;

	/* From the start up to what was never written, whatever its owner says of their number. */
	for (i = 0; i < vas->sb.max_regions; i++) {
		struct vas_region_entry entry =
			*(const volatile struct vas_region_entry *)&table[i];

		if (!entry.id)
			break;
		if (!is_stale(vas, &entry))
			continue;
		if (nr == room) {
			struct vas_region *grown;

			room = room ? 2 * room : 16;
			grown = realloc(regions, room * sizeof(*regions));
			if (!grown) {
				free(regions);
				return vas_error_set(-ENOMEM, "no memory for a list of regions");
			}
			regions = grown;
		}
		vas_region_from_entry(&entry, &regions[nr++]);
	}
	if (!nr)
		return 0;
	vas_stale_add(vas, regions, nr);
	set_stale(&vas->stale, regions, nr);
	vas->stale.since = 0;
	vas->stale.before = vas->own.generation;
	return 0;
}

int vas_stale_settle(struct vas *vas, uint64_t deadline_ns, struct vas_blocker *blocker)
{
	const struct stale *stale = &vas->stale;
	const struct vas_region everything = { .size = vas->sb.limit };
	struct pin_set pins = vas_pins_on(stale->regions ? stale->regions : &everything,
					  stale->nr_regions, stale->since, stale->before);
	int err;

	if (!stale->nr && !stale->nr_regions)
		return 0;
	err = vas_publish_wait(vas, stale->nr_regions ? &pins : NULL, deadline_ns, blocker);
	if (!err)
		vas_stale_punch(vas, deadline_ns);
	return err;
}

/* ---- memory that is there before it is used ------------------------------------------------- */

static bool must_reserve(const struct vas *vas)
{
	return vas->create_flags & VAS_CREATE_RESERVE || vas_consumers_with(vas, VAS_CONSUMER_PINS);
}

/* In pieces, with a look at the clock between. */
static int populate_region(const struct vas *vas, const struct vas_region *r, uint64_t deadline_ns)
{
	int fd = vas->backings[r->backing].fd;
	uint64_t at, len;

	for (at = 0; at < r->size; at += len) {
		len = r->size - at < POPULATE_SIZE ? r->size - at : POPULATE_SIZE;
		if (fallocate(fd, 0, (off_t)(r->offset + at), (off_t)len)) {
			int err = errno == ENOSPC ? -ENOMEM : -errno;

			return vas_error_set(err, "cannot reserve %llu bytes of memory: %s",
					     (unsigned long long)r->size, strerror(-err));
		}
		if (vas_now_ns() >= deadline_ns && at + len < r->size)
			return vas_error_set(
				-EBUSY, "region %s: its memory is not allocated in time", r->name);
	}
	return 0;
}

/*
 * VAS_CREATE_RESERVE is for the vas's own file. A consumer that pins wants all: but a further
 * backing that cannot allocate, or is sealed, has what it has.
 */
int vas_memory_populate(struct vas *vas, const struct vas_region *regions, size_t nr,
			uint64_t deadline_ns)
{
	bool all = vas_consumers_with(vas, VAS_CONSUMER_PINS);
	size_t i;
	int err = 0;

	for (i = 0; !err && i < nr; i++) {
		if (regions[i].flags & VAS_REGION_LOCAL || (regions[i].backing && !all))
			continue;
		err = populate_region(vas, &regions[i], deadline_ns);
		if (regions[i].backing && err != -ENOMEM && err != -EBUSY)
			err = 0;
	}
	return err;
}

int vas_memory_reserve(struct vas *vas, const struct delta *delta, uint64_t deadline_ns)
{
	int err;

	if (!must_reserve(vas))
		return 0;
	err = vas_memory_populate(vas, delta->head.added, delta->head.nr_added, deadline_ns);
	if (err)
		vas_memory_release(vas, delta);
	return err;
}

void vas_memory_release(struct vas *vas, const struct delta *delta)
{
	struct vas_extent *extents;
	size_t nr;

	if (!must_reserve(vas))
		return;
	extents = extents_of(delta->head.added, delta->head.nr_added, &nr);
	if (extents) /* else the memory stays with the file: costs, but harms nobody */
		punch_ranges(vas, extents, nr, UINT64_MAX);
	free(extents);
}
