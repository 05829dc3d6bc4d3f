// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/target/devices.h"
#include "cli/target/name.h"
#include "cli/top/top.h"

#define RETRY 15 /* looks */

static struct top_entry *entry_of(struct top *top, const struct found *found)
{
	struct top_entry *entries;
	size_t i;

	for (i = 0; i < top->nr; i++)
		if (top->entries[i].ino == found->ino && top->entries[i].dev == found->dev)
			return &top->entries[i];
	entries = realloc(top->entries, (top->nr + 1) * sizeof(*entries));
	if (!entries)
		return NULL;
	top->entries = entries;
	entries[top->nr] = (struct top_entry){ .dev = found->dev, .ino = found->ino };
	return &entries[top->nr++];
}

/* Committed epochs of the tracker that a migration is. */
static uint64_t migration_round(struct vas *vas)
{
	struct vas_tracker_info trackers[VAS_MAX_TRACKERS];
	ssize_t i, nr = vas_trackers(vas, trackers, VAS_MAX_TRACKERS);
	uint64_t round = TOP_NONE;

	for (i = 0; i < nr && i < (ssize_t)VAS_MAX_TRACKERS; i++)
		if (!strcmp(trackers[i].name, "migration"))
			round = trackers[i].epochs;
	return round;
}

/* Without memory for them there are none. */
static void look_at_devices(struct vas *vas, struct top_entry *entry)
{
	static struct vas_device_info devices[VAS_MAX_DEVICES];
	size_t nr = devices_look(vas, devices);

	if (!nr)
		return;
	entry->devices = malloc(nr * sizeof(*devices));
	if (!entry->devices)
		return;
	memcpy(entry->devices, devices, nr * sizeof(*devices));
	entry->nr_devices = (uint32_t)nr;
	for (size_t i = 0; i < nr; i++)
		entry->nr_served += devices[i].state == VAS_DEVICE_SERVED;
}

static void forget_devices(struct top_entry *entry)
{
	free(entry->devices);
	entry->devices = NULL;
	entry->nr_devices = entry->nr_served = 0;
}

/* What a scan of the host does not tell. */
static void look_into(struct top_entry *entry, const struct holder *holder)
{
	int fd = holder_open(holder, O_RDONLY);
	struct vas *vas;

	if (fd < 0)
		return;
	if (!vas_bind(fd, VAS_BIND_OBSERVE | VAS_BIND_NO_WINDOW, &vas)) {
		if (entry->info.state_flags & VAS_STATE_TRACKING)
			entry->migration_round = migration_round(vas);
		look_at_devices(vas, entry);
		vas_unbind(vas);
	}
	close(fd);
}

/* An owner that does not answer costs a second: it is left alone for a while then. */
static void count_written(struct top_entry *entry, const struct holder *holder, int tracks)
{
	if (tracks && !entry->track && entry->looked >= entry->retry)
		entry->track = top_track_new(holder);
	if (tracks && entry->track &&
	    !top_track_look(entry->track, &entry->dirty_rate, &entry->working_set))
		return;
	if (entry->looked >= entry->retry)
		entry->retry = tracks ? entry->looked + RETRY : 0;
	top_track_free(entry->track);
	entry->track = NULL;
}

static int is_wanted(const struct top *top, const struct found *found)
{
	char uuid[UUID_TEXT_LEN], reference[32];

	name_format_uuid(found->info.uuid, uuid);
	for (int i = 0; i < top->nr_names; i++) {
		if (!strncmp(found->info.name, top->names[i], VAS_NAME_LEN) ||
		    !strcasecmp(uuid, top->names[i]))
			return 1;
		for (size_t j = 0; j < found->nr_holders; j++) {
			snprintf(reference, sizeof(reference), "%d/%d", found->holders[j].pid,
				 found->holders[j].fd);
			if (!strcmp(reference, top->names[i]))
				return 1;
		}
	}
	return !top->nr_names;
}

static void follow(struct top_entry *entry, const struct found *found, int tracks)
{
	const struct holder *holder = found_holder(found);

	entry->info = found->info;
	entry->pid = holder->pid;
	entry->fd = holder->fd;
	entry->size = found->size;
	entry->resident = found->resident;
	entry->nr_holders = found->nr_holders;
	entry->dirty_rate = entry->working_set = entry->migration_round = TOP_NONE;
	forget_devices(entry);
	look_into(entry, holder);
	count_written(entry, holder, tracks);
}

static void entry_clean(struct top_entry *entry)
{
	top_track_free(entry->track);
	forget_devices(entry);
}

/* A vas that nobody else holds any more is not kept alive by being looked at. */
static void forget_gone(struct top *top)
{
	size_t i, to = 0;

	for (i = 0; i < top->nr; i++) {
		if (top->entries[i].looked == top->looks)
			top->entries[to++] = top->entries[i];
		else
			entry_clean(&top->entries[i]);
	}
	top->nr = to;
}

int top_look(struct top *top)
{
	struct scan scan;
	int err = scan_host(&scan);

	top->looks++;
	for (size_t i = 0; !err && i < scan.nr_found; i++) {
		struct top_entry *entry;

		if (!is_wanted(top, &scan.found[i]))
			continue;
		entry = entry_of(top, &scan.found[i]);
		if (!entry) {
			err = -ENOMEM;
			break;
		}
		entry->looked = top->looks;
		follow(entry, &scan.found[i], top->tracks);
	}
	top->nr_denied = scan.nr_denied;
	scan_clean(&scan);
	if (err)
		return err;
	forget_gone(top);
	top_sort(top);
	return 0;
}

void top_clean(struct top *top)
{
	for (size_t i = 0; i < top->nr; i++)
		entry_clean(&top->entries[i]);
	free(top->entries);
	top->entries = NULL;
	top->nr = 0;
}

/* ---- sorting ------------------------------------------------------------------------------ */

const char *top_order_name(enum top_order order)
{
	static const char *const names[] = { "resident", "dirty", "working-set", "size", "name" };

	return names[order];
}

static uint64_t key_of(const struct top_entry *entry, enum top_order order)
{
	const uint64_t keys[] = { entry->resident, entry->dirty_rate, entry->working_set,
				  entry->size, 0 };

	return keys[order] == TOP_NONE ? 0 : keys[order];
}

/* The most first; what is alike by name and then by file, so that rows do not dance. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct top_entry *x = a, *y = b;
	const struct top *top = arg;
	uint64_t p = key_of(x, top->order), q = key_of(y, top->order);
	int sign = top->reversed ? -1 : 1, order;

	if (p != q)
		return p > q ? -sign : sign;
	order = strncmp(x->info.name, y->info.name, sizeof(x->info.name));
	if (!order)
		order = x->ino < y->ino ? -1 : x->ino > y->ino;
	return top->order == TOP_BY_NAME ? sign * order : order;
}

void top_sort(struct top *top)
{
	if (top->nr)
		qsort_r(top->entries, top->nr, sizeof(*top->entries), compare, top);
}
