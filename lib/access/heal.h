/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pages that failed, for those who copied: C2 and C3 of lib/handle/sigbus.h. */
#ifndef VAS_LIB_HEAL_H
#define VAS_LIB_HEAL_H

#include <stdbool.h>

#include "lib/handle/handle.h"

/* So many of those noted are mapped again. Of those since then: is one in [hva, hva + len)? */
uint64_t vas_fault_mended(const struct vas *vas);
bool vas_fault_since(const struct vas *vas, uint64_t count, uintptr_t hva, size_t len);

/*
 * Is one of those in [hva, hva + len) that have failed since no thread was in a section? What was
 * stored there in a section that is still open is lost.
 */
bool vas_fault_in_sections(const struct vas *vas, uintptr_t hva, size_t len);

/*
 * Map the true pages again where zeros are, so that the next access finds out anew. Not in a
 * section. -EIO: it cannot be done now.
 */
int vas_fault_heal(struct vas *vas);

#endif
