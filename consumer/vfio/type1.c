// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A container's ioctls. */
#include "consumer/vfio/container.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int vas_type1_check(int container_fd)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	if (ioctl(container_fd, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		return vas_error_set(-EINVAL, "fd %d is not a VFIO container", container_fd);
	if (ioctl(container_fd, VFIO_IOMMU_GET_INFO, &info))
		return vas_error_set(-EINVAL,
				     "fd %d has no IOMMU of type 1: VFIO_GROUP_SET_CONTAINER and "
				     "VFIO_SET_IOMMU first",
				     container_fd);
	return 0;
}

/* ---- what it says of itself ---------------------------------------------------------------- */

/* The whole of what the container has to say, or NULL: no memory, or the container is dead. */
static struct vfio_iommu_type1_info *read_info(int container_fd)
{
	uint32_t size = sizeof(struct vfio_iommu_type1_info);
	struct vfio_iommu_type1_info *info = NULL, *grown;

	do {
		grown = realloc(info, size);
		if (!grown)
			break;
		info = grown;
		memset(info, 0, size);
		info->argsz = size;
		if (ioctl(container_fd, VFIO_IOMMU_GET_INFO, info))
			break;
		if (info->argsz <= size)
			return info;
		size = info->argsz; /* another device has just come, perhaps */
	} while (1);
	free(info);
	return NULL;
}

/* A capability of so many bytes at least. */
static const void *capability(const struct vfio_iommu_type1_info *info, uint16_t id, size_t size)
{
	const char *start = (const char *)info;
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;
	const struct vfio_info_cap_header *head;

	for (; at && at + sizeof(*head) <= info->argsz; at = head->next) {
		head = (const void *)(start + at);
		if (head->id == id)
			return at + size <= info->argsz ? head : NULL;
		if (head->next <= at)
			break;
	}
	return NULL;
}

static int take_ranges(struct vfio_iommu_info *info, const struct vfio_iommu_type1_info *from)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap =
		capability(from, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, sizeof(*cap));
	size_t most, i;

	if (!cap)
		return 0;
	most = (from->argsz - ((const char *)cap->iova_ranges - (const char *)from)) /
	       sizeof(*cap->iova_ranges);
	info->ranges = calloc(most + 1, sizeof(*info->ranges));
	if (!info->ranges)
		return -ENOMEM;
	for (i = 0; i < cap->nr_iovas && i < most; i++)
		info->ranges[i] =
			(struct iommu_range){ cap->iova_ranges[i].start, cap->iova_ranges[i].end };
	info->nr_ranges = i;
	return 0;
}

static int info_get(const struct vas_vfio *vfio, struct vfio_iommu_info *info)
{
	struct vfio_iommu_type1_info *from = read_info(vfio->container_fd);
	const struct vfio_iommu_type1_info_dma_avail *avail;
	int err;

	if (!from)
		return vas_error_set(-EIO, "%s: the container does not say what its IOMMU can",
				     vfio->name);
	*info = (struct vfio_iommu_info){ .page_size = VAS_PAGE_SIZE, .nr_free = UINT64_MAX };
	if (from->flags & VFIO_IOMMU_INFO_PGSIZES && from->iova_pgsizes)
		info->page_size = from->iova_pgsizes & -from->iova_pgsizes;
	avail = capability(from, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, sizeof(*avail));
	if (avail)
		info->nr_free = avail->avail;
	err = take_ranges(info, from);
	free(from);
	return err ? vas_error_set(err, "no memory for the IOMMU's ranges") : 0;
}

/* ---- maps ---------------------------------------------------------------------------------- */

static int map(struct vas_vfio *vfio, struct vfio_map *map)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.iova = map->part.gpa,
		.size = map->part.size,
	};
	int err = vas_file_map_get(vfio->file_maps, &map->part, 0, &map->memory);

	if (err)
		return err;
	arg.vaddr = (uintptr_t)map->memory.hva;
	if (!(map->part.flags & VAS_REGION_READONLY))
		arg.flags |= VFIO_DMA_MAP_FLAG_WRITE;
	if (!ioctl(vfio->container_fd, VFIO_IOMMU_MAP_DMA, &arg))
		return 0;
	err = vas_vfio_map_error(vfio, map, -errno);
	vas_file_map_put(vfio->file_maps, &map->memory);
	return err;
}

/* Cannot fail, for what was mapped is unmapped as a whole; unless the container has lost its group.
 */
static int unmap(struct vas_vfio *vfio, struct vfio_map *map)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg),
		.iova = map->part.gpa,
		.size = map->part.size,
	};
	int err = ioctl(vfio->container_fd, VFIO_IOMMU_UNMAP_DMA, &arg) ? -errno : 0;

	if (!err && arg.size != map->part.size)
		err = -ENOENT;
	vas_file_map_put(vfio->file_maps, &map->memory);
	return err ? vas_vfio_unmap_error(vfio, map, err) : 0;
}

const struct vfio_iommu_ops vas_type1_ops = { .info = info_get, .map = map, .unmap = unmap };
