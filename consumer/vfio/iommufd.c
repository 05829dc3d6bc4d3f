// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * An iommufd's ioctls. The layout is in one address space (IOAS), and its devices use one page
 * table of that (HWPT), which pins what is mapped when it is mapped: one that a device's entering
 * made would pin then, when it is too late to refuse. A memfd is mapped by its offsets; what has no
 * such file, by its address in this process.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "consumer/vfio/container.h"
#include "consumer/vfio/iommufd_abi.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

int vas_iommufd_call(const struct vas_vfio *vfio, unsigned long request, void *arg)
{
	return ioctl(vfio->container_fd, request, arg) ? -errno : 0;
}

/* Nobody else has an opinion of this request, and an iommufd has no address space 0. */
int vas_fd_is_iommufd(int fd)
{
	struct iommufd_ranges arg = { .size = sizeof(arg) };

	return ioctl(fd, IOMMUFD_RANGES, &arg) && errno == ENOENT;
}

/* ---- address spaces -------------------------------------------------------------------------- */

static void destroy(const struct vas_vfio *vfio, uint32_t id)
{
	struct iommufd_destroy arg = { sizeof(arg), id };

	if (id)
		vas_iommufd_call(vfio, IOMMUFD_DESTROY, &arg);
}

static void space_destroy(const struct vas_vfio *vfio, struct vfio_space *space)
{
	destroy(vfio, space->table);
	destroy(vfio, space->space);
	*space = (struct vfio_space){ 0 };
}

static int table_alloc(const struct vas_vfio *vfio, struct vfio_space *space, uint32_t flags)
{
	struct iommufd_table_alloc arg = {
		.size = sizeof(arg),
		.flags = flags,
		.device = vfio->device_ids[0],
		.space = space->space,
	};
	int err = vas_iommufd_call(vfio, IOMMUFD_TABLE_ALLOC, &arg);

	space->table = err ? 0 : arg.table;
	return err;
}

static int space_alloc(const struct vas_vfio *vfio, struct vfio_space *space)
{
	struct iommufd_space_alloc arg = { .size = sizeof(arg) };
	int err = vas_iommufd_call(vfio, IOMMUFD_SPACE_ALLOC, &arg);

	if (err)
		return vas_error_set(err, "%s: no further address space: %s", vfio->name,
				     strerror(-err));
	space->space = arg.space;
	return 0;
}

static int table_error(const struct vas_vfio *vfio, int err)
{
	return vas_error_set(err, "%s: the IOMMU has no page table for its devices: %s", vfio->name,
			     strerror(-err));
}

/* ---- devices --------------------------------------------------------------------------------- */

static int enter(const struct vas_vfio *vfio, int device_fd, uint32_t table)
{
	struct vfio_device_enter arg = { .size = sizeof(arg), .table = table };
	int err = ioctl(device_fd, VFIO_DEVICE_ENTER, &arg) ? -errno : 0;

	if (err == -EINVAL)
		return vas_error_set(err,
				     "%s: a device is behind another IOMMU than the first one, "
				     "or has reserved addresses where the layout has memory",
				     vfio->name);
	return err ? vas_error_set(err, "%s: a device cannot enter the address space: %s",
				   vfio->name, strerror(-err)) :
		     0;
}

/* The first `nr`, into another page table. */
static int enter_all(const struct vas_vfio *vfio, uint32_t table, uint32_t back)
{
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < vfio->nr_devices; i++)
		err = enter(vfio, vfio->device_fds[i], table);
	if (!err || !back)
		return err;
	/* The one that could not is where it was. */
	for (i--; i > 0; i--)
		enter(vfio, vfio->device_fds[i - 1], back);
	return err;
}

int vas_iommufd_enter(struct vas_vfio *vfio, int device_fd)
{
	return enter(vfio, device_fd, vfio->present.table);
}

int vas_iommufd_open(struct vas_vfio *vfio)
{
	int err;

	if (!vfio->nr_devices)
		return vas_error_set(-EINVAL,
				     "%s: an iommufd needs its devices (device_fds and device_ids)",
				     vfio->name);
	err = space_alloc(vfio, &vfio->present);
	if (err)
		return err;
	vfio->has_dirty = !table_alloc(vfio, &vfio->present, IOMMUFD_TABLE_DIRTY);
	if (!vfio->has_dirty) {
		err = table_alloc(vfio, &vfio->present, 0);
		if (err)
			table_error(vfio, err);
	}
	if (!err)
		err = enter_all(vfio, vfio->present.table, 0);
	if (err)
		vas_iommufd_close(vfio);
	return err;
}

void vas_iommufd_close(struct vas_vfio *vfio)
{
	struct vfio_device_exit arg = { .size = sizeof(arg) };
	uint32_t i;

	for (i = 0; i < vfio->nr_devices; i++)
		ioctl(vfio->device_fds[i], VFIO_DEVICE_EXIT, &arg);
	space_destroy(vfio, &vfio->present);
}

/* ---- what it says of itself ------------------------------------------------------------------ */

static int ranges_get(const struct vas_vfio *vfio, struct vfio_iommu_info *info)
{
	struct iommufd_ranges arg = { .size = sizeof(arg), .space = vfio->present.space };
	int err;

	/* The first answer is how many there are; another device may come between. */
	do {
		free(info->ranges);
		info->ranges = calloc(arg.nr + 1ull, sizeof(*info->ranges));
		if (!info->ranges)
			return -ENOMEM;
		arg.ranges = (uintptr_t)info->ranges;
		info->nr_ranges = arg.nr;
		err = vas_iommufd_call(vfio, IOMMUFD_RANGES, &arg);
	} while (err == -EMSGSIZE && arg.nr > info->nr_ranges);
	if (err)
		return err;
	info->nr_ranges = arg.nr;
	info->page_size = arg.alignment;
	return 0;
}

static int info_get(const struct vas_vfio *vfio, struct vfio_iommu_info *info)
{
	int err;

	_Static_assert(sizeof(struct iommu_range) == sizeof(struct iommufd_iova_range),
		       "the same two numbers");
	*info = (struct vfio_iommu_info){ .nr_free = UINT64_MAX };
	err = ranges_get(vfio, info);
	if (!err && info->page_size)
		return 0;
	vas_vfio_info_clean(info);
	return vas_error_set(err ? err : -EIO, "%s: the IOMMU does not say what it can: %s",
			     vfio->name, strerror(err ? -err : EIO));
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* Where maps go: to the space that is being built, if there is one. */
static uint32_t space_of(const struct vas_vfio *vfio)
{
	return vfio->next.space ? vfio->next.space : vfio->present.space;
}

static uint32_t flags_of(const struct vfio_map *map)
{
	return IOMMUFD_MAP_FIXED | IOMMUFD_MAP_READ |
	       (map->part.flags & VAS_REGION_READONLY ? 0 : IOMMUFD_MAP_WRITE);
}

/*
 * A page that was allocated ahead and touched by nobody is cleared when a CPU first touches it. A
 * device's first touch does not count: what it had written would be gone. So they are touched here.
 */
static int touch(int fd, const struct vas_region *part)
{
	void *at = mmap(NULL, part->size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd,
			(off_t)part->offset);
	int err;

	if (at == MAP_FAILED)
		return -errno;
	err = madvise(at, part->size, MADV_POPULATE_READ) ? -errno : 0;
	munmap(at, part->size);
	return err;
}

static int map_file(const struct vas_vfio *vfio, const struct vfio_map *map)
{
	struct iommufd_map_file arg = {
		.size = sizeof(arg),
		.flags = flags_of(map),
		.space = space_of(vfio),
		.fd = vas_backing_fd(vfio->consumer.vas, map->part.backing),
		.offset = map->part.offset,
		.len = map->part.size,
		.iova = map->part.gpa,
	};

	int err = arg.fd < 0 ? arg.fd : touch(arg.fd, &map->part);

	return err ? err : vas_iommufd_call(vfio, IOMMUFD_MAP_FILE, &arg);
}

static int map_address(struct vas_vfio *vfio, struct vfio_map *map)
{
	struct iommufd_map arg = {
		.size = sizeof(arg),
		.flags = flags_of(map),
		.space = space_of(vfio),
		.len = map->part.size,
		.iova = map->part.gpa,
	};
	int err = vas_file_map_get(vfio->file_maps, &map->part, 0, &map->memory);

	if (err)
		return err;
	arg.address = (uintptr_t)map->memory.hva;
	err = vas_iommufd_call(vfio, IOMMUFD_MAP, &arg);
	if (!err)
		return 0;
	err = vas_vfio_map_error(vfio, map, err);
	vas_file_map_put(vfio->file_maps, &map->memory);
	return err;
}

/* -EINVAL: no memfd; -ENOTTY: a kernel before 6.13. */
static int map(struct vas_vfio *vfio, struct vfio_map *map)
{
	int err = -EINVAL;

	map->memory = (struct vas_file_map){ 0 };
	if (!(map->part.flags & VAS_REGION_LOCAL))
		err = map_file(vfio, map);
	if (err == -EINVAL || err == -ENOTTY || err == -EBADF)
		return map_address(vfio, map);
	return err ? vas_vfio_map_error(vfio, map, err) : 0;
}

static int unmap(struct vas_vfio *vfio, struct vfio_map *map)
{
	struct iommufd_unmap arg = {
		.size = sizeof(arg),
		.space = vfio->present.space,
		.iova = map->part.gpa,
		.len = map->part.size,
	};
	int err = vas_iommufd_call(vfio, IOMMUFD_UNMAP, &arg);

	vas_file_map_put(vfio->file_maps, &map->memory);
	return err ? vas_vfio_unmap_error(vfio, map, err) : 0;
}

/* ---- another address space ------------------------------------------------------------------- */

static void next_drop(struct vas_vfio *vfio)
{
	space_destroy(vfio, &vfio->next);
}

static int next_begin(struct vas_vfio *vfio)
{
	int err = space_alloc(vfio, &vfio->next);

	if (err)
		return err;
	err = table_alloc(vfio, &vfio->next, vfio->has_dirty ? IOMMUFD_TABLE_DIRTY : 0);
	if (err) {
		table_error(vfio, err);
		next_drop(vfio);
	}
	return err;
}

/* The same pinned pages: they do not count twice. */
static int next_share(struct vas_vfio *vfio, const struct vfio_map *map)
{
	struct iommufd_share arg = {
		.size = sizeof(arg),
		.flags = flags_of(map),
		.to_space = vfio->next.space,
		.from_space = vfio->present.space,
		.len = map->part.size,
		.to_iova = map->part.gpa,
		.from_iova = map->part.gpa,
	};
	int err = vas_iommufd_call(vfio, IOMMUFD_SHARE, &arg);

	return err ? vas_vfio_map_error(vfio, map, err) : 0;
}

/*
 * One after the other, without a moment in which one has neither. What the page table that goes has
 * noted is not asked for: after a change of the layout, all is dirty to each tracker.
 */
static int next_enter(struct vas_vfio *vfio)
{
	int err = 0;

	/* Now that all is mapped: what comes to a page table may count as written at first. */
	if (vfio->is_tracked)
		err = vas_vfio_dirty_switch(vfio, vfio->next.table, 1);
	if (!err)
		err = enter_all(vfio, vfio->next.table, vfio->present.table);
	if (err)
		return err;
	space_destroy(vfio, &vfio->present);
	vfio->present = vfio->next;
	vfio->next = (struct vfio_space){ 0 };
	return 0;
}

const struct vfio_iommu_ops vas_iommufd_ops = {
	.info = info_get,
	.map = map,
	.unmap = unmap,
	.next_begin = next_begin,
	.next_share = next_share,
	.next_enter = next_enter,
	.next_drop = next_drop,
};
