// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A block device that is served by threads, on the memory of a vas that changes under it. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vas/dirty.h>
#include <vas/layout.h>
#include <vas/vas.h>

#include "device/blk/blk.h"
#include "device/thread/server.h"
#include "harness.h"
#include "tests/device/front_end.h"

#define DISK	 (1u << 20)
#define RAM	 (1ull << 20)
#define EXTRA	 (2ull << 20) /* a region that comes and goes */
#define HEADER	 FRONT_DATA
#define STATUS	 (FRONT_DATA + 4096)
#define SECOND	 1000000000ull
#define FEATURES (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX)

static struct vas *vas;
static struct blk blk;
static struct thread_server *device;
static struct vas_virtio_server *server;
static struct front_ring ring;
static uint8_t *ram;
static uint64_t ram_id;
static uint32_t told; /* atomic */

static void remember(struct vas_virtio_server *from, uint32_t what)
{
	(void)from;
	__atomic_fetch_or(&told, what, __ATOMIC_SEQ_CST);
}

static uint64_t add_region(const char *name, uint64_t gpa, uint64_t size)
{
	struct vas_region region = { .gpa = gpa, .size = size, .offset = gpa };
	uint64_t id;

	strcpy(region.name, name);
	CHECK_OK(vas_region_add(vas, &region, &id));
	return id;
}

static void make_device(void)
{
	const struct vas_options options = { .limit = 4 << 20 };
	const struct blk_options disk = {
		.disk = { .kind = DISK_MEMORY, .size = DISK },
		.nr_queues = 2,
		.queue_size = FRONT_RING_SIZE,
	};
	const struct thread_server_options thread = { .name = "blk",
						      .device_id = 2,
						      .config_size = 64 };

	CHECK_OK(vas_create(&options, &vas));
	ram_id = add_region("ram", 0, RAM);
	ram = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	CHECK(ram != MAP_FAILED);
	CHECK_OK(blk_open(&blk, &disk));
	CHECK_OK(thread_server_create(vas, &blk.device, &thread, &device));
	server = thread_server_virtio(device);
	server->told = remember;
	ring.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring.desc = (void *)ram;
	ring.avail = (void *)(ram + 16384);
	ring.used = (void *)(ram + 32768);
}

static int start_queue(uint64_t desc, uint32_t base)
{
	const struct vas_virtio_queue queue = {
		.size = FRONT_RING_SIZE,
		.base = base,
		.desc = desc,
		.driver = 16384,
		.device = 32768,
		.kick_fd = ring.kick_fd,
		.call_fd = ring.call_fd,
	};

	return server->ops->queue_start(server, 0, &queue);
}

static void start(void)
{
	make_device();
	CHECK_OK(server->ops->start(server, FEATURES));
	CHECK_OK(start_queue(0, 0));
}

static void end(void)
{
	server->ops->reset(server);
	thread_server_destroy(device);
	blk_close(&blk);
	munmap(ram, 4 << 20);
	vas_destroy(vas);
}

static void post(uint32_t type, uint64_t data_gpa)
{
	struct virtio_blk_outhdr *header = (void *)(ram + HEADER);

	header->type = type;
	header->sector = 8;
	ram[STATUS] = 0xff;
	front_ring_post(&ring, 0, HEADER, data_gpa, 512, type == VIRTIO_BLK_T_IN, STATUS);
	front_ring_kick(&ring);
}

static int is_answered(void *arg)
{
	(void)arg;
	return front_ring_take(&ring) >= 0;
}

static void request(uint32_t type, uint64_t data_gpa)
{
	post(type, data_gpa);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(ram[STATUS], VIRTIO_BLK_S_OK);
}

/* Written from one place, read back into another. */
static void write_and_read(uint64_t from, uint64_t to, uint8_t byte)
{
	memset(ram + from, byte, 512);
	request(VIRTIO_BLK_T_OUT, from);
	memset(ram + to, 0, 512);
	request(VIRTIO_BLK_T_IN, to);
	CHECK_MEM(ram + to, ram + from, 512);
}

static int is_told(void *arg)
{
	(void)arg;
	return __atomic_load_n(&told, __ATOMIC_SEQ_CST) & VAS_VIRTIO_NEEDS_RESET;
}

TEST(requests_are_served_from_the_memory_of_a_vas)
{
	struct virtio_blk_config config = { 0 };
	eventfd_t count;

	start();
	server->ops->config_read(server, 0, &config, 8);
	CHECK_EQ(config.capacity, DISK / 512);
	write_and_read(FRONT_DATA + 8192, FRONT_DATA + 16384, 0x5a);
	CHECK_OK(eventfd_read(ring.call_fd, &count));
	end();
}

TEST(a_queue_goes_on_where_it_stood)
{
	uint32_t base = UINT32_MAX;

	start();
	write_and_read(FRONT_DATA + 8192, FRONT_DATA + 16384, 1);
	server->ops->queue_stop(server, 0, &base);
	CHECK_EQ(base, 2);
	CHECK_OK(start_queue(0, base));
	write_and_read(FRONT_DATA + 8192, FRONT_DATA + 16384, 2);
	end();
}

TEST(memory_that_comes_is_used_and_memory_that_goes_is_let_go)
{
	uint64_t id;
	int i;

	start();
	for (i = 0; i < 20; i++) {
		id = add_region("extra", EXTRA, RAM);
		test_note("round %d", i);
		write_and_read(FRONT_DATA + 8192, FRONT_DATA + 16384, (uint8_t)i);
		CHECK_OK(vas_region_remove(vas, id));
		write_and_read(FRONT_DATA + 8192, FRONT_DATA + 16384, (uint8_t)(i + 100));
	}
	CHECK(!is_told(NULL));
	end();
}

/* The device follows in a thread of its own: a driver that is too quick breaks its ring. */
static int reaches_extra(void *arg)
{
	(void)arg;
	if (is_told(NULL)) {
		server->ops->reset(server);
		__atomic_store_n(&told, 0, __ATOMIC_SEQ_CST);
		memset(ram, 0, 65536);
		ring.next_avail = ring.next_used = ring.kicked = 0;
		CHECK_OK(server->ops->start(server, FEATURES));
		CHECK_OK(start_queue(0, 0));
		post(VIRTIO_BLK_T_IN, EXTRA);
	}
	return front_ring_take(&ring) >= 0;
}

TEST(a_request_reaches_memory_that_came_later)
{
	start();
	add_region("extra", EXTRA, RAM);
	post(VIRTIO_BLK_T_IN, EXTRA);
	test_wait(reaches_extra, NULL, TEST_HANG_MS);
	CHECK_EQ(ram[STATUS], VIRTIO_BLK_S_OK);
	end();
}

TEST(a_ring_whose_memory_goes_is_told_of)
{
	start();
	CHECK_OK(vas_region_remove(vas, ram_id));
	test_wait(is_told, NULL, TEST_HANG_MS);
	end();
}

TEST(a_ring_outside_of_memory_does_not_start)
{
	make_device();
	CHECK_OK(server->ops->start(server, FEATURES));
	CHECK_EQ(start_queue(RAM, 0), -EFAULT);
	CHECK_EQ(start_queue(UINT64_MAX - 15, 0), -EFAULT);
	CHECK_OK(start_queue(0, 0));
	end();
}

TEST(a_request_that_makes_no_sense_is_told_of)
{
	start();
	ring.desc[0].next = 0; /* a circle */
	post(VIRTIO_BLK_T_IN, RAM * 3);
	test_wait(is_told, NULL, TEST_HANG_MS);
	end();
}

TEST(a_frozen_guest_has_its_requests_served_after_the_thaw)
{
	int i;

	start();
	for (i = 0; i < 5; i++) {
		CHECK_OK(vas_freeze(vas, 60 * SECOND, NULL));
		memset(ram + FRONT_DATA + 8192, 0x40 + i, 512);
		post(VIRTIO_BLK_T_OUT, FRONT_DATA + 8192);
		CHECK_EQ(front_ring_take(&ring), -1);
		CHECK_EQ(ram[STATUS], 0xff);
		CHECK_OK(vas_thaw(vas));
		test_wait(is_answered, NULL, TEST_HANG_MS);
		CHECK_EQ(ram[STATUS], VIRTIO_BLK_S_OK);
	}
	end();
}
