// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/base/layout.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <vas/consumer.h>

int layout_take(struct vas *vas, struct vas_region **regions, size_t *nr)
{
	ssize_t there = vas_regions(vas, NULL, 0);

	if (there < 0)
		return (int)there;
	*regions = calloc((size_t)there + 1, sizeof(**regions));
	if (!*regions)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	*nr = (size_t)there;
	there = vas_regions(vas, *regions, *nr);
	return there == (ssize_t)*nr ? 0 : vas_error_set(-ESTALE, "the layout changed just now");
}

static int describe_backing(int fd, const struct vas_region *region, struct stream_backing *backing)
{
	struct statfs fs;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return vas_error_set(-errno, "a backing: %s", strerror(errno));
	/* What is gone is not zeros. */
	if ((uint64_t)st.st_size < region->offset + region->size)
		return vas_error_set(
			-EIO,
			"the memory of region %s at gpa %#llx is lost: its file was cut "
			"to %llu bytes",
			region->name, (unsigned long long)region->gpa,
			(unsigned long long)st.st_size);
	backing->size = (uint64_t)st.st_size;
	backing->page_size = fs.f_type == HUGETLBFS_MAGIC ? (uint32_t)fs.f_bsize : VAS_PAGE_SIZE;
	return 0;
}

static int describe_region(struct vas *vas, const struct vas_region *region,
			   struct stream_layout *layout, struct vas_region_entry *entry)
{
	if (region->flags & VAS_REGION_DEVICE)
		return vas_error_set(-EOPNOTSUPP, "region %s is a device's, not RAM: it stays here",
				     region->name);
	if (region->flags & VAS_REGION_LOCAL)
		return vas_error_set(-EOPNOTSUPP,
				     "region %s is local memory: it cannot go elsewhere",
				     region->name);
	*entry = (struct vas_region_entry){ .gpa = region->gpa,
					    .size = region->size,
					    .offset = region->offset,
					    .backing = region->backing,
					    .flags = region->flags,
					    .id = region->id };
	memcpy(entry->name, region->name, sizeof(entry->name));
	if (!region->backing)
		return 0;
	return describe_backing(vas_backing_fd(vas, region->backing), region,
				&layout->backings[region->backing]);
}

int layout_describe(struct vas *vas, const struct vas_region *regions, size_t nr,
		    struct stream_layout **out)
{
	struct vas_region_entry *entries;
	struct stream_layout *layout;
	struct vas_info info;
	size_t i;
	int err = vas_info(vas, &info);

	if (err)
		return err;
	layout = calloc(1, sizeof(*layout) + nr * sizeof(*entries));
	if (!layout)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	entries = (struct vas_region_entry *)(layout + 1);
	layout->limit = info.limit;
	layout->ram_size = info.ram_size;
	layout->page_size = info.page_size;
	layout->nr_regions = (uint32_t)nr;
	memcpy(layout->name, info.name, sizeof(layout->name));
	for (i = 0; !err && i < nr; i++)
		err = describe_region(vas, &regions[i], layout, &entries[i]);
	if (err)
		free(layout);
	else
		*out = layout;
	return err;
}
