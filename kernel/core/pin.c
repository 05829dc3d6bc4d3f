// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Pins: what everybody can see of our maps. docs/design/pins.md; the rules are
 * core/protocol/pin.c's.
 */
#include <linux/sched.h>

#include <linux/vas.h>

#include "binding.h"
#include "mapping.h"

/*
 * In a section of the layout that has the range: after P5 the owner sees all its pins. The map's
 * generation is told later, once all pages are there. -ENOSPC. May sleep.
 */
int vas_mapping_claim_pin(struct vas_mapping *mapping)
{
	struct vas_pin_about about = {
		.gpa = mapping->gpa,
		.size = mapping->len,
		.flags = (mapping->flags & VAS_MAPPING_WRITE ? VAS_PIN_WRITABLE : 0) |
			 (mapping->flags & VAS_MAPPING_MARKS ? VAS_PIN_MARKS : 0),
		.tid = current->pid,
	};
	struct vas *vas = mapping->vas;
	struct vas_scan scan;
	u32 pin;

	if (vas->readonly)
		return 0;
	vas_scan_begin(&scan, &vas->proto, 0);
	pin = vas_pin_claim(&scan, &about);
	if (pin == VAS_NO_ENTRY)
		return -ENOSPC;
	WRITE_ONCE(mapping->pin, pin);
	return 0;
}

/*
 * Whose layout the map shows, once all pages are there: an owner that takes the range away and puts
 * something else there does not request maps of the new.
 */
void vas_mapping_tell_generation(struct vas_mapping *mapping)
{
	if (mapping->pin != VAS_NO_ENTRY)
		vas_pin_set_generation(&mapping->vas->proto, mapping->pin, mapping->generation);
}

/* Count up what the owner waits for. Its futex we cannot wake: it looks again every few ms. */
static void count_answer(struct vas *vas)
{
	__atomic_fetch_add(&vas->control->answer, 1, __ATOMIC_RELEASE);
}

/* Under the info's lock, as all looks are: none must take the next one's pin for ours. */
void vas_mapping_release_pin_locked(struct vas_mapping *mapping)
{
	u32 pin = mapping->pin;

	if (pin == VAS_NO_ENTRY)
		return;
	WRITE_ONCE(mapping->pin, VAS_NO_ENTRY);
	vas_pin_release(&mapping->vas->proto, pin);
	count_answer(mapping->vas);
}

/*
 * What the owner says in the pin, whatever that may be: enum vas_pin_state, or nonsense. Somebody
 * may look through all maps while vas_mapping_create() claims it.
 */
u32 vas_mapping_pin_state(const struct vas_mapping *mapping)
{
	u32 pin = READ_ONCE(mapping->pin);

	return pin == VAS_NO_ENTRY ? VAS_PIN_HELD : vas_pin_state(&mapping->vas->proto, pin);
}

/* The same as a request; nonsense asks for nothing. */
enum vas_request vas_mapping_pin_request(const struct vas_mapping *mapping)
{
	switch (vas_mapping_pin_state(mapping)) {
	case VAS_PIN_INVALIDATE:
		return VAS_REQUEST_UNMAP;
	case VAS_PIN_QUIESCE:
	case VAS_PIN_QUIESCED:
		return VAS_REQUEST_QUIESCE;
	default:
		return VAS_REQUEST_NONE;
	}
}

/* The holder is quiet: answer, if there was a request. */
void vas_mapping_answer(struct vas_mapping *mapping)
{
	u32 pin = READ_ONCE(mapping->pin);

	if (pin != VAS_NO_ENTRY && vas_mapping_pin_state(mapping) == VAS_PIN_QUIESCE &&
	    vas_pin_answer(&mapping->vas->proto, pin))
		count_answer(mapping->vas);
}
