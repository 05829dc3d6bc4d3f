// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What an IOMMU, its driver or a limit does not allow: sentences that say what to do. */
#include "consumer/vfio/container.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Where x86 has its interrupts by message. */
#define MSI_FIRST 0xfee00000ull
#define MSI_LAST  0xfeefffffull

void vas_vfio_info_clean(struct vfio_iommu_info *info)
{
	free(info->ranges);
}

/* ---- addresses ----------------------------------------------------------------------------- */

/* The unusable addresses among which *at is, or which come next, and are before `last`. */
static int find_reserved(const struct vfio_iommu_info *info, uint64_t at, uint64_t last,
			 struct iommu_range *reserved)
{
	size_t i;

	*reserved = (struct iommu_range){ 0, UINT64_MAX };
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

int vas_vfio_check_region(const struct vas_vfio *vfio, const struct vfio_iommu_info *info,
			  const struct vas_region *region)
{
	unsigned long long gpa = region->gpa, size = region->size;
	struct iommu_range reserved;

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

	int is_limited = !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY &&
			 !(status_of("CapEff", 16) & 1ull << CAP_IPC_LOCK);

	/* An iommufd counts all that this user has pinned, which nobody tells. */
	if (is_limited && vfio->present.space)
		return vas_error_set(-ENOMEM,
				     "%s: RLIMIT_MEMLOCK is %llu KiB, for all that this user pins, "
				     "and region %s is to be pinned as well: raise the limit "
				     "(ulimit -l) above the size of all memory",
				     vfio->name, (unsigned long long)limit.rlim_cur >> 10,
				     map->part.name);
	if (is_limited && locked + size > limit.rlim_cur)
		return vas_error_set(-ENOMEM,
				     "%s: RLIMIT_MEMLOCK is %llu KiB, %llu KiB are pinned or "
				     "locked, and region %s is to be pinned as well: raise the "
				     "limit (ulimit -l) above the size of all memory",
				     vfio->name, (unsigned long long)limit.rlim_cur >> 10,
				     locked >> 10, map->part.name);
	return vas_error_set(-ENOMEM, "%s: no memory to pin [%#llx, +%#llx) of region %s",
			     vfio->name, (unsigned long long)map->part.gpa, size, map->part.name);
}

int vas_vfio_map_error(const struct vas_vfio *vfio, const struct vfio_map *map, int err)
{
	unsigned long long gpa = map->part.gpa, size = map->part.size;

	switch (err) {
	case -ENOMEM:
		return tell_no_memory(vfio, map);
	case -EEXIST:
		return vas_error_set(
			err,
			"%s: somebody else has mapped memory in [%#llx, +%#llx) of this "
			"address space",
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

int vas_vfio_unmap_error(const struct vas_vfio *vfio, const struct vfio_map *map, int err)
{
	return vas_error_set(err == -ENOENT ? -EIO : err,
			     "%s: the IOMMU has not unmapped [%#llx, +%#llx), as if others had: %s",
			     vfio->name, (unsigned long long)map->part.gpa,
			     (unsigned long long)map->part.size,
			     err == -ENOENT ? "it was not there" : strerror(-err));
}
