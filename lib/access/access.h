/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Access when something is not plain: a failing page, an observer, a range over many borders. */
#ifndef VAS_LIB_ACCESS_H
#define VAS_LIB_ACCESS_H

#include "lib/access/view.h"

/* Why an access to gpa cannot be: in a section. */
int vas_access_error(const struct view *view, enum vas_role role, uint64_t gpa, uint32_t prot);

#endif
