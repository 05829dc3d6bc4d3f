// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/thread/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <vas/consumer.h>

#define MAX_TRIES 100

static bool is_wanted(const struct vas_region *region)
{
	return !(region->flags & (VAS_REGION_READONLY | VAS_REGION_LOCAL | VAS_REGION_DEVICE));
}

static int map_region(struct pinned_memory *pinned, struct vas *vas,
		      const struct vas_region *region)
{
	struct memory *memory = &pinned->memory;
	struct vas_mapping **mapping = &pinned->mappings[memory->nr];
	int err;

	if (memory->nr == MEMORY_MAX_REGIONS)
		return vas_error_set(-ENOSPC, "a device's memory has at most %u regions",
				     MEMORY_MAX_REGIONS);
	err = vas_mapping_create(vas, region->gpa, region->size, VAS_MAPPING_WRITE, mapping);
	if (err)
		return err;
	memory->regions[memory->nr++] = (struct memory_region){
		.gpa = region->gpa,
		.size = region->size,
		.bytes = vas_mapping_addr(*mapping),
	};
	return 0;
}

static int map_regions(struct pinned_memory *memory, struct vas *vas,
		       const struct vas_region *regions, size_t nr)
{
	size_t i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		if (is_wanted(&regions[i]))
			err = map_region(memory, vas, &regions[i]);
	if (err)
		pinned_memory_unmap(memory);
	return err;
}

static int map_as_it_is(struct pinned_memory *memory, struct vas *vas)
{
	ssize_t nr = vas_regions(vas, NULL, 0);
	struct vas_region *regions;
	ssize_t there;
	int err;

	if (nr < 0)
		return (int)nr;
	regions = calloc((size_t)nr + 1, sizeof(*regions));
	if (!regions)
		return vas_error_set(-ENOMEM, "no memory for %zd regions", nr);
	there = vas_regions(vas, regions, (size_t)nr);
	err = there < 0 ? (int)there :
			  map_regions(memory, vas, regions, (size_t)(there < nr ? there : nr));
	free(regions);
	return err;
}

/* A region that goes while it is to be mapped is no error: what there is then is mapped. */
int pinned_memory_map(struct pinned_memory *memory, struct vas *vas)
{
	uint64_t generation;
	int err, tries = 0;

	do {
		generation = vas_generation(vas);
		err = map_as_it_is(memory, vas);
	} while (err && vas_generation(vas) != generation && ++tries < MAX_TRIES);
	return tries == MAX_TRIES ? -EAGAIN : err;
}

void pinned_memory_unmap(struct pinned_memory *memory)
{
	while (memory->memory.nr)
		vas_mapping_destroy(memory->mappings[--memory->memory.nr]);
}

enum vas_request pinned_memory_request(const struct pinned_memory *memory)
{
	enum vas_request request = VAS_REQUEST_NONE;
	uint32_t i;

	for (i = 0; i < memory->memory.nr && request != VAS_REQUEST_UNMAP; i++) {
		enum vas_request one = vas_mapping_request(memory->mappings[i]);

		if (one != VAS_REQUEST_NONE)
			request = one;
	}
	return request;
}

void pinned_memory_quiesce(struct pinned_memory *memory)
{
	uint32_t i;

	for (i = 0; i < memory->memory.nr; i++)
		vas_mapping_quiesce(memory->mappings[i]); /* one that is not asked says so */
}
