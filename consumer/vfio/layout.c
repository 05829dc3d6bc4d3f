// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The IOMMU follows the layout. prepare first plans: which maps a change keeps as they are, which
 * it brings, and what is in its way; then maps what is new, one map at a time. commit unmaps what
 * is left of the old. So all that both layouts have is mapped throughout, and what can fail fails
 * in prepare. Only where no device runs, a map may take the place of another: it is late, and the
 * IOMMU gets it in commit, or not, and then the container is out of step.
 *
 * Devices of an iommufd can be moved to another address space. So what cannot be replaced in the
 * present one makes prepare build a second, which shares with it what stays; commit moves them.
 */
#include "consumer/vfio/container.h"

#include <errno.h>
#include <stdlib.h>

/* ---- plan ---------------------------------------------------------------------------------- */

/* The first map that ends behind gpa: its index. */
static size_t find(const struct vas_vfio *vfio, uint64_t gpa)
{
	size_t low = 0, high = vfio->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (vfio_map_end(&vfio->maps[middle]) <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A region's bytes from gpa on. */
static struct vas_region part_of(const struct vas_region *region, uint64_t gpa, uint64_t size)
{
	struct vas_region part = *region;

	part.gpa = gpa;
	part.size = size;
	part.offset += gpa - region->gpa;
	if (part.hva)
		part.hva = (char *)part.hva + (gpa - region->gpa);
	return part;
}

static int is_within(const struct vfio_map *map, const struct vas_region *region)
{
	return map->part.gpa >= region->gpa && vfio_map_end(map) <= region->gpa + region->size;
}

static int has_same_bytes(const struct vfio_map *map, const struct vas_region *region)
{
	const struct vas_region part = part_of(region, map->part.gpa, map->part.size);

	return part.backing == map->part.backing && part.offset == map->part.offset &&
	       part.hva == map->part.hva &&
	       !((part.flags ^ map->part.flags) & (VAS_REGION_READONLY | VAS_REGION_LOCAL));
}

static int refuse(const struct vas_vfio *vfio, const struct vfio_map *map,
		  const struct vas_region *region)
{
	unsigned long long gpa = map->part.gpa, size = map->part.size;

	if (map->part.id == region->id && map->part.gpa >= region->gpa && !is_within(map, region))
		return vas_error_set(-EEXIST,
				     "%s: region %s cannot end at %#llx: the IOMMU has [%#llx, "
				     "+%#llx) as one map, which cannot be cut while a device may "
				     "use it",
				     vfio->name, region->name,
				     (unsigned long long)(region->gpa + region->size), gpa, size);
	return vas_error_set(-EEXIST,
			     "%s: the IOMMU has other bytes at [%#llx, +%#llx), which cannot be "
			     "replaced while a device may use them: remove region %s first, then "
			     "add this",
			     vfio->name, gpa, size, map->part.name);
}

static int pending_add(struct vas_vfio *vfio, const struct vas_region *part, int is_late)
{
	if (vfio->nr_pending == vfio->pending_room) {
		size_t room = vfio->pending_room ? 2 * vfio->pending_room : 16;
		struct vfio_map *grown = realloc(vfio->pending, room * sizeof(*grown));

		if (!grown)
			return vas_error_set(-ENOMEM, "no memory for a list of maps");
		vfio->pending = grown;
		vfio->pending_room = room;
	}
	vfio->pending[vfio->nr_pending++] = (struct vfio_map){ .part = *part, .is_late = is_late };
	return 0;
}

/* Where nothing is, up to a multiple of the granule or the next map. */
static int plan_new(struct vas_vfio *vfio, const struct vas_region *region, uint64_t at,
		    uint64_t end, uint64_t *next)
{
	struct vas_region part;

	*next = (at | (vfio->granule - 1)) + 1;
	if (!*next || *next > end)
		*next = end;
	part = part_of(region, at, *next - at);
	return pending_add(vfio, &part, 0);
}

/* Where a map is: it stays, or it has to go first. */
static int plan_old(struct vas_vfio *vfio, const struct vas_region *region, uint64_t at,
		    struct vfio_map *map, uint64_t *next)
{
	uint64_t end = region->gpa + region->size;
	struct vas_region part;

	*next = vfio_map_end(map) < end ? vfio_map_end(map) : end;
	if (is_within(map, region) && has_same_bytes(map, region)) {
		map->kept_by = vfio->change;
		return 0;
	}
	if (!vfio->is_moving && !vfio_is_stopped(vfio))
		return refuse(vfio, map, region);
	part = part_of(region, at, *next - at);
	return pending_add(vfio, &part, !vfio->is_moving);
}

static int plan_region(struct vas_vfio *vfio, const struct vas_region *region)
{
	uint64_t at = region->gpa, end = region->gpa + region->size, next;
	size_t i = find(vfio, at);
	int err = 0;

	for (; !err && at < end; at = next) {
		struct vfio_map *map = i < vfio->nr ? &vfio->maps[i] : NULL;

		if (map && map->part.gpa <= at) {
			err = plan_old(vfio, region, at, map, &next);
			i++;
		} else {
			err = plan_new(vfio, region, at,
				       map && map->part.gpa < end ? map->part.gpa : end, &next);
		}
	}
	return err;
}

static int plan_regions(struct vas_vfio *vfio, const struct vas_delta *delta,
			const struct vfio_iommu_info *info)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < delta->nr_added; i++) {
		err = vas_vfio_check_region(vfio, info, &delta->added[i]);
		if (!err)
			err = plan_region(vfio, &delta->added[i]);
	}
	if (!err && vfio->nr_pending > info->nr_free)
		return vas_error_set(-ENOSPC,
				     "%s: %zu further maps are needed, and the IOMMU driver takes "
				     "%llu: see dma_entry_limit of vfio_iommu_type1",
				     vfio->name, vfio->nr_pending,
				     (unsigned long long)info->nr_free);
	return err;
}

/* commit has room, then, and cannot fail for want of it. */
static int reserve(struct vas_vfio *vfio)
{
	size_t room = vfio->nr + vfio->nr_pending;
	struct vfio_map *grown;

	if (room <= vfio->room)
		return 0;
	grown = realloc(vfio->maps, room * sizeof(*grown));
	if (!grown)
		return vas_error_set(-ENOMEM, "no memory for a list of maps");
	vfio->maps = grown;
	vfio->room = room;
	return 0;
}

static void plan_end(struct vas_vfio *vfio)
{
	free(vfio->pending);
	vfio->pending = NULL;
	vfio->nr_pending = vfio->pending_room = vfio->nr_mapped = 0;
	vfio->is_moving = vfio->has_moved = 0;
	vfio->nr_shared = 0;
	vfio->change++;
}

/* Where it cannot be done in place, in another address space. */
static int plan_anywhere(struct vas_vfio *vfio, const struct vas_delta *delta,
			 const struct vfio_iommu_info *info)
{
	int err = plan_regions(vfio, delta, info);

	if (err != -EEXIST || !vfio->iommu->next_begin)
		return err;
	plan_end(vfio);
	vfio->is_moving = 1;
	return plan_regions(vfio, delta, info);
}

/* What the removed regions have and the change does not keep. */
static void mark_going(struct vas_vfio *vfio, const struct vas_delta *delta)
{
	size_t i, at;

	for (i = 0; i < delta->nr_removed; i++) {
		const struct vas_region *region = &delta->removed[i];
		uint64_t end = region->gpa + region->size;

		for (at = find(vfio, region->gpa); at < vfio->nr && vfio->maps[at].part.gpa < end;
		     at++)
			if (vfio->maps[at].kept_by != vfio->change)
				vfio->maps[at].going_by = vfio->change;
	}
}

static int plan(struct vas_vfio *vfio, const struct vas_delta *delta)
{
	struct vfio_iommu_info info;
	int err;

	if (!delta->nr_added)
		return 0;
	err = vfio->iommu->info(vfio, &info);
	if (err)
		return err;
	err = plan_anywhere(vfio, delta, &info);
	vas_vfio_info_clean(&info);
	return err ? err : reserve(vfio);
}

/* ---- prepare, abort ------------------------------------------------------------------------ */

/* What has moved is not in the IOMMU any more: its address space is gone. */
static int map_put(struct vas_vfio *vfio, struct vfio_map *map)
{
	if (map->is_late)
		return 0;
	if (!vfio->has_moved)
		return vfio->iommu->unmap(vfio, map);
	vas_file_map_put(vfio->file_maps, &map->memory);
	return 0;
}

/* From the second address space, if there is one, which goes as a whole. */
static void pending_unmap(struct vas_vfio *vfio)
{
	size_t i;

	if (vfio->is_moving)
		vfio->iommu->next_drop(vfio);
	for (i = 0; i < vfio->nr_mapped; i++) {
		if (vfio->is_moving)
			vas_file_map_put(vfio->file_maps, &vfio->pending[i].memory);
		else
			map_put(vfio, &vfio->pending[i]);
	}
	vfio->nr_mapped = 0;
}

static void pending_undo(struct vas_vfio *vfio)
{
	pending_unmap(vfio);
	plan_end(vfio);
}

/* What both address spaces have: one map, or none of it is left. */
static int share_next(struct vas_vfio *vfio)
{
	const struct vfio_map *map;

	if (!vfio->next.space)
		return vfio->iommu->next_begin(vfio);
	map = &vfio->maps[vfio->nr_shared++];
	return map->is_late || map->going_by == vfio->change ? 0 :
							       vfio->iommu->next_share(vfio, map);
}

static int is_shared(const struct vas_vfio *vfio)
{
	return !vfio->is_moving || (vfio->next.space && vfio->nr_shared == vfio->nr);
}

static int map_next(struct vas_vfio *vfio)
{
	int err = 0;

	if (!is_shared(vfio))
		return share_next(vfio);
	while (vfio->nr_mapped < vfio->nr_pending && vfio->pending[vfio->nr_mapped].is_late)
		vfio->nr_mapped++;
	if (vfio->nr_mapped < vfio->nr_pending)
		err = vfio->iommu->map(vfio, &vfio->pending[vfio->nr_mapped]);
	if (!err && vfio->nr_mapped < vfio->nr_pending)
		vfio->nr_mapped++;
	return err;
}

/* Pinning cannot be interrupted: so one map at a time, with a look at the deadline between. */
int vas_vfio_layout_go_on(struct vas_vfio *vfio)
{
	int err = map_next(vfio);

	if (err) {
		pending_undo(vfio);
		return err;
	}
	return is_shared(vfio) && vfio->nr_mapped == vfio->nr_pending ?
		       0 :
		       vas_vfio_under_way(vfio, VFIO_WORK_PREPARE);
}

int vas_vfio_layout_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
			    uint64_t deadline_ns)
{
	struct vas_vfio *vfio = vfio_of(consumer);
	int err = 0;

	(void)deadline_ns; /* nobody else to tell it to */
	/* A freeze that has ended, and after which one did not go on, is not to be forgotten. */
	if (!vfio->is_frozen)
		err = vas_vfio_devices_resume(vfio);
	if (!err)
		err = plan(vfio, delta);
	if (err) {
		plan_end(vfio);
		return err;
	}
	mark_going(vfio, delta);
	return vas_vfio_layout_go_on(vfio);
}

void vas_vfio_layout_abort(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)delta;
	pending_undo(vfio_of(consumer));
}

/* ---- commit -------------------------------------------------------------------------------- */

/* 0, or the first error. */
static int unmap_going(struct vas_vfio *vfio)
{
	int err, first_err = 0;
	size_t i;

	for (i = 0; i < vfio->nr; i++) {
		if (vfio->maps[i].going_by != vfio->change)
			continue;
		err = map_put(vfio, &vfio->maps[i]);
		first_err = first_err ? first_err : err;
		vfio->maps[i].is_gone = 1;
	}
	return first_err;
}

static void drop_gone(struct vas_vfio *vfio)
{
	size_t i, left = 0;

	for (i = 0; i < vfio->nr; i++)
		if (!vfio->maps[i].is_gone)
			vfio->maps[left++] = vfio->maps[i];
	vfio->nr = left;
}

/* Two sorted lists become one, from the end on; prepare has made room. */
static void merge_pending(struct vas_vfio *vfio)
{
	size_t from = vfio->nr, to = vfio->nr + vfio->nr_pending, left = vfio->nr_pending;

	vfio->nr = to;
	while (left) {
		const struct vfio_map *new = &vfio->pending[left - 1];

		if (from && vfio->maps[from - 1].part.gpa > new->part.gpa) {
			vfio->maps[--to] = vfio->maps[--from];
		} else {
			vfio->maps[--to] = *new;
			left--;
		}
	}
}

/* What had to wait for others to go. */
static int map_late(struct vas_vfio *vfio)
{
	size_t i;

	for (i = 0; i < vfio->nr; i++) {
		int err = vfio->maps[i].is_late ? vfio->iommu->map(vfio, &vfio->maps[i]) : 0;

		if (err)
			return err;
		vfio->maps[i].is_late = 0;
	}
	return 0;
}

/* If they cannot be moved, all is done where they are: with a gap, in which DMA fails. */
static void enter_next(struct vas_vfio *vfio)
{
	size_t i;

	if (!vfio->is_moving)
		return;
	vfio->has_moved = !vfio->iommu->next_enter(vfio);
	if (vfio->has_moved)
		return;
	pending_unmap(vfio);
	for (i = 0; i < vfio->nr_pending; i++)
		vfio->pending[i].is_late = 1;
}

int vas_vfio_layout_commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct vas_vfio *vfio = vfio_of(consumer);
	int err, late_err;

	mark_going(vfio, delta); /* one that only removes may come unprepared */
	enter_next(vfio);
	err = unmap_going(vfio);
	drop_gone(vfio);
	merge_pending(vfio);
	plan_end(vfio);
	late_err = map_late(vfio);
	return err ? err : late_err;
}

int vas_vfio_layout_retry(struct vas_consumer *consumer)
{
	return map_late(vfio_of(consumer));
}
