// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_blk.ko: the test is the guest's driver, and behaves. */
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blk_guest.h"
#include "include/uapi/linux/vas.h"

static void reads_and_writes(uint64_t features)
{
	struct guest g;
	uint32_t written;

	guest_init(&g, features);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t len = 512u << i % 11;
		uint64_t sector = (i * 37) % 1024, table = features & INDIRECT && i % 2 ? TABLE : 0;

		test_note("request %u", i);
		for (uint32_t at = 0; at < len; at++)
			g.ram[DATA + at] = (char)(at * 3 + i);
		CHECK_EQ(request(&g, VIRTIO_BLK_T_OUT, sector, (struct part){ DATA, len, 0 }, table,
				 &written),
			 VIRTIO_BLK_S_OK);
		CHECK_EQ(written, 1);
		memset(g.ram + DATA + MIB, 0, len);
		CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, sector, (struct part){ DATA + MIB, len, 1 },
				 table, &written),
			 VIRTIO_BLK_S_OK);
		CHECK_EQ(written, len + 1);
		CHECK_MEM(g.ram + DATA + MIB, g.ram + DATA, len);
		CHECK_EQ(pread(g.file, g.ram + DATA + 2 * MIB, len, (off_t)sector * 512), len);
		CHECK_MEM(g.ram + DATA + 2 * MIB, g.ram + DATA, len);
	}
	CHECK_EQ(queue_stop(&g).nr_requests, 400);
}

TEST(sectors_are_read_and_written)
{
	reads_and_writes(0);
}

TEST(sectors_go_through_indirect_tables)
{
	reads_and_writes(INDIRECT);
}

TEST(sectors_go_with_event_indexes)
{
	reads_and_writes(INDIRECT | EVENT);
}

TEST(a_request_may_be_cut_anywhere)
{
	struct part parts[] = {
		{ HEADER, 5, 0 },     { HEADER + 5, 11, 0 },   { DATA, 100, 1 },
		{ DATA + 100, 0, 1 }, { DATA + 3000, 412, 1 }, { STATUS, 1, 1 },
	};
	struct vring_used_elem elem;
	char sector[512];
	struct guest g;

	guest_init(&g, 0);
	for (int i = 0; i < 512; i++)
		sector[i] = (char)(i ^ 0x55);
	CHECK_EQ(pwrite(g.file, sector, 512, 7 * 512), 512);
	put_header(&g, VIRTIO_BLK_T_IN, 7);
	virtqueue_add(&g.q, parts, 6, 0);
	virtqueue_kick(&g.q);
	CHECK(virtqueue_wait(&g.q, &elem, TEST_HANG_MS));
	CHECK_EQ(elem.len, 513);
	CHECK_MEM(g.ram + DATA, sector, 100);
	CHECK_MEM(g.ram + DATA + 3000, sector + 100, 412);
	CHECK_EQ(g.ram[STATUS], VIRTIO_BLK_S_OK);
}

TEST(other_requests_are_answered)
{
	struct part data = { DATA, 20, 1 }, none = { 0 };
	struct guest g;

	guest_init(&g, 0);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_GET_ID, 0, data, 0, NULL), VIRTIO_BLK_S_OK);
	CHECK_STR(g.ram + DATA, "vas_blk test");
	CHECK_EQ(request(&g, VIRTIO_BLK_T_FLUSH, 0, none, 0, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(&g, 77, 0, data, 0, NULL), VIRTIO_BLK_S_UNSUPP);
}

TEST(what_is_beyond_the_disk_is_an_error_of_the_request)
{
	struct part in = { DATA, 1024, 1 }, odd = { DATA, 100, 1 }, out = { DATA, 512, 0 };
	uint64_t nr = CAPACITY / 512;
	struct guest g;

	guest_init(&g, 0);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, nr - 2, in, 0, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, nr - 1, in, 0, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, UINT64_MAX, in, 0, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, UINT64_MAX >> 8, in, 0, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_OUT, nr, out, 0, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, 0, odd, 0, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, 0, in, 0, NULL), VIRTIO_BLK_S_OK);
	/* A read-only disk. */
	close(g.blk);
	g.blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	CHECK_OK(blk_open(&g, 1ull << VIRTIO_BLK_F_RO));
	virtqueue_init(&g.q, g.ram, QUEUE, SIZE);
	CHECK_OK(queue_start(&g, 0));
	CHECK_EQ(request(&g, VIRTIO_BLK_T_OUT, 0, out, 0, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_FLUSH, 0, (struct part){ 0 }, 0, NULL), VIRTIO_BLK_S_OK);
}

#define ZEROES (1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES)

static int request_range(struct guest *g, uint32_t type, uint64_t sector, uint32_t nr,
			 uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, nr, flags };
	uint32_t written;
	int status;

	memcpy(g->ram + DATA, &range, sizeof(range));
	status = request(g, type, 0, (struct part){ DATA, sizeof(range), 0 }, 0, &written);
	CHECK_EQ(written, 1);
	return status;
}

/* Of a disk full of ones: which sectors are zeroes now. */
static void check_zeroes(const struct guest *g, uint64_t sector, uint64_t nr)
{
	static char disk[CAPACITY], expected[CAPACITY];

	memset(expected, 1, CAPACITY);
	memset(expected + sector * 512, 0, nr * 512);
	CHECK_EQ(pread(g->file, disk, CAPACITY, 0), CAPACITY);
	CHECK_MEM(disk, expected, CAPACITY);
}

static void fill_with_ones(const struct guest *g)
{
	static char ones[CAPACITY];

	memset(ones, 1, CAPACITY);
	CHECK_EQ(pwrite(g->file, ones, CAPACITY, 0), CAPACITY);
}

static uint64_t allocated(const struct guest *g)
{
	struct stat stat;

	CHECK_OK(fstat(g->file, &stat));
	return (uint64_t)stat.st_blocks * 512;
}

static void becomes_zeroes(struct guest *g, uint32_t type, uint64_t sector, uint32_t nr,
			   uint32_t flags)
{
	fill_with_ones(g);
	CHECK_EQ(request_range(g, type, sector, nr, flags), VIRTIO_BLK_S_OK);
	check_zeroes(g, sector, nr);
}

/* The disk's file is on tmpfs, which has holes, and nothing that makes zeroes. */
TEST(a_range_becomes_zeroes)
{
	const uint32_t unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	const uint32_t most = VAS_BLK_MAX_ZEROES / 512;
	struct guest g;

	guest_init(&g, ZEROES);
	becomes_zeroes(&g, VIRTIO_BLK_T_DISCARD, 8, 16, 0);
	CHECK_EQ(allocated(&g), CAPACITY - 2 * PAGE);
	becomes_zeroes(&g, VIRTIO_BLK_T_DISCARD, 3, most, 0);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, unmap);
	CHECK_EQ(allocated(&g), CAPACITY - 2 * PAGE);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 0);
	CHECK_EQ(allocated(&g), CAPACITY);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 3, most, 0);
	CHECK_EQ(allocated(&g), CAPACITY);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 5, 0, 0);
	CHECK_EQ(request_range(&g, VIRTIO_BLK_T_DISCARD, 0, most + 1, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_range(&g, VIRTIO_BLK_T_DISCARD, CAPACITY / 512, 1, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request_range(&g, VIRTIO_BLK_T_DISCARD, 0, 1, unmap), VIRTIO_BLK_S_UNSUPP);
	check_zeroes(&g, 5, 0);
}

/* A block device on this file. It goes with its last user. */
static int open_loop(int file, uint32_t sector_size)
{
	struct loop_config config = { .fd = (uint32_t)file, .block_size = sector_size };
	int fd, control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	char path[32];

	if (control < 0)
		test_skip("no /dev/loop-control: loop.ko is not loaded");
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	snprintf(path, sizeof(path), "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_OK(ioctl(fd, LOOP_CONFIGURE, &config));
	close(control);
	return fd;
}

static void open_block_device(struct guest *g, uint32_t sector_size)
{
	guest_init(g, 0);
	g->file = open_loop(g->file, sector_size);
	close(g->blk);
	g->blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	CHECK_OK(blk_open(g, ZEROES));
	virtqueue_init(&g->q, g->ram, QUEUE, SIZE);
	CHECK_OK(queue_start(g, 0));
}

TEST(a_block_device_is_a_disk_as_well)
{
	const uint32_t unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	const uint32_t most = VAS_BLK_MAX_ZEROES / 512;
	struct part out = { DATA, 4096, 0 };
	char found[4096];
	struct guest g;

	open_block_device(&g, 512);
	becomes_zeroes(&g, VIRTIO_BLK_T_DISCARD, 8, 16, 0);
	becomes_zeroes(&g, VIRTIO_BLK_T_DISCARD, 3, most, 0);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, unmap);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 3, most, 0);
	memset(g.ram + DATA, 0x5a, sizeof(found));
	CHECK_EQ(request(&g, VIRTIO_BLK_T_OUT, 8, out, 0, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_FLUSH, 0, (struct part){ 0 }, 0, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(pread(g.file, found, sizeof(found), 8 * 512), sizeof(found));
	CHECK_MEM(found, g.ram + DATA, sizeof(found));
}

/* The guest is told of sectors of 512 bytes. */
TEST(a_block_device_may_have_larger_sectors)
{
	const uint32_t unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	struct guest g;

	open_block_device(&g, 4096);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 0);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 3, 16, 0);
	becomes_zeroes(&g, VIRTIO_BLK_T_WRITE_ZEROES, 8, 3, unmap);
	/* No more than a hint. */
	CHECK_EQ(request_range(&g, VIRTIO_BLK_T_DISCARD, 8, 16, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(request_range(&g, VIRTIO_BLK_T_DISCARD, 3, 16, 0), VIRTIO_BLK_S_OK);
}

static unsigned long long sectors_written(int fd)
{
	unsigned long long nr = 0;
	struct stat stat;
	char path[64];
	FILE *file;

	CHECK_OK(fstat(fd, &stat));
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(stat.st_rdev),
		 minor(stat.st_rdev));
	file = fopen(path, "re");
	CHECK(file);
	CHECK_EQ(fscanf(file, "%*u %*u %*u %*u %*u %*u %llu", &nr), 1);
	fclose(file);
	return nr;
}

TEST(who_cannot_flush_need_not)
{
	struct part out = { DATA, 4096, 0 };
	unsigned long long before;
	struct guest g;

	open_block_device(&g, 512);
	memset(g.ram + DATA, 0x5a, 4096);
	for (uint64_t i = 0; i < 10; i++) {
		before = sectors_written(g.file);
		CHECK_EQ(request(&g, VIRTIO_BLK_T_OUT, i * 8, out, 0, NULL), VIRTIO_BLK_S_OK);
		CHECK(sectors_written(g.file) >= before + 8);
	}
}

TEST(what_the_driver_has_not_accepted_is_not_done)
{
	struct guest g;

	guest_init(&g, 0);
	fill_with_ones(&g);
	CHECK_EQ(request_range(&g, VIRTIO_BLK_T_DISCARD, 8, 16, 0), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(request_range(&g, VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 0), VIRTIO_BLK_S_UNSUPP);
	check_zeroes(&g, 0, 0);
}

static int set_features(const struct guest *g, uint64_t features)
{
	__u64 arg = features;

	return ioctl(g->blk, VAS_BLK_SET_FEATURES, &arg) ? -errno : 0;
}

TEST(another_driver_has_other_features)
{
	__u64 features = 0;
	struct guest g;

	guest_init(&g, 0);
	CHECK_OK(ioctl(g.blk, VAS_BLK_GET_FEATURES, &features));
	CHECK_EQ(features, VAS_BLK_FEATURES);
	CHECK_EQ(set_features(&g, ZEROES), -EBUSY);
	queue_stop(&g);
	CHECK_EQ(set_features(&g, 1ull << 63), -EINVAL);
	CHECK_EQ(set_features(&g, ~features), -EINVAL);
	CHECK_OK(set_features(&g, ZEROES));
	virtqueue_init(&g.q, g.ram, QUEUE, SIZE);
	CHECK_OK(queue_start(&g, 0));
	becomes_zeroes(&g, VIRTIO_BLK_T_DISCARD, 8, 16, 0);
	close(g.blk);
	g.blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	CHECK_EQ(set_features(&g, 0), -ENXIO);
}

static int set_capacity(const struct guest *g, uint64_t capacity)
{
	__u64 arg = capacity;

	return ioctl(g->blk, VAS_BLK_SET_CAPACITY, &arg) ? -errno : 0;
}

TEST(a_disk_becomes_larger_and_smaller)
{
	struct part in = { DATA, 512, 1 };
	uint64_t last = 2 * CAPACITY / 512 - 1;
	struct guest g;

	guest_init(&g, 0);
	CHECK_OK(ftruncate(g.file, 2 * CAPACITY));
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, last, in, 0, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_OK(set_capacity(&g, 2 * CAPACITY));
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, last, in, 0, NULL), VIRTIO_BLK_S_OK);
	CHECK_OK(set_capacity(&g, CAPACITY));
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, last, in, 0, NULL), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(set_capacity(&g, 511), -EINVAL);
	CHECK_EQ(set_capacity(&g, 1ull << 63), -EINVAL);
	close(g.blk);
	g.blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	CHECK_EQ(set_capacity(&g, 512), -ENXIO);
}

TEST(data_in_another_file_is_reached_once_its_fd_is_there)
{
	struct part in = { 16 * MIB, 512, 1 };
	char sector[512], found[512];
	struct guest g;
	int fd;

	guest_init(&g, 0);
	memset(sector, 0x5a, sizeof(sector));
	CHECK_EQ(pwrite(g.file, sector, sizeof(sector), 0), sizeof(sector));
	fd = device_add_file(g.vas, 16 * MIB, MIB);
	CHECK_EQ(ioctl(g.blk, VAS_BLK_OFFER, &g.file), -1);
	CHECK_EQ(ioctl(g.blk, VAS_BLK_OFFER, &fd), 1);
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, 0, in, 0, NULL), VIRTIO_BLK_S_OK);
	CHECK_EQ(pread(fd, found, sizeof(found), 0), sizeof(found));
	CHECK_MEM(found, sector, sizeof(sector));
}

TEST(a_queue_goes_on_where_it_was_stopped)
{
	struct part in = { DATA, 512, 1 };
	struct vas_queue_stopped stopped;
	struct guest g;

	guest_init(&g, EVENT);
	for (uint16_t i = 1; i <= 100; i++) {
		CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, i, in, 0, NULL), VIRTIO_BLK_S_OK);
		stopped = queue_stop(&g);
		CHECK_EQ(stopped.base, i);
		CHECK_EQ(stopped.broken, 0);
		CHECK_OK(queue_start(&g, i));
	}
}

TEST(many_requests_at_once_are_answered_in_order)
{
	struct part parts[2][16][3];
	struct vring_used_elem elem;
	struct guest g;

	guest_init(&g, INDIRECT | EVENT);
	for (int round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < 16; i++) {
			struct part *p = parts[0][i];
			uint64_t at = HEADER + 0x200 * i;

			p[0] = (struct part){ at, 16, 0 };
			p[1] = (struct part){ DATA + i * 4096, 4096, 1 };
			p[2] = (struct part){ at + 16, 1, 1 };
			*(struct virtio_blk_outhdr *)(g.ram + at) =
				(struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN, .sector = i };
			g.ram[at + 16] = 0x7f;
			virtqueue_add(&g.q, p, 3, 0);
		}
		virtqueue_kick(&g.q);
		for (uint32_t i = 0; i < 16; i++) {
			CHECK(virtqueue_wait(&g.q, &elem, TEST_HANG_MS));
			CHECK_EQ(g.ram[HEADER + 0x200 * i + 16], VIRTIO_BLK_S_OK);
		}
	}
}

TEST(memory_may_be_unplugged_and_frozen_under_requests)
{
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	struct vas_ko_range ring = { QUEUE, 4 * PAGE };
	struct vas_ko_prepare prepare = { .ranges = (uintptr_t)&ring,
					  .nr = 1,
					  .timeout_ns = TEST_HANG_NS };
	struct part in = { DATA, 512, 1 };
	struct vas_ko_attach attach;
	struct guest g;
	uint64_t id;
	int drive = open("/dev/vas", O_RDWR | O_CLOEXEC);

	guest_init(&g, 0);
	attach = (struct vas_ko_attach){ .fd = vas_fd(g.vas) };
	CHECK_OK(ioctl(drive, VAS_KO_ATTACH, &attach));
	for (int i = 0; i < 20; i++) {
		struct part parts[] = { { HEADER, 16, 0 }, in, { STATUS, 1, 1 } };
		struct vring_used_elem elem;

		CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, i, in, 0, NULL), VIRTIO_BLK_S_OK);
		CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
		put_header(&g, VIRTIO_BLK_T_IN, i);
		virtqueue_add(&g.q, parts, 3, 0);
		virtqueue_kick(&g.q);
		CHECK(!virtqueue_wait(&g.q, &elem, 30));
		CHECK_EQ(g.ram[STATUS], 0x7f);
		/* The rings may be taken from it meanwhile. */
		if (i % 2) {
			CHECK_OK(ioctl(drive, VAS_KO_PREPARE, &prepare));
			CHECK_OK(ioctl(drive, VAS_KO_COMMIT));
			CHECK(!virtqueue_wait(&g.q, &elem, 30));
		}
		CHECK_OK(ioctl(drive, VAS_KO_THAW));
		CHECK(virtqueue_wait(&g.q, &elem, TEST_HANG_MS));
		id = device_add(g.vas, 8 * MIB, MIB);
		device_remove(g.vas, id);
	}
}

/* Served in many steps, between which the memory is frozen and the rings are taken away. */
static void is_whole(struct guest *g, int drive, int in)
{
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	struct vas_ko_range ring = { QUEUE, 4 * PAGE };
	struct vas_ko_prepare prepare = { .ranges = (uintptr_t)&ring,
					  .nr = 1,
					  .timeout_ns = TEST_HANG_NS };
	struct part parts[] = {
		{ HEADER, 16, 0 },
		{ DATA, 100001, in },
		{ DATA + 100001, 3 * MIB - 100001, in },
		{ STATUS, 1, 1 },
	};
	struct vring_used_elem elem;

	put_header(g, in ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, 3);
	virtqueue_add(&g->q, parts, 4, 0);
	virtqueue_kick(&g->q);
	for (int i = 0; i < 10; i++) {
		CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
		if (i % 3 == 2) {
			CHECK_OK(ioctl(drive, VAS_KO_PREPARE, &prepare));
			CHECK_OK(ioctl(drive, VAS_KO_COMMIT));
		}
		CHECK_OK(ioctl(drive, VAS_KO_THAW));
	}
	CHECK(virtqueue_wait(&g->q, &elem, TEST_HANG_MS));
	CHECK_EQ(g->ram[STATUS], VIRTIO_BLK_S_OK);
	CHECK_EQ(elem.len, in ? 3 * MIB + 1 : 1);
}

TEST(a_large_request_is_whole_whatever_interrupts_it)
{
	struct vas_ko_attach attach;
	static char disk[3 * MIB];
	struct guest g;
	int drive = open("/dev/vas", O_RDWR | O_CLOEXEC);

	guest_init(&g, 0);
	attach = (struct vas_ko_attach){ .fd = vas_fd(g.vas) };
	CHECK_OK(ioctl(drive, VAS_KO_ATTACH, &attach));
	for (uint32_t at = 0; at < sizeof(disk); at++)
		disk[at] = (char)(at * 7 + (at >> 12));
	CHECK_EQ(pwrite(g.file, disk, sizeof(disk), 3 * 512), sizeof(disk));
	is_whole(&g, drive, 1);
	CHECK_MEM(g.ram + DATA, disk, sizeof(disk));
	for (uint32_t at = 0; at < sizeof(disk); at++)
		g.ram[DATA + at] = (char)(at * 5 + (at >> 12));
	is_whole(&g, drive, 0);
	CHECK_EQ(pread(g.file, disk, sizeof(disk), 3 * 512), sizeof(disk));
	CHECK_MEM(disk, g.ram + DATA, sizeof(disk));
}
