/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The presence map: one byte a granule of gpa, counted up by each fill in which all of the granule
 * is in the map with the wanted flags. 0 means "ask the map", so the granule may be coarse. Bytes
 * and not bits: two instructions less in each translation.
 */
#ifndef VAS_CORE_PRESENCE_H
#define VAS_CORE_PRESENCE_H

#include "core/map.h"

/* It is no larger than this: past it, granules are coarser than the region borders. */
#define VAS_PRESENCE_MAX_BYTES (4ull << 20)

/*
 * log2 of the granule for a map below limit: as fine as the borders need, as coarse as they allow.
 */
uint32_t vas_presence_shift(const struct vas_region_map *map, uint64_t limit);

/* Granules in limit at that shift. */
uint64_t vas_presence_granules(uint64_t limit, uint32_t shift);

/* Count up the bytes of all granules of which each byte is in entries that have all of flags. */
void vas_presence_fill(const struct vas_region_map *map, uint32_t flags, uint32_t shift,
		       uint8_t *granules);

#endif
