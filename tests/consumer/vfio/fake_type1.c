// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/consumer/vfio/fake_type1.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "consumer/vfio/iommufd_abi.h"

struct fake_type1 fake_type1;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

void fake_type1_reset(void)
{
	fake_type1 = (struct fake_type1){
		.most = FAKE_MAPS,
		.lockable = UINT64_MAX,
		.page_sizes = ~0xfffull,
		.ranges = { { 0, 0xfedfffff }, { 0xfef00000, (1ull << 39) - 1 } },
		.nr_ranges = 2,
	};
}

static int fail(int err)
{
	errno = err;
	return -1;
}

/* The first map that ends behind iova. */
static size_t find(uint64_t iova)
{
	size_t i = 0;

	while (i < fake_type1.nr && fake_type1.maps[i].iova + fake_type1.maps[i].size <= iova)
		i++;
	return i;
}

void *fake_type1_find(uint64_t iova, uint64_t *left, uint32_t *flags)
{
	const struct vfio_iommu_type1_dma_map *map = &fake_type1.maps[find(iova)];

	if (map == &fake_type1.maps[fake_type1.nr] || map->iova > iova)
		return NULL;
	*left = map->iova + map->size - iova;
	*flags = map->flags;
	return (char *)(uintptr_t)map->vaddr + (iova - map->iova);
}

/* ---- the calls ----------------------------------------------------------------------------- */

struct all_info {
	struct vfio_iommu_type1_info head;
	struct vfio_iommu_type1_info_dma_avail avail;
	struct vfio_iommu_type1_info_cap_iova_range ranges;
	struct vfio_iova_range range[3];
};

static int get_info(struct vfio_iommu_type1_info *info)
{
	struct all_info all = {
		.head = { .argsz = sizeof(all),
			  .flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS,
			  .iova_pgsizes = fake_type1.page_sizes,
			  .cap_offset = offsetof(struct all_info, avail) },
		.avail = { .header = { .id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL },
			   .avail = (uint32_t)(fake_type1.most - fake_type1.nr) },
		.ranges = { .header = { .id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE },
			    .nr_iovas = fake_type1.nr_ranges },
	};

	if (fake_type1.nr_ranges)
		all.avail.header.next = offsetof(struct all_info, ranges);
	memcpy(all.range, fake_type1.ranges, sizeof(all.range));
	if (info->argsz < sizeof(all)) {
		info->argsz = sizeof(all);
		info->cap_offset = 0;
		info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
		return 0;
	}
	memcpy(info, &all, sizeof(all));
	return 0;
}

static int is_usable(const struct vfio_iommu_type1_dma_map *map)
{
	uint32_t i;

	for (i = 0; i < fake_type1.nr_ranges; i++)
		if (map->iova >= fake_type1.ranges[i].start &&
		    map->iova + map->size - 1 <= fake_type1.ranges[i].end)
			return 1;
	return !fake_type1.nr_ranges;
}

static uint64_t locked(void)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < fake_type1.nr; i++)
		sum += fake_type1.maps[i].size;
	return sum;
}

/* Pages that are pinned are there. */
static void touch(const struct vfio_iommu_type1_dma_map *map)
{
	uint64_t page = fake_type1.page_sizes & -fake_type1.page_sizes, at;

	for (at = 0; at < map->size; at += page)
		__atomic_fetch_add((char *)(uintptr_t)map->vaddr + at, 0, __ATOMIC_RELAXED);
}

static int map_dma(const struct vfio_iommu_type1_dma_map *map)
{
	uint64_t page = fake_type1.page_sizes & -fake_type1.page_sizes;
	size_t at = find(map->iova);

	if (++fake_type1.nr_map_calls == fake_type1.refuse_map)
		return fail(EFAULT);
	if (!map->size || (map->iova | map->size | map->vaddr) & (page - 1) || !is_usable(map))
		return fail(EINVAL);
	if (at < fake_type1.nr && fake_type1.maps[at].iova < map->iova + map->size)
		return fail(EEXIST);
	if (fake_type1.nr == fake_type1.most)
		return fail(ENOSPC);
	if (map->size > fake_type1.lockable - locked())
		return fail(ENOMEM);
	memmove(&fake_type1.maps[at + 1], &fake_type1.maps[at],
		(fake_type1.nr - at) * sizeof(*map));
	fake_type1.maps[at] = *map;
	fake_type1.nr++;
	touch(map);
	return 0;
}

/* Whole maps: one that would be cut is an error, as of type1v2. */
static int unmap_dma(struct vfio_iommu_type1_dma_unmap *unmap)
{
	uint64_t end = unmap->iova + unmap->size, sum = 0;
	size_t at = find(unmap->iova), to = at;

	fake_type1.nr_unmap_calls++;
	if (unmap->iova < fake_type1.stays_end && end > fake_type1.stays)
		fake_type1.nr_touched++;
	if (at < fake_type1.nr && fake_type1.maps[at].iova < unmap->iova)
		return fail(EINVAL);
	for (; to < fake_type1.nr && fake_type1.maps[to].iova < end; to++) {
		if (fake_type1.maps[to].iova + fake_type1.maps[to].size > end)
			return fail(EINVAL);
		sum += fake_type1.maps[to].size;
	}
	memmove(&fake_type1.maps[at], &fake_type1.maps[to],
		(fake_type1.nr - to) * sizeof(fake_type1.maps[0]));
	fake_type1.nr -= to - at;
	unmap->size = sum;
	return 0;
}

static int device_feature(struct vfio_device_feature *feature)
{
	struct vfio_device_feature_mig_state state;
	struct vfio_device_feature_migration migration = { VFIO_MIGRATION_STOP_COPY };

	if (!fake_type1.nr_devices)
		return fail(ENOTTY);
	if (feature->flags == (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION)) {
		memcpy(feature->data, &migration, sizeof(migration));
		return 0;
	}
	if (feature->flags != (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE))
		return fail(EINVAL);
	if (++fake_type1.nr_state_calls == fake_type1.refuse_state)
		return fail(EIO);
	memcpy(&state, feature->data, sizeof(state));
	fake_type1.nr_running += state.device_state == VFIO_DEVICE_STATE_RUNNING ? 1 : -1;
	return 0;
}

/* What is asked for of an iommufd until it has memory. */
static int iommufd_call(unsigned int request, void *arg)
{
	switch (request) {
	case IOMMUFD_RANGES:
		return fail(ENOENT);
	case IOMMUFD_SPACE_ALLOC:
		((struct iommufd_space_alloc *)arg)->space = 1;
		break;
	case IOMMUFD_TABLE_ALLOC:
		((struct iommufd_table_alloc *)arg)->table = 2;
		break;
	case VFIO_DEVICE_ENTER:
		fake_type1.nr_entered++;
		break;
	case VFIO_DEVICE_EXIT:
		fake_type1.nr_entered--;
		break;
	}
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (fake_type1.is_iommufd)
		return iommufd_call((unsigned int)request, arg);
	switch ((unsigned int)request) { /* musl has an int */
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_IOMMU_GET_INFO:
		return get_info(arg);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(arg);
	case VFIO_DEVICE_FEATURE:
		return device_feature(arg);
	}
	return __real_ioctl(fd, request, arg);
}
