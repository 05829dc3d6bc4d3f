// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/pci/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "transport/io.h"
#include "transport/pci/port.h"

#define BRIDGE_VENDOR	 0x1b36u /* Red Hat's, of QEMU's generic host bridge */
#define BRIDGE_DEVICE	 0x0008u
#define CLASS_BRIDGE	 0x060000u
#define DATA_PORT	 (VAS_PCI_PORT + 4)
#define ADDRESS_ENABLE	 (1u << 31)
#define ADDRESS_FUNCTION 0x700u
#define EVENTS_A_SLOT	 (VAS_PCI_EVENT_IDS / VAS_PCI_SLOTS)
#define GSIS		 (VAS_PCI_SLOTS * VAS_PCI_MAX_VECTORS)

uint32_t pci_bus_events(const struct vas_pci *pci, uint32_t slot)
{
	return pci->first_event + slot * EVENTS_A_SLOT;
}

uint32_t pci_bus_gsis(const struct vas_pci *pci, uint32_t slot)
{
	return pci->first_gsi + slot * VAS_PCI_MAX_VECTORS;
}

/* ---- slots -------------------------------------------------------------------------------- */

/* The first that is free, behind a port or not; or 0. */
static uint32_t find_free(const struct vas_pci *pci, bool is_behind)
{
	uint32_t slot;

	for (slot = 1; slot < VAS_PCI_SLOTS; slot++)
		if (pci->ports[slot].is_there == is_behind && !pci->is_taken[pci_place(pci, slot)])
			return pci_place(pci, slot);
	return 0;
}

static int take_locked(struct vas_pci *pci, uint32_t slot)
{
	bool is_any = !slot || slot == VAS_PCI_ANY_PORT;
	uint32_t place = is_any ? find_free(pci, slot == VAS_PCI_ANY_PORT) : pci_place(pci, slot);

	if (is_any && !place)
		return vas_error_set(-ENOSPC, slot ? "no root port of the PCI bus is free" :
						     "all slots of the PCI bus are taken");
	if (pci->is_taken[place])
		return vas_error_set(-EBUSY, "slot %u of the PCI bus is taken", slot);
	pci->is_taken[place] = true;
	return (int)place;
}

int pci_bus_take(struct vas_pci *pci, uint32_t slot)
{
	int place;

	if (slot >= VAS_PCI_SLOTS && slot != VAS_PCI_ANY_PORT)
		return vas_error_set(-EINVAL, "a PCI bus has no slot %u", slot);
	pthread_mutex_lock(&pci->lock);
	place = take_locked(pci, slot);
	pthread_mutex_unlock(&pci->lock);
	return place;
}

void pci_bus_give(struct vas_pci *pci, uint32_t place)
{
	pthread_mutex_lock(&pci->lock);
	pci->is_taken[place] = false;
	pthread_mutex_unlock(&pci->lock);
}

void pci_bus_set_place(struct vas_pci *pci, struct pci_function *function, uint32_t place)
{
	function->pci = pci;
	function->slot = place % PCI_BEHIND;
	function->is_behind = place >= PCI_BEHIND;
}

static uint32_t place_in(const struct pci_function *function)
{
	return function->slot + (function->is_behind ? PCI_BEHIND : 0);
}

/* ---- the window for BARs ------------------------------------------------------------------ */

static bool overlaps(uint64_t at, uint64_t size, uint64_t other, uint64_t other_size)
{
	return other && at < other + other_size && other < at + size;
}

/*
 * Behind what overlaps with [at, at + size) of another BAR, or of a port's window; or `at`, if
 * nothing does.
 */
static uint64_t behind_others(const struct vas_pci *pci, uint64_t at, uint64_t size)
{
	uint32_t slot, i;

	for (slot = 0; slot < VAS_PCI_SLOTS; slot++) {
		uint64_t window = pci->ports[slot].window;

		if (overlaps(at, size, window, PCI_PORT_WINDOW))
			return window + PCI_PORT_WINDOW;
		for (i = 0; pci->functions[slot] && i < PCI_NR_BARS; i++) {
			const struct pci_bar *bar = &pci->functions[slot]->bars[i];

			if (!(bar->type & PCI_BASE_ADDRESS_SPACE_IO) &&
			    overlaps(at, size, bar->placed, bar->size))
				return bar->placed + bar->size;
		}
	}
	return at;
}

/* Where there is room in the window, or 0: then the guest has to find some. */
static uint64_t find_room(const struct vas_pci *pci, uint64_t size)
{
	uint64_t end = pci->window + pci->window_size, at = pci->window, next;

	for (;;) {
		at = (at + size - 1) & ~(size - 1);
		if (size > pci->window_size || at > end - size)
			return 0;
		next = behind_others(pci, at, size);
		if (next == at)
			return at;
		at = next;
	}
}

uint64_t pci_bus_place_window(struct vas_pci *pci, uint32_t slot, uint64_t size)
{
	uint64_t at;

	pthread_mutex_lock(&pci->lock);
	at = pci->ports[slot].window = find_room(pci, size);
	pthread_mutex_unlock(&pci->lock);
	return at;
}

static void place_bars(struct vas_pci *pci, struct pci_function *function)
{
	uint32_t i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &function->bars[i];

		if (bar->size && !(bar->type & PCI_BASE_ADDRESS_SPACE_IO))
			pci_place_bar(function, i, find_room(pci, bar->size));
	}
}

/* What is behind a port gets its BARs from the guest, who has the port's window. */
void pci_bus_show(struct vas_pci *pci, struct pci_function *function)
{
	pthread_mutex_lock(&function->lock);
	pthread_mutex_lock(&pci->lock);
	pci->functions[place_in(function)] = function;
	if (!function->is_behind)
		place_bars(pci, function);
	pthread_mutex_unlock(&pci->lock);
	pthread_mutex_unlock(&function->lock);
	if (function->is_behind)
		pci_port_update(pci, function->slot);
}

void pci_bus_set_bar(struct pci_function *function, uint32_t bar, uint64_t at)
{
	pthread_mutex_lock(&function->pci->lock);
	function->bars[bar].at = at;
	pthread_mutex_unlock(&function->pci->lock);
}

void pci_bus_destroy_function(struct pci_function *function)
{
	struct vas_pci *pci = function->pci;
	const uint32_t place = place_in(function);

	pthread_mutex_lock(&pci->lock);
	while (function->users)
		pthread_cond_wait(&pci->unused, &pci->lock);
	pthread_mutex_unlock(&pci->lock);
	function->ops->destroy(function);
	pci_bus_give(pci, place);
}

/* Nobody finds it there any more. */
static struct pci_function *take_out(struct vas_pci *pci, uint32_t slot)
{
	struct pci_function **place, *function;

	pthread_mutex_lock(&pci->lock);
	place = &pci->functions[pci_place(pci, slot)];
	function = *place;
	*place = NULL;
	pci->asked &= ~(1u << slot);
	pthread_cond_broadcast(&pci->answered);
	pthread_mutex_unlock(&pci->lock);
	return function;
}

int vas_pci_remove(struct vas_pci *pci, uint32_t slot)
{
	struct pci_function *function = NULL;

	if (slot && slot < VAS_PCI_SLOTS)
		function = take_out(pci, slot);
	if (!function)
		return vas_error_set(-ENOENT, "there is no device in slot %u", slot);
	if (function->is_behind)
		pci_port_update(pci, slot);
	pci_bus_destroy_function(function);
	return 0;
}

/* ---- accesses ----------------------------------------------------------------------------- */

static struct pci_function *get_locked(struct vas_pci *pci, uint32_t place)
{
	struct pci_function *function = pci->functions[place];

	if (function)
		function->users++;
	return function;
}

struct pci_function *pci_bus_get(struct vas_pci *pci, uint32_t place)
{
	struct pci_function *function;

	pthread_mutex_lock(&pci->lock);
	function = get_locked(pci, place);
	pthread_mutex_unlock(&pci->lock);
	return function;
}

void pci_bus_put(struct pci_function *function)
{
	struct vas_pci *pci = function->pci;

	pthread_mutex_lock(&pci->lock);
	if (!--function->users)
		pthread_cond_broadcast(&pci->unused);
	pthread_mutex_unlock(&pci->lock);
}

/* What has the configuration space of a slot of a bus, and a user of it; or NULL. */
static struct pci_function *get_at(struct vas_pci *pci, uint32_t bus, uint32_t slot)
{
	struct pci_function *function = NULL;
	uint32_t i;

	pthread_mutex_lock(&pci->lock);
	if (!bus)
		function = get_locked(pci, slot);
	for (i = 1; bus && !slot && !function && i < VAS_PCI_SLOTS; i++)
		if (pci->ports[i].is_up && pci->ports[i].bus == bus)
			function = get_locked(pci, PCI_BEHIND + i);
	pthread_mutex_unlock(&pci->lock);
	return function;
}

static void access_config(struct vas_pci *pci, uint32_t bus, uint32_t slot, uint32_t offset,
			  const struct vas_io *io)
{
	struct pci_function *function = get_at(pci, bus, slot);

	if (function && io->flags & VAS_IO_WRITE)
		pci_config_write(function, offset, io->data, io->len);
	else if (function)
		pci_config_read(function, offset, io->data, io->len);
	else if (!(io->flags & VAS_IO_WRITE))
		memset(io->data, 0xff, io->len);
	if (function)
		pci_bus_put(function);
}

/* Devices have one function each. */
static void access_nothing(const struct vas_io *io)
{
	if (!(io->flags & VAS_IO_WRITE))
		memset(io->data, 0xff, io->len);
}

static int access_address(struct vas_pci *pci, const struct vas_io *io)
{
	pthread_mutex_lock(&pci->lock);
	if (io->flags & VAS_IO_WRITE)
		memcpy(&pci->address, io->data, sizeof(pci->address));
	else
		memcpy(io->data, &pci->address, sizeof(pci->address));
	pthread_mutex_unlock(&pci->lock);
	return 1;
}

static int access_data(struct vas_pci *pci, const struct vas_io *io)
{
	uint32_t address, skip = (uint32_t)io->addr - DATA_PORT;

	pthread_mutex_lock(&pci->lock);
	address = pci->address;
	pthread_mutex_unlock(&pci->lock);
	if (address & ADDRESS_ENABLE && !(address & ADDRESS_FUNCTION) && skip + io->len <= 4)
		access_config(pci, address >> 16 & 0xff, address >> 11 & 31,
			      (address & 0xfc) + skip, io);
	else
		access_nothing(io);
	return 1;
}

static int access_ecam(struct vas_pci *pci, const struct vas_io *io)
{
	uint32_t offset = (uint32_t)(io->addr - pci->ecam);

	if (offset >> 12 & 7)
		access_nothing(io);
	else
		access_config(pci, offset >> 20, offset >> 15 & 31, offset & 0xfff, io);
	return 1;
}

/* The function and BAR that an address is in. */
static struct pci_function *get_by_address(struct vas_pci *pci, const struct vas_io *io,
					   uint32_t *index)
{
	uint32_t type = io->flags & VAS_IO_PORT ? PCI_BASE_ADDRESS_SPACE_IO : 0;
	uint32_t place;

	for (place = 1; place < PCI_PLACES; place++)
		for (*index = 0; pci->functions[place] && *index < PCI_NR_BARS; ++*index) {
			const struct pci_bar *bar = &pci->functions[place]->bars[*index];

			if (bar->at && io->addr - bar->at < bar->size &&
			    (bar->type & PCI_BASE_ADDRESS_SPACE_IO) == type)
				return get_locked(pci, place);
		}
	return NULL;
}

/* It may have moved meanwhile, or be cut off at its end: nothing is there, then. */
static void access_function(struct pci_function *function, uint32_t index, const struct vas_io *io)
{
	const struct pci_bar *bar = &function->bars[index];
	uint64_t offset;

	pthread_mutex_lock(&function->lock);
	offset = io->addr - bar->at;
	if (!bar->at || offset >= bar->size || io->len > bar->size - offset)
		access_nothing(io);
	else if (io->flags & VAS_IO_WRITE)
		function->ops->write(function, index, offset, io->data, io->len);
	else
		function->ops->read(function, index, offset, io->data, io->len);
	pthread_mutex_unlock(&function->lock);
}

/* The bus's lock is held. */
static bool is_behind_port(const struct vas_pci *pci, const struct vas_io *io)
{
	uint32_t slot;

	for (slot = 1; slot < VAS_PCI_SLOTS; slot++)
		if (io->addr >= pci->ports[slot].from && io->addr < pci->ports[slot].to)
			return !(io->flags & VAS_IO_PORT);
	return false;
}

/*
 * Behind a port, what is not there reads as zeros: a driver may wait for the reset of a device that
 * was taken away under its hands, and Linux's virtio_pci does so until the status is 0.
 */
static int access_behind_port(const struct vas_io *io)
{
	if (!(io->flags & VAS_IO_WRITE))
		memset(io->data, 0, io->len);
	return 1;
}

static int access_bar(struct vas_pci *pci, const struct vas_io *io)
{
	struct pci_function *function;
	uint32_t index;
	bool is_behind;

	pthread_mutex_lock(&pci->lock);
	function = get_by_address(pci, io, &index);
	is_behind = !function && is_behind_port(pci, io);
	pthread_mutex_unlock(&pci->lock);
	if (!function)
		return is_behind ? access_behind_port(io) : 0;
	access_function(function, index, io);
	pci_bus_put(function);
	return 1;
}

int vas_pci_io(struct vas_pci *pci, const struct vas_io *io)
{
	if (!io_is_valid(io))
		return 0;
	if (!(io->flags & VAS_IO_PORT)) {
		if (pci->ecam && io->addr - pci->ecam < pci->ecam_size)
			return access_ecam(pci, io);
		return access_bar(pci, io);
	}
	if (io->addr == VAS_PCI_PORT && io->len == 4)
		return access_address(pci, io);
	if (io->addr - DATA_PORT < 4)
		return access_data(pci, io);
	if (pci->hotplug_port && io->addr - pci->hotplug_port < VAS_PCI_HOTPLUG_PORTS)
		return pci_unplug_access(pci, io);
	return access_bar(pci, io);
}

/* ---- the bus ------------------------------------------------------------------------------ */

static int check_options(const struct vas_pci_options *options)
{
	const char *fault = NULL;

	if (options->ecam % VAS_PCI_ECAM_SIZE)
		fault = "the ECAM is not aligned to the size of a bus";
	else if (options->ecam_buses > 256)
		fault = "there are no more than 256 buses";
	else if (options->window > UINT32_MAX ||
		 options->window_size > (1ull << 32) - options->window)
		fault = "the window for BARs is not below 4 GiB";
	else if (!options->first_event || options->first_event > UINT32_MAX - VAS_PCI_EVENT_IDS ||
		 options->first_gsi > UINT32_MAX - GSIS)
		fault = "there are no event ids or gsis from there on";
	else if (options->hotplug_port > UINT16_MAX + 1u - VAS_PCI_HOTPLUG_PORTS)
		fault = "there are no ports for hot-plug";
	return fault ? vas_error_set(-EINVAL, "the PCI bus makes no sense: %s", fault) : 0;
}

static void init_bridge(struct vas_pci *pci)
{
	static const struct pci_function_ops ops = { 0 };

	pci_function_init(&pci->bridge, BRIDGE_VENDOR, BRIDGE_DEVICE, CLASS_BRIDGE);
	pci->bridge.ops = &ops;
	pci->bridge.pci = pci;
	pci->functions[0] = &pci->bridge;
	pci->is_taken[0] = true;
}

int vas_pci_create(struct vas *vas, const struct vas_pci_options *options, struct vas_pci **out)
{
	int err = check_options(options);
	pthread_condattr_t monotonic;
	struct vas_pci *pci;

	if (err)
		return err;
	pci = calloc(1, sizeof(*pci));
	if (!pci)
		return vas_error_set(-ENOMEM, "no memory for a PCI bus");
	pci->transport = (struct transport){ .vas = vas, .kvm = options->kvm };
	pci->ecam = options->ecam;
	pci->ecam_size = (options->ecam_buses ? options->ecam_buses : 1) * VAS_PCI_ECAM_SIZE;
	pci->window = options->window;
	pci->window_size = options->window_size;
	pci->hotplug_port = options->hotplug_port;
	pci->hotplug_event = options->hotplug_event;
	pci->first_event = options->first_event;
	pci->first_gsi = options->first_gsi ? options->first_gsi : 32;
	pthread_mutex_init(&pci->lock, NULL);
	pthread_cond_init(&pci->unused, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pci->answered, &monotonic);
	pthread_condattr_destroy(&monotonic);
	init_bridge(pci);
	*out = pci;
	return 0;
}

void vas_pci_destroy(struct vas_pci *pci)
{
	uint32_t slot;

	if (!pci)
		return;
	for (slot = 1; slot < VAS_PCI_SLOTS; slot++) {
		if (pci->functions[pci_place(pci, slot)])
			vas_pci_remove(pci, slot);
		if (pci->ports[slot].is_there)
			pci_bus_destroy_function(pci->functions[slot]);
	}
	pthread_mutex_destroy(&pci->bridge.lock);
	pthread_cond_destroy(&pci->answered);
	pthread_cond_destroy(&pci->unused);
	pthread_mutex_destroy(&pci->lock);
	free(pci);
}
