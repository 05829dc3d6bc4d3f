// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A disk on the bus, served by a process or by vas_blk.ko, whose keeper is a process, too. The
 * guest's driver does not know by whom: each request is answered once, and each page of the disk
 * has what was written there last.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/dirty.h>

#include "bus_guest.h"
#include "device/blk/blk.h"

#define PAGE	  4096u
#define NR_QUEUES 2u
#define NR_SLOTS  32u /* of a queue */
#define SLOTS	  (NR_QUEUES * NR_SLOTS)
#define PAGES	  16u /* of a slot, on the disk */
#define MOST	  4u  /* of a request */
#define DISK	  (SLOTS * PAGES * PAGE)
#define HEADERS	  (1ull << 20) /* of each slot: a page */
#define DATA	  (2ull << 20)
#define RANGE	  64u /* in that page: of a discard */
#define STATUS	  128u
#define SECTORS	  (PAGE / BLK_SECTOR)
#define BIT(nr)	  (1ull << (nr))
#define DISCARD	  BIT(VIRTIO_BLK_F_DISCARD)

/* ---- who serves --------------------------------------------------------------------------- */

static int open_look(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

ROLE(disk)
{
	static struct blk blk;
	struct blk_options options = { .queue_size = BUS_SIZE, .serial = "blk_bus" };
	int look_fd = open_look();
	struct bus_role role;

	if (read(sock, &role, sizeof(role)) != sizeof(role))
		return 1;
	options.disk.path = role.path;
	options.disk.read_only = role.read_only;
	options.nr_queues = role.nr;
	options.by_module = role.is_module;
	if (blk_open(&blk, &options)) {
		fprintf(stderr, "# %s\n", vas_error());
		return 1;
	}
	return bus_role_serve(&blk.device, &role, look_fd);
}

/* ---- the guest ---------------------------------------------------------------------------- */

/* What is on the disk: for each page a number of the write that it is from; 0: zeroes. */
static uint32_t versions[SLOTS][PAGES], next_version;
static struct slot {
	bool is_posted;
	uint32_t type, first, nr; /* of pages */
	uint32_t version;
} slots[SLOTS];
static uint32_t nr_done, nr_of_type[16];
static struct test_random chance;
static int file = -1;
static bool is_ended; /* no more requests */

static uint32_t word_of(uint32_t slot, uint32_t page, uint32_t version, uint32_t i)
{
	return version ? (slot << 24 | page << 16) ^ (version * 2654435761u + i) : 0;
}

static void fill_page(uint32_t *words, uint32_t slot, uint32_t page, uint32_t version)
{
	for (uint32_t i = 0; i < PAGE / 4; i++)
		words[i] = word_of(slot, page, version, i);
}

static void check_page(const uint32_t *words, uint32_t slot, uint32_t page)
{
	static uint32_t expected[PAGE / 4];

	fill_page(expected, slot, page, versions[slot][page]);
	CHECK_MEM(words, expected, PAGE);
}

static uint32_t *data_at(uint32_t slot, uint32_t page)
{
	return (uint32_t *)(bus.ram + DATA + (slot * MOST + page) * PAGE);
}

static uint8_t *header_at(uint32_t slot)
{
	return bus.ram + HEADERS + slot * PAGE;
}

static uint32_t choose_type(void)
{
	uint32_t nr = (uint32_t)test_random_below(&chance, 16);

	if (nr < 8)
		return VIRTIO_BLK_T_OUT;
	if (nr < 13)
		return VIRTIO_BLK_T_IN;
	if (nr < 14)
		return VIRTIO_BLK_T_WRITE_ZEROES;
	return nr < 15 && !(bus.refused & DISCARD) ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_FLUSH;
}

static void put_header(uint32_t slot, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };

	memcpy(header_at(slot), &header, sizeof(header));
	header_at(slot)[STATUS] = 0x7f;
}

static void put_range(uint32_t slot, uint64_t sector, uint32_t nr_sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, nr_sectors, flags };

	memcpy(header_at(slot) + RANGE, &range, sizeof(range));
}

static void fill_data(uint32_t at, const struct slot *slot)
{
	for (uint32_t i = 0; i < slot->nr; i++)
		fill_page(data_at(at, i), at, slot->first + i, slot->version);
}

/* The same in three parts, whatever it is. */
static void post_slot(uint32_t at)
{
	const struct slot *slot = &slots[at];
	uint64_t page = HEADERS + at * PAGE, sector = (at * PAGES + slot->first) * SECTORS;
	struct part parts[] = {
		{ page, sizeof(struct virtio_blk_outhdr), 0 },
		{ DATA + at * MOST * PAGE, slot->nr * PAGE, slot->type == VIRTIO_BLK_T_IN },
		{ page + STATUS, 1, 1 },
	};

	put_header(at, slot->type, sector);
	if (slot->type == VIRTIO_BLK_T_FLUSH) {
		parts[0].len = 5;
		parts[1] = (struct part){ page + 5, sizeof(struct virtio_blk_outhdr) - 5, 0 };
	} else if (slot->type == VIRTIO_BLK_T_OUT) {
		fill_data(at, slot);
	} else if (slot->type == VIRTIO_BLK_T_IN) {
		memset(data_at(at, 0), 0xee, slot->nr * PAGE);
	} else {
		put_range(at, sector, slot->nr * SECTORS,
			  slot->type == VIRTIO_BLK_T_WRITE_ZEROES ? slot->version & 1 : 0);
		parts[1] = (struct part){ page + RANGE, 16, 0 };
	}
	bus_post(at / NR_SLOTS, at % NR_SLOTS, parts, 3);
}

static void begin_request(uint32_t at)
{
	struct slot *slot = &slots[at];

	*slot = (struct slot){
		.is_posted = true,
		.type = choose_type(),
		.first = (uint32_t)test_random_below(&chance, PAGES - MOST + 1),
		.nr = 1 + (uint32_t)test_random_below(&chance, MOST),
		.version = ++next_version,
	};
	post_slot(at);
}

static void end_request(uint32_t at, uint32_t len)
{
	struct slot *slot = &slots[at];
	uint32_t i, page, data_len = slot->type == VIRTIO_BLK_T_IN ? slot->nr * PAGE : 0;

	CHECK(slot->is_posted);
	slot->is_posted = false;
	CHECK_EQ(header_at(at)[STATUS], VIRTIO_BLK_S_OK);
	CHECK_EQ(len, data_len + 1);
	for (i = 0; i < slot->nr; i++) {
		page = slot->first + i;
		if (slot->type == VIRTIO_BLK_T_IN)
			check_page(data_at(at, i), at, page);
		else if (slot->type == VIRTIO_BLK_T_OUT)
			versions[at][page] = slot->version;
		else if (slot->type != VIRTIO_BLK_T_FLUSH)
			versions[at][page] = 0;
	}
	nr_of_type[slot->type]++;
	nr_done++;
}

static void look_at_queue(uint32_t queue)
{
	uint32_t i, len;

	while (bus_take(queue, &i, &len)) {
		CHECK(i < NR_SLOTS);
		end_request(queue * NR_SLOTS + i, len);
	}
	for (i = queue * NR_SLOTS; !is_ended && i < (queue + 1) * NR_SLOTS; i++)
		if (!slots[i].is_posted)
			begin_request(i);
	bus_kick(queue);
}

static void look(void)
{
	for (uint32_t i = 0; i < NR_QUEUES; i++)
		look_at_queue(i);
}

static int has_done(void *arg)
{
	look();
	return nr_done >= *(uint32_t *)arg;
}

/* So many requests more are answered. */
static void exchange(uint32_t nr)
{
	uint32_t target = nr_done + nr;

	test_wait(has_done, &target, TEST_HANG_MS);
}

static int is_quiet(void *unused)
{
	(void)unused;
	look();
	for (uint32_t i = 0; i < SLOTS; i++)
		if (slots[i].is_posted)
			return 0;
	return 1;
}

static void settle(void)
{
	is_ended = true;
	test_wait(is_quiet, NULL, TEST_HANG_MS);
}

/* ---- beginning, moving, ending ------------------------------------------------------------ */

static void make_disk(void)
{
	file = memfd_create("disk", MFD_CLOEXEC);
	CHECK(file >= 0);
	CHECK_OK(ftruncate(file, DISK));
	snprintf(bus.role.path, sizeof(bus.role.path), "/proc/%d/fd/%d", getpid(), file);
}

static void describe(void)
{
	bus.name = "disk";
	bus.kind = VIRTIO_ID_BLOCK;
	bus.look = look;
	bus.stride = 4;
	bus.nr_rings = NR_QUEUES;
	bus.role.nr = BLK_MAX_QUEUES;
	chance.state = test_seed();
	is_ended = true;
	make_disk();
}

static void begin_idle(bool with_module, bool with_packed)
{
	describe();
	bus.is_packed = with_packed;
	bus_begin("/dev/vas_blk");
	if (with_module)
		bus_take_over(true);
}

static void begin(bool with_module, bool with_packed)
{
	begin_idle(with_module, with_packed);
	is_ended = false;
	exchange(200);
}

static void check_disk(void)
{
	static uint32_t words[PAGE / 4];

	for (uint32_t i = 0; i < SLOTS * PAGES; i++) {
		CHECK_EQ(pread(file, words, PAGE, (off_t)i * PAGE), PAGE);
		check_page(words, i / PAGES, i % PAGES);
	}
}

static void end(void)
{
	settle();
	check_disk();
	bus_end();
}

static void end_after_load(void)
{
	uint32_t i;

	end();
	for (i = VIRTIO_BLK_T_IN; i <= VIRTIO_BLK_T_OUT; i++)
		CHECK(nr_of_type[i]);
	CHECK(nr_of_type[VIRTIO_BLK_T_FLUSH]);
	CHECK(nr_of_type[VIRTIO_BLK_T_DISCARD]);
	CHECK(nr_of_type[VIRTIO_BLK_T_WRITE_ZEROES]);
}

/* ---- moves -------------------------------------------------------------------------------- */

static void move_under_load(bool with_packed)
{
	uint32_t i, nr = bus_rounds(25);

	begin(false, with_packed);
	for (i = 1; i <= nr; i++) {
		test_note("move %u", i);
		bus_take_over(i % 2);
		exchange(200);
	}
	end_after_load();
}

TEST(a_disk_with_split_rings_moves_into_the_kernel_and_back_under_load)
{
	move_under_load(false);
}

TEST(a_disk_with_packed_rings_moves_into_the_kernel_and_back_under_load)
{
	move_under_load(true);
}

TEST(a_keeper_takes_over_from_a_keeper)
{
	begin(true, true);
	for (int i = 0; i < 5; i++) {
		bus_take_over(true);
		exchange(200);
	}
	end();
}

/* What a process had taken its successor does again; what the module had, it has answered. */
static void kill_keepers(bool with_packed)
{
	uint32_t i, nr = bus_rounds(30);

	begin(true, with_packed);
	for (i = 0; i < nr; i++) {
		test_note("kill %u", i);
		exchange((uint32_t)test_random_below(&chance, 200));
		bus_kill();
		look();
		bus_provide(i % 4 != 2, false);
		exchange(100);
	}
	end_after_load();
}

TEST(a_keeper_is_killed_and_the_next_provider_goes_on_with_split_rings)
{
	kill_keepers(false);
}

TEST(a_keeper_is_killed_and_the_next_provider_goes_on_with_packed_rings)
{
	kill_keepers(true);
}

static uint64_t in_flight(void)
{
	struct vas_device_info info;
	uint64_t nr = 0;

	CHECK_EQ(vas_devices(bus.vas, &info, 1), 1);
	for (uint32_t i = 0; i < NR_QUEUES; i++)
		nr += info.queues[i].counters.taken - info.queues[i].counters.answered;
	return nr;
}

/* It stands still, and has taken what it has not answered. */
static int is_caught(void *unused)
{
	int status;

	(void)unused;
	look();
	CHECK_OK(kill(bus.pid, SIGSTOP));
	CHECK_EQ(waitpid(bus.pid, &status, WUNTRACED), bus.pid);
	CHECK(WIFSTOPPED(status));
	if (in_flight())
		return 1;
	CHECK_OK(kill(bus.pid, SIGCONT));
	return 0;
}

static void kill_with_requests(bool with_packed)
{
	uint32_t i, nr = bus_rounds(10);

	begin(false, with_packed);
	for (i = 0; i < nr; i++) {
		test_note("kill %u", i);
		exchange((uint32_t)test_random_below(&chance, 100));
		test_wait(is_caught, NULL, TEST_HANG_MS);
		bus_kill();
		bus_provide(true, false);
		settle();
		is_ended = false;
		bus_take_over(false);
	}
	end_after_load();
}

TEST(what_a_killed_process_had_taken_its_keeper_does_with_split_rings)
{
	kill_with_requests(false);
}

TEST(what_a_killed_process_had_taken_its_keeper_does_with_packed_rings)
{
	kill_with_requests(true);
}

/* ---- the disk's lock ---------------------------------------------------------------------- */

static uint32_t grants(void)
{
	struct vas_device_info info;

	CHECK_EQ(vas_devices(bus.vas, &info, 1), 1);
	return info.grants;
}

static int is_granted_again(void *before)
{
	return grants() > *(uint32_t *)before;
}

static int is_locked(void *unused)
{
	(void)unused;
	look();
	if (flock(file, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK;
	CHECK_OK(flock(file, LOCK_UN));
	return 0;
}

static void read_disk(uint8_t *copy)
{
	CHECK_EQ(pread(file, copy, DISK, 0), DISK);
}

/* Whoever has the lock is alone with the disk: nothing that was under way comes later. */
TEST(the_last_io_of_a_killed_keeper_ends_before_its_lock_does)
{
	uint8_t *before = malloc(DISK), *after = malloc(DISK);
	uint32_t i, nr_grants, nr = bus_rounds(10);

	begin(true, false);
	for (i = 0; i < nr; i++) {
		exchange(100 + (uint32_t)test_random_below(&chance, 100));
		test_wait(is_locked, NULL, TEST_HANG_MS);
		nr_grants = grants();
		bus_kill();
		CHECK_OK(flock(file, LOCK_EX));
		read_disk(before);
		look();
		bus_provide(true, false);
		test_wait(is_granted_again, &nr_grants, TEST_HANG_MS);
		read_disk(after);
		CHECK_MEM(after, before, DISK);
		CHECK_OK(flock(file, LOCK_UN));
		exchange(100);
	}
	free(before);
	free(after);
	end();
}

/* What was under way: the disk may have it, or not yet. */
static void ask_again(void)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (!slots[i].is_posted)
			continue;
		if (slots[i].type == VIRTIO_BLK_T_DISCARD)
			slots[i].type = VIRTIO_BLK_T_WRITE_ZEROES; /* the driver may not have it */
		post_slot(i);
	}
}

TEST(a_driver_that_resets_the_device_lets_the_disk_go)
{
	begin(true, false);
	for (int i = 0; i < 5; i++) {
		CHECK(flock(file, LOCK_EX | LOCK_NB));
		bus.server->ops->reset(bus.server);
		CHECK_OK(flock(file, LOCK_EX | LOCK_NB));
		CHECK_OK(flock(file, LOCK_UN));
		bus.is_packed = !bus.is_packed; /* another driver, with other features */
		bus.refused ^= DISCARD;
		bus_start_driver();
		ask_again();
		exchange(100);
	}
	end();
}

/* ---- a freeze, another layout ------------------------------------------------------------- */

static void freeze_under_load(bool with_packed)
{
	uint8_t *ram = malloc(BUS_RAM), *before = malloc(DISK), *after = malloc(DISK);
	struct vas_blocker blocker;

	begin(true, with_packed);
	for (int i = 0; i < 10; i++) {
		exchange(100);
		CHECK_OK(vas_freeze(bus.vas, TEST_HANG_NS, &blocker));
		memcpy(ram, bus.ram, BUS_RAM);
		read_disk(before);
		bus_kick(0);
		bus_kick(1);
		bus_check_frozen(0);
		bus_check_frozen(1);
		poll(NULL, 0, 20);
		CHECK_MEM(bus.ram, ram, BUS_RAM);
		read_disk(after);
		CHECK_MEM(after, before, DISK);
		CHECK_OK(vas_thaw(bus.vas));
		exchange(100);
	}
	free(ram);
	free(before);
	free(after);
	end();
}

TEST(a_guest_with_split_rings_is_frozen_while_the_module_serves)
{
	freeze_under_load(false);
}

TEST(a_guest_with_packed_rings_is_frozen_while_the_module_serves)
{
	freeze_under_load(true);
}

TEST(the_layout_changes_while_the_module_serves)
{
	struct vas_region extra = { BUS_RAM, BUS_RAM, BUS_RAM, .name = "extra" };
	uint64_t id;

	begin(true, false);
	for (int i = 0; i < 20; i++) {
		CHECK_OK(vas_region_add(bus.vas, &extra, &id));
		exchange(50);
		CHECK_OK(vas_region_remove(bus.vas, id));
	}
	end();
}

/* ---- one request -------------------------------------------------------------------------- */

static int is_answered(void *unused)
{
	uint32_t at, len;

	(void)unused;
	return bus_take(0, &at, &len);
}

/* The header is there. */
static uint8_t ask(struct part data)
{
	const struct part parts[] = { { HEADERS, sizeof(struct virtio_blk_outhdr), 0 },
				      data,
				      { HEADERS + STATUS, 1, 1 } };

	bus_post(0, 0, parts, 3);
	bus_kick(0);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	return header_at(0)[STATUS];
}

static uint8_t ask_sectors(uint32_t type, uint64_t sector, uint32_t len)
{
	put_header(0, type, sector);
	return ask((struct part){ DATA, len, type == VIRTIO_BLK_T_IN });
}

#define NR_SECTORS  (DISK / BLK_SECTOR)
#define MOST_ZEROES ((4u << 20) / BLK_SECTOR)
#define UNMAP	    VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

static const struct odd_range {
	uint64_t sector;
	uint32_t nr, flags, len; /* len: of the request's data */
	uint8_t discard, zeroes; /* the answers */
} odd_ranges[] = {
	{ 0, 1, 0, 16, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK },
	{ 0, 0, 0, 16, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK },
	{ NR_SECTORS, 0, 0, 16, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK },
	{ 1, 3, UNMAP, 16, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_OK },
	{ 1, 3, 2, 16, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP },
	{ 1, 3, UINT32_MAX, 16, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP },
	{ 0, 1, 0, 15, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ 0, 1, 0, 17, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP },
	{ 0, 1, 0, 32, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP },
	{ NR_SECTORS - 1, 1, 0, 16, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK },
	{ NR_SECTORS - 1, 2, 0, 16, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ NR_SECTORS + 1, 0, 0, 16, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ UINT64_MAX, 1, 0, 16, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ UINT64_MAX >> 9, 1, 0, 16, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ 0, UINT32_MAX, 0, 16, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ 0, MOST_ZEROES, 0, 16, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK },
	{ 0, MOST_ZEROES, UNMAP, 16, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_OK },
	{ 0, MOST_ZEROES + 1, 0, 16, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
};
_Static_assert(NR_SECTORS >= MOST_ZEROES, "the disk has room for the largest range");

static uint8_t ask_range(uint32_t type, const struct odd_range *odd)
{
	put_header(0, type, 0);
	put_range(0, odd->sector, odd->nr, odd->flags);
	return ask((struct part){ HEADERS + RANGE, odd->len, 0 });
}

static void ask_what_is_odd(void)
{
	uint32_t i;

	for (i = 0; i < sizeof(odd_ranges) / sizeof(odd_ranges[0]); i++) {
		test_note("range %u, module: %d", i, bus.role.is_module);
		CHECK_EQ(ask_range(VIRTIO_BLK_T_DISCARD, &odd_ranges[i]), odd_ranges[i].discard);
		CHECK_EQ(ask_range(VIRTIO_BLK_T_WRITE_ZEROES, &odd_ranges[i]),
			 odd_ranges[i].zeroes);
	}
	CHECK_EQ(ask_sectors(VIRTIO_BLK_T_IN, NR_SECTORS - 1, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(ask_sectors(VIRTIO_BLK_T_IN, NR_SECTORS - 1, 1024), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(ask_sectors(VIRTIO_BLK_T_IN, 0, 511), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(ask_sectors(VIRTIO_BLK_T_OUT, UINT64_MAX, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(ask_sectors(77, 0, 512), VIRTIO_BLK_S_UNSUPP);
}

TEST(what_is_odd_has_the_same_answer_from_both)
{
	begin_idle(false, false);
	ask_what_is_odd();
	bus_take_over(true);
	ask_what_is_odd();
	bus_end();
}

static void ask_for_id(void)
{
	put_header(0, VIRTIO_BLK_T_GET_ID, 0);
	memset(bus.ram + DATA, 0xee, 32);
	CHECK_EQ(ask((struct part){ DATA, BLK_ID_LEN, 1 }), VIRTIO_BLK_S_OK);
	CHECK_STR((char *)bus.ram + DATA, "blk_bus");
	CHECK_EQ(bus.ram[DATA + BLK_ID_LEN], 0xee);
}

static void cannot_write(void)
{
	struct virtio_blk_config config;

	bus.server->ops->config_read(bus.server, 0, &config, sizeof(config));
	CHECK_EQ(config.capacity, NR_SECTORS);
	CHECK(bus.server->features & BIT(VIRTIO_BLK_F_RO));
	CHECK(!(bus.server->features & DISCARD));
	CHECK_EQ(ask_sectors(VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(ask_sectors(VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(ask_sectors(VIRTIO_BLK_T_FLUSH, 0, 512), VIRTIO_BLK_S_OK);
	CHECK(ask_range(VIRTIO_BLK_T_DISCARD, &odd_ranges[0]) != VIRTIO_BLK_S_OK);
	CHECK(ask_range(VIRTIO_BLK_T_WRITE_ZEROES, &odd_ranges[0]) != VIRTIO_BLK_S_OK);
	ask_for_id();
}

/* Also by a driver that has not accepted that it is. */
TEST(a_disk_that_can_only_be_read_is_not_written)
{
	bus.role.read_only = true;
	begin_idle(false, false);
	cannot_write();
	bus_take_over(true);
	cannot_write();
	bus.server->ops->reset(bus.server);
	bus.refused = BIT(VIRTIO_BLK_F_RO);
	bus_start_driver();
	cannot_write();
	bus_end();
}

static int can_be_read(void *sector)
{
	return ask_sectors(VIRTIO_BLK_T_IN, *(uint64_t *)sector, 512) == VIRTIO_BLK_S_OK;
}

static int cannot_be_read(void *sector)
{
	return !can_be_read(sector);
}

TEST(a_disk_becomes_larger_and_smaller_while_the_module_serves)
{
	struct virtio_blk_config config;
	uint64_t last = 2 * NR_SECTORS - 1;

	begin_idle(true, false);
	CHECK(!can_be_read(&last));
	CHECK_OK(ftruncate(file, 2 * DISK));
	CHECK(!can_be_read(&last));
	CHECK_OK(kill(bus.pid, SIGUSR1));
	test_wait(can_be_read, &last, TEST_HANG_MS);
	bus.server->ops->config_read(bus.server, 0, &config, sizeof(config));
	CHECK(config.capacity == NR_SECTORS || config.capacity == 2 * NR_SECTORS);
	CHECK_OK(ftruncate(file, DISK));
	CHECK(!can_be_read(&last)); /* an error, as the file ends there */
	CHECK_OK(kill(bus.pid, SIGUSR1));
	test_wait(cannot_be_read, &last, TEST_HANG_MS);
	last = NR_SECTORS - 1;
	CHECK(can_be_read(&last));
	bus_end();
}

/* ---- the driver --------------------------------------------------------------------------- */

static void break_rules(const struct part *part)
{
	begin_idle(true, false);
	bus_post(0, 0, part, 1);
	bus_kick(0);
	bus_await_broken();
	CHECK_EQ(bus_state(0), VAS_DEVICE_QUEUE_BROKEN);
	bus.server->ops->reset(bus.server);
	bus_start_driver();
	is_ended = false;
	exchange(100);
	end();
}

TEST(a_driver_that_breaks_the_rules_is_told_and_may_reset)
{
	const struct part part = { HEADERS, 15, 0 };

	break_rules(&part);
}

/* ---- behind an IOMMU ---------------------------------------------------------------------- */

TEST(a_disk_with_split_rings_behind_an_iommu_moves_into_the_kernel_and_back)
{
	bus.iommu = BUS_IOMMU_TAKES;
	move_under_load(false);
}

TEST(a_disk_with_packed_rings_behind_an_iommu_moves_into_the_kernel_and_back)
{
	bus.iommu = BUS_IOMMU_TAKES;
	move_under_load(true);
}

TEST(a_keeper_behind_an_iommu_is_killed_with_split_rings)
{
	bus.iommu = BUS_IOMMU_TAKES;
	kill_keepers(false);
}

TEST(a_keeper_behind_an_iommu_is_killed_with_packed_rings)
{
	bus.iommu = BUS_IOMMU_TAKES;
	kill_keepers(true);
}

TEST(what_a_killed_process_behind_an_iommu_had_taken_its_keeper_does)
{
	bus.iommu = BUS_IOMMU_TAKES;
	kill_with_requests(true);
}

TEST(a_guest_with_an_iommu_and_split_rings_is_frozen_while_the_module_serves)
{
	bus.iommu = BUS_IOMMU_TAKES;
	freeze_under_load(false);
}

TEST(a_guest_with_an_iommu_and_packed_rings_is_frozen_while_the_module_serves)
{
	bus.iommu = BUS_IOMMU_TAKES;
	freeze_under_load(true);
}

/* What the keeper was told is gone with its connection, and what is missed is asked for again. */
TEST(a_keeper_behind_an_iommu_loses_its_connection_and_comes_again)
{
	uint32_t i, nr = bus_rounds(20);

	bus.iommu = BUS_IOMMU_TAKES;
	begin(true, false);
	for (i = 0; i < nr; i++) {
		exchange((uint32_t)test_random_below(&chance, 100));
		bus_disconnect();
		exchange(100);
	}
	end_after_load();
}

#define TAKEN_PAGES 48u /* of a request, which takes several steps */
#define SPARE	    (DATA + TAKEN_PAGES * PAGE)
#define NR_SPARE    128u
#define GUARD	    0x5a
#define VALID	    0x33 /* what the driver has in its pages */

/* Which page each of the request's has now, and those that nobody has. */
static uint64_t page_of[TAKEN_PAGES], spare[NR_SPARE];

static void guard(uint64_t gpa)
{
	memset(bus.ram + gpa, GUARD, PAGE);
}

static void check_guarded(uint64_t gpa)
{
	for (uint32_t i = 0; i < PAGE; i++)
		if (bus.ram[gpa + i] != GUARD)
			test_fail(__FILE__, __LINE__, "gpa %#llx was written: %#x",
				  (unsigned long long)gpa + i, bus.ram[gpa + i]);
}

static void take_page(void)
{
	uint32_t i = (uint32_t)test_random_below(&chance, TAKEN_PAGES);
	uint32_t k = (uint32_t)test_random_below(&chance, NR_SPARE);
	uint64_t old = page_of[i];

	check_guarded(spare[k]);
	memset(bus.ram + spare[k], VALID, PAGE);
	page_of[i] = spare[k];
	bus_move_page(DATA + i * PAGE, spare[k]);
	guard(old);
	spare[k] = old;
}

static void post_taken(bool in)
{
	const struct part parts[] = { { HEADERS, sizeof(struct virtio_blk_outhdr), 0 },
				      { DATA, TAKEN_PAGES * PAGE, in },
				      { HEADERS + STATUS, 1, 1 } };

	put_header(0, in ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, 0);
	bus_post(0, 0, parts, 3);
	bus_kick(0);
}

static void begin_to_take(bool with_packed)
{
	uint32_t i;

	bus.iommu = BUS_IOMMU;
	begin_idle(true, with_packed);
	for (i = 0; i < TAKEN_PAGES; i++) {
		page_of[i] = DATA + i * PAGE;
		memset(bus.ram + page_of[i], VALID, PAGE);
	}
	for (i = 0; i < NR_SPARE; i++) {
		spare[i] = SPARE + i * PAGE;
		guard(spare[i]);
	}
}

static void end_to_take(void)
{
	for (uint32_t i = 0; i < NR_SPARE; i++)
		check_guarded(spare[i]);
	bus_end();
}

/* Requests follow one another, and their pages change all the time. */
static void take_pages(bool in, uint32_t most, void (*check)(void))
{
	uint32_t at, len, nr = 0, moves;

	post_taken(in);
	for (moves = 0; moves < most || nr < 1 + most / 100; moves++) {
		take_page();
		if (!bus_take(0, &at, &len))
			continue;
		CHECK_EQ(header_at(0)[STATUS], VIRTIO_BLK_S_OK);
		CHECK_EQ(len, (in ? TAKEN_PAGES * PAGE : 0) + 1);
		check();
		nr++;
		post_taken(in);
	}
	test_note("%u requests, %u moves", nr, moves);
}

static void check_nothing(void)
{
}

static void read_into_pages(bool with_packed)
{
	begin_to_take(with_packed);
	take_pages(true, bus_rounds(2000), check_nothing);
	end_to_take();
}

TEST(what_was_taken_from_a_module_with_split_rings_is_never_written)
{
	read_into_pages(false);
}

TEST(what_was_taken_from_a_module_with_packed_rings_is_never_written)
{
	read_into_pages(true);
}

#define HELD_SIZE (8 << 20)

static uint32_t is_holding; /* atomic */

/* Who writes to the file waits for this, in the middle of a request, and reads its pages later. */
static void *hold_file(void *unused)
{
	const int keep = FALLOC_FL_KEEP_SIZE;

	(void)unused;
	while (__atomic_load_n(&is_holding, __ATOMIC_ACQUIRE)) {
		CHECK_OK(fallocate(file, keep, DISK, HELD_SIZE));
		CHECK_OK(fallocate(file, keep | FALLOC_FL_PUNCH_HOLE, DISK, HELD_SIZE));
	}
	return NULL;
}

static void check_written(void)
{
	static uint8_t bytes[TAKEN_PAGES * PAGE];

	CHECK_EQ(pread(file, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		if (bytes[i] != VALID)
			test_fail(__FILE__, __LINE__, "byte %u of the disk is %#x", i, bytes[i]);
}

TEST(what_was_taken_from_a_module_whose_disk_is_slow_is_never_read)
{
	pthread_t thread;

	begin_to_take(false);
	is_holding = 1;
	CHECK_OK(pthread_create(&thread, NULL, hold_file, NULL));
	take_pages(false, bus_rounds(100), check_written);
	__atomic_store_n(&is_holding, 0, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(thread, NULL));
	end_to_take();
}

/* The module goes with it: what it wrote last it wrote before the invalidation returned. */
TEST(a_keeper_that_answers_no_unmap_is_killed_with_what_its_module_does)
{
	uint8_t *copy = malloc(BUS_RAM);
	int status;

	bus.iommu = BUS_IOMMU;
	bus.answer_ns = 2000000000;
	begin(true, false);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(kill(bus.pid, SIGSTOP));
		look();
		bus_move_page(DATA - PAGE, DATA - PAGE);
		memcpy(copy, bus.ram, BUS_RAM);
		poll(NULL, 0, 20);
		CHECK_MEM(bus.ram, copy, BUS_RAM);
		CHECK_EQ(waitpid(bus.pid, &status, 0), bus.pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		bus_provide(true, false);
		exchange(100);
	}
	free(copy);
	end();
}

static int are_counted(void *nr)
{
	struct vas_device_info info;
	uint64_t counted = 0;
	uint32_t i;

	look();
	CHECK_EQ(vas_devices(bus.vas, &info, 1), 1);
	for (i = 0; i < info.nr_queues; i++)
		counted += info.queues[i].counters.answered;
	return counted >= *(uint64_t *)nr;
}

TEST(what_a_module_has_answered_is_counted_while_it_serves)
{
	uint64_t nr;

	begin(true, false);
	exchange(100);
	nr = nr_done;
	test_wait(are_counted, &nr, TEST_HANG_MS);
	exchange(100);
	bus_take_over(false);
	nr = nr_done;
	test_wait(are_counted, &nr, TEST_HANG_MS);
	end();
}

TEST(a_module_without_memory_serves_as_soon_as_it_has_some)
{
	bus.role.no_memory = 3;
	begin(true, true);
	exchange(100);
	CHECK_EQ(bus.times_broken, 0);
	end();
}

TEST(a_driver_that_lets_a_module_use_what_is_not_mapped_is_told_and_may_reset)
{
	const struct part part = { BUS_RAM, 16, 0 };

	bus.iommu = BUS_IOMMU_TAKES;
	break_rules(&part);
}
