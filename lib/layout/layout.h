/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A layout that is being put together; vas->change is held from its begin to its end. */
#ifndef VAS_LIB_LAYOUT_H
#define VAS_LIB_LAYOUT_H

#include "lib/handle/handle.h"

/* lib/layout/alias.h; room 0: not made yet. */
struct alias_list {
	struct vas_region *regions;
	uint32_t nr;
	uint32_t room;
};

struct vas_layout {
	struct vas *vas;
	struct vas_region *regions; /* sorted by gpa */
	uint32_t nr;
	uint32_t room;
	struct alias_list listed;
	uint64_t next_id;
};

/* The first region that ends after gpa: where one at gpa goes. */
uint32_t vas_layout_place(const struct vas_layout *layout, uint64_t gpa);

#endif
