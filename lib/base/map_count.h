/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A process may have vm.max_map_count maps, and the application needs some of them: libvas, with
 * all its handles, keeps to three quarters, whatever layout a peer makes.
 */
#ifndef VAS_LIB_MAP_COUNT_H
#define VAS_LIB_MAP_COUNT_H

#include <stdint.h>

/* *charged becomes nr, or stays: -ENOMEM. Less than before is never refused. */
int vas_maps_charge(uint64_t *charged, uint64_t nr);

#endif
