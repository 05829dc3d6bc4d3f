// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Pins, seen by those who change the layout, freeze, track, or clean up behind the dead. */
#include "lib/handle/pins.h"

#include <string.h>

#include "core/layout.h"
#include "core/range.h"
#include "lib/handle/log.h"
#include "lib/handle/notify.h"

/*
 * Bytes of gpa that are marked for pins at once, which takes 0.1 s. A peer can say of its pins what it
 * likes; beyond this, all memory that was ever touched is dirty, and that has a bound of its own.
 */
#define MAX_MARKED (1ull << 40)

/* All levels, whatever is set: who marked before may have died. False: more than is left of *room. */
static bool mark_pin(const struct vas_log *log, const struct vas_pin *pin, uint64_t *room)
{
	uint64_t gpa = __atomic_load_n(&pin->gpa, __ATOMIC_RELAXED);
	uint64_t size = __atomic_load_n(&pin->size, __ATOMIC_RELAXED);

	if (size > *room)
		return false;
	*room -= size;
	vas_log_mark_again(log, gpa, size);
	return true;
}

void vas_pins_reclaim(struct vas *vas, uint32_t binder)
{
	struct vas_pin *pins = vas_pins(vas);
	uint64_t room = MAX_MARKED;
	uint32_t i, end = vas_pins_end(vas->ctl, vas->sb.nr_pins);

	for (i = 0; i < end; i++) {
		if (__atomic_load_n(&pins[i].binder, __ATOMIC_RELAXED) != binder + 1)
			continue;
		/* A writable map counts as dirty until it is gone, the death of its holder included. */
		if (pins[i].flags & VAS_PIN_WRITABLE && !mark_pin(&vas->log, &pins[i], &room))
			vas_log_set_incomplete(vas);
		__atomic_store_n(&pins[i].generation, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&pins[i].state, VAS_PIN_FREE, __ATOMIC_RELAXED);
		__atomic_store_n(&pins[i].binder, 0, __ATOMIC_RELEASE);
	}
}

/* One pin, fetched once: false if there is none, or it makes no sense. */
static bool pin_fetch(const struct vas *vas, const struct vas_pin *shared, struct vas_pin *pin)
{
	pin->state = __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE);
	if (pin->state == VAS_PIN_FREE)
		return false;
	pin->binder = __atomic_load_n(&shared->binder, __ATOMIC_RELAXED);
	pin->gpa = __atomic_load_n(&shared->gpa, __ATOMIC_RELAXED);
	pin->size = __atomic_load_n(&shared->size, __ATOMIC_RELAXED);
	pin->flags = __atomic_load_n(&shared->flags, __ATOMIC_RELAXED);
	pin->tid = __atomic_load_n(&shared->tid, __ATOMIC_RELAXED);
	pin->generation = __atomic_load_n(&shared->generation, __ATOMIC_RELAXED);
	return pin->binder && pin->binder <= vas->sb.nr_binders &&
	       vas_range_fits(pin->gpa, pin->size, vas->sb.limit);
}

static bool is_hit(const struct vas_pin *pin, const struct pin_set *set)
{
	const struct vas_region *ranges = set->ranges;
	size_t low = 0, high = set->nr;

	if (pin->generation && (pin->generation < set->since || pin->generation >= set->before))
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges[middle].gpa + ranges[middle].size <= pin->gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->nr && ranges[low].gpa < pin->gpa + pin->size;
}

/* The state that tells the holder; 0 if the pin has complied already or is none of this. */
static uint32_t state_for(const struct vas_pin *pin, enum pin_request request)
{
	switch (request) {
	case PIN_UNMAP:
		return VAS_PIN_INVALIDATE;
	case PIN_QUIESCE:
		if (!(pin->flags & VAS_PIN_WRITABLE) || pin->state == VAS_PIN_QUIESCED)
			return 0;
		return VAS_PIN_QUIESCE;
	default:
		return VAS_PIN_HELD;
	}
}

static void report(struct vas *vas, const struct vas_pin *pin, struct vas_blocker *blocker)
{
	const struct vas_binder *record = &vas_binders(vas)[pin->binder - 1];

	blocker->kind = VAS_BLOCKER_PIN;
	blocker->pid = record->pid;
	blocker->tid = pin->tid;
	blocker->gpa = pin->gpa;
	blocker->size = pin->size;
	memcpy(blocker->name, record->comm, sizeof(record->comm));
	blocker->name[sizeof(record->comm)] = '\0';
}

uint32_t vas_pins_request(struct vas *vas, const struct pin_set *set, enum pin_request request,
			  struct vas_blocker *blocker)
{
	struct vas_pin *pins = vas_pins(vas);
	uint32_t i, end = vas_pins_end(vas->ctl, vas->sb.nr_pins), asked = 0, told = 0;

	for (i = 0; i < end; i++) {
		struct vas_pin pin;
		uint32_t state;

		if (!pin_fetch(vas, &pins[i], &pin) || !is_hit(&pin, set))
			continue;
		state = state_for(&pin, request);
		if (!state)
			continue;
		/* A holder that changes it meanwhile is looked at in the next round. */
		if (pin.state != state)
			told += __atomic_compare_exchange_n(&pins[i].state, &pin.state, state, 0,
							    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		if (!asked++ && blocker)
			report(vas, &pin, blocker);
	}
	if (told)
		vas_notify_everyone(vas);
	return asked;
}

static bool is_always_dirty(const struct vas *vas, uint32_t i, struct vas_pin *pin)
{
	return pin_fetch(vas, &vas_pins(vas)[i], pin) &&
	       (pin->flags & (VAS_PIN_WRITABLE | VAS_PIN_MARKS)) == VAS_PIN_WRITABLE;
}

bool vas_pins_are_dirty(const struct vas *vas)
{
	uint32_t i, end = vas_pins_end(vas->ctl, vas->sb.nr_pins);
	struct vas_pin pin;

	for (i = 0; i < end; i++)
		if (is_always_dirty(vas, i, &pin))
			return true;
	return false;
}

bool vas_pins_mark(struct vas *vas, const struct vas_log *log)
{
	uint32_t i, end = vas_pins_end(vas->ctl, vas->sb.nr_pins);
	uint64_t room = MAX_MARKED;
	struct vas_pin pin;

	for (i = 0; i < end; i++)
		if (is_always_dirty(vas, i, &pin) && !mark_pin(log, &pin, &room))
			return false;
	return true;
}
