// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/range.h"

#define END_OF_ADDRESSES (~0ull)

/* The first region that ends behind gpa. */
static uint32_t find_index(const struct memory *memory, uint64_t gpa)
{
	uint32_t low = 0, high = memory->nr;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct memory_region *region = &memory->regions[middle];

		if (region->gpa + region->size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int check_region(const struct memory *memory, const struct memory_region *region,
			uint32_t at)
{
	uint32_t i;

	if (!region->size || !vas_range_fits(region->gpa, region->size, END_OF_ADDRESSES) ||
	    !vas_range_fits(region->user, region->size, END_OF_ADDRESSES))
		return -EINVAL;
	if (memory->nr == MEMORY_MAX_REGIONS)
		return -ENOSPC;
	if (at < memory->nr && memory->regions[at].gpa < region->gpa + region->size)
		return -EEXIST;
	for (i = 0; i < memory->nr; i++)
		if (vas_ranges_overlap(memory->regions[i].user, memory->regions[i].size,
				       region->user, region->size))
			return -EEXIST;
	return 0;
}

int memory_add(struct memory *memory, const struct memory_region *region, int fd, uint64_t offset)
{
	uint32_t at = find_index(memory, region->gpa);
	int err = check_region(memory, region, at);
	struct shared_map *map;
	struct stat file;

	if (err)
		return err;
	map = malloc(sizeof(*map));
	if (!map)
		return -ENOMEM;
	err = shared_map_open(map, fd, offset, region->size);
	/* By now it is known to be a file that answers. */
	if (!err && fstat(fd, &file)) {
		err = -errno;
		shared_map_close(map);
	}
	if (err) {
		free(map);
		return err;
	}
	memmove(&memory->regions[at + 1], &memory->regions[at],
		(memory->nr - at) * sizeof(*region));
	memory->regions[at] = *region;
	memory->regions[at].map = map;
	memory->regions[at].bytes = map->bytes;
	memory->regions[at].dev = file.st_dev;
	memory->regions[at].ino = file.st_ino;
	memory->regions[at].offset = offset;
	memory->nr++;
	return 0;
}

static void drop(struct memory *memory, uint32_t at)
{
	shared_map_close(memory->regions[at].map);
	free(memory->regions[at].map);
	memory->nr--;
	memmove(&memory->regions[at], &memory->regions[at + 1],
		(memory->nr - at) * sizeof(memory->regions[0]));
}

bool memory_has(const struct memory *memory, const struct memory_region *region)
{
	uint32_t at = find_index(memory, region->gpa);
	const struct memory_region *found = &memory->regions[at];

	return at < memory->nr && found->gpa == region->gpa && found->size == region->size &&
	       found->user == region->user;
}

int memory_remove(struct memory *memory, const struct memory_region *region)
{
	if (!memory_has(memory, region))
		return -ENOENT;
	drop(memory, find_index(memory, region->gpa));
	return 0;
}

void memory_clear(struct memory *memory)
{
	while (memory->nr)
		drop(memory, memory->nr - 1);
}

bool memory_has_failed(const struct memory *memory)
{
	uint32_t i, nr = guard_any_has_failed() ? memory->nr : 0;

	for (i = 0; i < nr; i++)
		if (memory->regions[i].map && guard_has_failed(&memory->regions[i].map->guard))
			return true;
	return false;
}

static uint8_t *at_by_table(const struct memory *memory, uint64_t gpa, uint64_t *len)
{
	uint32_t at = find_index(memory, gpa);
	const struct memory_region *region = &memory->regions[at];
	uint64_t skip;

	if (at == memory->nr || gpa < region->gpa)
		return NULL;
	skip = gpa - region->gpa;
	if (*len > region->size - skip)
		*len = region->size - skip;
	return region->bytes + skip;
}

/* A range of one piece is the common case; of one with more, the first. */
static uint8_t *at_by_vas(const struct memory *memory, uint64_t gpa, uint64_t *len,
			  enum memory_access access)
{
	uint32_t prot = access == MEMORY_WRITE ? VAS_PROT_WRITE : VAS_PROT_READ;
	uint8_t *bytes = vas_translate(memory->vas, gpa, *len, prot);
	uint64_t page_left = MEMORY_LOG_PAGE - (gpa & (MEMORY_LOG_PAGE - 1));

	if (bytes || *len <= page_left)
		return bytes;
	*len = page_left;
	return vas_translate(memory->vas, gpa, page_left, prot);
}

uint8_t *memory_at(const struct memory *memory, uint64_t gpa, uint64_t *len,
		   enum memory_access access)
{
	return memory->nr || !memory->vas ? at_by_table(memory, gpa, len) :
					    at_by_vas(memory, gpa, len, access);
}

uint8_t *memory_range(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	uint64_t there = len;
	uint8_t *bytes = at_by_table(memory, gpa, &there);

	return there == len ? bytes : NULL;
}

int memory_gpa_of_user(const struct memory *memory, uint64_t user, uint64_t len, uint64_t *gpa)
{
	uint32_t i;

	for (i = 0; i < memory->nr; i++) {
		const struct memory_region *region = &memory->regions[i];

		if (user < region->user || !vas_range_fits(user - region->user, len, region->size))
			continue;
		*gpa = region->gpa + (user - region->user);
		return 0;
	}
	return -EFAULT;
}

int memory_read(const struct memory *memory, uint64_t gpa, void *to, uint32_t len)
{
	while (len) {
		uint64_t there = len;
		const uint8_t *bytes = memory_at(memory, gpa, &there, MEMORY_READ);

		if (!bytes)
			return -EFAULT;
		memmove(to, bytes, there);
		to = (uint8_t *)to + there;
		gpa += there;
		len -= (uint32_t)there;
	}
	return 0;
}

int memory_write(const struct memory *memory, uint64_t gpa, const void *from, uint32_t len)
{
	while (len) {
		uint64_t there = len;
		uint8_t *bytes = memory_at(memory, gpa, &there, MEMORY_WRITE);

		if (!bytes)
			return -EFAULT;
		memmove(bytes, from, there);
		memory_mark(memory, gpa, there);
		from = (const uint8_t *)from + there;
		gpa += there;
		len -= (uint32_t)there;
	}
	return 0;
}

/*
 * Others mark in it as well, and the front end takes bits out of it, then copies the page. Also a
 * bit that is set is set: the locked instruction is the barrier between the write and what the
 * front end sees of it.
 */
static void mark_in_table(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	uint64_t page, last;

	last = (gpa + len - 1) / MEMORY_LOG_PAGE;
	for (page = gpa / MEMORY_LOG_PAGE; page <= last && page / 8 < memory->log.size; page++)
		__atomic_fetch_or(&memory->log.bytes[page / 8], (uint8_t)(1u << page % 8),
				  __ATOMIC_SEQ_CST);
}

void memory_mark(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	if (!len)
		return;
	if (memory->vas)
		vas_mark(memory->vas, gpa, len);
	if (memory->is_logging)
		mark_in_table(memory, gpa, len);
}
