// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/base/clock.h"

#include <time.h>

uint64_t vas_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t vas_deadline_ns(uint64_t timeout_ns)
{
	uint64_t now = vas_now_ns();

	return timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
}
