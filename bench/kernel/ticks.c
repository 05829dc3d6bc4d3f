// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "ticks.h"

#include <time.h>
#include <x86intrin.h>

double ticks_now(bool ticks)
{
	struct timespec ts;

	if (ticks)
		return (double)__rdtsc();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}
