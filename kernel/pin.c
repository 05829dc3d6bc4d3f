// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Pin records: what everybody can see of our maps. DESIGN.md, "Long-lived maps". */
#include <linux/sched.h>

#include <linux/vas.h>

#include "binding.h"
#include "mapping.h"

static struct vas_pin *record_of(const struct vas_mapping *mapping)
{
	return (struct vas_pin *)mapping->vas->pins_window.addr + mapping->pin;
}

static void fill(struct vas_pin *pin, const struct vas_mapping *mapping)
{
	u32 flags = 0;

	if (mapping->flags & VAS_MAP_WRITE)
		flags |= VAS_PIN_WRITABLE;
	if (mapping->flags & VAS_MAP_MARKS)
		flags |= VAS_PIN_MARKS;
	WRITE_ONCE(pin->gpa, mapping->gpa);
	WRITE_ONCE(pin->size, mapping->len);
	WRITE_ONCE(pin->flags, flags);
	WRITE_ONCE(pin->tid, current->pid);
	WRITE_ONCE(pin->generation, 0); /* until vas_pin_tell_generation() */
	/* The record is whole; pairs with the owner's acquire of the state. */
	smp_store_release(&pin->state, VAS_PIN_HELD);
}

/* In a section of the layout that has the range: after P5 the owner sees all its pins. -ENOSPC. */
int vas_pin_claim(struct vas_mapping *mapping)
{
	struct vas *vas = mapping->vas;
	struct vas_pin *pins = vas->pins_window.addr;
	u32 i;

	mapping->pin = VAS_NO_PIN;
	if (vas->readonly)
		return 0;
	for (i = 0; i < vas->sb->nr_pins; i++) {
		if (READ_ONCE(pins[i].binder) || cmpxchg(&pins[i].binder, 0, vas->binder + 1))
			continue;
		mapping->pin = i;
		fill(&pins[i], mapping);
		return 0;
	}
	return -ENOSPC;
}

/*
 * Whose layout the map shows, once all pages are there: an owner that takes the range away and puts
 * something else there does not ask for maps of the new.
 */
void vas_pin_tell_generation(struct vas_mapping *mapping)
{
	if (mapping->pin != VAS_NO_PIN)
		WRITE_ONCE(record_of(mapping)->generation, mapping->generation);
}

/* Count up what the owner waits for. Its futex we cannot wake: it looks again every few ms. */
static void count_answer(struct vas *vas)
{
	__atomic_fetch_add(&vas->control->answer, 1, __ATOMIC_RELEASE);
}

void vas_pin_release(struct vas_mapping *mapping)
{
	struct vas_pin *pin;

	if (mapping->pin == VAS_NO_PIN)
		return;
	pin = record_of(mapping);
	WRITE_ONCE(pin->generation, 0);
	/* What was done to the range comes before; pairs with the owner's acquire of the state. */
	smp_store_release(&pin->state, VAS_PIN_FREE);
	/* Others may have written there: what isn't ours any more is left alone. */
	cmpxchg(&pin->binder, mapping->vas->binder + 1, 0);
	count_answer(mapping->vas);
	mapping->pin = VAS_NO_PIN;
}

/* What the owner says in the record, whatever that may be: enum vas_pin_state, or nonsense. */
u32 vas_pin_state(const struct vas_mapping *mapping)
{
	return mapping->pin == VAS_NO_PIN ? VAS_PIN_HELD : smp_load_acquire(&record_of(mapping)->state);
}

/* The holder is quiet: say so if it was asked. */
void vas_pin_answer(struct vas_mapping *mapping)
{
	struct vas_pin *pin;

	if (mapping->pin == VAS_NO_PIN)
		return;
	pin = record_of(mapping);
	if (cmpxchg(&pin->state, VAS_PIN_QUIESCE, VAS_PIN_QUIET) == VAS_PIN_QUIESCE)
		count_answer(mapping->vas);
}
