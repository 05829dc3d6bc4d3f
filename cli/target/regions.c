// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/regions.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vas/lazy.h>

/* Pages come by so many bytes at a time. */
#define STEP (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE)

int regions_get(struct vas *vas, struct regions *regions)
{
	ssize_t nr = vas_regions(vas, NULL, 0);

	regions->at = NULL;
	regions->nr = 0;
	/* The layout may grow between the two calls. */
	while (nr > (ssize_t)regions->nr || !regions->at) {
		if (nr < 0)
			return (int)nr;
		free(regions->at);
		regions->nr = (size_t)nr;
		regions->at = calloc(regions->nr + 1, sizeof(*regions->at));
		if (!regions->at)
			return -ENOMEM;
		nr = vas_regions(vas, regions->at, regions->nr);
	}
	if (nr >= 0)
		regions->nr = (size_t)nr;
	return nr < 0 ? (int)nr : 0;
}

void regions_clean(struct regions *regions)
{
	free(regions->at);
	regions->at = NULL;
}

uint64_t regions_size(const struct regions *regions)
{
	uint64_t size = 0;

	for (size_t i = 0; i < regions->nr; i++)
		size += regions->at[i].size;
	return size;
}

uint64_t regions_end(const struct regions *regions)
{
	const struct vas_region *last;

	if (!regions->nr)
		return 0;
	last = &regions->at[regions->nr - 1];
	return last->gpa + last->size;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* hugetlbfs says of everything that it is data. */
static int is_hugetlbfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC;
}

/* What the file says of the region's memory from gpa on, at most len bytes. */
static void extent_of_file(int fd, uint64_t offset, uint64_t len, struct extent *extent)
{
	uint64_t size;
	struct stat st;
	off_t at;

	extent->kind = EXTENT_UNREACHABLE;
	extent->len = len;
	if (fstat(fd, &st))
		return;
	/* Behind the end of a file that was cut are no zeros, but nothing. */
	size = ((uint64_t)st.st_size + VAS_PAGE_SIZE - 1) & ~(VAS_PAGE_SIZE - 1);
	if (offset >= size)
		return;
	len = extent->len = least(len, size - offset);
	extent->kind = EXTENT_UNKNOWN;
	if (is_hugetlbfs(fd))
		return;
	extent->kind = EXTENT_DATA;
	at = lseek(fd, (off_t)offset, SEEK_DATA);
	if (at < 0 || (uint64_t)at > offset) {
		extent->kind = EXTENT_EMPTY;
		if (at >= 0)
			extent->len = least(len, (uint64_t)at - offset);
		return;
	}
	at = lseek(fd, (off_t)offset, SEEK_HOLE);
	if (at > 0)
		extent->len = least(len, (uint64_t)at - offset);
}

/*
 * Lazy pages that are not filled yet, from gpa on, or how far there are none. Asked before the
 * file is: a page may come in between.
 */
static int is_coming(struct vas *vas, struct extent *extent)
{
	uint64_t gpa = extent->gpa, word = (gpa | (STEP - 1)) + 1;
	int found = vas_lazy_next(vas, &gpa, gpa + extent->len);

	if (found && (found < 0 || gpa == extent->gpa)) {
		extent->kind = EXTENT_LAZY;
		extent->len = least(extent->len, word - extent->gpa);
		return 1;
	}
	extent->len = gpa - extent->gpa;
	return 0;
}

static void extent_of_region(struct extents *extents, struct extent *extent)
{
	const struct vas_region *region = extent->region;
	int fd = region->flags & VAS_REGION_LOCAL ? -1 :
						    vas_backing_fd(extents->vas, region->backing);

	extent->kind = EXTENT_UNREACHABLE;
	if (fd < 0 || is_coming(extents->vas, extent))
		return;
	/* SEEK_HOLE looks at each page up to the hole: call it once for each range of data. */
	if (extent->gpa < extents->data_end) {
		extent->kind = EXTENT_DATA;
		extent->len = least(extent->len, extents->data_end - extent->gpa);
		return;
	}
	extent_of_file(fd, region->offset + (extent->gpa - region->gpa), extent->len, extent);
	if (extent->kind == EXTENT_DATA)
		extents->data_end = extent->gpa + extent->len;
}

int extent_next(struct extents *extents, struct extent *extent)
{
	const struct regions *regions = extents->regions;
	const struct vas_region *region;

	if (extents->gpa >= extents->end)
		return 0;
	while (extents->index < regions->nr &&
	       regions->at[extents->index].gpa + regions->at[extents->index].size <= extents->gpa)
		extents->index++;
	region = &regions->at[extents->index];
	*extent = (struct extent){ .kind = EXTENT_HOLE, .gpa = extents->gpa };
	if (extents->index == regions->nr) {
		extent->len = extents->end - extents->gpa;
	} else if (region->gpa > extents->gpa) {
		extent->len = least(region->gpa, extents->end) - extents->gpa;
	} else {
		extent->region = region;
		extent->len = least(region->gpa + region->size, extents->end) - extents->gpa;
		extent_of_region(extents, extent);
	}
	extents->gpa += extent->len;
	return 1;
}

static uint64_t file_data(int fd, uint64_t at, uint64_t end)
{
	struct extent extent;
	uint64_t data = 0;

	for (; at < end; at += extent.len) {
		extent_of_file(fd, at, end - at, &extent);
		if (extent.kind == EXTENT_DATA)
			data += extent.len;
	}
	return data;
}

/*
 * All blocks of the file, less those of the control area, which is small. What comes before the
 * tables was allocated when the vas was made, but is told as a hole where nobody has touched it.
 */
uint64_t file_resident(int fd, const struct vas_info *info)
{
	uint64_t end = info->ram_size, control = 0, all;
	struct vas_superblock sb;
	struct stat st;

	if (fstat(fd, &st))
		return 0;
	if (info->page_size == VAS_PAGE_SIZE &&
	    pread(fd, &sb, sizeof(sb), (off_t)(info->file_size - sizeof(sb))) == sizeof(sb) &&
	    sb.extents[VAS_EXT_CONTROL].offset == info->ram_size &&
	    sb.extents[VAS_EXT_TABLE0].offset > end &&
	    sb.extents[VAS_EXT_TABLE0].offset < info->file_size) {
		end = sb.extents[VAS_EXT_TABLE0].offset;
		control = end - info->ram_size;
	}
	control += file_data(fd, end, info->file_size);
	all = (uint64_t)st.st_blocks * 512;
	return all > control ? all - control : 0;
}

uint64_t ram_resident(struct vas *vas, const struct vas_info *info)
{
	int fd = vas_backing_fd(vas, 0);
	struct stat st;

	if (fd == vas_fd(vas))
		return file_resident(fd, info);
	return fd >= 0 && !fstat(fd, &st) ? (uint64_t)st.st_blocks * 512 : 0;
}

uint64_t extents_data(struct vas *vas, const struct regions *regions, uint64_t gpa, uint64_t end)
{
	struct extents extents = { .vas = vas, .regions = regions, .gpa = gpa, .end = end };
	struct extent extent;
	uint64_t data = 0;

	while (extent_next(&extents, &extent))
		if (extent_has_data(extent.kind))
			data += extent.len;
	return data;
}
