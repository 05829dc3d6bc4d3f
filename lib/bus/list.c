// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What is on the bus, as the owner and providers say. */
#include <errno.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/bus/bus.h"

#define MAX_TRIES 100

static uint64_t offset_of(const struct vas *vas, uint32_t index)
{
	return vas->sb.extents[VAS_EXT_DEVICES].offset + index * VAS_DEVICE_SIZE;
}

static int copy(struct vas *vas, void *to, uint64_t offset, uint64_t size)
{
	return vas->proto.ops->copy(&vas->proto, to, offset, size);
}

int bus_read_told(struct vas *vas, uint32_t index, struct vas_device_told *told)
{
	const uint64_t at = offset_of(vas, index);
	const uint64_t at_told = at + offsetof(struct vas_device_entry, told);
	uint32_t before, after;
	int tries, err;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		err = copy(vas, &before, at, sizeof(before));
		if (!err)
			err = copy(vas, told, at_told + (before & 1) * sizeof(*told),
				   sizeof(*told));
		if (!err)
			err = copy(vas, &after, at, sizeof(after));
		if (err)
			return err;
		if (before == after)
			return vas_device_told_is_valid(told) ? 0 : -ENOENT;
	}
	return -EAGAIN;
}

static void tell_queue(struct vas_device_queue_info *info, const struct vas_device_queue_told *told,
		       const struct vas_device_queue_answer *answer)
{
	*info = (struct vas_device_queue_info){
		.size = told->size,
		.state = answer->state,
		.counters = answer->counters,
	};
}

static void tell_provider(struct vas *vas, struct vas_device_info *info, uint32_t tag)
{
	struct vas_binder_about about;
	struct vas_scan scan;

	vas_scan_begin(&scan, &vas->proto, 0);
	if (!vas_tag_is_alive(&scan, tag) || !vas_tag_about(&vas->proto, tag, &about)) {
		/* Its owner has not seen it yet. */
		if (info->state == VAS_DEVICE_SERVED)
			info->state = VAS_DEVICE_ORPHANED;
		return;
	}
	info->provider_pid = about.pid;
	memcpy(info->provider, about.comm, sizeof(info->provider));
}

static void tell(struct vas *vas, struct vas_device_info *info, const struct vas_device_told *told,
		 const struct vas_device_answer *answer)
{
	uint32_t i;

	*info = (struct vas_device_info){
		.kind = told->kind,
		.state = told->state,
		.grants = told->grant,
		.status = told->status,
		.offered = told->offered,
		.accepted = told->accepted,
		.queue_size = told->queue_size,
		.nr_queues = told->nr_queues,
	};
	memcpy(info->name, told->name, sizeof(info->name));
	tell_provider(vas, info, told->provider);
	for (i = 0; i < told->nr_queues; i++)
		tell_queue(&info->queues[i], &told->queues[i], &answer->queues[i]);
}

ssize_t vas_devices(struct vas *vas, struct vas_device_info *devices, size_t nr)
{
	NO_CANCEL;
	struct vas_device_answer answer;
	struct vas_device_told told;
	size_t found = 0;
	uint32_t i;

	if (!vas_has_devices(&vas->sb))
		return 0;
	for (i = 0; i < vas->sb.nr_devices; i++) {
		if (bus_read_told(vas, i, &told) ||
		    copy(vas, &answer,
			 offset_of(vas, i) + offsetof(struct vas_device_entry, answer),
			 sizeof(answer)))
			continue;
		if (found < nr)
			tell(vas, &devices[found], &told, &answer);
		found++;
	}
	return (ssize_t)found;
}
