// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A disk on the bus, served by a thread or a process, for a driver with a split or a packed ring:
 * killed at any moment under load, frozen, its memory taken away, its writes in the dirty log.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/device.h>
#include <vas/dirty.h>
#include <vas/handover.h>
#include <vas/migrate.h>
#include <vas/serve.h>
#include <vas/transport.h>
#include <vas/vas.h>

#include "device/blk/blk.h"
#include "core/protocol/device.h"
#include "device/bus/bus.h"
#include "harness.h"
#include "lib/handle/handle.h"
#include "tests/core/packed_driver.h"
#include "tests/device/bus_iommu.h"
#include "tests/device/front_end.h"
#include "tests/device/kills.h"
#include "tests/device/provider.h"

#define RAM    (16ull << 20)
#define EXTRA  RAM /* gpa of a region that no ring lies in */
#define SLOTS  16u
#define BLOCK  4096u
#define ROUNDS 8u /* places on the disk for each slot */
#define DISK   (1ull * SLOTS * ROUNDS * BLOCK)
#define DESC   0u
#define DRIVER 16384u
#define DEVICE 32768u
#define HEADER 0x20000u
#define STATUS 0x30000u
#define DATA   0x100000u

/* ---- the disk, in a thread or a process ---------------------------------------------------- */

struct where {
	char socket[64];
	char disk[64];
	char command[256]; /* empty: this program */
	bool takes_over, waits;
};

static struct where where;

static int serve_disk(int stop_fd)
{
	struct blk_options options = {
		.disk = { .kind = DISK_FILE, .path = where.disk },
		.nr_queues = 2,
		.queue_size = FRONT_RING_SIZE,
	};
	struct where own = where; /* the guest may move */
	struct bus_options bus = { .path = own.socket, .name = "disk", .look_fd = -1 };
	struct blk blk;
	int err = blk_open(&blk, &options);

	if (err)
		return err;
	bus.takes_over = own.takes_over;
	bus.waits = own.waits;
	err = bus_serve(&blk.device, stop_fd, &bus);
	blk_close(&blk);
	return err;
}

static int run_command(void)
{
	execl(where.command, "vas", "device", "blk", "disk", "--path", where.disk, "--guest",
	      where.socket, where.takes_over ? "--take-over" : NULL, NULL);
	return 127;
}

ROLE(disk)
{
	if (read(sock, &where, sizeof(where)) != sizeof(where))
		return 1;
	if (where.command[0])
		return run_command();
	return serve_disk(-1) == -ESHUTDOWN ? 0 : 1;
}

static void start_process(void)
{
	process_start("disk", &where, sizeof(where));
}

static void start_thread(void)
{
	thread_start(serve_disk);
}

static void (*start_disk)(void);

static void stop_disk(void)
{
	if (thread_stop >= 0)
		stop_thread();
	if (process)
		kill_process();
}

/* ---- the guest ---------------------------------------------------------------------------- */

static struct vas *vas;
static struct vas_serve *serve;
static struct vas_bus_device *device;
static struct vas_virtio_server *server;
static uint8_t *ram;
static uint64_t ram_id;
static bool is_packed;
static struct front_ring split;
static struct packed_driver packed;
static uint32_t times_broken;

static void told(struct vas_virtio_server *of, uint32_t what)
{
	(void)of;
	if (what & VAS_VIRTIO_NEEDS_RESET)
		__atomic_fetch_add(&times_broken, 1, __ATOMIC_SEQ_CST);
}

static void add_device(void)
{
	struct vas_device_options disk = { .name = "disk", .kind = 2, .answer_ns = TEST_HANG_NS };

	bus_iommu_options(&disk, RAM);
	CHECK_OK(vas_device_add(vas, &disk, &device));
}

static void make_vas(void)
{
	struct vas_options options = { .limit = 2 * RAM, .name = "guest" };
	struct vas_region region = { .size = RAM, .name = "ram" };

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, &ram_id));
	snprintf(where.socket, sizeof(where.socket), "/tmp/vas-bus-disk.%d", getpid());
	snprintf(where.disk, sizeof(where.disk), "/dev/shm/vas-bus-disk.%d", getpid());
	CHECK_OK(vas_serve(vas, where.socket, 0600, &serve));
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	CHECK(ram != MAP_FAILED);
}

static void make_disk(void)
{
	int fd = open(where.disk, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, DISK));
	close(fd);
}

/* The rings' drivers work by pointers into the guest's memory. */
static void make_split(void)
{
	split = (struct front_ring){
		.desc = (void *)(ram + DESC),
		.avail = (void *)(ram + DRIVER),
		.used = (void *)(ram + DEVICE),
		.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
}

static void make_packed(void)
{
	packed_driver_init(&packed, (char *)ram, FRONT_RING_SIZE, 0, true);
	free(packed.desc);
	free(packed.driver);
	free(packed.device);
	packed.desc = (void *)(ram + DESC);
	packed.driver = (void *)(ram + DRIVER);
	packed.device = (void *)(ram + DEVICE);
}

static void start_queue(void)
{
	const struct vas_virtio_queue queue = {
		.size = FRONT_RING_SIZE,
		.base = is_packed ? VAS_VIRTIO_BASE_PACKED : VAS_VIRTIO_BASE_SPLIT,
		.desc = bus_iommu_iova(DESC),
		.driver = bus_iommu_iova(DRIVER),
		.device = bus_iommu_iova(DEVICE),
		.kick_fd = is_packed ? packed.kick : split.kick_fd,
		.call_fd = is_packed ? packed.call : split.call_fd,
	};
	uint64_t features =
		1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | bus_iommu_feature();

	if (is_packed)
		features |= 1ull << VIRTIO_F_RING_PACKED;
	CHECK_OK(server->ops->start(server, features));
	CHECK_OK(server->ops->queue_start(server, 0, &queue));
}

static void make_guest(bool with_packed)
{
	make_vas();
	make_disk();
	is_packed = with_packed;
	if (is_packed)
		make_packed();
	else
		make_split();
}

static void await_offer(void)
{
	CHECK_OK(vas_device_wait(device, TEST_HANG_NS));
	server = vas_device_server(device);
}

static void begin_device(void (*start)(void), bool with_packed)
{
	make_guest(with_packed);
	add_device();
	start_disk = start;
	start();
	await_offer();
}

static void drive_ring(void)
{
	await_offer();
	__atomic_store_n(&server->told, told, __ATOMIC_RELEASE);
	start_queue();
}

static void begin(void (*start)(void), bool with_packed)
{
	begin_device(start, with_packed);
	drive_ring();
}

static void end(void)
{
	bus_iommu_end();
	stop_disk();
	vas_device_remove(device);
	vas_serve_end(serve);
	vas_destroy(vas);
	unlink(where.disk);
}

/* ---- the driver --------------------------------------------------------------------------- */

/* A slot has a header, a status, a block of data, and ROUNDS places on the disk in turn. */
static bool is_posted[SLOTS];
static uint32_t turns[SLOTS];	  /* of a slot: how many requests it has had */
static uint16_t slot_of_id[4096]; /* packed */
static uint64_t nr_posted, nr_answered;
static uint32_t stamp_of[SLOTS][ROUNDS]; /* what the driver has written there */

static uint64_t place_of(uint32_t slot)
{
	return (slot * ROUNDS + turns[slot] % ROUNDS) * (uint64_t)BLOCK;
}

static void kick(void)
{
	if (is_packed)
		eventfd_write(packed.kick, 1);
	else
		front_ring_kick(&split);
}

static void post(uint32_t slot, uint32_t type)
{
	struct virtio_blk_outhdr *header = (void *)(ram + HEADER + slot * sizeof(*header));
	uint64_t header_at = bus_iommu_iova(HEADER + slot * sizeof(*header));
	uint64_t status = STATUS + slot, status_at = bus_iommu_iova(status);
	uint64_t data = bus_iommu_iova(DATA + slot * BLOCK);
	const struct part parts[] = {
		{ header_at, sizeof(*header), 0 },
		{ data, BLOCK, type == VIRTIO_BLK_T_IN },
		{ status_at, 1, 1 },
	};

	CHECK(!is_posted[slot]);
	*header = (struct virtio_blk_outhdr){ .type = type, .sector = place_of(slot) / BLK_SECTOR };
	ram[status] = 0xff;
	is_posted[slot] = true;
	nr_posted++;
	if (is_packed)
		slot_of_id[packed_driver_add(&packed, parts, 3, 0)] = (uint16_t)slot;
	else
		front_ring_post(&split, (uint16_t)slot, header_at, data, BLOCK,
				type == VIRTIO_BLK_T_IN, status_at);
}

static void post_write(uint32_t slot)
{
	uint32_t *words = (uint32_t *)(ram + DATA + slot * BLOCK),
		 stamp = turns[slot] * SLOTS + slot;

	for (uint32_t i = 0; i < BLOCK / 4; i++)
		words[i] = stamp + i;
	stamp_of[slot][turns[slot] % ROUNDS] = stamp;
	post(slot, VIRTIO_BLK_T_OUT);
}

/* A slot whose request was answered, or -1. Each is answered once, and without an error. */
static int take(void)
{
	uint32_t len;
	uint16_t id;
	int slot;

	if (is_packed)
		slot = packed_driver_get(&packed, &id, &len) ? slot_of_id[id] : -1;
	else
		slot = front_ring_take(&split);
	if (slot < 0)
		return -1;
	CHECK(slot < (int)SLOTS);
	CHECK(is_posted[slot]);
	CHECK_EQ(ram[STATUS + slot], VIRTIO_BLK_S_OK);
	is_posted[slot] = false;
	turns[slot]++;
	nr_answered++;
	return slot;
}

static int is_all_answered(void *arg)
{
	(void)arg;
	while (take() >= 0)
		;
	return nr_answered == nr_posted;
}

static void wait_for_all(void)
{
	test_wait(is_all_answered, NULL, TEST_HANG_MS);
}

static uint64_t target;

/* Keeps all slots busy with writes. */
static int has_done(void *arg)
{
	int slot;

	(void)arg;
	while ((slot = take()) >= 0)
		post_write((uint32_t)slot);
	kick();
	return nr_answered >= target;
}

static void begin_load(void)
{
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		post_write(slot);
	kick();
}

/* So many more. */
static void work(uint64_t nr)
{
	target = nr_answered + nr;
	test_wait(has_done, NULL, TEST_HANG_MS);
}

static void check_disk(void)
{
	int fd = open(where.disk, O_RDONLY | O_CLOEXEC);
	uint32_t block[BLOCK / 4];

	for (uint32_t slot = 0; slot < SLOTS; slot++)
		for (uint32_t round = 0; round < ROUNDS && round < turns[slot]; round++) {
			CHECK_EQ(pread(fd, block, BLOCK, (slot * ROUNDS + round) * (off_t)BLOCK),
				 BLOCK);
			for (uint32_t i = 0; i < BLOCK / 4; i++)
				CHECK_EQ(block[i], stamp_of[slot][round] + i);
		}
	close(fd);
}

static void check_reads(void)
{
	const uint32_t *words = (const uint32_t *)(ram + DATA);

	turns[0] = ROUNDS;
	memset(ram + DATA, 0, BLOCK);
	post(0, VIRTIO_BLK_T_IN);
	kick();
	wait_for_all();
	CHECK_EQ(words[0], stamp_of[0][0]);
	CHECK_EQ(words[1023], stamp_of[0][0] + 1023);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void requests_are_served(void (*start)(void), bool with_packed)
{
	struct vas_device_info info;

	begin(start, with_packed);
	bus_iommu_begin(device);
	begin_load();
	work(500);
	bus_iommu_was_used();
	wait_for_all();
	check_disk();
	check_reads();
	CHECK_EQ(vas_devices(vas, &info, 1), 1);
	CHECK_EQ(info.queues[0].state, VAS_DEVICE_QUEUE_RUNNING);
	CHECK_EQ(info.queues[0].counters.taken, nr_posted);
	CHECK_EQ(info.queues[0].counters.answered, nr_posted);
	CHECK_EQ(info.queues[0].counters.errors, 0);
	end();
}

TEST(a_thread_serves_a_split_ring)
{
	requests_are_served(start_thread, false);
}

TEST(a_thread_serves_a_packed_ring)
{
	requests_are_served(start_thread, true);
}

TEST(a_process_serves_a_split_ring)
{
	requests_are_served(start_process, false);
}

TEST(a_process_serves_a_packed_ring)
{
	requests_are_served(start_process, true);
}

/* ---- death -------------------------------------------------------------------------------- */

/* Killed at random, and another one is started: the driver sees a stall, and each answer once. */
static void kill_again_and_again(bool with_packed)
{
	struct test_random random = { test_seed() };
	uint32_t i, nr = kills_nr(60), nr_served = 0;
	struct vas_device_info info;

	begin(start_process, with_packed);
	bus_iommu_begin(device);
	begin_load();
	for (i = 0; i < nr; i++) {
		test_note("kill %u", i);
		/* More than can have been answered before it began: it was granted the device. */
		nr_served += kills_wait(&random, work, 200) > SLOTS;
		kill_process();
		start_process();
		if ((i + 1) % KILLS_BETWEEN_CHECKS)
			continue;
		wait_for_all();
		check_disk();
		check_reads();
		begin_load();
	}
	work(200);
	wait_for_all();
	check_disk();
	CHECK_EQ(vas_devices(vas, &info, 1), 1);
	CHECK(nr_served && info.grants >= nr_served);
	CHECK_EQ(times_broken, 0);
	end();
}

TEST(killed_under_load_with_a_split_ring_each_request_is_answered_once)
{
	kill_again_and_again(false);
}

TEST(killed_under_load_with_a_packed_ring_each_request_is_answered_once)
{
	kill_again_and_again(true);
}

/* A new binary, say: the new one waits, the old one is told to end, and nothing is lost. */
TEST(a_successor_that_waits_takes_over_at_once)
{
	begin(start_thread, false);
	bus_iommu_begin(device);
	begin_load();
	work(100);
	start_process();
	work(100);
	stop_thread();
	work(100);
	wait_for_all();
	check_disk();
	end();
}

static bool may_fail; /* its words for it are its own */

static int works_until_it_has_left(void *pid)
{
	int status = 0;

	has_done(NULL);
	if (waitpid(*(pid_t *)pid, &status, WNOHANG) != *(pid_t *)pid)
		return 0;
	CHECK(WIFEXITED(status) && (!WEXITSTATUS(status) || may_fail));
	return 1;
}

/* Each new process asks the one before to leave: nothing is done twice, and nobody is killed. */
static void upgrade_again_and_again(bool with_packed)
{
	struct vas_device_info info;
	uint32_t i, nr_grants;
	pid_t old;

	begin(start_process, with_packed);
	bus_iommu_begin(device);
	begin_load();
	CHECK_EQ(vas_devices(vas, &info, 1), 1);
	nr_grants = info.grants;
	where.takes_over = true;
	for (i = 0; i < 20; i++) {
		test_note("upgrade %u", i);
		work(100);
		old = process;
		start_process();
		test_wait(works_until_it_has_left, &old, TEST_HANG_MS);
	}
	work(200);
	wait_for_all();
	check_disk();
	check_reads();
	CHECK_EQ(vas_devices(vas, &info, 1), 1);
	CHECK_EQ(info.grants, nr_grants + 20);
	CHECK_EQ(times_broken, 0);
	end();
}

TEST(upgraded_under_load_with_a_split_ring_each_request_is_answered_once)
{
	upgrade_again_and_again(false);
}

TEST(upgraded_under_load_with_a_packed_ring_each_request_is_answered_once)
{
	upgrade_again_and_again(true);
}

static void use_command(const char *name)
{
	const char *command = getenv(name);

	if (!command && !strcmp(name, "VAS_NEXT"))
		command = getenv("VAS");
	if (!command)
		test_skip("VAS says which command is tested");
	snprintf(where.command, sizeof(where.command), "%s", command);
}

/*
 * Two builds of the command take turns; VAS_NEXT is another one than VAS, of an earlier commit say.
 * It need not know how to take over: it waits, and the one that serves is told to end. That one is
 * asked to leave by VAS, which it may not understand: it leaves nonetheless.
 */
static void two_builds_take_turns(bool with_packed)
{
	bool is_other = getenv("VAS_NEXT");
	uint32_t i;
	pid_t old;

	use_command("VAS");
	begin(start_process, with_packed);
	begin_load();
	for (i = 0; i < 10; i++) {
		test_note("turn %u", i);
		work(100);
		old = process;
		use_command(i % 2 ? "VAS" : "VAS_NEXT");
		where.takes_over = i % 2;
		start_process();
		if (!where.takes_over)
			CHECK_OK(kill(old, SIGTERM));
		may_fail = is_other && where.takes_over;
		test_wait(works_until_it_has_left, &old, TEST_HANG_MS);
	}
	work(200);
	wait_for_all();
	check_disk();
	check_reads();
	CHECK_EQ(times_broken, 0);
	end();
}

TEST(two_builds_of_the_command_take_turns_with_a_split_ring)
{
	two_builds_take_turns(false);
}

TEST(two_builds_of_the_command_take_turns_with_a_packed_ring)
{
	two_builds_take_turns(true);
}

TEST(a_driver_that_resets_while_nobody_serves_goes_on)
{
	uint32_t base = 0;

	begin(start_process, false);
	begin_load();
	work(100);
	kill_process();
	server->ops->queue_stop(server, 0, &base);
	server->ops->reset(server);
	memset(ram, 0, HEADER);
	memset(is_posted, 0, sizeof(is_posted));
	nr_posted = nr_answered;
	make_split();
	start_queue();
	start_process();
	begin_load();
	work(100);
	wait_for_all();
	check_disk();
	end();
}

/* ---- the owner ---------------------------------------------------------------------------- */

TEST(a_provider_outlives_the_socket)
{
	uint32_t base = 0;

	if (bus_iommu_is_there())
		test_skip("without the socket nobody can be asked what an iova stands for");
	begin(start_process, false);
	begin_load();
	work(100);
	vas_serve_end(serve);
	/* Its eventfds are still good. */
	work(100);
	wait_for_all();
	server->ops->queue_stop(server, 0, &base);
	CHECK_EQ(base, (uint16_t)nr_answered);
	CHECK_OK(vas_serve(vas, where.socket, 0600, &serve));
	/* And it comes for the next ones. */
	{
		const struct vas_virtio_queue queue = {
			.size = FRONT_RING_SIZE,
			.base = base,
			.desc = bus_iommu_iova(DESC),
			.driver = bus_iommu_iova(DRIVER),
			.device = bus_iommu_iova(DEVICE),
			.kick_fd = split.kick_fd,
			.call_fd = split.call_fd,
		};

		CHECK_OK(server->ops->queue_start(server, 0, &queue));
	}
	begin_load();
	work(100);
	wait_for_all();
	check_disk();
	end();
}

TEST(a_frozen_guest_is_not_written)
{
	struct vas_blocker blocker;
	uint8_t *copy = malloc(RAM);

	begin(start_process, false);
	bus_iommu_begin(device);
	begin_load();
	for (int i = 0; i < 10; i++) {
		work(50);
		CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
		memcpy(copy, ram, RAM);
		kick();
		poll(NULL, 0, 20);
		CHECK_MEM(ram, copy, RAM);
		CHECK_OK(vas_thaw(vas));
	}
	work(50);
	wait_for_all();
	check_disk();
	free(copy);
	end();
}

TEST(the_layout_changes_under_load)
{
	struct vas_region extra = { .gpa = EXTRA, .size = RAM, .offset = RAM, .name = "extra" };
	uint64_t id;

	begin(start_process, false);
	bus_iommu_begin(device);
	begin_load();
	for (int i = 0; i < 30; i++) {
		CHECK_OK(vas_region_add(vas, &extra, &id));
		work(20);
		CHECK_OK(vas_region_remove(vas, id));
	}
	wait_for_all();
	check_disk();
	end();
}

/*
 * Its pins are asked for, and it lets go; when the memory is back, it goes on. The bytes are put
 * back into the file before the region is.
 */
TEST(a_ring_whose_memory_goes_and_comes_back_goes_on)
{
	struct vas_region region = { .size = RAM, .name = "ram" };
	uint8_t *copy = malloc(RAM);

	begin(start_process, false);
	bus_iommu_begin(device);
	for (int i = 0; i < 5; i++) {
		begin_load();
		work(50);
		wait_for_all();
		memcpy(copy, ram, RAM);
		CHECK_OK(vas_region_remove(vas, ram_id));
		memcpy(ram, copy, RAM);
		CHECK_OK(vas_region_add(vas, &region, &ram_id));
	}
	begin_load();
	work(50);
	wait_for_all();
	CHECK_EQ(times_broken, 0);
	free(copy);
	end();
}

static bool is_dirty(struct vas_tracker *tracker, uint64_t gpa)
{
	const struct vas_dirty_word *words;
	bool is_there = false;
	uint64_t at = 0;
	ssize_t i, nr;

	while (at < RAM) {
		nr = vas_tracker_harvest(tracker, &at, RAM, 64, &words);
		CHECK_OK(nr < 0 ? nr : 0);
		for (i = 0; i < nr; i++)
			is_there |= gpa >= words[i].gpa && gpa < words[i].gpa + (256 << 10) &&
				    words[i].bits >> (gpa - words[i].gpa) / 4096 & 1;
	}
	return is_there;
}

static void check_dirty(struct vas_tracker *tracker, uint64_t gpa, bool want)
{
	CHECK_OK(vas_tracker_begin(tracker));
	CHECK_EQ(is_dirty(tracker, gpa), want);
	CHECK_OK(vas_tracker_commit(tracker));
}

static void what_is_written_is_marked(bool with_packed)
{
	uint64_t pages[] = { DATA, STATUS, with_packed ? DESC : DEVICE };
	struct vas_tracker *tracker;

	begin(start_process, with_packed);
	bus_iommu_begin(device);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	post(0, VIRTIO_BLK_T_IN);
	kick();
	wait_for_all();
	for (size_t i = 0; i < 3; i++) {
		check_dirty(tracker, pages[i], true);
		post(0, VIRTIO_BLK_T_IN);
		kick();
		wait_for_all();
	}
	check_dirty(tracker, DATA + 64 * BLOCK, false);
	vas_tracker_detach(tracker);
	end();
}

TEST(what_is_written_for_a_split_ring_is_in_the_dirty_log)
{
	what_is_written_is_marked(false);
}

TEST(what_is_written_for_a_packed_ring_is_in_the_dirty_log)
{
	what_is_written_is_marked(true);
}

/* ---- hostile drivers ---------------------------------------------------------------------- */

static int is_broken(void *arg)
{
	(void)arg;
	return __atomic_load_n(&times_broken, __ATOMIC_SEQ_CST) > 0;
}

TEST(a_ring_that_makes_no_sense_needs_a_reset_and_is_served_after_it)
{
	struct vas_device_info info;

	begin(start_process, false);
	split.desc[0] = (struct vas_virtq_desc){ .gpa = ~0ull - 5, .len = 16 };
	split.avail->ring[0] = 0;
	__atomic_store_n(&split.avail->idx, 1, __ATOMIC_RELEASE);
	eventfd_write(split.kick_fd, 1);
	test_wait(is_broken, NULL, TEST_HANG_MS);
	CHECK_EQ(vas_devices(vas, &info, 1), 1);
	CHECK_EQ(info.queues[0].state, VAS_DEVICE_QUEUE_BROKEN);
	server->ops->reset(server);
	memset(ram, 0, HEADER);
	make_split();
	start_queue();
	begin_load();
	work(100);
	wait_for_all();
	check_disk();
	end();
}

TEST(a_ring_outside_of_memory_needs_a_reset)
{
	const struct vas_virtio_queue queue = {
		.size = FRONT_RING_SIZE,
		.desc = RAM + 65536,
		.driver = 2 * RAM - 4,
		.device = ~0ull - 4095,
		.kick_fd = eventfd(0, EFD_CLOEXEC),
		.call_fd = -1,
	};

	begin(start_process, false);
	CHECK_OK(server->ops->queue_start(server, 1, &queue));
	test_wait(is_broken, NULL, TEST_HANG_MS);
	/* The other one is served on. */
	begin_load();
	work(100);
	wait_for_all();
	server->ops->reset(server);
	end();
}

/* What lies in the vas may be anybody's: a provider that takes over from garbage survives it. */
static void garbage_in_flight(bool with_packed)
{
	struct test_random random = { test_seed() };
	struct vas *peer;
	struct vas_provider *provider;
	struct vas_offer offer = { .name = "disk",
				   .kind = 2,
				   .nr_queues = 2,
				   .queue_size = FRONT_RING_SIZE,
				   .config_size = VAS_DEVICE_CONFIG_SIZE };
	int sock;

	begin(start_process, with_packed);
	offer.features = server->features;
	begin_load();
	work(20);
	for (int i = 0; i < 20; i++) {
		struct vas_demand demand = { 0 };
		uint64_t *words;

		kill_process();
		CHECK_OK(vas_connect(where.socket, 0, &peer, &sock));
		CHECK_OK(vas_device_offer(peer, sock, &offer, &provider));
		while (!demand.is_granted)
			CHECK_OK(vas_provider_look(provider, &demand));
		words = vas_provider_inflight(provider, 0);
		for (uint32_t k = 1; k < VAS_DEVICE_INFLIGHT_SIZE / 8; k++)
			words[k] = test_random_next(&random);
		vas_provider_close(provider);
		vas_unbind(peer);
		start_process();
		poll(NULL, 0, 30);
		CHECK_EQ(waitpid(process, NULL, WNOHANG), 0);
	}
	server->ops->reset(server);
	end();
}

TEST(garbage_in_flight_of_a_split_ring_is_survived)
{
	garbage_in_flight(false);
}

TEST(garbage_in_flight_of_a_packed_ring_is_survived)
{
	garbage_in_flight(true);
}

/* ---- behind an IOMMU ----------------------------------------------------------------------- */

#define OTHER (DATA + SLOTS * BLOCK) /* a second page for each slot's data */
#define STALE 0x77

static bool is_elsewhere[SLOTS]; /* a slot's iova stands for the second page */

static uint64_t page_of(uint32_t slot, bool elsewhere)
{
	return (elsewhere ? OTHER : DATA) + slot * BLOCK;
}

static void check_stale(uint64_t gpa)
{
	for (uint32_t i = 0; i < BLOCK; i++)
		CHECK_EQ(ram[gpa + i], STALE);
}

/* The page that its data went to is another's from now on, whatever is in flight. */
static void move_page(uint32_t slot)
{
	uint64_t old = page_of(slot, is_elsewhere[slot]);

	check_stale(page_of(slot, !is_elsewhere[slot]));
	is_elsewhere[slot] ^= true;
	bus_iommu_move(device, page_of(slot, false), page_of(slot, is_elsewhere[slot]));
	memset(ram + old, STALE, BLOCK);
}

static int reads_on(void *arg)
{
	int slot;

	(void)arg;
	while ((slot = take()) >= 0)
		post((uint32_t)slot, VIRTIO_BLK_T_IN);
	kick();
	return nr_answered >= target;
}

/* Reads write to memory: not one byte of a page, once the invalidation that took it is over. */
static void no_stale_iova_is_written_to(bool with_packed)
{
	struct test_random random = { test_seed() };
	uint32_t i, slot;

	if (!bus_iommu_is_there())
		test_skip("TEST_IOMMU is not in the environment");
	begin(start_process, with_packed);
	memset(ram + OTHER, STALE, SLOTS * BLOCK);
	for (slot = 0; slot < SLOTS; slot++)
		post(slot, VIRTIO_BLK_T_IN);
	for (i = 0; i < 3000; i++) {
		reads_on(NULL);
		slot = (uint32_t)test_random_below(&random, SLOTS);
		move_page(slot);
		if (i % 300 == 299) {
			kill_process();
			move_page(slot);
			start_process();
		}
	}
	target = nr_answered + 100;
	test_wait(reads_on, NULL, TEST_HANG_MS);
	wait_for_all();
	for (slot = 0; slot < SLOTS; slot++)
		check_stale(page_of(slot, !is_elsewhere[slot]));
	CHECK_EQ(times_broken, 0);
	end();
}

TEST(no_stale_iova_is_written_to_with_a_split_ring)
{
	no_stale_iova_is_written_to(false);
}

TEST(no_stale_iova_is_written_to_with_a_packed_ring)
{
	no_stale_iova_is_written_to(true);
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

/* The guest is in another vas now, and so is its driver, with what it remembers. */
static void enter_vas(struct vas *arrived)
{
	struct front_ring driver = split;

	vas = arrived;
	snprintf(where.socket, sizeof(where.socket), "/tmp/vas-bus-there.%d", getpid());
	CHECK_OK(vas_serve(vas, where.socket, 0600, &serve));
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);
	CHECK(ram != MAP_FAILED);
	packed.ram = (char *)ram;
	packed.desc = (void *)(ram + DESC);
	packed.driver = (void *)(ram + DRIVER);
	packed.device = (void *)(ram + DEVICE);
	if (!is_packed) {
		make_split();
		split.next_avail = driver.next_avail;
		split.next_used = driver.next_used;
	}
}

static uint32_t wants_pause, is_paused; /* atomic: by who moves it, and by the driver */
static bool is_killed_first;

static int is_set(void *flag)
{
	return __atomic_load_n((uint32_t *)flag, __ATOMIC_ACQUIRE);
}

/* A driver marks nothing: all that it may have written goes once more. */
static int pause_driver(void *arg)
{
	(void)arg;
	/* With requests under way. */
	if (is_killed_first)
		kill_process();
	__atomic_store_n(&wants_pause, 1, __ATOMIC_RELEASE);
	test_wait(is_set, &is_paused, TEST_HANG_MS);
	return vas_mark_dirty(vas, 0, RAM);
}

static int move_socks[2];

static void *send_vas(void *arg)
{
	static const struct vas_migrate_ops ops = { .pause = pause_driver };
	const struct vas_migrate_options options = { .fds = move_socks, .nr_fds = 1, .ops = &ops };

	(void)arg;
	return (void *)(intptr_t)vas_migrate_send(vas, &options, NULL);
}

static void *receive_vas(void *arg)
{
	const struct vas_migrate_target target = { .fds = &move_socks[1], .nr_fds = 1 };
	struct vas_migrate_result result;
	int err = vas_migrate_recv(&target, arg, &result);

	free(result.state);
	return (void *)(intptr_t)err;
}

static int works_until_paused(void *arg)
{
	(void)arg;
	has_done(NULL);
	return is_set(&wants_pause);
}

/* Nothing is answered here any more: what is in flight is answered there, once. */
static struct vas *move(void)
{
	pthread_t sender, receiver;
	struct vas *arrived = NULL;
	void *sent, *received;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, move_socks));
	CHECK_OK(pthread_create(&receiver, NULL, receive_vas, &arrived));
	CHECK_OK(pthread_create(&sender, NULL, send_vas, NULL));
	test_wait(works_until_paused, NULL, TEST_HANG_MS);
	__atomic_store_n(&is_paused, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(sender, &sent));
	CHECK_OK(pthread_join(receiver, &received));
	CHECK_OK((intptr_t)sent);
	CHECK_OK((intptr_t)received);
	return arrived;
}

static struct vas *save_and_restore(void)
{
	char file[64];
	struct vas *arrived;

	snprintf(file, sizeof(file), "/tmp/vas-bus-file.%d", getpid());
	if (is_killed_first)
		kill_process();
	CHECK_OK(vas_snapshot_save(vas, file, NULL, NULL));
	CHECK_OK(vas_snapshot_restore(file, 0, &arrived));
	unlink(file);
	return arrived;
}

static void *give_vas(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)vas_handover_give(vas, move_socks[0], NULL, 0);
}

/* The file stays, and has another owner. */
static struct vas *hand_over(void)
{
	struct vas *arrived;
	pthread_t giver;
	void *given, *state;
	size_t size;

	if (is_killed_first)
		kill_process();
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, move_socks));
	CHECK_OK(pthread_create(&giver, NULL, give_vas, NULL));
	CHECK_OK(vas_handover_take(move_socks[1], 0, &arrived, &state, &size));
	CHECK_OK(pthread_join(giver, &given));
	CHECK_OK((intptr_t)given);
	free(state);
	return arrived;
}

static uint32_t life_of_queue(void)
{
	const struct vas_device_entry *entry = vas_extent(vas, VAS_EXT_DEVICES);

	struct vas_device_told told;

	CHECK_OK(vas_device_copy(entry, &told));
	return told.queues[0].life;
}

/* Under load: what its process, or a dead one, had taken is done by a process of the other side. */
static void goes_on_elsewhere(bool with_packed, bool killed, struct vas *(*carry)(void))
{
	struct vas_device_info info;
	struct vas *left, *arrived;
	struct vas_serve *its_serve;
	uint32_t life;

	is_killed_first = killed;
	begin(start_process, with_packed);
	begin_load();
	work(300);
	left = vas;
	its_serve = serve;
	life = life_of_queue();
	arrived = carry();
	/* Here nobody goes on. The other side's process does not wait for this one's. */
	if (process)
		kill_process();
	enter_vas(arrived);
	add_device();
	start_process();
	drive_ring();
	CHECK_EQ(life_of_queue(), life);
	CHECK_EQ(vas_devices(vas, &info, 1), 1);
	CHECK_EQ(info.state, VAS_DEVICE_SERVED);
	vas_serve_end(its_serve);
	if (carry == hand_over)
		vas_unbind(left);
	else
		vas_destroy(left);
	work(300);
	wait_for_all();
	check_disk();
	check_reads();
	CHECK_EQ(times_broken, 0);
	end();
}

/* Its provider dies, and its socket goes: the entry is the next owner's by then. */
TEST(who_has_handed_over_says_no_more_of_its_devices)
{
	struct vas_device_told before, after;
	struct vas_serve *its_serve;
	struct vas *left;

	is_killed_first = false;
	begin(start_process, false);
	left = vas;
	its_serve = serve;
	enter_vas(hand_over());
	add_device();
	CHECK_OK(vas_device_copy(vas_extent(vas, VAS_EXT_DEVICES), &before));
	kill_process();
	vas_serve_end(its_serve);
	CHECK_OK(vas_device_copy(vas_extent(vas, VAS_EXT_DEVICES), &after));
	CHECK_MEM(&after, &before, sizeof(before));
	vas_unbind(left);
	end();
}

/* ---- one that waits ------------------------------------------------------------------------ */

/* A socket whose connections the test counts, before the owner has them. */
static struct sockaddr_un door_at = { .sun_family = AF_UNIX };

static int open_door(void)
{
	int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	CHECK(door >= 0);
	snprintf(door_at.sun_path, sizeof(door_at.sun_path), "%s", where.socket);
	unlink(door_at.sun_path);
	CHECK_OK(bind(door, (struct sockaddr *)&door_at, sizeof(door_at)));
	CHECK_OK(listen(door, 4));
	return door;
}

static void close_door(int door)
{
	close(door);
	unlink(door_at.sun_path);
}

static int await_knock(int door)
{
	int sock = accept4(door, NULL, NULL, SOCK_CLOEXEC);

	CHECK(sock >= 0);
	return sock;
}

static void let_in(int sock)
{
	CHECK_OK(vas_serve_socket(serve, sock));
}

/* Whoever comes next has been refused before. */
static void refuse_one(int door)
{
	int sock;

	let_in(await_knock(door));
	sock = await_knock(door);
	add_device();
	let_in(sock);
}

static void work_once(void)
{
	begin_load();
	work(100);
	wait_for_all();
	check_disk();
}

/* It is refused, and comes again, until there is the device. */
TEST(who_waits_for_a_device_comes_until_there_is_one)
{
	int door;

	make_guest(false);
	snprintf(where.socket, sizeof(where.socket), "/tmp/vas-bus-door.%d", getpid());
	door = open_door();
	where.waits = true;
	start_thread();
	refuse_one(door);
	drive_ring();
	work_once();
	close_door(door);
	end();
}

/* In whose place another process serves the device of a guest that ends. */
TEST(who_waits_for_a_device_goes_to_the_next_guest)
{
	int door;

	make_guest(false);
	add_device();
	start_process();
	drive_ring();
	snprintf(where.socket, sizeof(where.socket), "/tmp/vas-bus-door.%d", getpid());
	door = open_door();
	where.waits = true;
	start_thread();
	let_in(await_knock(door));
	vas_serve_end(serve);
	vas_device_remove(device);
	kill_process();
	vas_destroy(vas);

	make_vas();
	make_split();
	add_device();
	let_in(await_knock(door));
	drive_ring();
	work_once();
	close_door(door);
	end();
}

/* As a new owner has a socket before it has devices. */
TEST(who_served_a_device_comes_until_the_next_owner_has_it)
{
	struct vas *left, *arrived;
	int door;

	make_guest(false);
	add_device();
	where.waits = true;
	start_thread();
	drive_ring();
	work_once();
	left = vas;
	arrived = hand_over();
	vas_serve_end(serve);
	door = open_door();
	enter_vas(arrived);
	vas_unbind(left);
	refuse_one(door);
	drive_ring();
	work_once();
	close_door(door);
	end();
}

TEST(a_guest_moves_with_a_split_ring_under_load)
{
	goes_on_elsewhere(false, false, move);
}

TEST(a_guest_moves_with_a_packed_ring_under_load)
{
	goes_on_elsewhere(true, false, move);
}

TEST(what_a_dead_process_had_taken_of_a_split_ring_moves)
{
	goes_on_elsewhere(false, true, move);
}

TEST(what_a_dead_process_had_taken_of_a_packed_ring_moves)
{
	goes_on_elsewhere(true, true, move);
}

TEST(what_is_in_flight_of_a_split_ring_is_in_a_snapshot)
{
	goes_on_elsewhere(false, true, save_and_restore);
}

TEST(what_is_in_flight_of_a_packed_ring_is_in_a_snapshot)
{
	goes_on_elsewhere(true, true, save_and_restore);
}

TEST(what_is_in_flight_of_a_split_ring_is_handed_over)
{
	goes_on_elsewhere(false, true, hand_over);
}

TEST(what_is_in_flight_of_a_packed_ring_is_handed_over)
{
	goes_on_elsewhere(true, true, hand_over);
}

/* ---- a transport -------------------------------------------------------------------------- */

#define REGISTERS   0xd0001000ull
#define QUEUE_RESET 0xc0u
#define RING_PACKED (1u << (34 - 32)) /* of the upper half */
#define RING_RESET  (1u << (40 - 32))

static struct vas_virtio_mmio *mmio;

static uint32_t get(uint64_t offset)
{
	uint32_t value = 0;
	struct vas_io io = { .addr = REGISTERS + offset, .len = 4, .data = &value };

	CHECK_EQ(vas_virtio_mmio_io(mmio, &io), 1);
	return value;
}

static void set(uint64_t offset, uint32_t value)
{
	struct vas_io io = {
		.addr = REGISTERS + offset,
		.len = 4,
		.flags = VAS_IO_WRITE,
		.data = &value,
	};

	CHECK_EQ(vas_virtio_mmio_io(mmio, &io), 1);
}

/* The upper half of an address is the register behind that of the lower one. */
static void set_place(uint32_t low, uint64_t gpa)
{
	uint64_t at = bus_iommu_iova(gpa);

	set(low, (uint32_t)at);
	set(low + 4, (uint32_t)(at >> 32));
}

static void enable_queue(void)
{
	set(VIRTIO_MMIO_QUEUE_SEL, 0);
	CHECK_EQ(get(VIRTIO_MMIO_QUEUE_NUM_MAX), FRONT_RING_SIZE);
	set(VIRTIO_MMIO_QUEUE_NUM, FRONT_RING_SIZE);
	set_place(VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
	set_place(VIRTIO_MMIO_QUEUE_AVAIL_LOW, DRIVER);
	set_place(VIRTIO_MMIO_QUEUE_USED_LOW, DEVICE);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
}

/* As a driver does: nothing but registers and memory. */
static void drive(void)
{
	const uint32_t ready =
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;

	set(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES,
	    1 | RING_RESET | (is_packed ? RING_PACKED : 0) | (uint32_t)(bus_iommu_feature() >> 32));
	set(VIRTIO_MMIO_STATUS, ready);
	CHECK_EQ(get(VIRTIO_MMIO_STATUS), ready);
	enable_queue();
	set(VIRTIO_MMIO_STATUS, ready | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void write_and_wait(void)
{
	post_write(0);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	wait_for_all();
}

/* The disk's size in the config space; requests; a new process; a reset that is over at once. */
TEST(a_driver_uses_it_by_a_transport)
{
	const struct vas_virtio_mmio_options options = { .gpa = REGISTERS,
							 .gsi = 5,
							 .first_event = 1 };

	begin_device(start_process, false);
	CHECK_OK(vas_virtio_mmio_create(vas, &options, server, &mmio));
	CHECK_EQ(get(VIRTIO_MMIO_DEVICE_ID), 2);
	CHECK_EQ(get(VIRTIO_MMIO_CONFIG), DISK / BLK_SECTOR);
	drive();
	write_and_wait();
	write_and_wait();
	kill_process();
	start_process();
	write_and_wait();
	check_disk();
	set(VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(get(VIRTIO_MMIO_STATUS), 0);
	memset(ram, 0, HEADER);
	make_split();
	drive();
	write_and_wait();
	check_disk();
	/* A guest that boots anew does not wait for a process that is not there. */
	kill_process();
	set(VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(get(VIRTIO_MMIO_STATUS), 0);
	vas_virtio_mmio_destroy(mmio);
	end();
}

/* The driver forgets what it has asked for, and so does the device. */
static void reset_queue(void)
{
	set(VIRTIO_MMIO_QUEUE_SEL, 0);
	set(QUEUE_RESET, 1);
	CHECK_EQ(get(QUEUE_RESET), 0);
	CHECK_EQ(get(VIRTIO_MMIO_QUEUE_READY), 0);
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		nr_posted -= is_posted[slot];
		is_posted[slot] = false;
	}
}

static void make_ring_again(void)
{
	memset(ram, 0, HEADER);
	if (!is_packed) {
		close(split.kick_fd);
		close(split.call_fd);
		make_split();
		return;
	}
	packed.desc = NULL; /* in the guest's memory */
	packed.driver = packed.device = NULL;
	packed_driver_clean(&packed);
	make_packed();
}

static int is_untouched(void)
{
	for (uint32_t i = 0; i < HEADER; i++)
		if (ram[i] != 0xa5)
			return 0;
	return 1;
}

/*
 * With requests under way, at any moment, and once in a while when who serves it has just died: no
 * byte of what was the ring is written after the reset.
 */
static void reset_again_and_again(bool with_packed)
{
	const struct vas_virtio_mmio_options options = { .gpa = REGISTERS,
							 .gsi = 5,
							 .first_event = 1 };
	struct test_random random = { test_seed() };

	begin_device(start_process, with_packed);
	CHECK_OK(vas_virtio_mmio_create(vas, &options, server, &mmio));
	drive();
	for (uint32_t i = 0; i < 40; i++) {
		test_note("reset %u", i);
		begin_load();
		set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		usleep((useconds_t)test_random_below(&random, 300)); /* any moment */
		if (i % 8 == 7)
			kill_process();
		reset_queue();
		memset(ram, 0xa5, HEADER);
		if (!process)
			start_process();
		else
			usleep((useconds_t)test_random_below(&random, 300));
		CHECK(is_untouched());
		make_ring_again();
		enable_queue();
		write_and_wait();
	}
	CHECK_EQ(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	check_disk();
	vas_virtio_mmio_destroy(mmio);
	end();
}

TEST(a_split_ring_is_reset_with_requests_in_flight)
{
	reset_again_and_again(false);
}

TEST(a_packed_ring_is_reset_with_requests_in_flight)
{
	reset_again_and_again(true);
}
