// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/pci/msix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

/* ---- vectors ------------------------------------------------------------------------------ */

static bool is_wanted(const struct msix *msix, const struct msix_vector *vector)
{
	return (msix->control & MSIX_CONTROL_BITS) == PCI_MSIX_FLAGS_ENABLE &&
	       !(vector->control & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/* A message that KVM does not take is nobody's interrupt; it stays pending. */
static void update(struct msix *msix, struct msix_vector *vector, bool has_changed)
{
	bool is_attached = vector->irq.is_attached;

	if (!is_wanted(msix, vector))
		transport_event_detach(msix->transport, &vector->irq);
	else if (has_changed || !is_attached)
		transport_event_attach(msix->transport, &vector->irq);
}

void msix_set_control(struct msix *msix, uint16_t control)
{
	uint32_t i;

	control &= MSIX_CONTROL_BITS;
	if (control == msix->control)
		return;
	msix->control = control;
	for (i = 0; i < msix->nr; i++)
		update(msix, &msix->vectors[i], false);
}

int msix_fd(const struct msix *msix, uint32_t vector)
{
	return vector < msix->nr ? msix->vectors[vector].irq.fd : -1;
}

void msix_raise(const struct msix *msix, uint32_t vector)
{
	if (vector < msix->nr)
		vas_irq_raise(msix->transport->vas, msix->vectors[vector].irq.event.id);
}

/* ---- the table ---------------------------------------------------------------------------- */

static uint32_t entry_word(const struct msix_vector *vector, uint32_t at)
{
	switch (at) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return (uint32_t)vector->irq.event.addr;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return (uint32_t)(vector->irq.event.addr >> 32);
	case PCI_MSIX_ENTRY_DATA:
		return (uint32_t)vector->irq.event.data;
	default:
		return vector->control;
	}
}

/* Copy what [offset, offset + len) has of the 32-bit word at `at`. */
static void copy_word(uint64_t offset, void *to, uint32_t len, uint64_t at, uint32_t word)
{
	const uint8_t *bytes = (const uint8_t *)&word;
	uint32_t i;

	for (i = 0; i < sizeof(word); i++)
		if (at + i >= offset && at + i - offset < len)
			((uint8_t *)to)[at + i - offset] = bytes[i];
}

void msix_table_read(const struct msix *msix, uint64_t offset, void *to, uint32_t len)
{
	uint64_t at;

	memset(to, 0, len);
	for (at = offset & ~3ull; at < offset + len && at / MSIX_ENTRY_SIZE < msix->nr; at += 4)
		copy_word(offset, to, len, at,
			  entry_word(&msix->vectors[at / MSIX_ENTRY_SIZE], at % MSIX_ENTRY_SIZE));
}

static void write_word(struct msix *msix, uint64_t offset, uint32_t word)
{
	struct msix_vector *vector = &msix->vectors[offset / MSIX_ENTRY_SIZE];
	uint64_t *addr = &vector->irq.event.addr;

	switch (offset % MSIX_ENTRY_SIZE) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		*addr = (*addr & ~0xffffffffull) | word;
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		*addr = (*addr & 0xffffffffull) | (uint64_t)word << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		vector->irq.event.data = word;
		break;
	default:
		vector->control = word & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		update(msix, vector, false);
		return;
	}
	update(msix, vector, true);
}

/* 32 bits or 64, aligned; nothing else means anything. */
void msix_table_write(struct msix *msix, uint64_t offset, const void *from, uint32_t len)
{
	const uint8_t *bytes = from;
	uint32_t i, word;

	if ((len != 4 && len != 8) || offset % len)
		return;
	for (i = 0; i < len && (offset + i) / MSIX_ENTRY_SIZE < msix->nr; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		write_word(msix, offset + i, word);
	}
}

static bool is_pending(const struct msix *msix, uint32_t vector)
{
	return vector < msix->nr && !msix->vectors[vector].irq.is_attached &&
	       transport_event_is_pending(&msix->vectors[vector].irq);
}

void msix_pba_read(const struct msix *msix, uint64_t offset, void *to, uint32_t len)
{
	uint8_t *bytes = to;
	uint32_t i;

	memset(to, 0, len);
	for (i = 0; i < len * 8 && (offset * 8 + i) < msix->nr; i++)
		if (is_pending(msix, (uint32_t)(offset * 8 + i)))
			bytes[i / 8] |= (uint8_t)(1u << i % 8);
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

struct vector_state {
	uint64_t addr;
	uint32_t data;
	uint32_t control;
	uint32_t is_pending;
	uint32_t reserved;
};

void msix_save(const struct msix *msix, struct state_writer *to)
{
	uint32_t i;

	state_put(to, &msix->nr, sizeof(msix->nr));
	for (i = 0; i < msix->nr; i++) {
		const struct msix_vector *vector = &msix->vectors[i];
		const struct vector_state state = {
			.addr = vector->irq.event.addr,
			.data = (uint32_t)vector->irq.event.data,
			.control = vector->control,
			.is_pending = is_pending(msix, i),
		};

		state_put(to, &state, sizeof(state));
	}
}

static bool load_vector(const struct msix *msix, uint32_t nr, struct state_reader *from)
{
	struct msix_vector *vector = &msix->vectors[nr];
	struct vector_state state;

	if (!state_get(from, &state, sizeof(state)) || state.reserved || state.is_pending > 1 ||
	    state.control & ~(uint32_t)PCI_MSIX_ENTRY_CTRL_MASKBIT)
		return false;
	vector->irq.event.addr = state.addr;
	vector->irq.event.data = state.data;
	vector->control = state.control;
	if (state.is_pending)
		msix_raise(msix, nr);
	return true;
}

/* KVM looks at what is pending as it is told of a vector. */
bool msix_load(struct msix *msix, struct state_reader *from)
{
	uint32_t nr, i;

	if (!state_get(from, &nr, sizeof(nr)) || nr != msix->nr)
		return false;
	for (i = 0; i < nr; i++)
		if (!load_vector(msix, i, from))
			return false;
	for (i = 0; i < nr; i++)
		update(msix, &msix->vectors[i], true);
	return true;
}

/* ---- beginning and end -------------------------------------------------------------------- */

void msix_add_capability(const struct msix *msix, struct pci_function *function, uint32_t at,
			 uint32_t bar, uint32_t table, uint32_t pba)
{
	const uint8_t head[MSIX_CAP_SIZE] = { PCI_CAP_ID_MSIX };
	uint16_t writable = MSIX_CONTROL_BITS;

	pci_add_capability(function, at, head, sizeof(head));
	pci_set(function, at + PCI_MSIX_FLAGS, msix->nr - 1, 2);
	pci_set(function, at + PCI_MSIX_TABLE, table | bar, 4);
	pci_set(function, at + PCI_MSIX_PBA, pba | bar, 4);
	memcpy(&function->writable[at + PCI_MSIX_FLAGS], &writable, sizeof(writable));
}

void msix_reset(struct msix *msix)
{
	uint32_t i;

	for (i = 0; i < msix->nr; i++) {
		struct msix_vector *vector = &msix->vectors[i];

		vector->control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		vector->irq.event.addr = vector->irq.event.data = 0;
		update(msix, vector, true);
	}
}

/* Its number in the slot is nr. */
static int open_vector(struct msix *msix, struct msix_vector *vector, struct vas_pci *pci,
		       uint32_t slot, uint32_t nr)
{
	struct vas_event *event = &vector->irq.event;

	*event = (struct vas_event){
		.kind = VAS_EVENT_IRQ,
		.flags = VAS_EVENT_MSI,
		.id = pci_bus_events(pci, slot) + nr,
		.gsi = pci_bus_gsis(pci, slot) + nr,
	};
	snprintf(event->name, sizeof(event->name), "pci%u.vector%u", slot, nr);
	vector->control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	return transport_event_open(msix->transport, &vector->irq);
}

int msix_init(struct msix *msix, struct vas_pci *pci, uint32_t slot, uint32_t first, uint32_t nr)
{
	int err;

	*msix = (struct msix){ .transport = &pci->transport };
	msix->vectors = calloc(nr, sizeof(*msix->vectors));
	if (!msix->vectors)
		return vas_error_set(-ENOMEM, "no memory for %u interrupts", nr);
	for (; msix->nr < nr; msix->nr++) {
		err = open_vector(msix, &msix->vectors[msix->nr], pci, slot, first + msix->nr);
		if (err) {
			msix_clean(msix);
			return err;
		}
	}
	return 0;
}

void msix_clean(struct msix *msix)
{
	while (msix->nr)
		transport_event_close(msix->transport, &msix->vectors[--msix->nr].irq);
	free(msix->vectors);
}
