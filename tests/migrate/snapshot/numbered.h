/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vas in which each page says where it is. */
#ifndef TESTS_MIGRATE_SNAPSHOT_NUMBERED_H
#define TESTS_MIGRATE_SNAPSHOT_NUMBERED_H

#include "tests/migrate/snapshot/saved.h"

/* Every page begins with a word that tells where it is; every other MiB is zero. Saved as "full". */
static inline struct vas *numbered_vas(void)
{
	struct vas *vas = shadow_vas(SIZE);

	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE)
		if (!(gpa >> 20 & 1))
			CHECK_OK(vas_write(vas, gpa, &(uint64_t){ gpa + 1 }, 8, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	return vas;
}

static inline uint64_t wanted_at(uint64_t gpa)
{
	return gpa >> 20 & 1 ? 0 : gpa + 1;
}

#endif
