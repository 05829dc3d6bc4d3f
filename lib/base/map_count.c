// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/base/map_count.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/error.h"

#define DEFAULT_LIMIT 65530u
#define SMALL	      1024u /* so many are always there: no need to ask */

static uint64_t total; /* atomic */

static uint64_t most(void)
{
	int saved_errno = errno;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long long limit = DEFAULT_LIMIT;

	if (file) {
		if (fscanf(file, "%llu", &limit) != 1)
			limit = DEFAULT_LIMIT;
		fclose(file);
	}
	errno = saved_errno;
	return limit / 4 * 3;
}

int vas_maps_charge(uint64_t *charged, uint64_t nr)
{
	uint64_t others = __atomic_fetch_sub(&total, *charged, __ATOMIC_RELAXED) - *charged;

	if (nr > *charged && others + nr > SMALL && others + nr > most()) {
		__atomic_fetch_add(&total, *charged, __ATOMIC_RELAXED);
		return vas_error_set(
			-ENOMEM,
			"%llu maps for this layout and %llu others are more than three "
			"quarters of what vm.max_map_count lets a process have",
			(unsigned long long)nr, (unsigned long long)others);
	}
	__atomic_fetch_add(&total, nr, __ATOMIC_RELAXED);
	*charged = nr;
	return 0;
}
