// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Devices as bytes, and back: for each a struct saved, then what is in flight of each queue that
 * the driver has made, VAS_DEVICE_INFLIGHT_SIZE bytes. It is what an owner that died has left: the
 * next one adds the device again, and whoever offers goes on where it stood.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/bus/bus.h"
#include "lib/handle/file.h"
#include "lib/handle/lock.h"

struct saved {
	struct vas_device_told told;
	struct vas_device_answer answer;
};

static uint32_t nr_kept(const struct vas_device_told *told)
{
	uint32_t i, nr = 0;

	for (i = 0; i < told->nr_queues; i++)
		nr += !!(told->queues[i].flags & VAS_DEVICE_QUEUE_KEPT);
	return nr;
}

static size_t size_of(const struct vas_device_told *told)
{
	return sizeof(struct saved) + nr_kept(told) * (size_t)VAS_DEVICE_INFLIGHT_SIZE;
}

/* ---- saving ------------------------------------------------------------------------------- */

static int copy(struct vas *vas, void *to, uint32_t index, uint64_t offset, uint64_t size)
{
	return vas->proto.ops->copy(
		&vas->proto, to,
		vas->sb.extents[VAS_EXT_DEVICES].offset + index * VAS_DEVICE_SIZE + offset, size);
}

/* Of a provider that is gone only what its successor goes on with is of interest. */
static void forget_provider(struct vas_device_answer *answer)
{
	uint32_t i;

	answer->answered = answer->unmapped = 0;
	answer->released = answer->sections = 0;
	for (i = 0; i < VAS_DEVICE_MAX_QUEUES; i++)
		answer->queues[i].section = 0;
}

/* As if its owner and its provider were gone. */
static void leave(struct saved *saved)
{
	struct vas_device_told *told = &saved->told;
	uint32_t i;

	told->provider = VAS_NO_TAG;
	if (told->state == VAS_DEVICE_SERVED)
		told->state = VAS_DEVICE_ORPHANED;
	for (i = 0; i < told->nr_queues; i++)
		told->queues[i].flags = told->queues[i].flags ? VAS_DEVICE_QUEUE_KEPT : 0;
	forget_provider(&saved->answer);
}

static int save_queues(struct vas *vas, uint32_t index, const struct vas_device_told *told,
		       uint8_t *to)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < told->nr_queues && !err; i++) {
		if (!(told->queues[i].flags & VAS_DEVICE_QUEUE_KEPT))
			continue;
		err = copy(vas, to, index, offsetof(struct vas_device_entry, inflight[i]),
			   VAS_DEVICE_INFLIGHT_SIZE);
		to += VAS_DEVICE_INFLIGHT_SIZE;
	}
	return err;
}

/* 0, also if there is none there. */
static int save(struct vas *vas, uint32_t index, uint8_t **bytes, size_t *size)
{
	struct saved saved;
	uint8_t *more;
	int err = bus_read_told(vas, index, &saved.told);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = copy(vas, &saved.answer, index, offsetof(struct vas_device_entry, answer),
		   sizeof(saved.answer));
	if (err)
		return err;
	leave(&saved);
	more = realloc(*bytes, *size + size_of(&saved.told));
	if (!more)
		return -ENOMEM;
	*bytes = more;
	more += *size;
	*size += size_of(&saved.told);
	memcpy(more, &saved, sizeof(saved));
	return save_queues(vas, index, &saved.told, more + sizeof(saved));
}

int vas_devices_save(struct vas *vas, void **out, size_t *size)
{
	NO_CANCEL;
	uint8_t *bytes = NULL;
	uint32_t i, nr = vas_has_devices(&vas->sb) ? vas->sb.nr_devices : 0;
	int err = 0;

	*size = 0;
	for (i = 0; i < nr && !err; i++)
		err = save(vas, i, &bytes, size);
	if (err) {
		free(bytes);
		*size = 0;
		return vas_error_set(err, "the devices on the bus cannot be saved: %s",
				     strerror(-err));
	}
	*out = bytes;
	return 0;
}

/* ---- loading ------------------------------------------------------------------------------ */

static bool is_sound(const struct vas_device_told *told)
{
	uint32_t i;

	if (!vas_device_told_is_valid(told) || told->provider != VAS_NO_TAG ||
	    told->state == VAS_DEVICE_SERVED)
		return false;
	for (i = 0; i < told->nr_queues; i++)
		if (told->queues[i].flags & ~VAS_DEVICE_QUEUE_KEPT)
			return false;
	return true;
}

/* All of it, before anything is written: how many. */
static int check(const uint8_t *bytes, size_t size, uint32_t max)
{
	char names[VAS_MAX_DEVICES][VAS_REGION_NAME_LEN];
	struct saved saved;
	uint32_t i, nr = 0;

	for (; size; nr++) {
		if (nr == max || size < sizeof(saved))
			return -EPROTO;
		memcpy(&saved, bytes, sizeof(saved));
		if (!is_sound(&saved.told) || size < size_of(&saved.told))
			return -EPROTO;
		for (i = 0; i < nr; i++)
			if (!strcmp(names[i], saved.told.name))
				return -EPROTO;
		strcpy(names[nr], saved.told.name);
		bytes += size_of(&saved.told);
		size -= size_of(&saved.told);
	}
	return (int)nr;
}

static int allocate(struct vas *vas, uint32_t index, uint64_t offset, uint64_t size)
{
	return vas_file_allocate(
		vas->fd, vas->sb.extents[VAS_EXT_DEVICES].offset + index * VAS_DEVICE_SIZE + offset,
		size);
}

static int load(struct vas *vas, uint32_t index, const uint8_t *bytes)
{
	struct vas_device_entry *entry = bus_entry(vas, index);
	struct saved saved;
	int err = allocate(vas, index, 0, offsetof(struct vas_device_entry, inflight));
	uint32_t i;

	memcpy(&saved, bytes, sizeof(saved));
	bytes += sizeof(saved);
	for (i = 0; i < saved.told.nr_queues && !err; i++) {
		if (!(saved.told.queues[i].flags & VAS_DEVICE_QUEUE_KEPT))
			continue;
		err = allocate(vas, index, offsetof(struct vas_device_entry, inflight[i]),
			       VAS_DEVICE_INFLIGHT_SIZE);
		if (!err)
			memcpy(entry->inflight[i], bytes, VAS_DEVICE_INFLIGHT_SIZE);
		bytes += VAS_DEVICE_INFLIGHT_SIZE;
	}
	if (err)
		return err;
	forget_provider(&saved.answer);
	entry->answer = saved.answer;
	vas_device_publish(entry, &saved.told);
	return 0;
}

static bool has_devices(struct vas *vas)
{
	struct vas_device_told told;
	uint32_t i;

	for (i = 0; i < vas->sb.nr_devices; i++)
		if (bus_read_told(vas, i, &told) != -ENOENT)
			return true;
	return false;
}

int vas_devices_load(struct vas *vas, const void *bytes, size_t size)
{
	NO_CANCEL;
	int err = vas_owner_check(vas, "has devices on its bus"), i, nr;
	const uint8_t *at = bytes;
	struct saved saved;

	if (!err && size)
		err = bus_check(vas);
	if (err || !size)
		return err;
	if (has_devices(vas))
		return vas_error_set(-EEXIST, "there are devices on the bus already");
	nr = check(bytes, size, vas->sb.nr_devices);
	if (nr < 0)
		return vas_error_set(nr, "devices that make no sense");
	for (i = 0; i < nr && !err; i++) {
		err = load(vas, (uint32_t)i, at);
		memcpy(&saved, at, sizeof(saved));
		at += size_of(&saved.told);
	}
	return err ? vas_error_set(err, "no memory for devices on the bus") : 0;
}
