// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The container's ioctls, and sentences for what they refuse. */
#include "consumer/vfio/container.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

/* Where x86 has its interrupts by message. */
#define MSI_FIRST 0xfee00000ull
#define MSI_LAST  0xfeefffffull

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

static int take_ranges(struct type1_info *info, const struct vfio_iommu_type1_info *from)
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
			(struct type1_range){ cap->iova_ranges[i].start, cap->iova_ranges[i].end };
	info->nr_ranges = i;
	return 0;
}

int vas_type1_info(const struct vas_vfio *vfio, struct type1_info *info)
{
	struct vfio_iommu_type1_info *from = read_info(vfio->container_fd);
	const struct vfio_iommu_type1_info_dma_avail *avail;
	int err;

	if (!from)
		return vas_error_set(-EIO, "%s: the container does not say what its IOMMU can",
				     vfio->name);
	*info = (struct type1_info){ .page_size = VAS_PAGE_SIZE, .nr_free = UINT64_MAX };
	if (from->flags & VFIO_IOMMU_INFO_PGSIZES && from->iova_pgsizes)
		info->page_size = from->iova_pgsizes & -from->iova_pgsizes;
	avail = capability(from, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, sizeof(*avail));
	if (avail)
		info->nr_free = avail->avail;
	err = take_ranges(info, from);
	free(from);
	return err ? vas_error_set(err, "no memory for the IOMMU's ranges") : 0;
}

void vas_type1_info_clean(struct type1_info *info)
{
	free(info->ranges);
}

/* ---- addresses ----------------------------------------------------------------------------- */

/* The unusable addresses among which *at is, or which come next, and are before `last`. */
static int find_reserved(const struct type1_info *info, uint64_t at, uint64_t last,
			 struct type1_range *reserved)
{
	size_t i;

	*reserved = (struct type1_range){ 0, UINT64_MAX };
	for (i = 0; i < info->nr_ranges && info->ranges[i].first <= at; i++) {
		reserved->first = info->ranges[i].last + 1;
		if (info->ranges[i].last >= last)
			return 0;
	}
	if (i < info->nr_ranges)
		reserved->last = info->ranges[i].first - 1;
	/* Ranges that touch are one. */
	if (reserved->last < reserved->first)
		return find_reserved(info, reserved->first, last, reserved);
	return 1;
}

int vas_type1_check_region(const struct vas_vfio *vfio, const struct type1_info *info,
			   const struct vas_region *region)
{
	unsigned long long gpa = region->gpa, size = region->size;
	struct type1_range reserved;

	if ((gpa | size) & (info->page_size - 1))
		return vas_error_set(-EINVAL,
				     "%s: region %s, [%#llx, +%#llx), is not whole pages of the "
				     "IOMMU, which has %#llx",
				     vfio->name, region->name, gpa, size,
				     (unsigned long long)info->page_size);
	if (!info->nr_ranges || !find_reserved(info, gpa, gpa + size - 1, &reserved))
		return 0;
	if (reserved.last == UINT64_MAX)
		return vas_error_set(-ERANGE,
				     "%s: region %s, [%#llx, +%#llx), is beyond what the IOMMU can "
				     "address: it ends at %#llx",
				     vfio->name, region->name, gpa, size,
				     (unsigned long long)reserved.first);
	return vas_error_set(-ERANGE,
			     "%s: region %s, [%#llx, +%#llx), has addresses that the IOMMU "
			     "reserves%s: %#llx to %#llx",
			     vfio->name, region->name, gpa, size,
			     reserved.first <= MSI_FIRST && reserved.last >= MSI_LAST ?
				     " for interrupts (MSI)" :
				     "",
			     (unsigned long long)reserved.first, (unsigned long long)reserved.last);
}

/* ---- pinned memory ------------------------------------------------------------------------- */

/* A number of /proc/self/status, or 0. */
static unsigned long long status_of(const char *name, int base)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long val = 0;
	size_t len = strlen(name);
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, len) && line[len] == ':')
			val = strtoull(line + len + 1, NULL, base);
	if (file)
		fclose(file);
	return val;
}

/* -ENOMEM is also the answer when the limit is reached: which of both it is. */
static int tell_no_memory(const struct vas_vfio *vfio, const struct vfio_map *map)
{
	unsigned long long locked = status_of("VmLck", 10) << 10, size = map->part.size;
	struct rlimit limit;

	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY &&
	    locked + size > limit.rlim_cur && !(status_of("CapEff", 16) & 1ull << CAP_IPC_LOCK))
		return vas_error_set(-ENOMEM,
				     "%s: RLIMIT_MEMLOCK is %llu KiB, %llu KiB are pinned or "
				     "locked, and region %s is to be pinned as well: raise the "
				     "limit (ulimit -l) above the size of all memory",
				     vfio->name, (unsigned long long)limit.rlim_cur >> 10,
				     locked >> 10, map->part.name);
	return vas_error_set(-ENOMEM, "%s: no memory to pin [%#llx, +%#llx) of region %s",
			     vfio->name, (unsigned long long)map->part.gpa, size, map->part.name);
}

static int tell_map_error(const struct vas_vfio *vfio, const struct vfio_map *map, int err)
{
	unsigned long long gpa = map->part.gpa, size = map->part.size;

	switch (err) {
	case -ENOMEM:
		return tell_no_memory(vfio, map);
	case -EEXIST:
		return vas_error_set(
			err,
			"%s: somebody else has mapped memory in [%#llx, +%#llx) of this "
			"container",
			vfio->name, gpa, size);
	case -ENOSPC:
		return vas_error_set(err,
				     "%s: the IOMMU driver takes no more maps: see dma_entry_limit "
				     "of vfio_iommu_type1",
				     vfio->name);
	}
	return vas_error_set(err, "%s: the IOMMU cannot map [%#llx, +%#llx) of region %s: %s",
			     vfio->name, gpa, size, map->part.name, strerror(-err));
}

int vas_type1_map(const struct vas_vfio *vfio, const struct vfio_map *map)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uintptr_t)map->memory.hva,
		.iova = map->part.gpa,
		.size = map->part.size,
	};

	if (!(map->part.flags & VAS_REGION_READONLY))
		arg.flags |= VFIO_DMA_MAP_FLAG_WRITE;
	return ioctl(vfio->container_fd, VFIO_IOMMU_MAP_DMA, &arg) ?
		       tell_map_error(vfio, map, -errno) :
		       0;
}

/* Cannot fail, for what was mapped is unmapped as a whole; unless the container has lost its group.
 */
int vas_type1_unmap(const struct vas_vfio *vfio, const struct vfio_map *map)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg),
		.iova = map->part.gpa,
		.size = map->part.size,
	};
	int err = ioctl(vfio->container_fd, VFIO_IOMMU_UNMAP_DMA, &arg) ? -errno : 0;

	if (!err && arg.size == map->part.size)
		return 0;
	return vas_error_set(err ? err : -EIO,
			     "%s: the IOMMU has not unmapped [%#llx, +%#llx), as if others had: %s",
			     vfio->name, (unsigned long long)map->part.gpa,
			     (unsigned long long)map->part.size,
			     err ? strerror(-err) : "it was not there");
}
