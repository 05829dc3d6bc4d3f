// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A PCI bus and virtio-pci, as a driver sees them that does what it should, or what it likes. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vas/event.h>
#include <vas/transport.h>

#include "harness.h"
#include "tests/transport/server.h"

#define ECAM	    0xe0000000ull
#define WINDOW	    0xd0000000ull
#define WINDOW_SIZE 0x40000ull
#define SLOT	    3u
#define ALL	    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define READY	    (ALL | VIRTIO_CONFIG_S_FEATURES_OK)
#define RUNNING	    (READY | VIRTIO_CONFIG_S_DRIVER_OK)
#define RING_RESET  (1ull << 40)
#define RESET_FIELD 58u

static struct vas *vas;
static struct vas_pci *pci;
static struct server server;
static uint64_t common, notify, isr, config; /* gpas, as capabilities say */
static uint32_t notify_step;

/* ---- a driver ----------------------------------------------------------------------------- */

static int access_io(uint64_t addr, uint32_t flags, void *data, uint32_t len)
{
	struct vas_io io = { .addr = addr, .len = len, .flags = flags, .data = data };

	return vas_pci_io(pci, &io);
}

static uint64_t mmio_read(uint64_t gpa, uint32_t len)
{
	uint64_t value = 0;

	CHECK_EQ(access_io(gpa, 0, &value, len), 1);
	return value;
}

static void mmio_write(uint64_t gpa, uint64_t value, uint32_t len)
{
	CHECK_EQ(access_io(gpa, VAS_IO_WRITE, &value, len), 1);
}

static uint64_t config_at(uint32_t slot, uint32_t offset)
{
	return ECAM + (slot << 15) + offset;
}

static uint32_t config_read(uint32_t slot, uint32_t offset, uint32_t len)
{
	return (uint32_t)mmio_read(config_at(slot, offset), len);
}

static void config_write(uint32_t slot, uint32_t offset, uint32_t value, uint32_t len)
{
	mmio_write(config_at(slot, offset), value, len);
}

static uint32_t port_config_read(uint32_t slot, uint32_t offset, uint32_t len)
{
	uint32_t address = 1u << 31 | slot << 11 | (offset & 0xfc), value = 0;

	CHECK_EQ(access_io(VAS_PCI_PORT, VAS_IO_PORT | VAS_IO_WRITE, &address, 4), 1);
	CHECK_EQ(access_io(VAS_PCI_PORT + 4 + (offset & 3), VAS_IO_PORT, &value, len), 1);
	return value;
}

static uint32_t find_capability(uint8_t id, uint8_t type)
{
	uint32_t at = config_read(SLOT, PCI_CAPABILITY_LIST, 1), nr = 0;

	while (at && nr++ < 16) {
		if (config_read(SLOT, at, 1) == id &&
		    (id != PCI_CAP_ID_VNDR || config_read(SLOT, at + 3, 1) == type))
			return at;
		at = config_read(SLOT, at + PCI_CAP_LIST_NEXT, 1);
	}
	CHECK_EQ(at, 1);
	return 0;
}

static uint64_t part_of(uint8_t type)
{
	return config_read(SLOT, PCI_BASE_ADDRESS_0, 4) +
	       config_read(SLOT, find_capability(PCI_CAP_ID_VNDR, type) + 8, 4);
}

static void find_parts(void)
{
	config_write(SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	common = part_of(VIRTIO_PCI_CAP_COMMON_CFG);
	notify = part_of(VIRTIO_PCI_CAP_NOTIFY_CFG);
	isr = part_of(VIRTIO_PCI_CAP_ISR_CFG);
	config = part_of(VIRTIO_PCI_CAP_DEVICE_CFG);
	notify_step = config_read(
		SLOT, find_capability(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_NOTIFY_CFG) + 16, 4);
}

static void make_bus(void)
{
	const struct vas_options options = { .limit = 1 << 20 };
	const struct vas_pci_options pci_options = {
		.ecam = ECAM, .window = WINDOW, .window_size = WINDOW_SIZE, .first_event = 1000
	};

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_pci_create(vas, &pci_options, &pci));
}

static void make_device(void)
{
	make_bus();
	server_init(&server);
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
	find_parts();
}

static void end(void)
{
	vas_pci_destroy(pci);
	CHECK_EQ(vas_events(vas, NULL, 0), 0);
	vas_destroy(vas);
}

static void set_status(uint8_t status)
{
	mmio_write(common + VIRTIO_PCI_COMMON_STATUS, status, 1);
}

static uint8_t get_status(void)
{
	return (uint8_t)mmio_read(common + VIRTIO_PCI_COMMON_STATUS, 1);
}

static uint64_t offered(void)
{
	uint64_t features;

	mmio_write(common + VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
	features = mmio_read(common + VIRTIO_PCI_COMMON_DF, 4) << 32;
	mmio_write(common + VIRTIO_PCI_COMMON_DFSELECT, 0, 4);
	return features | mmio_read(common + VIRTIO_PCI_COMMON_DF, 4);
}

static void accept_features(uint64_t features)
{
	set_status(ALL);
	mmio_write(common + VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
	mmio_write(common + VIRTIO_PCI_COMMON_GF, features, 4);
	mmio_write(common + VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	mmio_write(common + VIRTIO_PCI_COMMON_GF, features >> 32, 4);
	set_status(READY);
}

static void select_queue(uint32_t index)
{
	mmio_write(common + VIRTIO_PCI_COMMON_Q_SELECT, index, 2);
}

static void enable_queue(uint32_t index, uint32_t size, uint32_t vector)
{
	select_queue(index);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_SIZE, size, 2);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_MSIX, vector, 2);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_DESCLO, 0x1000, 4);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_DESCHI, 0x12, 4);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_AVAILLO, 0x3400000005000ull, 8);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_USEDLO, 0x7000, 4);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

static void start_device(uint64_t features)
{
	accept_features(features);
	CHECK_EQ(get_status(), READY);
	enable_queue(0, 64, 1);
	enable_queue(2, 256, 0xffff);
	set_status(RUNNING);
}

static bool is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

/* ---- the bus ------------------------------------------------------------------------------ */

TEST(a_bus_has_a_host_bridge_and_nothing_else)
{
	uint32_t slot;

	make_bus();
	CHECK_EQ(config_read(0, PCI_CLASS_REVISION, 4) >> 8, 0x060000);
	CHECK_EQ(port_config_read(0, PCI_CLASS_REVISION, 4) >> 8, 0x060000);
	for (slot = 1; slot < VAS_PCI_SLOTS; slot++) {
		CHECK_EQ(config_read(slot, PCI_VENDOR_ID, 4), UINT32_MAX);
		CHECK_EQ(port_config_read(slot, PCI_VENDOR_ID, 2), UINT16_MAX);
	}
	CHECK_EQ(mmio_read(config_at(0, 0) + (1 << 12), 4), UINT32_MAX); /* no function 1 */
	end();
}

TEST(both_ways_lead_to_the_same_config_space)
{
	uint32_t offset;

	make_device();
	for (offset = 0; offset < 256; offset++)
		CHECK_EQ(port_config_read(SLOT, offset, 1), config_read(SLOT, offset, 1));
	CHECK_EQ(config_read(SLOT, PCI_VENDOR_ID, 4), 0x10421af4);
	end();
}

TEST(what_is_not_the_buss_is_left_to_others)
{
	uint32_t value = 0;

	make_device();
	CHECK_EQ(access_io(WINDOW - 4, 0, &value, 4), 0);
	CHECK_EQ(access_io(WINDOW + WINDOW_SIZE, 0, &value, 4), 0);
	CHECK_EQ(access_io(0x3f8, VAS_IO_PORT, &value, 1), 0);
	CHECK_EQ(access_io(0xcf9, VAS_IO_PORT, &value, 1), 0); /* the reset control register */
	CHECK_EQ(access_io(ECAM, 0, &value, 3), 0);
	end();
}

TEST(a_bar_tells_its_size_and_goes_where_it_is_put)
{
	uint32_t at;

	make_device();
	at = config_read(SLOT, PCI_BASE_ADDRESS_0, 4);
	CHECK(at >= WINDOW && at < WINDOW + WINDOW_SIZE);
	config_write(SLOT, PCI_COMMAND, 0, 2);
	CHECK_EQ(access_io(common, 0, &at, 4), 0); /* not decoded */
	config_write(SLOT, PCI_BASE_ADDRESS_0, UINT32_MAX, 4);
	CHECK_EQ(config_read(SLOT, PCI_BASE_ADDRESS_0, 4), (uint32_t)-0x8000);
	config_write(SLOT, PCI_BASE_ADDRESS_0, 0xc0000000, 4);
	find_parts();
	CHECK_EQ(common & ~0xfffull, 0xc0000000);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_NUMQ, 2), SERVER_QUEUES);
	config_write(SLOT, PCI_BASE_ADDRESS_0 + 4, UINT32_MAX, 4); /* there is no other BAR */
	CHECK_EQ(config_read(SLOT, PCI_BASE_ADDRESS_0 + 4, 4), 0);
	end();
}

TEST(devices_are_placed_beside_each_other)
{
	static struct server others[9];
	uint32_t i, slot, seen = 0;

	make_bus();
	for (i = 0; i < 9; i++) {
		server_init(&others[i]);
		CHECK_EQ(vas_pci_add_virtio(pci, 0, &others[i].server), i + 1);
	}
	for (slot = 1; slot <= 8; slot++)
		seen |= 1u << (config_read(slot, PCI_BASE_ADDRESS_0, 4) - WINDOW) / 0x8000;
	CHECK_EQ(seen, 0xff);
	CHECK_EQ(config_read(9, PCI_BASE_ADDRESS_0, 4), 0); /* the window is full */
	CHECK_OK(vas_pci_remove(pci, 4));
	CHECK_EQ(config_read(4, PCI_VENDOR_ID, 4), UINT32_MAX);
	CHECK_EQ(vas_pci_add_virtio(pci, 0, &others[3].server), 4);
	CHECK_EQ(config_read(4, PCI_BASE_ADDRESS_0, 4), WINDOW + 3 * 0x8000);
	end();
}

TEST(a_device_that_makes_no_sense_is_refused)
{
	make_device();
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), -EBUSY);
	CHECK_EQ(vas_pci_add_virtio(pci, 32, &server.server), -EINVAL);
	CHECK_EQ(vas_pci_add_virtio(pci, 0, &server.server), -EINVAL);
	CHECK_HAS(vas_error(), "transport already");
	CHECK_EQ(vas_pci_remove(pci, 0), -ENOENT);
	CHECK_EQ(vas_pci_remove(pci, 31), -ENOENT);
	CHECK_OK(vas_pci_remove(pci, SLOT));
	server.server.features = 0;
	CHECK_EQ(vas_pci_add_virtio(pci, 0, &server.server), -EINVAL);
	server_init(&server);
	server.server.queue_size = 100;
	CHECK_EQ(vas_pci_add_virtio(pci, 0, &server.server), -EINVAL);
	server_init(&server);
	server.server.nr_queues = VAS_VIRTIO_MAX_QUEUES; /* more events than a vas has */
	CHECK_EQ(vas_pci_add_virtio(pci, 0, &server.server), -ENOSPC);
	end();
}

/* ---- a driver that does what it should ---------------------------------------------------- */

TEST(a_driver_sets_a_device_up)
{
	const struct vas_virtio_queue *queue = &server.queues[0];

	make_device();
	CHECK_EQ(offered() & server.server.features, server.server.features);
	set_status(0);
	CHECK_EQ(get_status(), 0);
	start_device(server.server.features | RING_RESET);
	CHECK_EQ(get_status(), RUNNING);
	CHECK_EQ(server.status, RUNNING);
	CHECK_EQ(server.features, server.server.features);
	CHECK(server.runs[0] && !server.runs[1] && server.runs[2]);
	CHECK_EQ(queue->size, 64);
	CHECK_EQ(queue->base, VAS_VIRTIO_BASE_PACKED);
	CHECK_EQ(queue->desc, 0x1200001000ull);
	CHECK_EQ(queue->driver, 0x3400000005000ull);
	CHECK_EQ(queue->device, 0x7000);
	CHECK(queue->call_fd >= 0);
	CHECK_EQ(server.queues[2].call_fd, -1);
	end();
	CHECK(!server.is_started && !server.runs[0]);
}

TEST(a_doorbell_rings_its_queue_alone)
{
	make_device();
	start_device(server.server.features);
	CHECK(!is_readable(server.queues[0].kick_fd));
	mmio_write(notify + 2 * notify_step, 2, 2);
	CHECK(is_readable(server.queues[2].kick_fd) && !is_readable(server.queues[0].kick_fd));
	mmio_write(notify, 0x10000, 4); /* with VIRTIO_F_NOTIFICATION_DATA */
	CHECK(is_readable(server.queues[0].kick_fd));
	mmio_write(notify + notify_step, 1, 2);	     /* one that does not run */
	mmio_write(notify + 77 * notify_step, 1, 2); /* one that is not there */
	end();
}

TEST(a_doorbell_may_be_a_call)
{
	struct vas_event event;

	make_device();
	server_take_kicks(&server);
	start_device(server.server.features);
	CHECK_OK(vas_event_find_by_name(vas, "pci3.queue2", &event));
	CHECK_EQ(event.addr, 0); /* nowhere, so nobody else hears it */
	mmio_write(notify + 2 * notify_step, 2, 2);
	CHECK_EQ(server.nr_kicks[2], 1);
	CHECK(!is_readable(server.queues[2].kick_fd));
	server.refuses_kicks = true;
	mmio_write(notify + 2 * notify_step, 2, 2);
	CHECK_EQ(server.nr_kicks[2], 2);
	CHECK(is_readable(server.queues[2].kick_fd));
	mmio_write(notify + notify_step, 1, 2); /* one that does not run */
	CHECK_EQ(server.nr_kicks[1], 0);
	end();
}

TEST(doorbells_follow_the_bar)
{
	struct vas_event event;

	make_device();
	start_device(server.server.features);
	CHECK_OK(vas_event_find_by_name(vas, "pci3.queue2", &event));
	CHECK_EQ(event.addr, notify + 2 * notify_step);
	config_write(SLOT, PCI_BASE_ADDRESS_0, 0xc0000000, 4);
	CHECK_OK(vas_event_find_by_name(vas, "pci3.queue2", &event));
	CHECK_EQ(event.addr, notify - common + 0xc0000000 + 2 * notify_step);
	CHECK_EQ(vas_event_fd(vas, event.id), server.queues[2].kick_fd);
	end();
}

TEST(a_message_that_is_masked_stays_pending)
{
	uint64_t table, pba, entry;
	struct vas_event event;
	uint32_t cap;

	make_device();
	cap = find_capability(PCI_CAP_ID_MSIX, 0);
	CHECK_EQ(config_read(SLOT, cap + PCI_MSIX_FLAGS, 2), SERVER_QUEUES);
	table = WINDOW + (config_read(SLOT, cap + PCI_MSIX_TABLE, 4) & PCI_MSIX_TABLE_OFFSET);
	pba = WINDOW + (config_read(SLOT, cap + PCI_MSIX_PBA, 4) & PCI_MSIX_PBA_OFFSET);
	entry = table + PCI_MSIX_ENTRY_SIZE;
	CHECK_EQ(mmio_read(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4), 1); /* masked */
	mmio_write(entry, 0xfee01000, 8);
	mmio_write(entry + PCI_MSIX_ENTRY_DATA, 0x4041, 4);
	config_write(SLOT, cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
	start_device(server.server.features);
	CHECK_EQ(mmio_read(pba, 8), 0);
	CHECK_OK(vas_event_find_by_name(vas, "pci3.vector1", &event));
	CHECK_EQ(event.addr, 0);
	CHECK_OK(vas_irq_raise(vas, event.id));
	CHECK_EQ(mmio_read(pba, 8), 2);
	mmio_write(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 0, 4);
	CHECK_OK(vas_event_find_by_name(vas, "pci3.vector1", &event));
	CHECK_EQ(event.addr, 0xfee01000);
	CHECK_EQ(event.data, 0x4041);
	CHECK_EQ(mmio_read(entry + PCI_MSIX_ENTRY_DATA, 4), 0x4041);
	CHECK_EQ(vas_event_fd(vas, event.id), server.queues[0].call_fd);
	end();
}

TEST(a_change_of_the_config_space_is_told)
{
	struct vas_event event;

	make_device();
	memcpy(server.config, "0123456789abcdefghijklmn", SERVER_CONFIG);
	mmio_write(common + VIRTIO_PCI_COMMON_MSIX, 2, 2);
	start_device(server.server.features);
	CHECK_EQ(mmio_read(config + 8, 4), 0x62613938);
	CHECK_EQ(mmio_read(config + SERVER_CONFIG - 2, 4), 0x6e6d); /* zeros behind its end */
	CHECK_EQ(mmio_read(config + SERVER_CONFIG, 8), 0);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_CFGGENERATION, 1), 0);
	server.generation++;
	vas_virtio_changed(&server.server);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	CHECK_OK(vas_event_find_by_name(vas, "pci3.vector2", &event));
	CHECK(is_readable(vas_event_fd(vas, event.id)));
	CHECK_EQ(mmio_read(isr, 1), 2);
	CHECK_EQ(mmio_read(isr, 1), 0);
	mmio_write(config + 1, 'X', 1);
	CHECK_EQ(server.config[1], 'X');
	mmio_write(config + SERVER_CONFIG - 2, 0, 4); /* not all of it is there */
	CHECK_EQ(server.config[SERVER_CONFIG - 1], 'n');
	end();
}

TEST(a_server_that_gives_up_wants_a_reset)
{
	make_device();
	start_device(server.server.features);
	vas_virtio_broken(&server.server);
	CHECK_EQ(get_status(), RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET);
	set_status(0);
	CHECK_EQ(get_status(), 0);
	CHECK(!server.is_started);
	server.queue_result = -EFAULT;
	start_device(server.server.features);
	CHECK(get_status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	set_status(0);
	server.start_result = -EIO;
	start_device(server.server.features);
	CHECK(get_status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	end();
}

TEST(one_queue_is_reset_and_starts_anew)
{
	make_device();
	start_device(server.server.features | RING_RESET);
	server.base = 0x80118011;
	select_queue(0);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	mmio_write(common + RESET_FIELD, 1, 2);
	CHECK(!server.runs[0] && server.runs[2]);
	CHECK_EQ(mmio_read(common + RESET_FIELD, 2), 0);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_Q_SIZE, 2), SERVER_QUEUE_SIZE);
	enable_queue(0, 33, 1); /* a packed ring's size is any number */
	CHECK(server.runs[0]);
	CHECK_EQ(server.queues[0].base, VAS_VIRTIO_BASE_PACKED);
	CHECK_EQ(server.queues[0].flags, VAS_VIRTIO_QUEUE_NEW);
	CHECK_EQ(server.queues[0].size, 33);
	set_status(0);
	start_device(server.server.features);
	select_queue(0);
	mmio_write(common + RESET_FIELD, 1, 2); /* was not accepted */
	CHECK(server.runs[0]);
	end();
}

/* Its requests go on where they were. */
TEST(a_queue_that_gets_another_vector_goes_on)
{
	int before;

	make_device();
	start_device(server.server.features);
	before = server.queues[0].call_fd;
	server.base = 0x80118011;
	select_queue(0);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_MSIX, 3, 2);
	CHECK_EQ(server.nr_queue_starts, 3);
	CHECK_EQ(server.queues[0].base, 0x80118011);
	CHECK_EQ(server.queues[0].flags, 0);
	CHECK(server.queues[0].call_fd >= 0 && server.queues[0].call_fd != before);
	mmio_write(common + VIRTIO_PCI_COMMON_Q_MSIX, 4, 2); /* there are four */
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	CHECK_EQ(server.queues[0].call_fd, -1);
	end();
}

/* By the one capability that needs no BAR. */
TEST(registers_are_reached_through_the_config_space)
{
	uint32_t cap;

	make_device();
	cap = find_capability(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);
	config_write(SLOT, PCI_COMMAND, 0, 2);
	config_write(SLOT, cap + 8, VIRTIO_PCI_COMMON_STATUS, 4);
	config_write(SLOT, cap + 12, 1, 4);
	config_write(SLOT, cap + 16, ALL, 1);
	CHECK_EQ(server.status, ALL);
	CHECK_EQ(config_read(SLOT, cap + 16, 1), ALL);
	config_write(SLOT, cap + 8, UINT32_MAX, 4); /* nothing is there */
	config_write(SLOT, cap + 16, 0, 4);
	config_write(SLOT, cap + 8, 0, 4);
	config_write(SLOT, cap + 12, 3, 4); /* no such length */
	config_write(SLOT, cap + 16, 0, 4);
	CHECK_EQ(server.status, ALL);
	end();
}

TEST(a_removed_device_is_gone_for_good)
{
	uint32_t value;

	make_device();
	start_device(server.server.features);
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK(!server.is_started && !server.runs[0] && server.nr_resets);
	CHECK(!server.server.told);
	CHECK_EQ(access_io(common, 0, &value, 4), 0);
	CHECK_EQ(config_read(SLOT, PCI_VENDOR_ID, 4), UINT32_MAX);
	CHECK_EQ(vas_events(vas, NULL, 0), 0);
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
	end();
}

/* ---- one that does what it likes ---------------------------------------------------------- */

TEST(features_that_do_not_fit_are_not_accepted)
{
	make_device();
	accept_features(server.server.features | 1ull << 20);
	CHECK_EQ(get_status(), ALL);
	accept_features(server.server.features & ~(1ull << VIRTIO_F_VERSION_1));
	CHECK_EQ(get_status(), ALL);
	server.accept_result = -EOPNOTSUPP;
	accept_features(server.server.features);
	CHECK_EQ(get_status(), ALL);
	set_status(RUNNING);
	CHECK(!server.is_started);
	server.accept_result = 0;
	accept_features(server.server.features);
	CHECK_EQ(get_status(), READY);
	accept_features(1ull << VIRTIO_F_VERSION_1); /* too late */
	set_status(RUNNING);
	CHECK_EQ(server.features, server.server.features);
	end();
}

TEST(a_queue_is_enabled_once_and_in_its_time)
{
	make_device();
	enable_queue(0, 64, 1);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	start_device(1ull << VIRTIO_F_VERSION_1);
	CHECK_EQ(server.queues[0].base, VAS_VIRTIO_BASE_SPLIT);
	enable_queue(0, 128, 1);
	CHECK_EQ(server.nr_queue_starts, 2);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
	enable_queue(SERVER_QUEUES, 64, 1);
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	CHECK_EQ(get_status(), RUNNING);
	end();
}

TEST(a_size_that_makes_no_sense_wants_a_reset)
{
	static const uint32_t sizes[] = { 0, 3, 512, 0xffff };
	uint32_t i;

	make_device();
	for (i = 0; i < 4; i++) {
		set_status(0);
		start_device(1ull << VIRTIO_F_VERSION_1);
		enable_queue(1, sizes[i], 0);
		CHECK(!server.runs[1]);
		CHECK_EQ(get_status(), RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	end();
}

/* Each register by each width that a processor has: nothing happens that is not one of its own. */
TEST(odd_accesses_do_nothing)
{
	static const uint32_t lens[] = { 1, 2, 4, 8 };
	uint64_t value;
	uint32_t at, i;

	make_device();
	start_device(server.server.features);
	for (i = 0; i < 4; i++)
		for (at = 0; at < 0x8000 - lens[i]; at++) {
			value = 0;
			CHECK_EQ(access_io(WINDOW + at, 0, &value, lens[i]), 1);
			if (at > 64 && at % lens[i])
				mmio_write(WINDOW + at, UINT64_MAX, lens[i]);
		}
	value = 0;
	CHECK_EQ(access_io(WINDOW + 0x7ffc, 0, &value, 8), 1); /* over its end */
	CHECK_EQ(value, UINT64_MAX);
	CHECK(server.runs[0] && server.runs[2]);
	end();
}

/* ---- at once ------------------------------------------------------------------------------ */

static void *access_all_the_time(void *arg)
{
	uint32_t *stop = arg, value = 0, i;

	for (i = 0; !__atomic_load_n(stop, __ATOMIC_RELAXED); i++) {
		access_io(WINDOW + i % 0x5000 / 4 * 4, i & 1 ? VAS_IO_WRITE : 0, &value, 4);
		access_io(config_at(SLOT, i % 64), 0, &value, 4);
	}
	return NULL;
}

TEST(devices_come_and_go_while_the_guest_looks)
{
	pthread_t threads[2];
	uint32_t stop = 0, i;

	make_bus();
	server_init(&server);
	for (i = 0; i < 2; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, access_all_the_time, &stop));
	for (i = 0; i < 200; i++) {
		CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
		config_write(SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
		CHECK_OK(vas_pci_remove(pci, SLOT));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
	end();
}

static uint32_t nr_told;

/* As soon as it can, for each time that it has a transport. */
static void *tell_at_once(void *arg)
{
	void (*told)(struct vas_virtio_server * of, uint32_t what);
	uint32_t *nr_added = arg, i;

	for (i = 1; i <= 200; i++) {
		while (__atomic_load_n(nr_added, __ATOMIC_ACQUIRE) != i)
			;
		do
			told = __atomic_load_n(&server.server.told, __ATOMIC_ACQUIRE);
		while (!told);
		told(&server.server, VAS_VIRTIO_CONFIG_CHANGED);
		__atomic_store_n(&nr_told, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

TEST(a_device_may_tell_before_it_is_on_the_bus)
{
	pthread_t thread;
	uint32_t nr_added = 0, i;

	make_bus();
	server_init(&server);
	CHECK_OK(pthread_create(&thread, NULL, tell_at_once, &nr_added));
	for (i = 1; i <= 200; i++) {
		__atomic_store_n(&nr_added, i, __ATOMIC_RELEASE);
		CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
		while (__atomic_load_n(&nr_told, __ATOMIC_ACQUIRE) != i)
			;
		CHECK_OK(vas_pci_remove(pci, SLOT));
	}
	CHECK_OK(pthread_join(thread, NULL));
	end();
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

static void *state;
static size_t state_size;

static void save_bus(void)
{
	CHECK_OK(vas_pci_pause(pci));
	CHECK_OK(vas_pci_save(pci, &state, &state_size));
}

/* Another bus with the same device, which no driver has seen. */
static void make_bus_again(void)
{
	const struct vas_pci_options pci_options = {
		.ecam = ECAM, .window = WINDOW, .window_size = WINDOW_SIZE, .first_event = 1000
	};

	vas_pci_destroy(pci);
	CHECK_OK(vas_pci_create(vas, &pci_options, &pci));
	server_init(&server);
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
}

static bool is_raised(const char *name)
{
	struct vas_event event;

	CHECK_OK(vas_event_find_by_name(vas, name, &event));
	return is_readable(vas_event_fd(vas, event.id));
}

static uint32_t nr_different(const uint8_t *one, const uint8_t *other, size_t size)
{
	uint32_t nr = 0;

	while (size--)
		nr += one[size] != other[size];
	return nr;
}

/* One that has used all that there is: its BAR elsewhere, two queues, messages, one of them masked. */
static void use_device(void)
{
	uint32_t cap = find_capability(PCI_CAP_ID_MSIX, 0);
	uint64_t table;

	config_write(SLOT, PCI_BASE_ADDRESS_0, 0xc0000000, 4);
	find_parts();
	table = common + 0x3000;
	mmio_write(common + VIRTIO_PCI_COMMON_MSIX, 2, 2);
	config_write(SLOT, cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
	mmio_write(table + PCI_MSIX_ENTRY_SIZE, 0xfee01000, 8);
	mmio_write(table + PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_DATA, 0x4041, 4);
	mmio_write(table + PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, 0, 4);
	config_write(0, PCI_CACHE_LINE_SIZE, 0x20, 1);
	start_device(server.server.features | RING_RESET);
	server.generation = 255;
	vas_virtio_changed(&server.server);
	CHECK(is_raised("pci3.vector2")); /* and masked */
}

TEST(a_bus_goes_elsewhere_with_all_that_a_driver_has_written)
{
	void *first;
	size_t first_size;

	make_device();
	use_device();
	server.base = 0x00070021;
	save_bus();
	CHECK(!server.runs[0] && !server.runs[2]);
	first = state;
	first_size = state_size;
	make_bus_again();
	CHECK_OK(vas_pci_load(pci, first, first_size));
	CHECK(!server.is_started && !is_raised("pci3.vector1") && is_raised("pci3.vector2"));
	CHECK_OK(vas_pci_save(pci, &state, &state_size));
	CHECK_EQ(state_size, first_size);
	CHECK(nr_different(first, state, state_size) <= 4); /* the generation counts */
	free(state);

	vas_pci_resume(pci);
	CHECK(server.runs[0] && !server.runs[1] && server.runs[2]);
	CHECK_EQ(server.features, server.server.features);
	CHECK_EQ(server.status, RUNNING);
	CHECK_EQ(get_status(), RUNNING);
	CHECK_EQ(server.queues[0].base, 0x00070021);
	CHECK_EQ(server.queues[0].desc, 0x1200001000ull);
	CHECK_EQ(server.queues[0].driver, 0x3400000005000ull);
	CHECK_EQ(server.queues[2].size, 256);
	CHECK_EQ(server.queues[2].call_fd, -1);
	CHECK(is_raised("pci3.vector1")); /* once more */
	CHECK_EQ(mmio_read(common + VIRTIO_PCI_COMMON_CFGGENERATION, 1), 0);
	CHECK_EQ(mmio_read(isr, 1), 2);
	CHECK_EQ(config_read(0, PCI_CACHE_LINE_SIZE, 1), 0x20);
	mmio_write(notify + 2 * notify_step, 2, 2);
	CHECK(is_readable(server.queues[2].kick_fd));
	select_queue(0);
	mmio_write(common + RESET_FIELD, 1, 2); /* was accepted */
	CHECK(!server.runs[0]);
	free(first);
	end();
}

TEST(a_bus_that_stays_goes_on)
{
	make_device();
	use_device();
	server.base = 0x00070021;
	save_bus();
	vas_pci_resume(pci);
	CHECK(server.runs[0] && !server.runs[1] && server.runs[2]);
	CHECK_EQ(server.queues[0].base, 0x00070021);
	CHECK_EQ(server.nr_queue_starts, 4);
	vas_pci_resume(pci);
	CHECK_EQ(server.nr_queue_starts, 4);
	free(state);
	end();
}

/* Between FEATURES_OK and DRIVER_OK; and one that wants a reset. */
TEST(a_driver_is_met_where_it_is)
{
	make_device();
	accept_features(server.server.features);
	enable_queue(0, 64, 1);
	save_bus();
	make_bus_again();
	CHECK_OK(vas_pci_load(pci, state, state_size));
	free(state);
	vas_pci_resume(pci);
	CHECK(!server.is_started);
	CHECK_EQ(get_status(), READY);
	set_status(RUNNING);
	CHECK(server.runs[0]);
	vas_virtio_broken(&server.server);
	save_bus();
	make_bus_again();
	CHECK_OK(vas_pci_load(pci, state, state_size));
	free(state);
	server.queue_result = -EFAULT;
	vas_pci_resume(pci);
	CHECK_EQ(get_status(), RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET);
	set_status(0);
	server.queue_result = 0;
	start_device(server.server.features);
	CHECK_EQ(get_status(), RUNNING);
	CHECK(server.runs[0]);
	end();
}

TEST(registers_of_another_device_are_refused)
{
	make_device();
	use_device();
	save_bus();
	make_bus_again();
	CHECK_OK(vas_pci_remove(pci, SLOT));
	CHECK_EQ(vas_pci_load(pci, state, state_size), -EINVAL);
	CHECK_HAS(vas_error(), "other slots");
	server.server.device_id = 1;
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
	CHECK_EQ(vas_pci_load(pci, state, state_size), -EINVAL);
	CHECK_HAS(vas_error(), "slot 3");
	CHECK_OK(vas_pci_remove(pci, SLOT));
	server_init(&server);
	server.server.nr_queues--;
	CHECK_EQ(vas_pci_add_virtio(pci, SLOT, &server.server), SLOT);
	CHECK_EQ(vas_pci_load(pci, state, state_size), -EINVAL);
	make_bus_again();
	server.server.features &= ~2ull;
	CHECK_EQ(vas_pci_load(pci, state, state_size), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "features");
	make_bus_again();
	find_parts();
	set_status(ALL);
	CHECK_EQ(vas_pci_load(pci, state, state_size), -EINVAL);
	CHECK_HAS(vas_error(), "a driver has seen");
	free(state);
	end();
}

/* The server dies of what no driver can bring about. */
static bool load_damaged(const void *bytes, size_t size)
{
	int err;

	make_bus_again();
	err = vas_pci_load(pci, bytes, size);
	if (err) {
		CHECK(err == -EPROTO || err == -EINVAL || err == -EOPNOTSUPP);
		return false;
	}
	vas_pci_resume(pci);
	return true;
}

TEST(damaged_registers_are_refused_or_a_drivers)
{
	static const uint8_t damages[] = { 0x01, 0x80, 0xff };
	uint32_t nr_refused = 0, i;
	uint8_t *bytes;
	size_t at;

	make_device();
	use_device();
	save_bus();
	bytes = state;
	for (at = 0; at < state_size; at++) {
		CHECK(!load_damaged(bytes, at));
		for (i = 0; i < 3; i++) {
			bytes[at] ^= damages[i];
			nr_refused += !load_damaged(bytes, state_size);
			bytes[at] ^= damages[i];
		}
	}
	CHECK(nr_refused > state_size);
	CHECK(load_damaged(bytes, state_size));
	bytes = realloc(bytes, state_size + 1);
	bytes[state_size] = 0;
	CHECK(!load_damaged(bytes, state_size + 1));
	free(bytes);
	end();
}
