// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz the registers of a PCI bus, of a virtio-pci device on it, and of virtio-mmio: any access, in
 * any order, and registers that were saved and damaged. The device's server dies of what a transport must not do (tests/transport/server.c).
 *
 * The input: accesses of 12 bytes each.
 *
 *	0	kind, in the low 3 bits; 8: a write; 16, 32: the width, as a power of two
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
static struct server servers[2];

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

static uint64_t bar(void)
{
	uint32_t value = 0;
	struct vas_io io = { .addr = ECAM + (SLOT << 15) + PCI_BASE_ADDRESS_0, .len = 4 };

	io.data = &value;
	must(vas_pci_io(pci, &io), "the config space is there");
	return value;
}

/* What the server says, and what it is to answer from now on. */
static void serve(const struct access *access, uint32_t where)
{
	struct server *server = &servers[where & 1];

	server->accept_result = access->value & 1 ? -EOPNOTSUPP : 0;
	server->start_result = access->value & 2 ? -EIO : 0;
	server->queue_result = access->value & 4 ? -EFAULT : 0;
	server->generation++;
	if (access->value & 8)
		vas_virtio_changed(&server->server);
	if (access->value & 16)
		vas_virtio_broken(&server->server);
}

static void add_device(void)
{
	server_init(&servers[0]);
	must(vas_pci_add_virtio(pci, SLOT, &servers[0].server) == SLOT, "a device comes");
}

/* Saved, damaged by one byte or by none, and loaded into another one; or refused. */
static void move_device(const struct access *access, uint32_t where)
{
	uint8_t damage = (uint8_t)(access->value >> 8), *bytes;
	void *state;
	size_t size;
	int err;

	must(!vas_pci_pause(pci), "a device stands");
	must(!vas_pci_save(pci, &state, &size), "it is saved");
	must(!vas_pci_remove(pci, SLOT), "a device goes");
	add_device();
	bytes = state;
	bytes[where % size] ^= damage;
	err = vas_pci_load(pci, state, size);
	free(state);
	must(!err || damage, "what was saved is loaded");
	if (!err) {
		vas_pci_resume(pci);
		return;
	}
	must(!vas_pci_remove(pci, SLOT), "a device goes");
	add_device();
}

static void run(const struct access *access)
{
	uint32_t where = access->where[0] | access->where[1] << 8 | access->where[2] << 16;

	switch (access->kind & 7) {
	case ECAM_SPACE:
		access_at(access, ECAM + (where & 0xfffff), 0);
		return;
	case PORTS:
		access_at(access, VAS_PCI_PORT + where % (8 + VAS_PCI_HOTPLUG_PORTS), VAS_IO_PORT);
		return;
	case BAR:
		access_at(access, bar() + where % 0x8000, 0);
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
		vas_irq_raise(vas, 1000 + (VAS_PCI_EVENT_IDS / VAS_PCI_SLOTS) * SLOT + where % 4);
		return;
	case AGAIN:
		if (access->value & 1) {
			move_device(access, where);
			return;
		}
		must(!vas_pci_remove(pci, SLOT), "a device goes");
		add_device();
		return;
	}
}

static void make_all(void)
{
	const struct vas_options options = { .limit = 1 << 20 };
	const struct vas_pci_options pci_options = {
		.ecam = ECAM,
		.window = WINDOW,
		.window_size = WINDOW_SIZE,
		.first_event = 1000,
		.hotplug_port = VAS_PCI_PORT + 8,
	};

	must(!vas_create(&options, &vas), "a vas");
	must(!vas_pci_create(vas, &pci_options, &pci), "a bus");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vas_virtio_mmio_options mmio_options = { .gpa = MMIO,
								     .gsi = 5,
								     .first_event = 1 };
	struct access access;
	uint32_t i;

	if (!vas)
		make_all();
	add_device();
	server_init(&servers[1]);
	must(!vas_virtio_mmio_create(vas, &mmio_options, &servers[1].server, &mmio), "registers");
	for (i = 0; i < MAX_STEPS && size >= STEP; i++, data += STEP, size -= STEP) {
		memcpy(&access, data, STEP);
		run(&access);
	}
	must(!vas_pci_remove(pci, SLOT), "the device goes");
	vas_virtio_mmio_destroy(mmio);
	must(!servers[0].is_started && !servers[1].is_started, "both were reset");
	must(!vas_events(vas, NULL, 0), "no event is left");
	return 0;
}
