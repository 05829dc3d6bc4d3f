// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Pins: what everybody can see of our maps. docs/design/pins.md. */
#include <linux/sched.h>

#include <linux/vas.h>

#include "binding.h"
#include "mapping.h"

/*
 * NULL: there is none, or none yet. Somebody may look through all maps while vas_mapping_create()
 * claims it.
 */
static struct vas_pin *binder_of(const struct vas_mapping *mapping)
{
	u32 pin = READ_ONCE(mapping->pin);

	return pin == VAS_NO_PIN ? NULL : (struct vas_pin *)mapping->vas->pins_window.addr + pin;
}

static void fill(struct vas_pin *pin, const struct vas_mapping *mapping)
{
	u32 flags = 0;

	if (mapping->flags & VAS_MAPPING_WRITE)
		flags |= VAS_PIN_WRITABLE;
	if (mapping->flags & VAS_MAPPING_MARKS)
		flags |= VAS_PIN_MARKS;
	WRITE_ONCE(pin->gpa, mapping->gpa);
	WRITE_ONCE(pin->size, mapping->len);
	WRITE_ONCE(pin->flags, flags);
	WRITE_ONCE(pin->tid, current->pid);
	WRITE_ONCE(pin->generation, 0); /* until vas_pin_tell_generation() */
	/* The pin is whole; pairs with the owner's acquire of the state. */
	smp_store_release(&pin->state, VAS_PIN_HELD);
}

/* In a section of the layout that has the range: after P5 the owner sees all its pins. -ENOSPC. */
int vas_pin_claim(struct vas_mapping *mapping)
{
	struct vas *vas = mapping->vas;
	struct vas_pin *pins = vas->pins_window.addr;
	u32 i;

	if (vas->readonly)
		return 0;
	for (i = 0; i < vas->sb->nr_pins; i++) {
		if (READ_ONCE(pins[i].binder))
			continue;
		__atomic_fetch_or(&vas->control->pins_claimed, i, __ATOMIC_SEQ_CST);
		if (cmpxchg(&pins[i].binder, 0, vas->binder + 1))
			continue;
		fill(&pins[i], mapping);
		WRITE_ONCE(mapping->pin, i);
		return 0;
	}
	return -ENOSPC;
}

/*
 * Whose layout the map shows, once all pages are there: an owner that takes the range away and puts
 * something else there does not request maps of the new.
 */
void vas_pin_tell_generation(struct vas_mapping *mapping)
{
	struct vas_pin *pin = binder_of(mapping);

	if (pin)
		WRITE_ONCE(pin->generation, mapping->generation);
}

/* Count up what the owner waits for. Its futex we cannot wake: it looks again every few ms. */
static void count_answer(struct vas *vas)
{
	__atomic_fetch_add(&vas->control->answer, 1, __ATOMIC_RELEASE);
}

/* Under info->lock, as all looks are: none must take the next one's pin for ours. */
void vas_pin_release_locked(struct vas_mapping *mapping)
{
	struct vas_pin *pin = binder_of(mapping);

	if (!pin)
		return;
	WRITE_ONCE(mapping->pin, VAS_NO_PIN);
	WRITE_ONCE(pin->generation, 0);
	/* What was done to the range comes before; pairs with the owner's acquire of the state. */
	smp_store_release(&pin->state, VAS_PIN_FREE);
	/* Others may have written there: what isn't ours any more is left alone. */
	cmpxchg(&pin->binder, mapping->vas->binder + 1, 0);
	count_answer(mapping->vas);
}

/* The pin's state as the owner has it, whatever that may be: enum vas_pin_state, or nonsense. */
u32 vas_pin_state(const struct vas_mapping *mapping)
{
	const struct vas_pin *pin = binder_of(mapping);

	return pin ? smp_load_acquire(&pin->state) : VAS_PIN_HELD;
}

/* The holder is quiet: answer, if there was a request. */
void vas_pin_answer(struct vas_mapping *mapping)
{
	struct vas_pin *pin = binder_of(mapping);

	if (pin && cmpxchg(&pin->state, VAS_PIN_QUIESCE, VAS_PIN_QUIESCED) == VAS_PIN_QUIESCE)
		count_answer(mapping->vas);
}
