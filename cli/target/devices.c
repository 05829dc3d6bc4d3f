// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/target/devices.h"

#include <stdio.h>

size_t devices_look(struct vas *vas, struct vas_device_info *devices)
{
	ssize_t nr = vas_devices(vas, devices, VAS_MAX_DEVICES);

	return nr < 0 ? 0 : (size_t)nr > VAS_MAX_DEVICES ? VAS_MAX_DEVICES : (size_t)nr;
}

struct vas_device_counters devices_sum(const struct vas_device_info *device)
{
	struct vas_device_counters all = { 0 };

	for (uint32_t i = 0; device && i < device->nr_queues; i++) {
		const struct vas_device_counters *one = &device->queues[i].counters;

		all.taken += one->taken;
		all.answered += one->answered;
		all.errors += one->errors;
		all.kicks += one->kicks;
		all.calls += one->calls;
	}
	return all;
}

uint64_t devices_depth(const struct vas_device_counters *counters)
{
	uint64_t depth = counters->taken - counters->answered;

	return depth <= VAS_DEVICE_MAX_QUEUES * VAS_DEVICE_QUEUE_SIZE ? depth : 0;
}

struct device_kind devices_kind(uint32_t kind)
{
	static const char *const names[] = {
		[1] = "net", [2] = "blk", [3] = "console", [4] = "rng", [19] = "vsock",
	};
	struct device_kind text;

	if (kind < sizeof(names) / sizeof(names[0]) && names[kind])
		snprintf(text.s, sizeof(text.s), "%s", names[kind]);
	else
		snprintf(text.s, sizeof(text.s), "%u", kind);
	return text;
}
