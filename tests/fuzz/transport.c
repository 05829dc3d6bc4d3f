// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz the registers of a PCI bus, of a virtio-pci device on it, of a root port with a device
 * behind it, which comes and goes, and of virtio-mmio: any access, in any order, and registers that
 * were saved and damaged. A device's server dies of what a transport must not do
 * (tests/transport/server.c).
 *
 * The input: accesses of 12 bytes each.
 *
 *	0	kind, in the low 3 bits; 8: a write; 16, 32: the width, as a power of two;
 *		64: of the port's device, if it is of a device's
 *	1	3 bytes: where, within what the kind says
 *	4	8 bytes: the value
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/event.h>
#include <vas/transport.h>

#include "tests/transport/server.h"

#define ECAM	    0xe0000000ull
#define WINDOW	    0xd0000000ull
#define WINDOW_SIZE 0x40000ull
#define MMIO	    0xc0000000ull
#define SLOT	    1u
#define PORT	    2u /* and of the bus behind it */
#define ECAM_BUSES  4u
#define STEP	    12u
#define MAX_STEPS   600u

enum kind { ECAM_SPACE, PORTS, BAR, MMIO_PAGE, ANYWHERE, SERVER, VECTOR, AGAIN };

struct access {
	uint8_t kind;
	uint8_t where[3];
	uint64_t value;
} __attribute__((packed));

static struct vas *vas;
static struct vas_pci *pci;
static struct vas_virtio_mmio *mmio;
static struct server servers[3]; /* of the slot's device, the port's, virtio-mmio's */
static const uint32_t slots[] = { SLOT, PORT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "transport: %s: %s\n", what, vas_error());
	abort();
}

static int access_at(const struct access *access, uint64_t addr, uint32_t flags)
{
	uint64_t value = access->value;
	struct vas_io io = {
		.addr = addr,
		.len = 1u << (access->kind >> 4 & 3),
		.flags = flags | (access->kind & 8 ? VAS_IO_WRITE : 0),
		.data = &value,
	};

	return vas_pci_io(pci, &io) || vas_virtio_mmio_io(mmio, &io);
}

/* Which of the two devices an access is of. */
static uint32_t which(const struct access *access)
{
	return access->kind >> 6 & 1;
}

static uint64_t bar(const struct access *access)
{
	uint32_t value = 0;
	struct vas_io io = { .addr = ECAM + PCI_BASE_ADDRESS_0, .len = 4 };

	io.addr += which(access) ? PORT << 20 : SLOT << 15;
	io.data = &value;
	must(vas_pci_io(pci, &io), "the config space is there");
	return value & ~0xfu;
}

/* What the server says, and what it is to answer from now on. */
static void serve(const struct access *access, uint32_t where)
{
	struct server *server = &servers[where % 3];

	server->accept_result = access->value & 1 ? -EOPNOTSUPP : 0;
	server->start_result = access->value & 2 ? -EIO : 0;
	server->queue_result = access->value & 4 ? -EFAULT : 0;
	server->generation++;
	if (access->value & 8)
		vas_virtio_changed(&server->server);
	if (access->value & 16)
		vas_virtio_broken(&server->server);
}

static void add_device(uint32_t i)
{
	server_init(&servers[i]);
	must(vas_pci_add_virtio(pci, slots[i], &servers[i].server) == (int)slots[i],
	     "a device comes");
}

static void make_bus(void)
{
	const struct vas_pci_options options = {
		.ecam = ECAM,
		.ecam_buses = ECAM_BUSES,
		.window = WINDOW,
		.window_size = WINDOW_SIZE,
		.first_event = 1000,
		.hotplug_port = VAS_PCI_PORT + 8,
	};

	must(!vas_pci_create(vas, &options, &pci), "a bus");
	must(vas_pci_add_port(pci, PORT) == PORT, "a port");
	add_device(0);
	add_device(1);
}

/* Saved, damaged by one byte or by none, and loaded into another one; or refused. */
static void move_bus(const struct access *access, uint32_t where)
{
	uint8_t damage = (uint8_t)(access->value >> 8), *bytes;
	void *state;
	size_t size;
	int err;

	must(!vas_pci_pause(pci), "all devices stand");
	must(!vas_pci_save(pci, &state, &size), "they are saved");
	vas_pci_destroy(pci);
	make_bus();
	bytes = state;
	bytes[where % size] ^= damage;
	err = vas_pci_load(pci, state, size);
	free(state);
	must(!err || damage, "what was saved is loaded");
	if (!err) {
		vas_pci_resume(pci);
		return;
	}
	vas_pci_destroy(pci);
	make_bus();
}

/* Another one comes, if the guest lets go of the one that is there, or has no choice. */
static void replace_device(const struct access *access)
{
	uint32_t i = which(access);

	if (access->value & 2 ? vas_pci_unplug(pci, slots[i], 0) : vas_pci_remove(pci, slots[i]))
		must(access->value & 2, "a device goes");
	else
		add_device(i);
}

static void run(const struct access *access)
{
	uint32_t where = access->where[0] | access->where[1] << 8 | access->where[2] << 16;

	switch (access->kind & 7) {
	case ECAM_SPACE:
		access_at(access, ECAM + where % (ECAM_BUSES << 20), 0);
		return;
	case PORTS:
		access_at(access, VAS_PCI_PORT + where % (8 + VAS_PCI_HOTPLUG_PORTS), VAS_IO_PORT);
		return;
	case BAR:
		access_at(access, bar(access) + where % 0x8000, 0);
		return;
	case MMIO_PAGE:
		access_at(access, MMIO + where % VAS_VIRTIO_MMIO_SIZE, 0);
		return;
	case ANYWHERE:
		access_at(access, access->value, where & 1 ? VAS_IO_PORT : 0);
		return;
	case SERVER:
		serve(access, where);
		return;
	case VECTOR:
		vas_irq_raise(vas, 1000 + VAS_PCI_EVENT_IDS / VAS_PCI_SLOTS * slots[which(access)] +
					   where % 4);
		return;
	case AGAIN:
		if (access->value & 1)
			move_bus(access, where);
		else
			replace_device(access);
		return;
	}
}

static void make_vas(void)
{
	const struct vas_options options = { .limit = 1 << 20 };

	must(!vas_create(&options, &vas), "a vas");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vas_virtio_mmio_options mmio_options = { .gpa = MMIO,
								     .gsi = 5,
								     .first_event = 1 };
	struct access access;
	uint32_t i;

	if (!vas)
		make_vas();
	make_bus();
	server_init(&servers[2]);
	must(!vas_virtio_mmio_create(vas, &mmio_options, &servers[2].server, &mmio), "registers");
	for (i = 0; i < MAX_STEPS && size >= STEP; i++, data += STEP, size -= STEP) {
		memcpy(&access, data, STEP);
		run(&access);
	}
	vas_pci_destroy(pci);
	vas_virtio_mmio_destroy(mmio);
	for (i = 0; i < 3; i++)
		must(!servers[i].is_started && !servers[i].server.told, "all were reset");
	must(!vas_events(vas, NULL, 0), "no event is left");
	return 0;
}
