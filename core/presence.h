/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The presence bitmap: one bit a granule of gpa, set if all of the granule is in the map with the
 * wanted flags and at window + gpa. A clear bit means "ask the map", so the granule may be coarse.
 */
#ifndef VAS_CORE_PRESENCE_H
#define VAS_CORE_PRESENCE_H

#include "core/map.h"

/* Bitmaps are no larger than this: past it, granules are coarser than the region borders. */
#define VAS_PRESENCE_MAX_BYTES (4ull << 20)

/* log2 of the granule for a map below limit: as fine as the borders need, as coarse as they allow. */
uint32_t vas_presence_shift(const struct vas_map *map, uint64_t limit);

/* Words that a bitmap for limit needs at that shift. */
uint64_t vas_presence_words(uint64_t limit, uint32_t shift);

/* Set the bits of all granules of which each byte is in entries that have all of flags. */
void vas_presence_fill(const struct vas_map *map, uint32_t flags, uint32_t shift, uint64_t *words);

#endif
