// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A guest is asked for its devices, and answers as it should, or as it likes, or not at all. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <string.h>
#include <vas/event.h>
#include <vas/transport.h>

#include "harness.h"
#include "tests/transport/server.h"

#define ECAM	0xe0000000ull
#define HOTPLUG 0xae00u
#define ASKED	4u
#define EJECT	8u
#define MAY_GO	12u
#define SLOT	3u
#define EVENT	7u
#define SOON_NS 20000000ull

static struct vas *vas;
static struct vas_pci *pci;
static struct server server, other;

static void begin(uint32_t hotplug_port)
{
	const struct vas_options options = { .limit = 1 << 20 };
	const struct vas_event event = { .id = EVENT, .kind = VAS_EVENT_IRQ, .gsi = 9 };
	const struct vas_pci_options pci_options = {
		.ecam = ECAM,
		.window = 0xd0000000,
		.window_size = 0x40000,
		.first_event = 1000,
		.hotplug_port = hotplug_port,
		.hotplug_event = EVENT,
	};

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(vas_pci_create(vas, &pci_options, &pci));
	server_init(&server);
	server_init(&other);
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT + 1, &other.server), SLOT + 1);
}

static void end(void)
{
	vas_pci_destroy(pci);
	vas_destroy(vas);
}

static uint32_t port_read(uint32_t offset)
{
	uint32_t value = 0;
	const struct vas_io io = { HOTPLUG + offset, 4, VAS_IO_PORT, &value };

	CHECK_EQ(vas_pci_io(pci, &io), 1);
	return value;
}

static void port_write(uint32_t offset, uint32_t value)
{
	const struct vas_io io = { HOTPLUG + offset, 4, VAS_IO_PORT | VAS_IO_WRITE, &value };

	CHECK_EQ(vas_pci_io(pci, &io), 1);
}

static uint32_t vendor(uint32_t slot)
{
	uint32_t value = 0;
	const struct vas_io io = { ECAM + (slot << 15), 2, 0, &value };

	CHECK_EQ(vas_pci_io(pci, &io), 1);
	return value;
}

static int is_asked(void *arg)
{
	(void)arg;
	return port_read(ASKED) == 1u << SLOT;
}

static void await_asked(void)
{
	test_wait(is_asked, NULL, TEST_HANG_MS);
}

static void *lets_go(void *arg)
{
	(void)arg;
	await_asked();
	port_write(EJECT, 1u << SLOT);
	CHECK_EQ(vendor(SLOT), 0xffff); /* as soon as it has said so */
	return NULL;
}

TEST(a_device_that_the_guest_lets_go_of_is_taken_away)
{
	pthread_t guest;

	begin(HOTPLUG);
	CHECK_EQ(port_read(MAY_GO), 3u << SLOT);
	CHECK_OK(pthread_create(&guest, NULL, lets_go, NULL));
	CHECK_OK(vas_pci_unplug(pci, SLOT, TEST_HANG_NS));
	CHECK_OK(pthread_join(guest, NULL));
	CHECK(!server.server.told);
	CHECK_EQ(port_read(ASKED), 0);
	CHECK_EQ(port_read(MAY_GO), 2u << SLOT);
	CHECK_EQ(vendor(SLOT + 1), 0x1af4);
	CHECK_EQ(vas_doorbell_wait(vas, EVENT, 0), 1); /* it was told to look */
	CHECK_EQ(vas_pci_unplug(pci, SLOT, SOON_NS), -ENOENT);
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
	CHECK_EQ(vendor(SLOT), 0x1af4);
	end();
}

TEST(a_device_stays_when_the_guest_does_not_answer_in_time)
{
	begin(HOTPLUG);
	CHECK_EQ(vas_pci_unplug(pci, SLOT, SOON_NS), -ETIMEDOUT);
	CHECK_HAS(vas_error(), server.server.name);
	CHECK_HAS(vas_error(), "slot 3, within 20 ms: it stays");
	CHECK_EQ(port_read(ASKED), 0);
	/* Too late, and never asked for. */
	port_write(EJECT, UINT32_MAX);
	CHECK_EQ(vendor(SLOT), 0x1af4);
	CHECK_EQ(vendor(SLOT + 1), 0x1af4);
	CHECK_EQ(server.nr_resets, 0);
	CHECK_EQ(vas_pci_unplug(pci, SLOT, 0), -ETIMEDOUT);
	end();
}

static void *asks(void *result)
{
	*(int *)result = vas_pci_unplug(pci, SLOT, UINT64_MAX);
	return NULL;
}

TEST(a_device_that_is_asked_for_can_be_removed_at_once)
{
	pthread_t vmm;
	int result = 0;

	begin(HOTPLUG);
	CHECK_OK(pthread_create(&vmm, NULL, asks, &result));
	await_asked();
	CHECK_EQ(vas_pci_unplug(pci, SLOT, UINT64_MAX), -EALREADY);
	CHECK_EQ(vas_pci_pause(pci), -EBUSY);
	CHECK_HAS(vas_error(), "slot 3");
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_OK(pthread_join(vmm, NULL));
	CHECK_EQ(result, -ENOENT);
	CHECK_EQ(port_read(ASKED), 0);
	CHECK_OK(vas_pci_pause(pci));
	vas_pci_resume(pci);
	end();
}

TEST(a_bus_without_ports_cannot_ask)
{
	uint32_t value;
	const struct vas_io io = { HOTPLUG, 4, VAS_IO_PORT, &value };

	begin(0);
	CHECK_EQ(vas_pci_io(pci, &io), 0);
	CHECK_EQ(vas_pci_unplug(pci, SLOT, SOON_NS), -EOPNOTSUPP);
	CHECK_EQ(vas_pci_unplug(pci, 0, SOON_NS), -ENOENT);
	CHECK_EQ(vas_pci_unplug(pci, 32, SOON_NS), -ENOENT);
	end();
}

/* Of any width, at any place. */
TEST(no_access_to_the_ports_is_more_than_that)
{
	uint64_t value = UINT64_MAX;
	uint32_t offset, len;

	begin(HOTPLUG);
	for (offset = 0; offset < VAS_PCI_HOTPLUG_PORTS; offset++)
		for (len = 1; len <= 8; len *= 2) {
			struct vas_io io = { HOTPLUG + offset, len, VAS_IO_PORT, &value };

			CHECK_EQ(vas_pci_io(pci, &io), 1);
			io.flags |= VAS_IO_WRITE;
			CHECK_EQ(vas_pci_io(pci, &io), 1);
		}
	CHECK_EQ(vendor(SLOT), 0x1af4);
	end();
}
