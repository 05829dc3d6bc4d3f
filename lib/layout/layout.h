/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A layout that is being put together; vas->change is held from its begin to its end. */
#ifndef VAS_LIB_LAYOUT_H
#define VAS_LIB_LAYOUT_H

#include "lib/handle/handle.h"

struct vas_layout {
	struct vas *vas;
	struct vas_region *regions; /* sorted by gpa */
	uint32_t nr;
	uint32_t room;
	uint64_t next_id;
};

#endif
