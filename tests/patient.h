/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * As vas_region_add(), vas_region_remove() and vas_region_resize(), which give others a second to get
 * out of the way: on a busy machine they may take their time.
 */
#ifndef TESTS_PATIENT_H
#define TESTS_PATIENT_H

#include <vas/vas.h>

#include "tests/harness.h"

static inline int patient_end(struct vas_layout *layout, int err)
{
	if (!err)
		return vas_layout_commit(layout, TEST_HANG_NS, NULL);
	vas_layout_abort(layout);
	return err;
}

static inline int patient_add(struct vas *vas, const struct vas_region *region, uint64_t *id)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	return err ? err : patient_end(layout, vas_layout_add(layout, region, id));
}

static inline int patient_remove(struct vas *vas, uint64_t id)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	return err ? err : patient_end(layout, vas_layout_remove(layout, id));
}

static inline int patient_resize(struct vas *vas, uint64_t id, uint64_t size)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	return err ? err : patient_end(layout, vas_layout_resize(layout, id, size));
}

#endif
