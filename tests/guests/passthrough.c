// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Has a physical device, QEMU's "edu" in slot 1 of the PCI bus, copy a word to it and back, again and
 * again: mailbox.done counts. When the VMM asks for the device, by the ports for hot-plug, it lets go
 * of it, unless mailbox.turn is 0; and counts on without it, until mailbox.turn is GUEST_TURN_STOP.
 * Status 1: what came back was not what had been sent; 2: the device is not as it should be.
 */
#include "guest.h"

#define ADDRESS_PORT 0xcf8
#define DATA_PORT    0xcfc
#define SLOT	     1u
#define COMMAND	     0x04u
#define BAR0	     0x10u
#define MEMORY	     2u /* bits of the command register */
#define MASTER	     4u

#define HOTPLUG_ASKED 0xae04
#define HOTPLUG_EJECT 0xae08

#define EDU		0x11e81234u
#define DMA_SOURCE	0x80
#define DMA_DESTINATION 0x88
#define DMA_COUNT	0x90
#define DMA_COMMAND	0x98
#define START		1u
#define TO_RAM		2u
#define EDU_BUFFER	0x40000ull

static uint64_t sent, came_back; /* which the device reads and writes */

static uint32_t inl(uint16_t port)
{
	uint32_t val;

	__asm__ volatile("inl %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static void config_choose(uint32_t offset)
{
	outl(ADDRESS_PORT, 1u << 31 | SLOT << 11 | offset);
}

static uint32_t config_read(uint32_t offset)
{
	config_choose(offset);
	return inl(DATA_PORT);
}

static void config_write(uint32_t offset, uint32_t val)
{
	config_choose(offset);
	outl(DATA_PORT, val);
}

static void transfer(volatile char *device, uint64_t from, uint64_t to, uint64_t command)
{
	*(volatile uint64_t *)(device + DMA_SOURCE) = from;
	*(volatile uint64_t *)(device + DMA_DESTINATION) = to;
	*(volatile uint64_t *)(device + DMA_COUNT) = sizeof(sent);
	*(volatile uint64_t *)(device + DMA_COMMAND) = command | START;
	while (*(volatile uint64_t *)(device + DMA_COMMAND) & START)
		__asm__ volatile("pause");
}

static int use_device(volatile char *device, uint64_t val)
{
	sent = val;
	transfer(device, (uint64_t)&sent, EDU_BUFFER, 0);
	transfer(device, EDU_BUFFER, (uint64_t)&came_back, TO_RAM);
	return *(volatile uint64_t *)&came_back == val;
}

static int must_let_go(const volatile struct guest_mailbox *box)
{
	return box->turn && inl(HOTPLUG_ASKED) & 1u << SLOT;
}

static int let_go(void)
{
	config_write(COMMAND, 0);
	outl(HOTPLUG_EJECT, 1u << SLOT);
	return config_read(0) == UINT32_MAX;
}

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	volatile char *device;
	uint64_t seed = 1;

	if (config_read(0) != EDU)
		return 2;
	config_write(COMMAND, MEMORY | MASTER);
	device = (volatile char *)(uint64_t)(config_read(BAR0) & ~0xfu);
	while (!must_let_go(box)) {
		if (!use_device(device, guest_random(&seed)))
			return 1;
		box->done++;
	}
	if (!let_go())
		return 2;
	guest_print("passthrough: the device is gone\n");
	/* Through the bus still, of which there must be one wherever the guest has gone. */
	while (box->turn != GUEST_TURN_STOP && config_read(0) == UINT32_MAX)
		box->done++;
	return box->turn == GUEST_TURN_STOP ? 0 : 2;
}
