// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Devices come and go behind a root port, before a driver that does what it should, or does not. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vas/event.h>
#include <vas/transport.h>

#include "harness.h"
#include "tests/transport/server.h"

#define ECAM	 0xe0000000ull
#define WINDOW	 0xd0000000ull
#define SLOT	 5u
#define PLAIN	 6u /* a slot without a port */
#define EVENTS	 1000u
#define VECTOR	 (EVENTS + SLOT * 512u + VAS_PCI_MAX_VECTORS - 1)
#define EXPRESS	 0x40u
#define MSIX	 0x80u
#define BAR_AT	 0xd0100000u
#define SOON_NS	 20000000ull
#define ON	 PCI_EXP_SLTCTL_PWR_IND_ON
#define BLINKING PCI_EXP_SLTCTL_PWR_IND_BLINK
#define OFF	 (PCI_EXP_SLTCTL_PWR_IND_OFF | PCI_EXP_SLTCTL_PCC)
#define DRIVEN	 (PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE)

static struct vas *vas;
static struct vas_pci *pci;
static struct server server, other;

/* ---- a driver ----------------------------------------------------------------------------- */

static uint32_t config(uint32_t bus, uint32_t slot, uint32_t offset, uint32_t len)
{
	uint32_t value = 0;
	const struct vas_io io = { ECAM + (bus << 20 | slot << 15 | offset), len, 0, &value };

	CHECK_EQ(vas_pci_io(pci, &io), 1);
	return value;
}

static void set_config(uint32_t bus, uint32_t slot, uint32_t offset, uint32_t value, uint32_t len)
{
	const struct vas_io io = { ECAM + (bus << 20 | slot << 15 | offset), len, VAS_IO_WRITE,
				   &value };

	CHECK_EQ(vas_pci_io(pci, &io), 1);
}

static uint32_t express(uint32_t offset)
{
	return config(0, SLOT, EXPRESS + offset, 2);
}

static void set_express(uint32_t offset, uint32_t value)
{
	set_config(0, SLOT, EXPRESS + offset, value, 2);
}

static uint32_t status(void)
{
	return express(PCI_EXP_SLTSTA);
}

/* What has happened, which the driver has then seen. */
static uint32_t take_events(void)
{
	uint32_t events = status() & ~(uint32_t)PCI_EXP_SLTSTA_PDS;

	set_express(PCI_EXP_SLTSTA, events);
	CHECK_EQ(status() & ~(uint32_t)PCI_EXP_SLTSTA_PDS, 0);
	return events;
}

static void control(uint32_t value)
{
	set_express(PCI_EXP_SLTCTL, DRIVEN | value);
}

static int is_up(void)
{
	return !!(express(PCI_EXP_LNKSTA) & PCI_EXP_LNKSTA_DLLLA);
}

static uint32_t vendor(void)
{
	return config(SLOT, 0, PCI_VENDOR_ID, 2);
}

/* How often the port has interrupted since the last time. */
static int interrupts(void)
{
	int64_t nr = vas_doorbell_wait(vas, VECTOR, 0);

	return nr > 0 ? (int)nr : 0;
}

static void make_bus(void)
{
	const struct vas_options options = { .limit = 1 << 20 };
	const struct vas_pci_options pci_options = {
		.ecam = ECAM,
		.ecam_buses = 32,
		.window = WINDOW,
		.window_size = 0x1000000,
		.first_event = EVENTS,
	};

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_pci_create(vas, &pci_options, &pci));
	CHECK_EQ(vas_pci_add_port(pci, SLOT), SLOT);
	server_init(&server);
	server_init(&other);
}

/* A driver has the slot in its hands. */
static void begin(void)
{
	make_bus();
	control(OFF);
	CHECK_EQ(take_events(), 0);
	interrupts();
}

static void end(void)
{
	vas_pci_destroy(pci);
	CHECK_EQ(vas_events(vas, NULL, 0), 0);
	CHECK(!server.is_started && !server.server.told);
	vas_destroy(vas);
}

static void plug(void)
{
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
}

static uint64_t common_at(uint32_t offset)
{
	return BAR_AT + offset;
}

static uint32_t bar(uint64_t gpa, uint32_t len)
{
	uint32_t value = 0;
	const struct vas_io io = { gpa, len, 0, &value };

	CHECK_EQ(vas_pci_io(pci, &io), 1);
	return value;
}

static void set_bar(uint64_t gpa, uint32_t value, uint32_t len)
{
	const struct vas_io io = { gpa, len, VAS_IO_WRITE, &value };

	CHECK_EQ(vas_pci_io(pci, &io), 1);
}

static void use_device(void)
{
	set_config(SLOT, 0, PCI_BASE_ADDRESS_0, BAR_AT, 4);
	set_config(SLOT, 0, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	set_bar(common_at(VIRTIO_PCI_COMMON_STATUS), 3, 1);
	set_bar(common_at(VIRTIO_PCI_COMMON_GFSELECT), 1, 4);
	set_bar(common_at(VIRTIO_PCI_COMMON_GF), 1, 4);
	set_bar(common_at(VIRTIO_PCI_COMMON_STATUS), 11, 1);
	set_bar(common_at(VIRTIO_PCI_COMMON_STATUS), 15, 1);
	CHECK_EQ(bar(common_at(VIRTIO_PCI_COMMON_STATUS), 1), 15);
	CHECK(server.is_started);
}

/* As a driver does that is told of a device. */
static void enable_slot(void)
{
	control(BLINKING);
	CHECK_EQ(take_events() & PCI_EXP_SLTSTA_DLLSC, PCI_EXP_SLTSTA_DLLSC);
	CHECK(is_up());
	CHECK_EQ(vendor(), 0x1af4);
	use_device();
	control(ON);
}

static int is_pressed(void *arg)
{
	(void)arg;
	return !!(status() & PCI_EXP_SLTSTA_ABP);
}

static void await_press(void)
{
	test_wait(is_pressed, NULL, TEST_HANG_MS);
	CHECK_EQ(take_events() & PCI_EXP_SLTSTA_ABP, PCI_EXP_SLTSTA_ABP);
}

/* And of one that is to go. */
static void disable_slot(void)
{
	control(BLINKING);
	control(BLINKING | PCI_EXP_SLTCTL_PCC);
	CHECK_EQ(vendor(), 0xffff);
	control(OFF);
}

static void *lets_go(void *arg)
{
	(void)arg;
	await_press();
	disable_slot();
	CHECK(!(status() & PCI_EXP_SLTSTA_PDS));
	return NULL;
}

static void *unplugs(void *result)
{
	*(int *)result = vas_pci_unplug(pci, SLOT, TEST_HANG_NS);
	return NULL;
}

/* A bus does not stand while somebody waits for its guest. */
static int is_asked(void *arg)
{
	(void)arg;
	if (vas_pci_pause(pci) == -EBUSY)
		return 1;
	vas_pci_resume(pci);
	return 0;
}

/* ---- what a guest finds ------------------------------------------------------------------- */

TEST(a_port_says_what_it_can)
{
	make_bus();
	CHECK_EQ(config(0, SLOT, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_BRIDGE);
	CHECK_EQ(config(0, SLOT, PCI_CLASS_DEVICE, 2), 0x0604);
	CHECK_EQ(config(0, SLOT, PCI_SECONDARY_BUS, 1), SLOT);
	CHECK_EQ(config(0, SLOT, PCI_SUBORDINATE_BUS, 1), SLOT);
	CHECK_EQ(config(0, SLOT, PCI_CAPABILITY_LIST, 1), EXPRESS);
	CHECK_EQ(config(0, SLOT, EXPRESS, 2), PCI_CAP_ID_EXP | MSIX << 8);
	CHECK_EQ(express(PCI_EXP_FLAGS), PCI_EXP_FLAGS_SLOT | PCI_EXP_TYPE_ROOT_PORT << 4 | 2);
	CHECK_EQ(config(0, SLOT, EXPRESS + PCI_EXP_SLTCAP, 4) >> 19, SLOT);
	CHECK_EQ(config(0, SLOT, MSIX, 4), PCI_CAP_ID_MSIX);
	CHECK_EQ(config(0, SLOT, PCI_MEMORY_BASE, 4), (WINDOW + 0x100000) | WINDOW >> 16);
	CHECK(config(0, SLOT, PCI_BASE_ADDRESS_0, 4) >= WINDOW + 0x200000);
	/* Neither ports nor prefetchable memory: not even a bit that could be set. */
	set_config(0, SLOT, PCI_IO_BASE, 0xffff, 2);
	CHECK_EQ(config(0, SLOT, PCI_IO_BASE, 2), 0);
	set_config(0, SLOT, PCI_PREF_MEMORY_BASE, UINT32_MAX, 4);
	CHECK_EQ(config(0, SLOT, PCI_PREF_MEMORY_BASE, 4), 0);
	CHECK_EQ(vendor(), 0xffff);
	end();
}

TEST(windows_of_ports_and_bars_lie_apart)
{
	uint32_t window, first;

	make_bus();
	CHECK_EQ(vas_pci_add_port(pci, 0), 1);
	window = config(0, 1, PCI_MEMORY_BASE, 2) << 16;
	CHECK(window >= WINDOW + 0x200000);
	CHECK_EQ(vas_pci_add_virtio(pci, PLAIN, &other.server), PLAIN);
	first = config(0, PLAIN, PCI_BASE_ADDRESS_0, 4);
	CHECK(first >= WINDOW + 0x200000 && (first < window || first >= window + 0x200000));
	end();
}

TEST(a_slot_is_a_ports_or_a_devices)
{
	make_bus();
	CHECK_EQ(vas_pci_add_port(pci, SLOT), -EBUSY);
	CHECK_EQ(vas_pci_add_port(pci, 32), -EINVAL);
	CHECK_EQ(vas_pci_add_port(pci, VAS_PCI_ANY_PORT), -EINVAL);
	CHECK_EQ(vas_pci_remove(pci, SLOT), -ENOENT);
	CHECK_EQ(vas_pci_unplug(pci, SLOT, SOON_NS), -ENOENT);
	CHECK_EQ(vas_pci_add_virtio(pci, VAS_PCI_ANY_PORT, &server.server), SLOT);
	CHECK_EQ(vas_pci_add_port(pci, SLOT), -EBUSY);
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &other.server), -EBUSY);
	CHECK_EQ(vas_pci_add_virtio(pci, VAS_PCI_ANY_PORT, &other.server), -ENOSPC);
	CHECK_HAS(vas_error(), "no root port of the PCI bus is free");
	CHECK_EQ(vas_pci_add_virtio(pci, 0, &other.server), 1);
	CHECK_EQ(vas_pci_add_port(pci, 1), -EBUSY);
	CHECK_OK(vas_pci_remove(pci, 1));
	end();
}

/* Before the guest, or while it has no driver for ports. */
TEST(a_device_that_nobody_is_told_of_is_found)
{
	make_bus();
	plug();
	CHECK(is_up());
	CHECK_EQ(vendor(), 0x1af4);
	CHECK_EQ(express(PCI_EXP_SLTCTL), ON);
	CHECK_EQ(interrupts(), 0);
	use_device();
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_EQ(vendor(), 0xffff);
	CHECK_EQ(express(PCI_EXP_SLTCTL), OFF);
	end();
}

/* A bus has its number from the guest; two of a number are one, and so is one of none. */
TEST(a_bus_is_where_the_guest_puts_it)
{
	make_bus();
	plug();
	set_config(0, SLOT, PCI_SECONDARY_BUS, 17, 1);
	CHECK_EQ(vendor(), 0xffff);
	CHECK_EQ(config(17, 0, PCI_VENDOR_ID, 2), 0x1af4);
	CHECK_EQ(config(17, 1, PCI_VENDOR_ID, 2), 0xffff);
	set_config(17, 0, PCI_INTERRUPT_LINE, 9, 1);
	CHECK_EQ(config(17, 0, PCI_INTERRUPT_LINE, 1), 9);
	set_config(0, SLOT, PCI_SECONDARY_BUS, 0, 1);
	CHECK_EQ(config(17, 0, PCI_VENDOR_ID, 2), 0xffff);
	CHECK_EQ(config(0, 0, PCI_VENDOR_ID, 2), 0x1b36);
	end();
}

/* ---- a device comes ----------------------------------------------------------------------- */

/* By who is present, and by the button that is pressed when a device was put in. */
#define ARRIVAL (PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_ABP)

TEST(a_device_that_comes_is_told_and_found)
{
	begin();
	plug();
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(status(), PCI_EXP_SLTSTA_PDS | ARRIVAL);
	CHECK_EQ(vendor(), 0xffff); /* it has no power */
	CHECK(!is_up());
	CHECK_EQ(take_events(), ARRIVAL);
	enable_slot();
	CHECK_EQ(config(SLOT, 0, PCI_BASE_ADDRESS_0, 4), BAR_AT);
	end();
}

/* One message for all that it has not looked at; another one for what comes after. */
TEST(events_are_told_once)
{
	begin();
	plug();
	CHECK_OK(vas_pci_remove(pci, SLOT));
	plug();
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(take_events(), ARRIVAL);
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(take_events(), PCI_EXP_SLTSTA_PDC);
	end();
}

/* As Linux has it, which wants no other word of a device where there is a button. */
TEST(who_wants_to_hear_of_the_button_alone_hears_of_a_device)
{
	begin();
	set_express(PCI_EXP_SLTCTL, OFF | PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_ABPE);
	plug();
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(take_events(), ARRIVAL);
	end();
}

TEST(an_event_waits_for_who_wants_it)
{
	begin();
	set_express(PCI_EXP_SLTCTL, OFF | PCI_EXP_SLTCTL_HPIE);
	plug();
	CHECK_EQ(interrupts(), 0);
	control(OFF);
	CHECK_EQ(interrupts(), 1);
	control(BLINKING); /* the link's is not wanted */
	CHECK_EQ(take_events(), ARRIVAL | PCI_EXP_SLTSTA_DLLSC);
	control(BLINKING | PCI_EXP_SLTCTL_DLLSCE | PCI_EXP_SLTCTL_PCC);
	CHECK_EQ(interrupts(), 1);
	end();
}

/* ---- a device goes ------------------------------------------------------------------------ */

TEST(a_device_that_the_guest_lets_go_of_is_taken_away)
{
	pthread_t guest;

	begin();
	plug();
	enable_slot();
	take_events();
	interrupts();
	CHECK_OK(pthread_create(&guest, NULL, lets_go, NULL));
	CHECK_OK(vas_pci_unplug(pci, SLOT, TEST_HANG_NS));
	CHECK_OK(pthread_join(guest, NULL));
	CHECK(!server.server.told);
	CHECK_EQ(take_events() & PCI_EXP_SLTSTA_PDC, PCI_EXP_SLTSTA_PDC);
	CHECK_EQ(vas_pci_unplug(pci, SLOT, SOON_NS), -ENOENT);
	plug();
	take_events();
	enable_slot();
	end();
}

/* It does not look: the press is taken back. */
TEST(a_device_stays_when_the_guest_does_not_look)
{
	begin();
	plug();
	enable_slot();
	take_events();
	CHECK_EQ(vas_pci_unplug(pci, SLOT, SOON_NS), -ETIMEDOUT);
	CHECK_HAS(vas_error(), server.server.name);
	CHECK_HAS(vas_error(), "slot 5, within 20 ms: it stays");
	CHECK_EQ(take_events(), 0);
	CHECK_EQ(bar(common_at(VIRTIO_PCI_COMMON_STATUS), 1), 15);
	end();
}

static int nr_deadlines, was_told;

/* It blinks until the second press. The deadline may have been before it did: then once more. */
static void *dawdles(void *arg)
{
	while (!was_told) {
		int nr = __atomic_load_n(&nr_deadlines, __ATOMIC_ACQUIRE);

		if (!is_pressed(NULL))
			continue;
		control(BLINKING);
		take_events();
		while (!is_pressed(NULL) && __atomic_load_n(&nr_deadlines, __ATOMIC_ACQUIRE) == nr)
			;
		__atomic_store_n(&was_told, is_pressed(NULL), __ATOMIC_RELEASE);
		take_events();
		control(ON);
	}
	return arg;
}

/* It has begun to let go, and is told that it need not. */
TEST(a_guest_that_is_late_is_told_so)
{
	pthread_t guest;

	begin();
	plug();
	enable_slot();
	take_events();
	CHECK_OK(pthread_create(&guest, NULL, dawdles, NULL));
	while (!__atomic_load_n(&was_told, __ATOMIC_ACQUIRE)) {
		CHECK_EQ(vas_pci_unplug(pci, SLOT, SOON_NS), -ETIMEDOUT);
		__atomic_fetch_add(&nr_deadlines, 1, __ATOMIC_RELEASE);
	}
	CHECK_OK(pthread_join(guest, NULL));
	CHECK_EQ(take_events(), 0);
	CHECK_EQ(bar(common_at(VIRTIO_PCI_COMMON_STATUS), 1), 15);
	end();
}

/* It has switched the slot off all the same: the device is new as it is switched on. */
TEST(a_slot_that_is_off_is_switched_on_or_emptied)
{
	begin();
	plug();
	enable_slot();
	disable_slot();
	CHECK(status() & PCI_EXP_SLTSTA_PDS);
	CHECK(!is_up());
	CHECK(!server.is_started && server.server.told);
	take_events();
	control(ON);
	CHECK(is_up());
	CHECK_EQ(config(SLOT, 0, PCI_BASE_ADDRESS_0, 4), 0);
	CHECK_EQ(config(SLOT, 0, PCI_COMMAND, 2), 0);
	use_device();
	disable_slot();
	CHECK_OK(vas_pci_unplug(pci, SLOT, 0));
	CHECK(!(status() & PCI_EXP_SLTSTA_PDS));
	CHECK(!server.server.told);
	end();
}

/* While it is busy with the slot, the button would mean no; before its driver came, nothing. */
TEST(the_button_is_not_pressed_before_it_means_something)
{
	pthread_t vmm;
	int result = 1;

	begin();
	plug();
	take_events();
	control(BLINKING);
	CHECK_EQ(vas_pci_unplug(pci, SLOT, SOON_NS), -ETIMEDOUT);
	CHECK_EQ(take_events() & PCI_EXP_SLTSTA_ABP, 0);
	set_express(PCI_EXP_SLTCTL, ON);
	CHECK_OK(pthread_create(&vmm, NULL, unplugs, &result));
	test_wait(is_asked, NULL, TEST_HANG_MS);
	CHECK_EQ(take_events() & PCI_EXP_SLTSTA_ABP, 0);
	control(BLINKING);
	CHECK_EQ(take_events() & PCI_EXP_SLTSTA_ABP, 0);
	control(ON);
	lets_go(NULL);
	CHECK_OK(pthread_join(vmm, NULL));
	CHECK_EQ(result, 0);
	end();
}

/* ---- a press is for one device ------------------------------------------------------------ */

/* The guest has seen a press, and is about to switch the slot on. */
#define COMING (PCI_EXP_SLTCTL_PWR_IND_BLINK | PCI_EXP_SLTCTL_PCC)

TEST(a_press_that_was_not_seen_goes_with_the_device)
{
	pthread_t vmm;
	int result = 0;

	begin();
	plug();
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_EQ(take_events(), PCI_EXP_SLTSTA_PDC);
	plug();
	CHECK_EQ(take_events(), ARRIVAL);
	enable_slot();
	take_events();
	CHECK_OK(pthread_create(&vmm, NULL, unplugs, &result));
	test_wait(is_pressed, NULL, TEST_HANG_MS);
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_OK(pthread_join(vmm, NULL));
	CHECK_EQ(result, -ENOENT);
	CHECK_EQ(take_events(), PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	end();
}

static void remove_one_that_is_coming(void)
{
	begin();
	plug();
	take_events();
	control(COMING);
	CHECK_OK(vas_pci_remove(pci, SLOT));
}

TEST(a_press_that_was_seen_is_taken_back_when_the_device_goes)
{
	remove_one_that_is_coming();
	CHECK_EQ(take_events(), PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_ABP);
	control(OFF);
	CHECK_EQ(take_events(), 0);
	plug();
	CHECK_EQ(take_events(), ARRIVAL);
	enable_slot();
	end();
}

/* The guest gives up the one that has gone: then there is another one. */
TEST(a_device_that_comes_while_the_guest_is_busy_is_told_afterwards)
{
	remove_one_that_is_coming();
	take_events();
	plug();
	CHECK_EQ(take_events(), PCI_EXP_SLTSTA_PDC);
	interrupts();
	control(OFF);
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(take_events(), PCI_EXP_SLTSTA_ABP);
	control(COMING);
	control(OFF); /* no, after all */
	CHECK_EQ(take_events(), 0);
	end();
}

/* Or has switched the slot on meanwhile. */
TEST(a_device_that_comes_while_the_guest_is_busy_may_be_found)
{
	remove_one_that_is_coming();
	take_events();
	plug();
	take_events();
	enable_slot();
	control(COMING);
	control(OFF);
	CHECK_EQ(take_events(), PCI_EXP_SLTSTA_DLLSC);
	end();
}

static void check_no_bar(void)
{
	uint32_t value = 0;
	const struct vas_io io = { common_at(0), 4, VAS_IO_WRITE, &value };

	CHECK_EQ(vas_pci_io(pci, &io), 0);
}

TEST(a_device_is_removed_under_the_guests_hands)
{
	begin();
	plug();
	enable_slot();
	take_events();
	interrupts();
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(vendor(), 0xffff);
	CHECK_EQ(status(), PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	check_no_bar();
	end();
}

/* It waits for a status that reads as 0. */
TEST(a_driver_whose_device_has_gone_sees_it_reset)
{
	begin();
	set_config(0, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	plug();
	enable_slot();
	CHECK_OK(vas_pci_remove(pci, SLOT));
	set_bar(common_at(VIRTIO_PCI_COMMON_STATUS), 0, 1);
	CHECK_EQ(bar(common_at(VIRTIO_PCI_COMMON_STATUS), 1), 0);
	plug();
	enable_slot();
	set_express(PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_LD);
	CHECK_EQ(bar(common_at(VIRTIO_PCI_COMMON_STATUS), 1), 0);
	set_config(0, SLOT, PCI_MEMORY_BASE, BAR_AT >> 16 & 0xfff0, 2);
	set_config(0, SLOT, PCI_MEMORY_LIMIT, (BAR_AT >> 16 & 0xfff0) - 0x10, 2);
	check_no_bar();
	set_config(0, SLOT, PCI_MEMORY_LIMIT, BAR_AT >> 16 & 0xfff0, 2);
	CHECK_EQ(bar(common_at(VIRTIO_PCI_COMMON_STATUS), 1), 0);
	set_config(0, SLOT, PCI_COMMAND, 0, 2);
	check_no_bar();
	end();
}

TEST(a_device_that_is_asked_for_can_be_removed_at_once)
{
	pthread_t vmm;
	int result = 0;

	begin();
	plug();
	enable_slot();
	CHECK_OK(pthread_create(&vmm, NULL, unplugs, &result));
	await_press();
	CHECK_EQ(vas_pci_unplug(pci, SLOT, TEST_HANG_NS), -EALREADY);
	CHECK_EQ(vas_pci_pause(pci), -EBUSY);
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_OK(pthread_join(vmm, NULL));
	CHECK_EQ(result, -ENOENT);
	end();
}

/* ---- the link ----------------------------------------------------------------------------- */

static void check_reset(void)
{
	CHECK(!server.is_started && server.server.told);
	CHECK(!is_up());
	CHECK_EQ(vendor(), 0xffff);
}

TEST(a_device_whose_link_goes_down_is_reset)
{
	begin();
	plug();
	enable_slot();
	set_config(0, SLOT, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 2);
	check_reset();
	set_config(0, SLOT, PCI_BRIDGE_CONTROL, 0, 2);
	CHECK(is_up());
	CHECK_EQ(config(SLOT, 0, PCI_COMMAND, 2), 0);
	use_device();
	set_express(PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_LD);
	check_reset();
	set_express(PCI_EXP_LNKCTL, 0);
	use_device();
	/* It is no bit of the guest's. */
	set_express(PCI_EXP_LNKSTA, 0xffff);
	CHECK(is_up() && server.is_started);
	end();
}

/* Of any width, at any place, with any bits, with a device and without. */
TEST(no_access_to_a_port_does_harm)
{
	static const uint64_t values[] = { UINT64_MAX, 0, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa };
	uint32_t offset, len, i;

	begin();
	for (i = 0; i < 8; i++) {
		if (i == 2)
			plug();
		for (offset = 0; offset < 0x100; offset++)
			for (len = 1; len <= 8; len *= 2) {
				uint64_t value = values[i % 4];
				const struct vas_io io = { ECAM + (SLOT << 15) + offset, len,
							   VAS_IO_WRITE, &value };

				CHECK_EQ(vas_pci_io(pci, &io), 1);
			}
	}
	CHECK_EQ(config(0, SLOT, PCI_VENDOR_ID, 4), 0x000c1b36);
	CHECK_EQ(config(0, SLOT, EXPRESS, 2), PCI_CAP_ID_EXP | MSIX << 8);
	end();
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

static void *bytes;
static size_t size;

static void leave(void)
{
	CHECK_OK(vas_pci_pause(pci));
	CHECK_OK(vas_pci_save(pci, &bytes, &size));
	end();
}

TEST(a_port_goes_elsewhere_with_its_device)
{
	begin();
	plug();
	enable_slot();
	set_config(0, SLOT, PCI_SECONDARY_BUS, 17, 1);
	set_config(0, SLOT, PCI_SUBORDINATE_BUS, 17, 1);
	leave();
	make_bus();
	plug();
	CHECK_OK(vas_pci_load(pci, bytes, size));
	vas_pci_resume(pci);
	CHECK(is_up());
	CHECK_EQ(config(17, 0, PCI_VENDOR_ID, 2), 0x1af4);
	CHECK_EQ(bar(common_at(VIRTIO_PCI_COMMON_STATUS), 1), 15);
	CHECK(server.is_started);
	CHECK_EQ(take_events(), 0);
	free(bytes);
	end();
}

/* What the guest has not heard of is told there. */
TEST(an_event_goes_elsewhere)
{
	begin();
	plug();
	leave();
	make_bus();
	plug();
	CHECK_OK(vas_pci_load(pci, bytes, size));
	vas_pci_resume(pci);
	CHECK(interrupts() > 0);
	CHECK(!is_up());
	CHECK_EQ(take_events(), ARRIVAL);
	enable_slot();
	free(bytes);
	end();
}

TEST(a_device_that_the_guest_was_not_told_of_goes_elsewhere)
{
	remove_one_that_is_coming();
	take_events();
	plug();
	take_events();
	leave();
	make_bus();
	plug();
	CHECK_OK(vas_pci_load(pci, bytes, size));
	vas_pci_resume(pci);
	CHECK_EQ(take_events(), 0);
	control(OFF);
	CHECK_EQ(take_events(), PCI_EXP_SLTSTA_ABP);
	free(bytes);
	end();
}

TEST(a_port_with_another_device_is_refused)
{
	begin();
	plug();
	leave();
	make_bus();
	CHECK_EQ(vas_pci_load(pci, bytes, size), -EINVAL);
	CHECK_HAS(vas_error(), "other slots");
	end();
	make_bus();
	CHECK_EQ(vas_pci_add_virtio(pci, PLAIN, &server.server), PLAIN);
	CHECK_EQ(vas_pci_load(pci, bytes, size), -EINVAL);
	end();
	free(bytes);
}

/* Each byte of what comes may be anybody's. */
TEST(a_damaged_port_is_refused_or_harmless)
{
	size_t at;

	begin();
	plug();
	enable_slot();
	leave();
	for (at = 0; at < size; at++) {
		make_bus();
		plug();
		((uint8_t *)bytes)[at] ^= 0xff;
		if (!vas_pci_load(pci, bytes, size)) {
			vas_pci_resume(pci);
			take_events();
		}
		((uint8_t *)bytes)[at] ^= 0xff;
		end();
	}
	free(bytes);
}
