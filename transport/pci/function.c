// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/pci/function.h"

#include <string.h>

#include "transport/pci/bus.h"

/* ---- config space ------------------------------------------------------------------------- */

void pci_set(struct pci_function *function, uint32_t offset, uint32_t value, uint32_t len)
{
	memcpy(&function->config[offset], &value, len);
}

uint32_t pci_get(const struct pci_function *function, uint32_t offset, uint32_t len)
{
	uint32_t value = 0;

	memcpy(&value, &function->config[offset], len);
	return value;
}

void pci_allow(struct pci_function *function, uint32_t offset, uint32_t bits, uint32_t len)
{
	memcpy(&function->writable[offset], &bits, len);
}

void pci_function_init(struct pci_function *function, uint16_t vendor, uint16_t device,
		       uint32_t class_code)
{
	memset(function->config, 0, sizeof(function->config));
	memset(function->writable, 0, sizeof(function->writable));
	memset(function->clearable, 0, sizeof(function->clearable));
	memset(function->bars, 0, sizeof(function->bars));
	pthread_mutex_init(&function->lock, NULL);
	pci_set(function, PCI_VENDOR_ID, vendor, 2);
	pci_set(function, PCI_DEVICE_ID, device, 2);
	pci_set(function, PCI_CLASS_REVISION, class_code << 8 | 1, 4);
	pci_allow(function, PCI_COMMAND,
		  PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
			  PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE,
		  2);
	pci_allow(function, PCI_CACHE_LINE_SIZE, 0xff, 1);
	pci_allow(function, PCI_INTERRUPT_LINE, 0xff, 1);
}

/* The last one's link leads to it. */
void pci_add_capability(struct pci_function *function, uint32_t at, const void *bytes, uint32_t len)
{
	uint32_t link = PCI_CAPABILITY_LIST;

	while (function->config[link])
		link = function->config[link] + PCI_CAP_LIST_NEXT;
	function->config[link] = (uint8_t)at;
	memcpy(&function->config[at], bytes, len);
	function->config[at + PCI_CAP_LIST_NEXT] = 0;
	pci_set(function, PCI_STATUS, pci_get(function, PCI_STATUS, 2) | PCI_STATUS_CAP_LIST, 2);
}

/* ---- BARs --------------------------------------------------------------------------------- */

static uint32_t bar_register(uint32_t bar)
{
	return PCI_BASE_ADDRESS_0 + bar * 4;
}

static bool is_64(const struct pci_bar *bar)
{
	return !(bar->type & PCI_BASE_ADDRESS_SPACE_IO) &&
	       (bar->type & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
}

void pci_set_bar(struct pci_function *function, uint32_t bar, uint64_t size, uint32_t type)
{
	uint64_t bits = ~(size - 1);

	function->bars[bar] = (struct pci_bar){ .size = size, .type = type };
	pci_set(function, bar_register(bar), type, 4);
	pci_allow(function, bar_register(bar), (uint32_t)bits, 4);
	if (is_64(&function->bars[bar]))
		pci_allow(function, bar_register(bar + 1), (uint32_t)(bits >> 32), 4);
}

void pci_place_bar(struct pci_function *function, uint32_t index, uint64_t gpa)
{
	struct pci_bar *bar = &function->bars[index];

	bar->placed = gpa;
	pci_set(function, bar_register(index), (uint32_t)gpa | bar->type, 4);
	if (is_64(bar))
		pci_set(function, bar_register(index + 1), (uint32_t)(gpa >> 32), 4);
}

static uint64_t decoded_at(const struct pci_function *function, uint32_t index)
{
	const struct pci_bar *bar = &function->bars[index];
	bool is_port = bar->type & PCI_BASE_ADDRESS_SPACE_IO;
	uint64_t at = pci_get(function, bar_register(index), 4);

	if (!bar->size ||
	    !(pci_get(function, PCI_COMMAND, 2) & (is_port ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return 0;
	if (is_64(bar))
		at |= (uint64_t)pci_get(function, bar_register(index + 1), 4) << 32;
	return at & ~(bar->size - 1);
}

static void decode(struct pci_function *function)
{
	bool has_moved = false;
	uint32_t i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		uint64_t at = decoded_at(function, i);

		if (at == function->bars[i].at)
			continue;
		pci_bus_set_bar(function, i, at);
		has_moved = true;
	}
	if (has_moved && function->ops->bars_moved)
		function->ops->bars_moved(function);
}

/* ---- accesses ----------------------------------------------------------------------------- */

static uint32_t clip(uint32_t offset, uint32_t len)
{
	uint32_t there = offset < PCI_CFG_SPACE_EXP_SIZE ? PCI_CFG_SPACE_EXP_SIZE - offset : 0;

	return len < there ? len : there;
}

void pci_config_read(struct pci_function *function, uint32_t offset, void *to, uint32_t len)
{
	memset(to, 0xff, len);
	len = clip(offset, len);
	pthread_mutex_lock(&function->lock);
	if (function->ops->before_read)
		function->ops->before_read(function, offset, len);
	memcpy(to, &function->config[offset], len);
	pthread_mutex_unlock(&function->lock);
}

static void write_byte(struct pci_function *function, uint32_t offset, uint8_t byte)
{
	uint8_t mask = function->writable[offset], *to = &function->config[offset];

	*to = (*to & ~mask) | (byte & mask);
	if (offset < PCI_CFG_SPACE_SIZE)
		*to &= ~(byte & function->clearable[offset]);
}

void pci_config_write(struct pci_function *function, uint32_t offset, const void *from,
		      uint32_t len)
{
	const uint8_t *bytes = from;
	uint32_t i;

	len = clip(offset, len);
	pthread_mutex_lock(&function->lock);
	for (i = 0; i < len; i++)
		write_byte(function, offset + i, bytes[i]);
	if (pci_touches(offset, len, PCI_COMMAND, 2) ||
	    pci_touches(offset, len, PCI_BASE_ADDRESS_0, PCI_NR_BARS * 4))
		decode(function);
	if (function->ops->after_write)
		function->ops->after_write(function, offset, len);
	pthread_mutex_unlock(&function->lock);
}

void pci_function_reset(struct pci_function *function)
{
	uint32_t i;

	for (i = 0; i < PCI_CFG_SPACE_SIZE; i++)
		function->config[i] &= ~(function->writable[i] | function->clearable[i]);
	decode(function);
	if (function->ops->after_write)
		function->ops->after_write(function, 0, PCI_CFG_SPACE_SIZE);
	if (function->ops->reset)
		function->ops->reset(function);
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

void pci_config_save(const struct pci_function *function, struct state_writer *to)
{
	state_put(to, function->config, PCI_CFG_SPACE_SIZE);
}

bool pci_config_load(struct pci_function *function, struct state_reader *from)
{
	uint8_t bytes[PCI_CFG_SPACE_SIZE];
	uint32_t i;

	if (!state_get(from, bytes, sizeof(bytes)))
		return false;
	for (i = 0; i < sizeof(bytes); i++)
		if ((bytes[i] ^ function->config[i]) &
		    ~(function->writable[i] | function->clearable[i]))
			return false;
	memcpy(function->config, bytes, sizeof(bytes));
	decode(function);
	return true;
}
