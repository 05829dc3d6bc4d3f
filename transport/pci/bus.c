// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/pci/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "transport/io.h"

#define BRIDGE_VENDOR	  0x1b36u /* Red Hat's, of QEMU's generic host bridge */
#define BRIDGE_DEVICE	  0x0008u
#define CLASS_BRIDGE	  0x060000u
#define DATA_PORT	  (VAS_PCI_PORT + 4)
#define ADDRESS_ENABLE	  (1u << 31)
#define ADDRESS_ELSEWHERE 0xff0700u /* another bus, or function */
#define EVENTS_A_SLOT	  (VAS_PCI_EVENT_IDS / VAS_PCI_SLOTS)
#define GSIS		  (VAS_PCI_SLOTS * VAS_PCI_MAX_VECTORS)

uint32_t pci_bus_events(const struct vas_pci *pci, uint32_t slot)
{
	return pci->first_event + slot * EVENTS_A_SLOT;
}

uint32_t pci_bus_gsis(const struct vas_pci *pci, uint32_t slot)
{
	return pci->first_gsi + slot * VAS_PCI_MAX_VECTORS;
}

/* ---- slots -------------------------------------------------------------------------------- */

int pci_bus_take_slot(struct vas_pci *pci, uint32_t slot)
{
	bool is_free;
	int err = slot ? -EBUSY : -ENOSPC;

	if (slot >= VAS_PCI_SLOTS)
		return vas_error_set(-EINVAL, "a PCI bus has no slot %u", slot);
	pthread_mutex_lock(&pci->lock);
	if (!slot)
		while (pci->is_taken[slot] && slot < VAS_PCI_SLOTS - 1)
			slot++;
	is_free = !pci->is_taken[slot];
	pci->is_taken[slot] = true;
	pthread_mutex_unlock(&pci->lock);
	if (is_free)
		return (int)slot;
	return vas_error_set(err,
			     err == -EBUSY ? "slot %u of the PCI bus is taken" :
					     "all slots of the PCI bus are taken",
			     slot);
}

void pci_bus_give_slot(struct vas_pci *pci, uint32_t slot)
{
	pthread_mutex_lock(&pci->lock);
	pci->is_taken[slot] = false;
	pthread_mutex_unlock(&pci->lock);
}

/* Behind what overlaps with [at, at + size) of another BAR; or `at`, if nothing does. */
static uint64_t behind_others(const struct vas_pci *pci, uint64_t at, uint64_t size)
{
	uint32_t slot, i;

	for (slot = 0; slot < VAS_PCI_SLOTS; slot++)
		for (i = 0; pci->functions[slot] && i < PCI_NR_BARS; i++) {
			const struct pci_bar *bar = &pci->functions[slot]->bars[i];

			if (bar->placed && !(bar->type & PCI_BASE_ADDRESS_SPACE_IO) &&
			    at < bar->placed + bar->size && bar->placed < at + size)
				return bar->placed + bar->size;
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

void pci_bus_show(struct vas_pci *pci, struct pci_function *function)
{
	uint32_t i;

	pthread_mutex_lock(&function->lock);
	pthread_mutex_lock(&pci->lock);
	pci->functions[function->slot] = function;
	for (i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &function->bars[i];

		if (bar->size && !(bar->type & PCI_BASE_ADDRESS_SPACE_IO))
			pci_place_bar(function, i, find_room(pci, bar->size));
	}
	pthread_mutex_unlock(&pci->lock);
	pthread_mutex_unlock(&function->lock);
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
	const uint32_t slot = function->slot;

	pthread_mutex_lock(&pci->lock);
	while (function->users)
		pthread_cond_wait(&pci->unused, &pci->lock);
	pthread_mutex_unlock(&pci->lock);
	function->ops->destroy(function);
	pci_bus_give_slot(pci, slot);
}

int vas_pci_remove(struct vas_pci *pci, uint32_t slot)
{
	struct pci_function *function = NULL;

	pthread_mutex_lock(&pci->lock);
	if (slot && slot < VAS_PCI_SLOTS)
		function = pci->functions[slot];
	if (function) {
		pci->functions[slot] = NULL;
		pci->asked &= ~(1u << slot);
		pthread_cond_broadcast(&pci->answered);
	}
	pthread_mutex_unlock(&pci->lock);
	if (!function)
		return vas_error_set(-ENOENT, "there is no device in slot %u", slot);
	pci_bus_destroy_function(function);
	return 0;
}

/* ---- accesses ----------------------------------------------------------------------------- */

static struct pci_function *get(struct vas_pci *pci, uint32_t slot)
{
	struct pci_function *function;

	pthread_mutex_lock(&pci->lock);
	function = pci->functions[slot];
	if (function)
		function->users++;
	pthread_mutex_unlock(&pci->lock);
	return function;
}

static void put(struct pci_function *function)
{
	struct vas_pci *pci = function->pci;

	pthread_mutex_lock(&pci->lock);
	if (!--function->users)
		pthread_cond_broadcast(&pci->unused);
	pthread_mutex_unlock(&pci->lock);
}

static void access_config(struct vas_pci *pci, uint32_t slot, uint32_t offset,
			  const struct vas_io *io)
{
	struct pci_function *function = get(pci, slot);

	if (function && io->flags & VAS_IO_WRITE)
		pci_config_write(function, offset, io->data, io->len);
	else if (function)
		pci_config_read(function, offset, io->data, io->len);
	else if (!(io->flags & VAS_IO_WRITE))
		memset(io->data, 0xff, io->len);
	if (function)
		put(function);
}

/* Bus 0 has devices, of one function each. */
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
	if (address & ADDRESS_ENABLE && !(address & ADDRESS_ELSEWHERE) && skip + io->len <= 4)
		access_config(pci, address >> 11 & 31, (address & 0xfc) + skip, io);
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
		access_config(pci, offset >> 15 & 31, offset & 0xfff, io);
	return 1;
}

/* The function and BAR that an address is in. */
static struct pci_function *get_by_address(struct vas_pci *pci, const struct vas_io *io,
					   uint32_t *index)
{
	uint32_t type = io->flags & VAS_IO_PORT ? PCI_BASE_ADDRESS_SPACE_IO : 0;
	uint32_t slot;

	for (slot = 1; slot < VAS_PCI_SLOTS; slot++)
		for (*index = 0; pci->functions[slot] && *index < PCI_NR_BARS; ++*index) {
			const struct pci_bar *bar = &pci->functions[slot]->bars[*index];

			if (!bar->at || io->addr - bar->at >= bar->size ||
			    (bar->type & PCI_BASE_ADDRESS_SPACE_IO) != type)
				continue;
			pci->functions[slot]->users++;
			return pci->functions[slot];
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

static int access_bar(struct vas_pci *pci, const struct vas_io *io)
{
	struct pci_function *function;
	uint32_t index;

	pthread_mutex_lock(&pci->lock);
	function = get_by_address(pci, io, &index);
	pthread_mutex_unlock(&pci->lock);
	if (!function)
		return 0;
	access_function(function, index, io);
	put(function);
	return 1;
}

int vas_pci_io(struct vas_pci *pci, const struct vas_io *io)
{
	if (!io_is_valid(io))
		return 0;
	if (!(io->flags & VAS_IO_PORT)) {
		if (pci->ecam && io->addr - pci->ecam < VAS_PCI_ECAM_SIZE)
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
		fault = "the ECAM is not aligned to its size";
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
	for (slot = 1; slot < VAS_PCI_SLOTS; slot++)
		if (pci->functions[slot])
			vas_pci_remove(pci, slot);
	pthread_mutex_destroy(&pci->bridge.lock);
	pthread_cond_destroy(&pci->answered);
	pthread_cond_destroy(&pci->unused);
	pthread_mutex_destroy(&pci->lock);
	free(pci);
}
