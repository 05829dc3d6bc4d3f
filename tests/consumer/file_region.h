/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef TESTS_CONSUMER_FILE_REGION_H
#define TESTS_CONSUMER_FILE_REGION_H

#include <sys/mman.h>
#include <vas/vas.h>

#include "tests/harness.h"

/* A region in a file of its own, where its bytes can be looked at when no region has them. */
static inline struct vas_region file_region(struct vas *vas, uint64_t gpa, uint64_t size,
					    uint8_t **bytes)
{
	struct vas_region region = { .gpa = gpa, .size = size, .name = "more" };
	int backing = vas_backing_create(vas, "more", size, 0);

	CHECK_OK(backing);
	region.backing = (uint32_t)backing;
	*bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      vas_backing_fd(vas, region.backing), 0);
	CHECK(*bytes != MAP_FAILED);
	return region;
}

#endif
