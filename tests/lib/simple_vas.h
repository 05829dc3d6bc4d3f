/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A small vas to try one function on. */
#ifndef TESTS_LIB_SIMPLE_VAS_H
#define TESTS_LIB_SIMPLE_VAS_H

#include <vas/access.h>
#include <vas/vas.h>

#include "tests/harness.h"

#define PAGE 4096ull

static inline struct vas *simple_vas(void)
{
	const struct vas_options options = { .limit = 256 * PAGE,
					     .name = "simple",
					     .max_regions = 16 };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	return vas;
}

static inline struct vas_region simple_region(uint64_t page, uint64_t nr)
{
	return (struct vas_region){ .gpa = page * PAGE, .size = nr * PAGE, .offset = page * PAGE };
}

static inline uint64_t simple_add(struct vas *vas, uint64_t page, uint64_t nr)
{
	const struct vas_region region = simple_region(page, nr);
	uint64_t id;

	CHECK_OK(vas_region_add(vas, &region, &id));
	return id;
}

#endif
