/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which region has which bytes of a backing: no byte has two, unless one of them says
 * VAS_REGION_ALIAS. Most layouts have offset = gpa almost everywhere, and two such regions share
 * bytes only if they overlap. So only the others are listed, sorted by backing and offset, and a
 * check is two binary searches.
 */
#ifndef VAS_LIB_ALIAS_H
#define VAS_LIB_ALIAS_H

#include "lib/layout/layout.h"

/* Whether the region may come in, and room for vas_alias_put(). -EEXIST, -ENOMEM. */
int vas_alias_check(struct vas_layout *layout, const struct vas_region *region);

/* The region comes in, or goes. Coming back needs no room. */
void vas_alias_put(struct vas_layout *layout, const struct vas_region *region);
void vas_alias_take_out(struct vas_layout *layout, const struct vas_region *region);

#endif
