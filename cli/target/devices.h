/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The devices on a vas's bus, as 'vas bus' and 'vas metrics' tell of them. */
#ifndef CLI_DEVICES_H
#define CLI_DEVICES_H

#include <vas/device.h>

/* All of them, into room for VAS_MAX_DEVICES; how many. */
size_t devices_look(struct vas *vas, struct vas_device_info *devices);

/* Of all queues; device may be NULL. */
struct vas_device_counters devices_sum(const struct vas_device_info *device);

/*
 * Requests that were taken and not answered. What processes write there may be anything: a depth
 * that queues cannot hold is 0.
 */
uint64_t devices_depth(const struct vas_device_counters *counters);

/* "blk", or a number for what has no name here. */
struct device_kind {
	char s[12];
};

struct device_kind devices_kind(uint32_t kind);

#endif
