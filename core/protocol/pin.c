// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Pins. model/pin.pml.
 *
 * Order: the fields of a pin are written before its state becomes HELD (release), and whoever looks
 * reads the state first (acquire). A pin that was just taken from the dead shows its old state and
 * range for a moment; who asks it then asks in vain, and asks again in the next round. A holder
 * does what it did to the range before it stores FREE, or swaps to QUIESCED (release).
 */
#include <linux/errno.h>

#include "core/protocol/entries.h"
#include "core/protocol/protocol.h"

#define MAX_TRIES 100

/*
 * The pins that may be in use are below it. It is the next power of two, so that a claimer
 * announces itself with one or, before it claims.
 */
static uint32_t pins_end(const struct vas_proto *proto)
{
	uint32_t claimed = __atomic_load_n(&proto->control->pins_claimed, __ATOMIC_SEQ_CST);
	uint64_t end = claimed ? 2ull << (31 - __builtin_clz(claimed)) : 1;

	return end < proto->sb->nr_pins ? (uint32_t)end : proto->sb->nr_pins;
}

/* One pin, fetched once: its state; VAS_PIN_FREE if there is none, or it makes no sense. */
static uint32_t fetch(const struct vas_proto *proto, uint32_t i, struct vas_pin_about *about,
		      uint32_t *tag)
{
	const struct vas_pin *pin = &proto->pins[i];
	uint32_t state = __atomic_load_n(&pin->state, __ATOMIC_ACQUIRE);

	if (state == VAS_PIN_FREE)
		return VAS_PIN_FREE;
	*tag = vas_entry_tag(&pin->tag);
	about->gpa = __atomic_load_n(&pin->gpa, __ATOMIC_RELAXED);
	about->size = __atomic_load_n(&pin->size, __ATOMIC_RELAXED);
	about->generation = __atomic_load_n(&pin->generation, __ATOMIC_RELAXED);
	about->flags = __atomic_load_n(&pin->flags, __ATOMIC_RELAXED);
	about->tid = __atomic_load_n(&pin->tid, __ATOMIC_RELAXED);
	return *tag && vas_range_fits(about->gpa, about->size, proto->sb->limit) ? state :
										   VAS_PIN_FREE;
}

static void lose_marks(struct vas_proto *proto)
{
	__atomic_fetch_add(&proto->control->log_incomplete, 1, __ATOMIC_SEQ_CST);
}

/*
 * A writable map counts as dirty until it is gone, the death of its holder included. What a pin
 * says is anybody's word, so a scan marks only so much one by one; beyond that, all that was ever
 * touched is dirty.
 */
static void mark_dead(struct vas_scan *scan, const struct vas_pin_about *about)
{
	struct vas_proto *proto = scan->proto;

	if (!(about->flags & VAS_PIN_WRITABLE))
		return;
	if (about->size > scan->room) {
		lose_marks(proto);
		return;
	}
	scan->room -= about->size;
	vas_work_add(&proto->work.marked, about->size);
	if (proto->ops->mark(proto, about->gpa, about->size))
		lose_marks(proto);
}

/* The marks come before the tag goes. The state stays: whoever claims the pin sets it. */
static void reap(struct vas_scan *scan, uint32_t i, const struct vas_pin_about *about, uint32_t tag)
{
	mark_dead(scan, about);
	__atomic_compare_exchange_n(&scan->proto->pins[i].tag, &tag, VAS_NO_TAG, 0,
				    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* ---- its holder --------------------------------------------------------------------------- */

static void fill(struct vas_pin *pin, const struct vas_pin_about *about)
{
	__atomic_store_n(&pin->state, VAS_PIN_FREE, __ATOMIC_RELEASE);
	__atomic_store_n(&pin->gpa, about->gpa, __ATOMIC_RELAXED);
	__atomic_store_n(&pin->size, about->size, __ATOMIC_RELAXED);
	__atomic_store_n(&pin->generation, about->generation, __ATOMIC_RELAXED);
	__atomic_store_n(&pin->flags, about->flags, __ATOMIC_RELAXED);
	__atomic_store_n(&pin->tid, about->tid, __ATOMIC_RELAXED);
	__atomic_store_n(&pin->state, VAS_PIN_HELD, __ATOMIC_RELEASE);
}

static bool claim(struct vas_scan *scan, uint32_t i, bool from_the_dead)
{
	struct vas_proto *proto = scan->proto;
	uint32_t tag = vas_entry_tag(&proto->pins[i].tag), other;
	struct vas_pin_about about;

	if (tag && (!from_the_dead || vas_tag_is_alive(scan, tag)))
		return false;
	if (tag && fetch(proto, i, &about, &other) != VAS_PIN_FREE && other == tag)
		mark_dead(scan, &about);
	/* Before the claim: who scans up to there meanwhile sees the pin, or comes before it. */
	__atomic_fetch_or(&proto->control->pins_claimed, i, __ATOMIC_SEQ_CST);
	return __atomic_compare_exchange_n(&proto->pins[i].tag, &tag, proto->tag, 0,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static uint32_t find(struct vas_scan *scan, bool from_the_dead)
{
	uint32_t i;

	for (i = 0; i < scan->proto->sb->nr_pins && vas_scan_step(scan); i++)
		if (claim(scan, i, from_the_dead))
			return i;
	return VAS_NO_ENTRY;
}

uint32_t vas_pin_claim(struct vas_scan *scan, const struct vas_pin_about *about)
{
	uint32_t found = find(scan, false);

	if (found == VAS_NO_ENTRY)
		found = find(scan, true);
	if (found != VAS_NO_ENTRY)
		fill(&scan->proto->pins[found], about);
	return found;
}

void vas_pin_set_generation(struct vas_proto *proto, uint32_t i, uint64_t generation)
{
	__atomic_store_n(&proto->pins[i].generation, generation, __ATOMIC_RELAXED);
}

void vas_pin_release(struct vas_proto *proto, uint32_t i)
{
	struct vas_pin *pin = &proto->pins[i];
	uint32_t tag = proto->tag;

	/* Others may have written there: what is not ours any more is left alone. */
	if (vas_entry_tag(&pin->tag) != tag)
		return;
	__atomic_store_n(&pin->generation, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&pin->state, VAS_PIN_FREE, __ATOMIC_RELEASE);
	__atomic_compare_exchange_n(&pin->tag, &tag, VAS_NO_TAG, 0, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED);
}

uint32_t vas_pin_state(const struct vas_proto *proto, uint32_t i)
{
	return __atomic_load_n(&proto->pins[i].state, __ATOMIC_ACQUIRE);
}

bool vas_pin_answer(struct vas_proto *proto, uint32_t i)
{
	uint32_t state = VAS_PIN_QUIESCE;

	return __atomic_compare_exchange_n(&proto->pins[i].state, &state, VAS_PIN_QUIESCED, 0,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
	       state == VAS_PIN_QUIESCED;
}

bool vas_pins_are_requested(struct vas_scan *scan)
{
	struct vas_proto *proto = scan->proto;
	uint32_t i, end = proto->tag == VAS_NO_TAG ? 0 : pins_end(proto);

	for (i = 0; i < end && vas_scan_step(scan); i++) {
		uint32_t state = vas_pin_state(proto, i);

		if ((state == VAS_PIN_INVALIDATE || state == VAS_PIN_QUIESCE) &&
		    vas_entry_tag(&proto->pins[i].tag) == proto->tag)
			return true;
	}
	return false;
}

/* ---- those who ask ------------------------------------------------------------------------ */

/* The state that tells the holder; VAS_PIN_FREE if it has complied already or is none of this. */
static uint32_t state_for(uint32_t flags, uint32_t state, enum vas_pin_request request)
{
	switch (request) {
	case VAS_PINS_INVALIDATE:
		return VAS_PIN_INVALIDATE;
	case VAS_PINS_QUIESCE:
		if (!(flags & VAS_PIN_WRITABLE) || state == VAS_PIN_QUIESCED)
			return VAS_PIN_FREE;
		return VAS_PIN_QUIESCE;
	default:
		return VAS_PIN_HELD;
	}
}

/*
 * True if it was changed. A holder that changes it meanwhile is looked at in the next round; but
 * after a request is taken back there is none. A holder that has just answered would wait for a
 * thaw that was, so that is tried until it reads HELD or FREE; not for ever, as a hostile holder
 * may keep changing it. model/pin.pml, keep_pins().
 */
static bool set_state(struct vas_pin *pin, uint32_t state, uint32_t wanted)
{
	uint32_t tries = wanted == VAS_PIN_HELD ? MAX_TRIES : 1;

	while (state != wanted && state != VAS_PIN_FREE && tries--)
		if (__atomic_compare_exchange_n(&pin->state, &state, wanted, 0, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/*
 * Between the look and the swap the pin may have become another holder's, of a range that is none
 * of the set's: the request is taken back. True: it stands, or has been complied with already.
 */
static bool request_stands(struct vas_proto *proto, uint32_t i, const struct vas_pin_set *set,
			   uint32_t wanted)
{
	struct vas_pin_about about;
	uint32_t tag;

	if (wanted == VAS_PIN_HELD || fetch(proto, i, &about, &tag) == VAS_PIN_FREE ||
	    set->hits(set, &about))
		return true;
	__atomic_compare_exchange_n(&proto->pins[i].state, &wanted, VAS_PIN_HELD, 0,
				    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	return false;
}

/* Told, if its state has changed; 1 if it has not complied. */
static uint32_t request_one(struct vas_proto *proto, uint32_t i, const struct vas_pin_set *set,
			    uint32_t state, uint32_t wanted, uint32_t *told)
{
	bool is_changed = set_state(&proto->pins[i], state, wanted);

	*told += is_changed;
	return !is_changed || request_stands(proto, i, set, wanted);
}

static void report(const struct vas_proto *proto, const struct vas_pin_about *about, uint32_t tag,
		   struct vas_pin_blocker *blocker)
{
	blocker->pin = *about;
	vas_tag_about(proto, tag, &blocker->holder);
}

uint32_t vas_pins_request(struct vas_scan *scan, const struct vas_pin_set *set,
			  enum vas_pin_request request, uint32_t *told,
			  struct vas_pin_blocker *blocker)
{
	struct vas_proto *proto = scan->proto;
	uint32_t i, end = pins_end(proto), nr = 0;

	*told = 0;
	for (i = 0; i < end && vas_scan_step(scan); i++) {
		struct vas_pin_about about;
		uint32_t tag, state = fetch(proto, i, &about, &tag), wanted;

		if (state == VAS_PIN_FREE || !set->hits(set, &about))
			continue;
		wanted = state_for(about.flags, state, request);
		if (wanted == VAS_PIN_FREE)
			continue;
		if (request != VAS_PINS_KEEP && !vas_tag_is_alive(scan, tag)) {
			reap(scan, i, &about, tag);
			continue;
		}
		if (request_one(proto, i, set, state, wanted, told) && !nr++ && blocker)
			report(proto, &about, tag, blocker);
	}
	return nr + (i < end);
}

bool vas_pins_reap(struct vas_scan *scan)
{
	uint32_t i, end = pins_end(scan->proto);
	struct vas_pin_about about;
	uint32_t tag;

	for (i = 0; i < end; i++) {
		if (!vas_scan_step(scan))
			return false;
		if (fetch(scan->proto, i, &about, &tag) != VAS_PIN_FREE &&
		    !vas_tag_is_alive(scan, tag))
			reap(scan, i, &about, tag);
	}
	return true;
}

/* A pin that each epoch has to mark; a dead holder's is marked once and for all here. */
static bool is_always_dirty(struct vas_scan *scan, uint32_t i, struct vas_pin_about *about)
{
	uint32_t tag;

	if (fetch(scan->proto, i, about, &tag) == VAS_PIN_FREE ||
	    (about->flags & (VAS_PIN_WRITABLE | VAS_PIN_MARKS)) != VAS_PIN_WRITABLE)
		return false;
	if (vas_tag_is_alive(scan, tag))
		return true;
	reap(scan, i, about, tag);
	return false;
}

bool vas_pins_are_dirty(struct vas_scan *scan)
{
	uint32_t i, end = pins_end(scan->proto);
	struct vas_pin_about about;

	for (i = 0; i < end; i++)
		if (!vas_scan_step(scan) || is_always_dirty(scan, i, &about))
			return true;
	return false;
}

bool vas_pins_mark(struct vas_scan *scan, const struct vas_log *log)
{
	uint32_t i, end = pins_end(scan->proto);
	struct vas_pin_about about;

	for (i = 0; i < end; i++) {
		if (!vas_scan_step(scan))
			return false;
		if (!is_always_dirty(scan, i, &about))
			continue;
		if (about.size > scan->room)
			return false;
		scan->room -= about.size;
		/* All levels, whatever is set: who marked before may have died. */
		vas_log_mark_again(log, about.gpa, about.size);
	}
	return true;
}

uint32_t vas_pins_count(struct vas_scan *scan)
{
	const struct vas_proto *proto = scan->proto;
	uint32_t i, end = pins_end(proto), nr = 0;

	for (i = 0; i < end && vas_scan_step(scan); i++) {
		uint32_t tag = vas_entry_tag(&proto->pins[i].tag);

		nr += tag && vas_tag_is_alive(scan, tag);
	}
	return nr;
}
