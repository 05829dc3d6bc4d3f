// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Trackers' entries, and the drain lock. model/dirty.pml, H0. */
#include <linux/errno.h>

#include "core/bytes.h"
#include "core/protocol/entries.h"
#include "core/protocol/protocol.h"

static bool swap(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

uint32_t vas_tracker_claim(struct vas_scan *scan, uint32_t mine)
{
	struct vas_proto *proto = scan->proto;
	uint32_t i;

	for (i = 0; i < proto->sb->nr_trackers; i++) {
		uint32_t tag = vas_entry_tag(&proto->trackers[i].tag);

		if (tag && vas_tag_is_alive(scan, tag))
			continue;
		if (!swap(&proto->trackers[i].tag, tag, mine))
			continue;
		__atomic_store_n(&proto->trackers[i].state, 0, __ATOMIC_RELEASE);
		return i;
	}
	return VAS_NO_ENTRY;
}

void vas_tracker_start(struct vas_proto *proto, uint32_t i, const char *name)
{
	struct vas_tracker_entry *entry = &proto->trackers[i];
	char whole[VAS_REGION_NAME_LEN] = "";
	uint32_t n;

	for (n = 0; n < sizeof(whole) - 1 && name[n]; n++)
		whole[n] = name[n];
	vas_bytes_store(entry->name, whole, sizeof(whole));
	__atomic_store_n(&entry->epoch, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->state, 1, __ATOMIC_RELEASE);
}

void vas_tracker_stop(struct vas_proto *proto, uint32_t i)
{
	__atomic_store_n(&proto->trackers[i].state, 0, __ATOMIC_RELEASE);
}

void vas_tracker_release(struct vas_proto *proto, uint32_t i, uint32_t mine)
{
	swap(&proto->trackers[i].tag, mine, VAS_NO_TAG);
}

void vas_tracker_count_epoch(struct vas_proto *proto, uint32_t i)
{
	__atomic_fetch_add(&proto->trackers[i].epoch, 1, __ATOMIC_RELAXED);
}

bool vas_tracker_is_in_use(const struct vas_proto *proto, uint32_t i)
{
	const struct vas_tracker_entry *entry = &proto->trackers[i];

	return __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) && vas_entry_tag(&entry->tag);
}

bool vas_tracker_is_alive(struct vas_scan *scan, uint32_t i)
{
	uint32_t tag = vas_entry_tag(&scan->proto->trackers[i].tag);

	return vas_tracker_is_in_use(scan->proto, i) && tag != VAS_TAG_IMMORTAL &&
	       vas_tag_is_alive(scan, tag);
}

bool vas_tracker_about(struct vas_scan *scan, uint32_t i, struct vas_tracker_about *about)
{
	struct vas_proto *proto = scan->proto;
	struct vas_tracker_entry entry;
	uint64_t at = proto->sb->extents[VAS_EXT_TRACKERS].offset + i * sizeof(entry);

	if (proto->ops->copy(proto, &entry, at, sizeof(entry)) || !entry.state ||
	    entry.tag == VAS_TAG_IMMORTAL || !vas_tag_is_alive(scan, entry.tag))
		return false;
	vas_bytes_fetch(about->name, entry.name, sizeof(about->name));
	about->name[sizeof(about->name) - 1] = '\0';
	about->epoch = entry.epoch;
	about->tag = entry.tag;
	return true;
}

/*
 * H0. The word is the lock: whoever swaps it from 0, or from a dead one's tag. A tag that is dead
 * never lives again, so a swap that comes late cannot take it from somebody.
 */
int vas_drain_trylock(struct vas_scan *scan)
{
	uint32_t *word = &scan->proto->control->draining;
	uint32_t tag = __atomic_load_n(word, __ATOMIC_ACQUIRE);

	vas_scan_forget(scan);
	if (tag && vas_tag_is_alive(scan, tag))
		return -EBUSY;
	if (!swap(word, tag, scan->proto->tag))
		return -EBUSY;
	return tag != VAS_NO_TAG;
}

void vas_drain_release(struct vas_proto *proto)
{
	uint32_t *word = &proto->control->draining;

	if (__atomic_load_n(word, __ATOMIC_RELAXED) == proto->tag)
		__atomic_store_n(word, VAS_NO_TAG, __ATOMIC_RELEASE);
}
