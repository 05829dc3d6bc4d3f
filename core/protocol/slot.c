// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Slots. model/slot.pml has who owns one, model/layout.pml what it says.
 *
 * Order, for processors that let a later load or store pass an earlier store: a claimer swaps the
 * tag (release: its record is whole), then stores 0 (release), and only then sections (E1). So who
 * sees a section's generation in the slot sees the tag. An owner that looks at P5 has passed P4,
 * which made every store of before it visible; a thread that comes later has taken the new
 * generation at E3.
 */
#include <linux/errno.h>

#include "core/protocol/entries.h"
#include "core/protocol/protocol.h"

static bool swap_tag(struct vas_slot *slot, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&slot->tag, &from, to, 0, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/*
 * Pairs with L, the release of who leaves: what it did in the section comes before. And with a
 * claimer's: what it counted for the dead one before it comes before its 0.
 */
static uint64_t section_of(const struct vas_slot *slot)
{
	return __atomic_load_n(&slot->generation, __ATOMIC_ACQUIRE);
}

/* What was written in that section, and marked half or not, nobody knows. */
static void lose_marks(struct vas_proto *proto, const struct vas_slot *slot)
{
	if (section_of(slot))
		__atomic_fetch_add(&proto->control->log_incomplete, 1, __ATOMIC_SEQ_CST);
}

static uint32_t claim(struct vas_scan *scan, uint32_t at, uint32_t from, uint32_t tid,
		      uint64_t **word)
{
	struct vas_slot *slot = &scan->proto->slots[at];

	if (!swap_tag(slot, from, scan->proto->tag))
		return VAS_NO_ENTRY;
	__atomic_store_n(&slot->tid, tid, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->generation, 0, __ATOMIC_RELEASE);
	*word = &slot->generation;
	return at;
}

static uint32_t find(struct vas_scan *scan, uint32_t tid, uint64_t **word, bool from_the_dead)
{
	struct vas_proto *proto = scan->proto;
	uint32_t i, nr = proto->sb->nr_slots, found = VAS_NO_ENTRY;

	/* From a place of one's own on: threads that come together do not fight for one slot. */
	for (i = 0; i < nr && found == VAS_NO_ENTRY && vas_scan_step(scan); i++) {
		uint32_t at = (uint32_t)(((uint64_t)tid + i) % nr);
		uint32_t tag = vas_entry_tag(&proto->slots[at].tag);

		if (tag && (!from_the_dead || vas_tag_is_alive(scan, tag)))
			continue;
		if (tag)
			lose_marks(proto, &proto->slots[at]);
		found = claim(scan, at, tag, tid, word);
	}
	return found;
}

uint32_t vas_slot_claim(struct vas_scan *scan, uint32_t tid, uint64_t **word)
{
	uint32_t found = find(scan, tid, word, false);

	return found == VAS_NO_ENTRY ? find(scan, tid, word, true) : found;
}

void vas_slot_release(struct vas_proto *proto, uint32_t at)
{
	struct vas_slot *slot = &proto->slots[at];

	/* A thread that ended in a section, cancelled perhaps in the middle of a mark. */
	if (vas_entry_tag(&slot->tag) != proto->tag)
		return;
	lose_marks(proto, slot);
	__atomic_store_n(&slot->generation, 0, __ATOMIC_RELEASE);
	swap_tag(slot, proto->tag, VAS_NO_TAG);
}

bool vas_slot_is_inside(const struct vas_proto *proto, uint32_t at, uint64_t generation)
{
	const struct vas_slot *slot = &proto->slots[at];
	uint64_t inside = section_of(slot);

	return inside && inside < generation && vas_entry_tag(&slot->tag) != VAS_NO_TAG;
}

bool vas_slot_reap(struct vas_scan *scan, uint32_t at)
{
	struct vas_slot *slot = &scan->proto->slots[at];
	uint32_t tag = vas_entry_tag(&slot->tag);

	vas_scan_forget(scan);
	if (tag == VAS_NO_TAG)
		return true;
	if (vas_tag_is_alive(scan, tag))
		return false;
	/* Whoever sees the slot empty, the owner at P5, sees the count. */
	lose_marks(scan->proto, slot);
	swap_tag(slot, tag, VAS_NO_TAG);
	return true;
}

bool vas_slots_reap(struct vas_scan *scan)
{
	struct vas_proto *proto = scan->proto;
	uint32_t i;

	for (i = 0; i < proto->sb->nr_slots; i++) {
		struct vas_slot *slot = &proto->slots[i];
		uint32_t tag = vas_entry_tag(&slot->tag);

		if (!vas_scan_step(scan))
			return false;
		if (!tag || !section_of(slot) || vas_tag_is_alive(scan, tag))
			continue;
		lose_marks(proto, slot);
		swap_tag(slot, tag, VAS_NO_TAG);
	}
	return true;
}

void vas_slot_about(const struct vas_proto *proto, uint32_t at, uint32_t *tid,
		    struct vas_binder_about *about)
{
	const struct vas_slot *slot = &proto->slots[at];

	*tid = __atomic_load_n(&slot->tid, __ATOMIC_RELAXED);
	vas_tag_about(proto, vas_entry_tag(&slot->tag), about);
}

uint32_t vas_slots_count(struct vas_scan *scan)
{
	const struct vas_proto *proto = scan->proto;
	uint32_t i, nr = 0;

	for (i = 0; i < proto->sb->nr_slots && vas_scan_step(scan); i++) {
		uint32_t tag = vas_entry_tag(&proto->slots[i].tag);

		nr += tag && vas_tag_is_alive(scan, tag);
	}
	return nr;
}
