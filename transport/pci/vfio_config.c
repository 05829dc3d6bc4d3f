// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "transport/pci/vfio.h"

#define MAX_CAPABILITIES 48u /* more have no room */
#define MSI_SIZE_32	 10u
#define MSI_SIZE_64	 14u

/* ---- bytes that are the device's ---------------------------------------------------------- */

/* Its next bytes in [offset, end), all of the device's; 0: there are none. */
static uint32_t find_theirs(const struct vfio_pci *vfio, uint32_t *offset, uint32_t end)
{
	uint32_t len = 0;

	if (end > PCI_CFG_SPACE_SIZE)
		end = PCI_CFG_SPACE_SIZE;
	while (*offset < end && vfio->is_ours[*offset])
		++*offset;
	while (*offset + len < end && !vfio->is_ours[*offset + len])
		len++;
	return len;
}

void vfio_config_before_read(struct pci_function *function, uint32_t offset, uint32_t len)
{
	struct vfio_pci *vfio = (struct vfio_pci *)function;
	uint32_t end = offset + len, nr;

	for (; (nr = find_theirs(vfio, &offset, end)); offset += nr)
		if (pread(vfio->fd, &function->config[offset], nr,
			  (off_t)(vfio->config.offset + offset)) != nr)
			memset(&function->config[offset], 0xff, nr);
}

static void write_theirs(struct vfio_pci *vfio, uint32_t offset, uint32_t len)
{
	uint32_t end = offset + len, nr;

	for (; (nr = find_theirs(vfio, &offset, end)); offset += nr)
		if (pwrite(vfio->fd, &vfio->function.config[offset], nr,
			   (off_t)(vfio->config.offset + offset)) != nr)
			return; /* as if it had not been written */
}

/* ---- what is ours ------------------------------------------------------------------------- */

/* The guest may write `bits` of it, and nothing is passed on. */
static void take(struct vfio_pci *vfio, uint32_t offset, uint32_t len, uint32_t bits)
{
	uint32_t i;

	for (i = 0; i < len; i++) {
		vfio->is_ours[offset + i] = true;
		vfio->function.writable[offset + i] = i < 4 ? (uint8_t)(bits >> 8 * i) : 0;
	}
}

static void update_message(struct vfio_pci *vfio)
{
	const struct pci_function *function = &vfio->function;
	uint32_t at = vfio->msi_cap;
	bool is_64 = pci_get(function, at + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_64BIT;
	uint64_t addr = pci_get(function, at + PCI_MSI_ADDRESS_LO, 4);

	if (is_64)
		addr |= (uint64_t)pci_get(function, at + PCI_MSI_ADDRESS_HI, 4) << 32;
	vfio_irq_set_message(
		vfio, addr, pci_get(function, at + (is_64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2));
}

void vfio_config_after_write(struct pci_function *function, uint32_t offset, uint32_t len)
{
	struct vfio_pci *vfio = (struct vfio_pci *)function;

	write_theirs(vfio, offset, len);
	if (vfio->msi.event.id && pci_touches(offset, len, vfio->msi_cap, MSI_SIZE_64))
		update_message(vfio);
	if (vfio->msix.nr && pci_touches(offset, len, vfio->msix_cap + PCI_MSIX_FLAGS, 2))
		msix_set_control(&vfio->msix,
				 (uint16_t)pci_get(function, vfio->msix_cap + PCI_MSIX_FLAGS, 2));
	vfio_irq_update(vfio);
}

/* ---- capabilities ------------------------------------------------------------------------- */

static int open_event(struct vfio_pci *vfio, struct transport_event *event, uint32_t id,
		      const char *what)
{
	struct vas_pci *pci = vfio->function.pci;
	int err;

	event->event.id = pci_bus_events(pci, vfio->function.slot) + id;
	snprintf(event->event.name, sizeof(event->event.name), "pci%u.%s", vfio->function.slot,
		 what);
	err = transport_event_open(&pci->transport, event);
	if (err)
		event->event.id = 0;
	return err;
}

/* One message, which is not masked: what else the device may have the guest does not see. */
static int take_msi(struct vfio_pci *vfio, uint32_t at)
{
	struct pci_function *function = &vfio->function;
	uint32_t flags = pci_get(function, at + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_64BIT;
	uint32_t size = flags ? MSI_SIZE_64 : MSI_SIZE_32;

	if (vfio->msi.event.id || at + size > PCI_CFG_SPACE_SIZE)
		return -EPROTO;
	vfio->msi_cap = at;
	take(vfio, at + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	take(vfio, at + PCI_MSI_ADDRESS_LO, size - PCI_MSI_ADDRESS_LO, 0);
	memset(&function->config[at + PCI_MSI_FLAGS], 0, size - PCI_MSI_FLAGS);
	memset(&function->writable[at + PCI_MSI_ADDRESS_LO], 0xff, size - PCI_MSI_ADDRESS_LO);
	pci_set(function, at + PCI_MSI_FLAGS, flags, 2);
	vfio->msi.event = (struct vas_event){
		.kind = VAS_EVENT_IRQ,
		.flags = VAS_EVENT_MSI,
		.gsi = pci_bus_gsis(function->pci, function->slot) + VFIO_MSI_GSI,
	};
	return open_event(vfio, &vfio->msi, VFIO_MSI_EVENT, "msi");
}

static int take_msix(struct vfio_pci *vfio, uint32_t at)
{
	struct pci_function *function = &vfio->function;
	uint32_t nr, table, pba;

	if (vfio->msix.nr || at + MSIX_CAP_SIZE > PCI_CFG_SPACE_SIZE)
		return -EPROTO;
	nr = (pci_get(function, at + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
	if (nr > VFIO_MAX_VECTORS)
		nr = VFIO_MAX_VECTORS;
	table = pci_get(function, at + PCI_MSIX_TABLE, 4);
	pba = pci_get(function, at + PCI_MSIX_PBA, 4);
	vfio->msix_cap = at;
	vfio->table_bar = table & PCI_MSIX_TABLE_BIR;
	vfio->table_offset = table & PCI_MSIX_TABLE_OFFSET;
	vfio->pba_bar = pba & PCI_MSIX_PBA_BIR;
	vfio->pba_offset = pba & PCI_MSIX_PBA_OFFSET;
	take(vfio, at + PCI_MSIX_FLAGS, MSIX_CAP_SIZE - PCI_MSIX_FLAGS,
	     PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_set(function, at + PCI_MSIX_FLAGS, nr - 1, 2);
	return msix_init(&vfio->msix, function->pci, function->slot, 0, nr);
}

/* On a bus that is no PCI Express port, it is a part of the root complex. */
static void take_express(struct vfio_pci *vfio, uint32_t at)
{
	uint32_t flags = pci_get(&vfio->function, at + PCI_EXP_FLAGS, 2);

	take(vfio, at + PCI_EXP_FLAGS, 2, 0);
	pci_set(&vfio->function, at + PCI_EXP_FLAGS,
		(flags & ~PCI_EXP_FLAGS_TYPE) | PCI_EXP_TYPE_RC_END << 4, 2);
}

/* 1: the guest sees it. */
static int take_capability(struct vfio_pci *vfio, uint32_t at)
{
	int err = 0;

	switch (vfio->function.config[at]) {
	case PCI_CAP_ID_PM:
	case PCI_CAP_ID_VNDR:
		break;
	case PCI_CAP_ID_EXP:
		take_express(vfio, at);
		break;
	case PCI_CAP_ID_MSI:
		err = take_msi(vfio, at);
		break;
	case PCI_CAP_ID_MSIX:
		err = take_msix(vfio, at);
		break;
	default:
		return 0;
	}
	take(vfio, at, 2, 0);
	return err ? err : 1;
}

static int take_capabilities(struct vfio_pci *vfio)
{
	uint8_t *config = vfio->function.config, *link = &config[PCI_CAPABILITY_LIST];
	uint32_t at = *link & ~3u, next, i;
	int result;

	take(vfio, PCI_CAPABILITY_LIST, 1, 0);
	for (i = 0; at >= PCI_STD_HEADER_SIZEOF && i < MAX_CAPABILITIES; i++, at = next) {
		next = config[at + PCI_CAP_LIST_NEXT] & ~3u;
		result = take_capability(vfio, at);
		if (result < 0)
			return vas_error_set(result,
					     "%s: its capabilities make no sense, or have "
					     "no room",
					     vfio->name);
		if (!result)
			continue;
		*link = (uint8_t)at;
		link = &config[at + PCI_CAP_LIST_NEXT];
	}
	*link = 0;
	return 0;
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* A BAR's register says what it is; its size VFIO says. */
static void take_bars(struct vfio_pci *vfio)
{
	struct pci_function *function = &vfio->function;
	uint32_t i, value, type;

	take(vfio, PCI_BASE_ADDRESS_0, PCI_NR_BARS * 4, 0);
	for (i = 0; i < PCI_NR_BARS; i++) {
		value = pci_get(function, PCI_BASE_ADDRESS_0 + i * 4, 4);
		type = value & (value & PCI_BASE_ADDRESS_SPACE_IO ? 3u : 0xfu);
		pci_set(function, PCI_BASE_ADDRESS_0 + i * 4, 0, 4);
		if (!vfio->bars[i].size || vfio->bars[i].size & (vfio->bars[i].size - 1))
			continue;
		pci_set_bar(function, i, vfio->bars[i].size, type);
		if ((type & (PCI_BASE_ADDRESS_MEM_TYPE_MASK | PCI_BASE_ADDRESS_SPACE_IO)) ==
		    PCI_BASE_ADDRESS_MEM_TYPE_64)
			pci_set(function, PCI_BASE_ADDRESS_0 + ++i * 4, 0, 4);
	}
}

static int take_line(struct vfio_pci *vfio, uint32_t gsi)
{
	struct pci_function *function = &vfio->function;
	bool has_line = gsi && function->config[PCI_INTERRUPT_PIN];

	take(vfio, PCI_INTERRUPT_LINE, 2, 0xff);
	function->config[PCI_INTERRUPT_LINE] = (uint8_t)gsi;
	function->config[PCI_INTERRUPT_PIN] = has_line;
	if (!has_line)
		return 0;
	vfio->line.event = (struct vas_event){ .kind = VAS_EVENT_IRQ,
					       .flags = VAS_EVENT_RESAMPLE,
					       .gsi = gsi };
	return open_event(vfio, &vfio->line, VFIO_LINE_EVENT, "line");
}

int vfio_config_init(struct vfio_pci *vfio, uint32_t gsi)
{
	struct pci_function *function = &vfio->function;
	int err;

	if (pread(vfio->fd, function->config, PCI_CFG_SPACE_SIZE, (off_t)vfio->config.offset) !=
	    PCI_CFG_SPACE_SIZE)
		return vas_error_set(-EIO, "%s: its config space cannot be read", vfio->name);
	if (function->config[PCI_HEADER_TYPE] & 0x7f)
		return vas_error_set(-EINVAL, "%s is a bridge", vfio->name);
	memset(function->writable, 0xff, PCI_CFG_SPACE_SIZE);
	take(vfio, PCI_HEADER_TYPE, 1, 0);
	function->config[PCI_HEADER_TYPE] = 0;
	take(vfio, PCI_ROM_ADDRESS, 4, 0);
	pci_set(function, PCI_ROM_ADDRESS, 0, 4);
	take_bars(vfio);
	err = take_capabilities(vfio);
	return err ? err : take_line(vfio, gsi);
}
