/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Time as everything that waits counts it: nanoseconds on CLOCK_MONOTONIC. */
#ifndef VAS_LIB_CLOCK_H
#define VAS_LIB_CLOCK_H

#include <stdint.h>

uint64_t vas_now_ns(void);

/* The point in time `timeout_ns` from now, saturating. */
uint64_t vas_deadline_ns(uint64_t timeout_ns);

#endif
