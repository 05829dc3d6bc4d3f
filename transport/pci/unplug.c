// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A guest is asked for a device: by the button of the root port that it is behind (port.h), or by
 * registers. These are those that QEMU's machines have for ACPI's hot-plug of PCI devices, as
 * 32-bit words, a bit a slot:
 *
 *	0	slots that have a new device: none, the guest is not told of those
 *	4	slots whose device it is to let go of
 *	8	written: slots whose device it has let go of, and which are empty from then on
 *	12	slots whose device may be asked for so
 *	16	the bus that this is of: 0
 *
 * Whoever waits has the device's slot in `asked`; who lets go of a device takes it out of the table
 * of places, and leaves it in `ejected`.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <vas/consumer.h>
#include <vas/event.h>

#include "transport/pci/port.h"

#define EJECT 8u

static uint32_t slots_with_ports(const struct vas_pci *pci)
{
	uint32_t slot, slots = 0;

	for (slot = 1; slot < VAS_PCI_SLOTS; slot++)
		if (pci->ports[slot].is_there)
			slots |= 1u << slot;
	return slots;
}

static struct pci_function **device_in(struct vas_pci *pci, uint32_t slot)
{
	return &pci->functions[pci_place(pci, slot)];
}

/* ---- the guest's side --------------------------------------------------------------------- */

static void read_registers(struct vas_pci *pci, uint32_t offset, void *to, uint32_t len)
{
	const uint32_t there = VAS_PCI_HOTPLUG_PORTS - offset, ours = ~slots_with_ports(pci);
	uint32_t registers[VAS_PCI_HOTPLUG_PORTS / 4] = { 0, pci->asked & ours }, slot;

	for (slot = 1; slot < VAS_PCI_SLOTS; slot++)
		if (pci->functions[slot])
			registers[3] |= 1u << slot & ours;
	memset(to, 0xff, len);
	memcpy(to, (const uint8_t *)registers + offset, len < there ? len : there);
}

void pci_unplug_eject(struct vas_pci *pci, uint32_t slots)
{
	uint32_t slot;

	slots &= pci->asked;
	pci->asked &= ~slots;
	for (slot = 1; slot < VAS_PCI_SLOTS; slot++) {
		if (!(slots & 1u << slot))
			continue;
		pci->ejected[slot] = *device_in(pci, slot);
		*device_in(pci, slot) = NULL;
	}
	pthread_cond_broadcast(&pci->answered);
}

int pci_unplug_access(struct vas_pci *pci, const struct vas_io *io)
{
	const uint32_t offset = (uint32_t)io->addr - pci->hotplug_port;
	uint32_t slots = 0;

	pthread_mutex_lock(&pci->lock);
	if (!(io->flags & VAS_IO_WRITE)) {
		read_registers(pci, offset, io->data, io->len);
	} else if (offset == EJECT) {
		memcpy(&slots, io->data, io->len < sizeof(slots) ? io->len : sizeof(slots));
		pci_unplug_eject(pci, slots & ~slots_with_ports(pci));
	}
	pthread_mutex_unlock(&pci->lock);
	return 1;
}

/* ---- the VMM's side ----------------------------------------------------------------------- */

static int ask_locked(struct vas_pci *pci, uint32_t slot)
{
	if (!slot || slot >= VAS_PCI_SLOTS || !*device_in(pci, slot))
		return vas_error_set(-ENOENT, "there is no device in slot %u", slot);
	if (!pci->ports[slot].is_there && !pci->hotplug_port)
		return vas_error_set(-EOPNOTSUPP,
				     "the PCI bus has no registers to ask the guest by");
	if (pci->asked & 1u << slot)
		return vas_error_set(-EALREADY, "the guest is being asked for slot %u", slot);
	pci->asked |= 1u << slot;
	if (pci->ports[slot].is_there && pci_port_is_off(&pci->ports[slot]))
		pci_unplug_eject(pci, 1u << slot);
	return 0;
}

static struct timespec time_in(uint64_t ns)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	ns += (uint64_t)at.tv_nsec;
	at.tv_sec += (time_t)(ns / 1000000000u);
	at.tv_nsec = (long)(ns % 1000000000u);
	return at;
}

/* With the bus's lock held, but for a moment. True: the button was pressed. */
static bool press(struct vas_pci *pci, uint32_t slot, const struct timespec *until)
{
	const struct pci_port_view *port = &pci->ports[slot];
	int err = 0;

	while (pci->asked & 1u << slot && !pci_port_may_press(port) && !err)
		err = pthread_cond_timedwait(&pci->answered, &pci->lock, until);
	if (!(pci->asked & 1u << slot) || !pci_port_may_press(port))
		return false;
	pthread_mutex_unlock(&pci->lock);
	pci_port_press(pci, slot);
	pthread_mutex_lock(&pci->lock);
	return true;
}

/* Likewise. */
static bool notify_guest(struct vas_pci *pci, uint32_t slot, const struct timespec *until)
{
	if (pci->ports[slot].is_there)
		return press(pci, slot, until);
	pthread_mutex_unlock(&pci->lock);
	if (pci->hotplug_event)
		vas_irq_raise(pci->transport.vas, pci->hotplug_event); /* else it looks later */
	pthread_mutex_lock(&pci->lock);
	return false;
}

/* Until the guest has answered, or the deadline: then it is not asked any more. */
static int await_answer(struct vas_pci *pci, uint32_t slot, uint64_t timeout_ns)
{
	/* A wait that nobody lives to see the end of; what is in a timespec has no more room. */
	const uint64_t most_ns = UINT64_MAX / 4;
	const struct timespec until = time_in(timeout_ns < most_ns ? timeout_ns : most_ns);
	bool is_pressed = notify_guest(pci, slot, &until);
	int err = 0;

	while (pci->asked & 1u << slot && !err)
		err = pthread_cond_timedwait(&pci->answered, &pci->lock, &until);
	if (!(pci->asked & 1u << slot))
		return 0;
	pci->asked &= ~(1u << slot);
	err = vas_error_set(
		-ETIMEDOUT, "the guest has not let go of %s, in slot %u, within %llu ms: it stays",
		(*device_in(pci, slot))->name, slot, (unsigned long long)timeout_ns / 1000000);
	pthread_mutex_unlock(&pci->lock);
	if (is_pressed)
		pci_port_unpress(pci, slot);
	pthread_mutex_lock(&pci->lock);
	return err;
}

/* The device that the guest has let go of, in no slot any more; NULL: somebody has removed it. */
static int ask(struct vas_pci *pci, uint32_t slot, uint64_t timeout_ns,
	       struct pci_function **function)
{
	int err;

	pthread_mutex_lock(&pci->lock);
	err = ask_locked(pci, slot);
	if (!err)
		err = await_answer(pci, slot, timeout_ns);
	if (!err) {
		*function = pci->ejected[slot];
		pci->ejected[slot] = NULL;
	}
	pthread_mutex_unlock(&pci->lock);
	return err;
}

int vas_pci_unplug(struct vas_pci *pci, uint32_t slot, uint64_t timeout_ns)
{
	struct pci_function *function = NULL;
	int err = ask(pci, slot, timeout_ns, &function);

	if (err)
		return err;
	if (!function)
		return vas_error_set(-ENOENT, "the device in slot %u was removed meanwhile", slot);
	if (function->is_behind)
		pci_port_update(pci, slot);
	pci_bus_destroy_function(function);
	return 0;
}
