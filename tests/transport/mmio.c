// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* virtio-mmio, as a driver sees it. What is the same in virtio-pci is tested there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/event.h>
#include <vas/transport.h>

#include "harness.h"
#include "tests/transport/server.h"

#define GPA	0xd0001000ull
#define ALL	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define READY	(ALL | VIRTIO_CONFIG_S_FEATURES_OK)
#define RUNNING (READY | VIRTIO_CONFIG_S_DRIVER_OK)

static struct vas *vas;
static struct vas_virtio_mmio *mmio;
static struct server server;

static int access_io(uint64_t offset, uint32_t flags, void *data, uint32_t len)
{
	struct vas_io io = { .addr = GPA + offset, .len = len, .flags = flags, .data = data };

	return vas_virtio_mmio_io(mmio, &io);
}

static uint32_t get(uint64_t offset)
{
	uint32_t value = 0;

	CHECK_EQ(access_io(offset, 0, &value, 4), 1);
	return value;
}

static void set(uint64_t offset, uint32_t value)
{
	CHECK_EQ(access_io(offset, VAS_IO_WRITE, &value, 4), 1);
}

static bool is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

static void make_device(void)
{
	const struct vas_options options = { .limit = 1 << 20 };
	const struct vas_virtio_mmio_options mmio_options = { .gpa = GPA,
							      .gsi = 5,
							      .first_event = 1 };

	CHECK_OK(vas_create(&options, &vas));
	server_init(&server);
	CHECK_OK(vas_virtio_mmio_create(vas, &mmio_options, &server.server, &mmio));
}

static void end(void)
{
	vas_virtio_mmio_destroy(mmio);
	CHECK_EQ(vas_events(vas, NULL, 0), 0);
	vas_destroy(vas);
}

static void enable_queue(uint32_t index, uint32_t size)
{
	set(VIRTIO_MMIO_QUEUE_SEL, index);
	set(VIRTIO_MMIO_QUEUE_NUM, size);
	set(VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1000);
	set(VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x12);
	set(VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x5000);
	set(VIRTIO_MMIO_QUEUE_USED_HIGH, 7);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
}

static void start_device(void)
{
	set(VIRTIO_MMIO_STATUS, ALL);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(VIRTIO_MMIO_STATUS, READY);
	CHECK_EQ(get(VIRTIO_MMIO_STATUS), READY);
	enable_queue(0, 64);
	enable_queue(2, 128);
	set(VIRTIO_MMIO_STATUS, RUNNING);
}

TEST(a_driver_finds_the_device_and_sets_it_up)
{
	make_device();
	CHECK_EQ(get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	CHECK_EQ(get(VIRTIO_MMIO_VERSION), 2);
	CHECK_EQ(get(VIRTIO_MMIO_DEVICE_ID), 2);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	CHECK(get(VIRTIO_MMIO_DEVICE_FEATURES) & 1);
	CHECK_EQ(get(VIRTIO_MMIO_QUEUE_NUM_MAX), SERVER_QUEUE_SIZE);
	start_device();
	CHECK_EQ(get(VIRTIO_MMIO_STATUS), RUNNING);
	CHECK(server.runs[0] && !server.runs[1] && server.runs[2]);
	CHECK_EQ(server.queues[0].desc, 0x1200001000ull);
	CHECK_EQ(server.queues[0].driver, 0x5000);
	CHECK_EQ(server.queues[0].device, 7ull << 32);
	CHECK_EQ(server.queues[0].size, 64);
	CHECK_EQ(server.queues[0].call_fd, server.queues[2].call_fd);
	set(VIRTIO_MMIO_QUEUE_SEL, SERVER_QUEUES);
	CHECK_EQ(get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	set(VIRTIO_MMIO_STATUS, 0);
	CHECK(!server.is_started);
	end();
}

TEST(the_doorbell_tells_queues_apart_by_the_value)
{
	struct vas_event event;

	make_device();
	start_device();
	CHECK_OK(vas_event_find_by_name(vas, "d0001000.queue2", &event));
	CHECK_EQ(event.addr, GPA + VIRTIO_MMIO_QUEUE_NOTIFY);
	CHECK_EQ(event.data, 2);
	CHECK(event.flags & VAS_EVENT_DATAMATCH);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0x80050002); /* with VIRTIO_F_NOTIFICATION_DATA */
	CHECK(is_readable(server.queues[2].kick_fd) && !is_readable(server.queues[0].kick_fd));
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0xffff);
	end();
}

TEST(a_doorbell_may_be_a_call)
{
	make_device();
	server_take_kicks(&server);
	start_device();
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	CHECK_EQ(server.nr_kicks[2], 1);
	CHECK(!is_readable(server.queues[2].kick_fd));
	server.refuses_kicks = true;
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	CHECK_EQ(server.nr_kicks[2], 2);
	CHECK(is_readable(server.queues[2].kick_fd));
	end();
}

TEST(a_change_is_told_until_it_is_acknowledged)
{
	make_device();
	CHECK_EQ(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	start_device();
	CHECK_EQ(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	server.generation = 7;
	vas_virtio_changed(&server.server);
	CHECK(is_readable(server.queues[0].call_fd));
	CHECK_EQ(get(VIRTIO_MMIO_CONFIG_GENERATION), 7);
	CHECK_EQ(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	CHECK_EQ(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	CHECK_EQ(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	end();
}

TEST(a_queue_that_is_not_ready_any_more_stands_still)
{
	make_device();
	start_device();
	set(VIRTIO_MMIO_QUEUE_SEL, 0);
	set(VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_EQ(get(VIRTIO_MMIO_QUEUE_READY), 0);
	CHECK(!server.runs[0] && server.runs[2]);
	enable_queue(0, 32);
	CHECK_EQ(server.queues[0].size, 32);
	CHECK(server.runs[0]);
	end();
}

TEST(the_config_space_has_any_width_and_registers_have_one)
{
	uint64_t value = 0;
	uint32_t at;

	make_device();
	start_device();
	server.config[5] = 0x55;
	CHECK_EQ(access_io(VIRTIO_MMIO_CONFIG + 5, 0, &value, 1), 1);
	CHECK_EQ(value, 0x55);
	value = 0x1122334455667788;
	CHECK_EQ(access_io(VIRTIO_MMIO_CONFIG + 8, VAS_IO_WRITE, &value, 8), 1);
	CHECK_EQ(server.config[15], 0x11);
	value = 0;
	for (at = 0; at < VIRTIO_MMIO_CONFIG; at++) {
		CHECK_EQ(access_io(at, VAS_IO_WRITE, &value, 1), 1);
		CHECK_EQ(access_io(at, VAS_IO_WRITE, &value, 8), 1);
		CHECK_EQ(access_io(at, 0, &value, 8), 1);
		CHECK_EQ(value, 0);
	}
	CHECK_EQ(server.status, RUNNING);
	CHECK_EQ(access_io(VAS_VIRTIO_MMIO_SIZE, 0, &value, 4), 0);
	CHECK_EQ(access_io(0, VAS_IO_PORT, &value, 4), 0);
	end();
}

static void make_device_again(void)
{
	const struct vas_virtio_mmio_options options = { .gpa = GPA, .gsi = 5, .first_event = 1 };

	vas_virtio_mmio_destroy(mmio);
	server_init(&server);
	CHECK_OK(vas_virtio_mmio_create(vas, &options, &server.server, &mmio));
}

/* Whoever has the eventfd may have filled it, and made writes to it wait. */
TEST(an_interrupt_that_is_full_keeps_nobody)
{
	uint64_t most = UINT64_MAX - 1;
	void *state;
	size_t size;
	int fd;

	make_device();
	start_device();
	vas_virtio_mmio_pause(mmio);
	CHECK_OK(vas_virtio_mmio_save(mmio, &state, &size));
	make_device_again();
	CHECK_OK(vas_virtio_mmio_load(mmio, state, size));
	fd = vas_event_fd(vas, 1);
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	CHECK_EQ(write(fd, &most, sizeof(most)), sizeof(most));
	vas_virtio_mmio_resume(mmio);
	CHECK(server.runs[0]);
	free(state);
	end();
}

TEST(a_device_goes_elsewhere_with_its_registers)
{
	uint8_t *bytes;
	size_t size, at;
	void *state;

	make_device();
	start_device();
	vas_virtio_changed(&server.server);
	server.base = 77;
	vas_virtio_mmio_pause(mmio);
	CHECK(!server.runs[0]);
	CHECK_OK(vas_virtio_mmio_save(mmio, &state, &size));
	make_device_again();
	CHECK_OK(vas_virtio_mmio_load(mmio, state, size));
	CHECK(!server.is_started);
	vas_virtio_mmio_resume(mmio);
	CHECK_EQ(get(VIRTIO_MMIO_STATUS), RUNNING);
	CHECK(server.runs[0] && !server.runs[1] && server.runs[2]);
	CHECK_EQ(server.queues[0].base, 77);
	CHECK_EQ(server.queues[2].size, 128);
	CHECK(is_readable(server.queues[0].call_fd)); /* once more */
	CHECK_EQ(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);

	bytes = state;
	for (at = 0; at < size; at++) {
		make_device_again();
		CHECK(vas_virtio_mmio_load(mmio, bytes, at) < 0);
		make_device_again();
		bytes[at] ^= 0x81;
		if (!vas_virtio_mmio_load(mmio, bytes, size))
			vas_virtio_mmio_resume(mmio);
		bytes[at] ^= 0x81;
	}
	free(state);
	end();
}

TEST(options_that_make_no_sense_are_refused)
{
	struct vas_virtio_mmio_options options = { .gpa = GPA, .first_event = 100 };
	struct vas_virtio_mmio *other;
	static struct server second;

	make_device();
	server_init(&second);
	options.gpa = GPA + 8;
	CHECK_EQ(vas_virtio_mmio_create(vas, &options, &second.server, &other), -EINVAL);
	options = (struct vas_virtio_mmio_options){ .gpa = GPA + VAS_VIRTIO_MMIO_SIZE };
	CHECK_EQ(vas_virtio_mmio_create(vas, &options, &second.server, &other), -EINVAL);
	options.first_event = 100;
	second.server.nr_queues = VAS_VIRTIO_MAX_QUEUES + 1;
	CHECK_EQ(vas_virtio_mmio_create(vas, &options, &second.server, &other), -EINVAL);
	vas_virtio_mmio_destroy(NULL);
	end();
}
