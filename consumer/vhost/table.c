// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * vhost's memory table follows the layout. It is replaced as a whole, and when that call returns no
 * queue uses the one before. So prepare sets the old layout and what is new of the new one, where
 * it may fail; commit sets the new one.
 */
#include "consumer/vhost/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- ranges -------------------------------------------------------------------------------- */

static int ranges_reserve(struct vhost_ranges *ranges, size_t more)
{
	struct vhost_range *grown;

	if (ranges->nr + more <= ranges->room)
		return 0;
	grown = realloc(ranges->at, (ranges->nr + more) * sizeof(*grown));
	if (!grown)
		return vas_error_set(-ENOMEM, "no memory for a list of regions");
	ranges->at = grown;
	ranges->room = ranges->nr + more;
	return 0;
}

static void ranges_clean(struct vas_vhost *vhost, struct vhost_ranges *ranges)
{
	while (ranges->nr)
		vas_file_map_put(vhost->file_maps, &ranges->at[--ranges->nr].memory);
	free(ranges->at);
	*ranges = (struct vhost_ranges){ 0 };
}

/* The first range that ends behind gpa: its index. */
static size_t ranges_find(const struct vhost_ranges *ranges, uint64_t gpa)
{
	size_t low = 0, high = ranges->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct vas_region *r = &ranges->at[middle].region;

		if (r->gpa + r->size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

char *vas_vhost_table_find(const struct vas_vhost *vhost, uint64_t gpa, uint64_t len)
{
	size_t i = ranges_find(&vhost->present, gpa);
	const struct vas_region *r;

	if (i == vhost->present.nr)
		return NULL;
	r = &vhost->present.at[i].region;
	if (r->gpa > gpa || r->flags & VAS_REGION_READONLY || len > r->size - (gpa - r->gpa))
		return NULL;
	return vhost->present.at[i].memory.hva + (gpa - r->gpa);
}

/* ---- the table ----------------------------------------------------------------------------- */

/* What is in a table: the old layout; that, and what has room beside it; the new layout. */
enum stage { STAGE_OLD, STAGE_BOTH, STAGE_NEW };

static int is_in(const struct vhost_range *range, enum stage stage)
{
	if (!range->memory.hva)
		return 0;
	return stage == STAGE_NEW ? !range->is_going : !range->is_late;
}

/* One more range; where it goes on in memory as it does in the guest, its neighbour grows. */
static size_t append(struct vas_vhost *vhost, size_t nr, const struct vhost_range *range)
{
	struct vhost_memory_region *last = vhost->table->regions + (nr ? nr - 1 : 0);
	const uint64_t gpa = range->region.gpa, hva = (uintptr_t)range->memory.hva;

	if (nr && last->guest_phys_addr + last->memory_size == gpa &&
	    last->userspace_addr + last->memory_size == hva) {
		last->memory_size += range->region.size;
		return nr;
	}
	if (nr < vhost->max_entries)
		vhost->table->regions[nr] = (struct vhost_memory_region){
			.guest_phys_addr = gpa,
			.memory_size = range->region.size,
			.userspace_addr = hva,
		};
	return nr + 1;
}

/* How many entries it needs; if that is max_entries + 1, there may be more, and it is of no use. */
static size_t build(struct vas_vhost *vhost, enum stage stage)
{
	const struct vhost_range *old = vhost->present.at, *new = vhost->pending.at;
	size_t nr_old = vhost->present.nr, nr_new = stage == STAGE_OLD ? 0 : vhost->pending.nr;
	size_t nr = 0;

	while ((nr_old || nr_new) && nr <= vhost->max_entries) {
		const struct vhost_range *next;

		if (!nr_new || (nr_old && old->region.gpa <= new->region.gpa)) {
			next = old++;
			nr_old--;
		} else {
			next = new ++;
			nr_new--;
		}
		if (is_in(next, stage))
			nr = append(vhost, nr, next);
	}
	vhost->table->nregions = (uint32_t)nr;
	return nr;
}

static int check_room(struct vas_vhost *vhost, enum stage stage)
{
	if (build(vhost, stage) <= vhost->max_entries)
		return 0;
	return vas_error_set(-ENOSPC,
			     "%s: the layout has more than %u parts that are not neighbours, which "
			     "is what the kernel takes: see max_mem_regions of vhost",
			     vhost->name, vhost->max_entries);
}

/* When it has succeeded, nobody uses what is not in it. */
static int set(struct vas_vhost *vhost, enum stage stage)
{
	int err = check_room(vhost, stage);

	if (err)
		return err;
	err = vas_vhost_call(vhost, VHOST_SET_MEM_TABLE, vhost->table);
	if (err)
		return vas_error_set(err, "%s: the kernel does not take the layout: %s",
				     vhost->name, strerror(-err));
	return 0;
}

/* ---- prepare, abort ------------------------------------------------------------------------ */

static int overlaps(const struct vas_region *a, const struct vas_region *b)
{
	return a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size;
}

/* vhost has the rings' own addresses, and goes by them whatever the table says. */
static int check_rings(const struct vas_vhost *vhost, const struct vas_delta *delta)
{
	int at;

	for (at = 0; vhost->is_started && at < VAS_VHOST_QUEUES * RING_NR_PARTS; at++) {
		const struct vas_vhost_queue *queue = &vhost->queues[at / RING_NR_PARTS];
		enum ring_part part = at % RING_NR_PARTS;
		const struct vas_region *gone =
			ring_range_gone(delta, vas_vhost_ring_gpa(queue, part),
					ring_part_size(part, 0, queue->size));

		if (gone)
			return vas_error_set(-EBUSY,
					     "%s: queue %d runs, and its ring is in [%#llx, "
					     "+%#llx) of region %s: stop it first",
					     vhost->name, at / RING_NR_PARTS,
					     (unsigned long long)gone->gpa,
					     (unsigned long long)gone->size, gone->name);
	}
	return 0;
}

static void mark_going(struct vas_vhost *vhost, const struct vas_delta *delta, int is_going)
{
	size_t i, at;

	for (i = 0; i < delta->nr_removed; i++) {
		at = ranges_find(&vhost->present, delta->removed[i].gpa);
		if (at < vhost->present.nr &&
		    vhost->present.at[at].region.gpa == delta->removed[i].gpa)
			vhost->present.at[at].is_going = is_going;
	}
}

static int pending_add(struct vas_vhost *vhost, const struct vas_region *region)
{
	struct vhost_range *range = &vhost->pending.at[vhost->pending.nr];
	int is_readonly = region->flags & VAS_REGION_READONLY;
	size_t at = ranges_find(&vhost->present, region->gpa);
	int err;

	*range = (struct vhost_range){ .region = *region };
	range->is_late = at < vhost->present.nr && overlaps(&vhost->present.at[at].region, region);
	if (is_readonly && region->flags & VAS_REGION_LOCAL) {
		vhost->pending.nr++;
		return 0;
	}
	err = vas_file_map_get(vhost->file_maps, region, is_readonly ? FILE_MAP_READONLY : 0,
			       &range->memory);
	if (!err)
		vhost->pending.nr++;
	return err;
}

static int prepare(struct vas_vhost *vhost, const struct vas_delta *delta)
{
	size_t i;
	int err = check_rings(vhost, delta);

	/* A freeze that has ended, and after which it could not go on, is not to be forgotten. */
	if (!err)
		err = vas_vhost_run_or_halt(vhost);
	if (!err)
		err = ranges_reserve(&vhost->pending, delta->nr_added);
	if (!err)
		err = ranges_reserve(&vhost->retired, delta->nr_added + delta->nr_removed);
	if (!err)
		err = ranges_reserve(&vhost->present, delta->nr_added);
	for (i = 0; !err && i < delta->nr_added; i++)
		err = pending_add(vhost, &delta->added[i]);
	mark_going(vhost, delta, 1);
	if (!err)
		err = check_room(vhost, STAGE_NEW);
	return err ? err : set(vhost, STAGE_BOTH);
}

/* Nothing of the pending comes. It was in the table, perhaps: that is set again without. */
static void undo(struct vas_vhost *vhost, const struct vas_delta *delta)
{
	size_t i;

	mark_going(vhost, delta, 0);
	/* What the kernel may still have stays where it is, until the next table. */
	for (i = 0; i < vhost->pending.nr && vhost->retired.nr < vhost->retired.room; i++)
		vhost->retired.at[vhost->retired.nr++] = vhost->pending.at[i];
	vhost->pending.nr = 0;
	ranges_clean(vhost, &vhost->pending);
	if (!set(vhost, STAGE_OLD))
		ranges_clean(vhost, &vhost->retired);
}

int vas_vhost_table_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
			    uint64_t deadline_ns)
{
	struct vas_vhost *vhost = vhost_of(consumer);
	int err;

	(void)deadline_ns;
	pthread_mutex_lock(&vhost->lock);
	err = prepare(vhost, delta);
	if (err) {
		char why[256];

		/* Undoing it may have something to say, too. */
		snprintf(why, sizeof(why), "%s", vas_error());
		undo(vhost, delta);
		vas_error_set(err, "%s", why);
	}
	pthread_mutex_unlock(&vhost->lock);
	return err;
}

void vas_vhost_table_abort(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct vas_vhost *vhost = vhost_of(consumer);

	pthread_mutex_lock(&vhost->lock);
	undo(vhost, delta);
	pthread_mutex_unlock(&vhost->lock);
}

/* ---- commit -------------------------------------------------------------------------------- */

/* What goes is retired; the first of it makes room in `present`, which keeps its order. */
static void retire_going(struct vas_vhost *vhost)
{
	struct vhost_ranges *present = &vhost->present;
	size_t i, left = 0;

	for (i = 0; i < present->nr; i++) {
		if (!present->at[i].is_going)
			present->at[left++] = present->at[i];
		else
			vhost->retired.at[vhost->retired.nr++] = present->at[i];
	}
	present->nr = left;
}

/* Two sorted lists become one, from the end on; prepare has made room. */
static void merge_pending(struct vas_vhost *vhost)
{
	struct vhost_ranges *present = &vhost->present, *pending = &vhost->pending;
	size_t from = present->nr, to = present->nr + pending->nr;

	present->nr = to;
	while (pending->nr) {
		if (from &&
		    present->at[from - 1].region.gpa > pending->at[pending->nr - 1].region.gpa) {
			present->at[--to] = present->at[--from];
		} else {
			present->at[--to] = pending->at[--pending->nr];
			present->at[to].is_late = 0;
		}
	}
	ranges_clean(vhost, pending);
}

/* The kernel has the layout, and nobody what went before it. */
static int follow(struct vas_vhost *vhost)
{
	int err = set(vhost, STAGE_OLD);

	if (!err && vhost->is_started)
		err = vas_vhost_rings_set(vhost);
	if (!err)
		ranges_clean(vhost, &vhost->retired);
	return err;
}

int vas_vhost_table_commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct vas_vhost *vhost = vhost_of(consumer);
	int err;

	pthread_mutex_lock(&vhost->lock);
	mark_going(vhost, delta, 1);
	/* A commit that only removes may come unprepared, at the end: its room is made here. */
	err = ranges_reserve(&vhost->retired, delta->nr_removed);
	if (!err) {
		retire_going(vhost);
		merge_pending(vhost);
		err = follow(vhost);
	}
	pthread_mutex_unlock(&vhost->lock);
	return err;
}

int vas_vhost_table_retry(struct vas_consumer *consumer)
{
	struct vas_vhost *vhost = vhost_of(consumer);
	int err;

	pthread_mutex_lock(&vhost->lock);
	err = follow(vhost);
	pthread_mutex_unlock(&vhost->lock);
	return err;
}

void vas_vhost_table_clean(struct vas_vhost *vhost)
{
	ranges_clean(vhost, &vhost->pending);
	ranges_clean(vhost, &vhost->retired);
	ranges_clean(vhost, &vhost->present);
	free(vhost->table);
}
