// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Who lives. model/slot.pml. */
#include <linux/errno.h>

#include "core/protocol/protocol.h"
#include "core/bytes.h"
#include "core/protocol/entries.h"

/* ---- scans -------------------------------------------------------------------------------- */

void vas_scan_begin(struct vas_scan *scan, struct vas_proto *proto, uint64_t deadline_ns)
{
	scan->proto = proto;
	scan->deadline_ns = deadline_ns ? deadline_ns : ~0ull;
	scan->locks_ns = deadline_ns ? ~0ull : VAS_SCAN_NS;
	scan->room = VAS_SCAN_ROOM;
	scan->entries = 0;
	scan->expired = false;
	vas_scan_forget(scan);
}

void vas_scan_forget(struct vas_scan *scan)
{
	uint32_t i;

	for (i = 0; i < VAS_SCAN_REMEMBER; i++)
		scan->tags[i] = VAS_NO_TAG;
}

bool vas_scan_check(struct vas_scan *scan);

/* Out of line: each 256 entries, and after each look at a lock. */
bool vas_scan_check(struct vas_scan *scan)
{
	vas_work_add(&scan->proto->work.entries, scan->entries);
	scan->entries = 0;
	scan->proto->ops->yield();
	if (!scan->expired && scan->proto->ops->now_ns() >= scan->deadline_ns)
		scan->expired = true;
	return !scan->expired;
}

/* A call of ops on a lock has begun at begun_ns. */
static void spend(struct vas_scan *scan, uint64_t begun_ns)
{
	uint64_t took_ns = scan->proto->ops->now_ns() - begun_ns;

	scan->locks_ns -= took_ns < scan->locks_ns ? took_ns : scan->locks_ns;
	if (!scan->locks_ns)
		scan->expired = true;
}

/* ---- tags --------------------------------------------------------------------------------- */

static uint64_t byte_of(const struct vas_proto *proto, uint32_t index)
{
	return proto->sb->extents[VAS_EXT_BINDERS].offset + index;
}

/* The tag of the present life of an index. */
uint32_t vas_binder_tag(const struct vas_proto *proto, uint32_t index)
{
	uint32_t claims = __atomic_load_n(&proto->binders[index].claims, __ATOMIC_ACQUIRE);

	return claims << VAS_TAG_INDEX_BITS | index;
}

static bool index_is_locked(struct vas_proto *proto, uint32_t index)
{
	vas_work_add(&proto->work.looks, 1);
	return proto->ops->is_locked(proto, byte_of(proto, index));
}

/*
 * The claimer locks, then counts up; so who has seen the count finds the lock, or its holder is
 * dead. One that has the lock and has not counted yet makes the life before it look alive for a
 * moment longer.
 */
static bool look(struct vas_proto *proto, uint32_t tag)
{
	uint32_t index = tag & VAS_TAG_INDEX;

	if (tag == VAS_TAG_IMMORTAL)
		return true;
	if (tag == VAS_NO_TAG || index >= proto->sb->nr_binders)
		return false;
	/* Our own locks are no obstacle to us. */
	if (index == proto->index)
		return tag == proto->tag;
	return vas_binder_tag(proto, index) == tag && index_is_locked(proto, index);
}

bool vas_tag_is_alive(struct vas_scan *scan, uint32_t tag)
{
	uint32_t place = (tag ^ tag >> VAS_TAG_INDEX_BITS) % VAS_SCAN_REMEMBER;
	uint64_t begun_ns, bit = 1ull << place;

	if (tag == VAS_NO_TAG)
		return false;
	if (scan->tags[place] != tag) {
		scan->tags[place] = tag;
		scan->alive &= ~bit;
		begun_ns = scan->proto->ops->now_ns();
		if (look(scan->proto, tag))
			scan->alive |= bit;
		spend(scan, begun_ns);
		vas_scan_check(scan);
	}
	return (scan->alive & bit) != 0;
}

bool vas_tag_about(const struct vas_proto *proto, uint32_t tag, struct vas_binder_about *about)
{
	uint32_t index = tag & VAS_TAG_INDEX;
	const struct vas_binder *binder = &proto->binders[index];

	vas_words_clear(about, sizeof(*about));
	if (index >= proto->sb->nr_binders || vas_binder_tag(proto, index) != tag)
		return false;
	about->pid = __atomic_load_n(&binder->pid, __ATOMIC_RELAXED);
	about->flags = __atomic_load_n(&binder->flags, __ATOMIC_RELAXED);
	vas_bytes_fetch(about->comm, binder->comm, sizeof(about->comm));
	about->comm[sizeof(about->comm) - 1] = '\0';
	vas_bytes_fetch(about->consumers, binder->consumers, sizeof(about->consumers));
	about->consumers[sizeof(about->consumers) - 1] = '\0';
	return true;
}

bool vas_binder_next(struct vas_scan *scan, uint32_t *index, struct vas_binder_about *about)
{
	struct vas_proto *proto = scan->proto;

	for (; *index < proto->sb->nr_binders && vas_scan_step(scan); ++*index) {
		if (!__atomic_load_n(&proto->binders[*index].state, __ATOMIC_RELAXED))
			continue;
		if (vas_tag_is_alive(scan, vas_binder_tag(proto, *index)))
			return vas_tag_about(proto, vas_binder_tag(proto, *index), about);
	}
	return false;
}

/* ---- claim, release ----------------------------------------------------------------------- */

void vas_binder_set_flags(struct vas_proto *proto, uint32_t flags)
{
	__atomic_store_n(&proto->binders[proto->index].flags, flags, __ATOMIC_RELAXED);
}

void vas_binder_set_consumers(struct vas_proto *proto, const char consumers[VAS_CONSUMERS_LEN])
{
	vas_bytes_store(proto->binders[proto->index].consumers, consumers, VAS_CONSUMERS_LEN);
}

/* The index's byte is locked, by us. */
static void begin_life(struct vas_proto *proto, uint32_t index,
		       const struct vas_binder_about *about)
{
	struct vas_binder *binder = &proto->binders[index];
	uint32_t claims = __atomic_load_n(&binder->claims, __ATOMIC_RELAXED) + 1;

	/* Never a count whose tag is 0 or the immortal one. */
	claims &= ~0u >> VAS_TAG_INDEX_BITS;
	if (!claims || claims == ~0u >> VAS_TAG_INDEX_BITS)
		claims = 1;
	__atomic_store_n(&binder->pid, about->pid, __ATOMIC_RELAXED);
	__atomic_store_n(&binder->flags, about->flags, __ATOMIC_RELAXED);
	vas_bytes_store(binder->comm, about->comm, sizeof(binder->comm));
	vas_bytes_store(binder->consumers, about->consumers, sizeof(binder->consumers));
	__atomic_store_n(&binder->claims, claims, __ATOMIC_RELEASE);
	__atomic_store_n(&binder->state, 1, __ATOMIC_RELEASE);
	proto->index = index;
	proto->tag = claims << VAS_TAG_INDEX_BITS | index;
}

/* Whether an index is free is for its lock to say. */
static int try_claim(struct vas_scan *scan, const struct vas_binder_about *about, uint32_t start)
{
	struct vas_proto *proto = scan->proto;
	uint32_t i, nr = proto->sb->nr_binders;

	for (i = 0; i < nr && vas_scan_check(scan); i++) {
		uint32_t index = (uint32_t)(((uint64_t)start + i) % nr);
		uint64_t begun_ns = proto->ops->now_ns();
		int err = proto->ops->lock(proto, byte_of(proto, index));

		spend(scan, begun_ns);
		if (!err)
			begin_life(proto, index, about);
		if (err != -EBUSY)
			return err;
	}
	return -EAGAIN;
}

int vas_binder_claim(struct vas_proto *proto, const struct vas_binder_about *about, uint32_t start)
{
	struct vas_scan scan;
	int err;

	vas_scan_begin(&scan, proto, 0);
	err = try_claim(&scan, about, 0);
	if (err != -EAGAIN || !scan.expired)
		return err;
	vas_scan_begin(&scan, proto, 0);
	return try_claim(&scan, about, start);
}

void vas_binder_release(struct vas_proto *proto)
{
	uint32_t index = proto->index;

	if (index == VAS_NO_ENTRY)
		return;
	/* Entries that still carry the tag are a dead one's, once the lock is gone. */
	__atomic_store_n(&proto->binders[index].state, 0, __ATOMIC_RELEASE);
	proto->index = VAS_NO_ENTRY;
	proto->tag = VAS_NO_TAG;
	proto->ops->unlock(proto, byte_of(proto, index));
}
