// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A block device behind a vhost-user connection: what it does, and what a front end cannot do to it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/dirty.h>
#include <vas/vas.h>

#include "device/blk/blk.h"
#include "device/vhost_user/session.h"
#include "harness.h"
#include "tests/device/front_end.h"
#include "tests/mute_file.h"

#define DISK	   (1u << 20)
#define RING_RESET (1ull << 40)
#define RAM	   (1ull << 20)
#define HEADER	   FRONT_DATA
#define STATUS	   (FRONT_DATA + 4096)
#define DATA	   (FRONT_DATA + 8192)

static struct blk_options options = {
	.disk = { .kind = DISK_MEMORY, .size = DISK },
	.nr_queues = 2,
	.queue_size = FRONT_RING_SIZE,
	.serial = "serial of the test",
};
static struct vhost_user_options vhost_user = { .look_fd = -1 };
static struct blk blk;
static struct front_end front;
static pthread_t server;
static int server_sock, server_stop = -1;
static char server_error[256];

static void *serve(void *arg)
{
	int err = vhost_user_serve(server_sock, server_stop, &blk.device, &vhost_user);

	(void)arg;
	snprintf(server_error, sizeof(server_error), "%s", err ? vas_error() : "");
	close(server_sock);
	return (void *)(intptr_t)err;
}

/* The device's side in a thread, and a front end that has said nothing. */
static void connect_pair(void)
{
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	front.sock = pair[0];
	server_sock = pair[1];
	CHECK_OK(pthread_create(&server, NULL, serve, NULL));
}

static void open_device(void)
{
	CHECK_OK(blk_open(&blk, &options));
	CHECK_OK(front_end_init(&front, RAM));
	connect_pair();
}

/* A front end with memory and ring 0. */
static void begin(void)
{
	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	CHECK_OK(front_end_start_ring(&front, 0));
}

/* How the device's side has ended. */
static int end(void)
{
	void *result;

	shutdown(front.sock, SHUT_RDWR);
	CHECK_OK(pthread_join(server, &result));
	close(front.sock);
	front.sock = -1;
	return (int)(intptr_t)result;
}

TEST(a_session_ends_when_it_is_to)
{
	void *result;

	server_stop = eventfd(0, EFD_CLOEXEC);
	begin();
	eventfd_write(server_stop, 1);
	CHECK_OK(pthread_join(server, &result));
	CHECK_EQ((intptr_t)result, -ECANCELED);
}

/* It ends by itself. */
static void is_refused(const char *why)
{
	void *result;

	CHECK_OK(pthread_join(server, &result));
	CHECK((intptr_t)result < 0);
	CHECK_HAS(server_error, why);
	close(front.sock);
	front.sock = -1;
}

static void post(uint32_t type, uint64_t sector, uint64_t data_gpa, uint32_t len, int is_written)
{
	struct virtio_blk_outhdr *header = (void *)(front.ram + HEADER);

	header->type = type;
	header->sector = sector;
	front.ram[STATUS] = 0xff;
	front_ring_post(&front.rings[0], 0, HEADER, data_gpa, len, is_written, STATUS);
	front_ring_kick(&front.rings[0]);
}

static int is_answered(void *arg)
{
	(void)arg;
	return front_ring_take(&front.rings[0]) >= 0;
}

static int is_answered_by_second(void *arg)
{
	(void)arg;
	return front_ring_take(&front.rings[1]) >= 0;
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len, int is_written)
{
	post(type, sector, DATA, len, is_written);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	return front.ram[STATUS];
}

/* ---- requests ----------------------------------------------------------------------------- */

static void fill(uint8_t seed, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		front.ram[DATA + i] = (uint8_t)(seed + i * 13);
}

static void check_filled(uint8_t seed, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		CHECK_EQ(front.ram[DATA + i], (uint8_t)(seed + i * 13));
}

static void write_and_read(void)
{
	begin();
	fill(1, 8192);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 16, 8192, 0), VIRTIO_BLK_S_OK);
	memset(front.ram + DATA, 0, 8192);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 16, 8192, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(front.rings[0].used->ring[1].len, 8193);
	check_filled(1, 8192);
	CHECK_EQ(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(end(), 0);
}

TEST(what_is_written_is_read)
{
	write_and_read();
	blk_close(&blk);
}

static void use_file(const char *engine)
{
	static char path[32];
	int fd;

	strcpy(path, "/tmp/vas-session-XXXXXX");
	fd = mkstemp(path);
	CHECK_OK(ftruncate(fd, DISK));
	close(fd);
	options.disk.kind = DISK_FILE;
	options.disk.path = path;
	options.disk.engine = engine;
}

TEST(what_is_written_is_in_the_file)
{
	static const char *const engines[] = { "sync", "io_uring" };

	for (int i = 0; i < 2; i++) {
		uint8_t bytes[8192];
		int fd;

		if (i && !disk_io_uring)
			continue;
		use_file(engines[i]);
		write_and_read();
		fd = open(options.disk.path, O_RDONLY);
		CHECK_EQ(pread(fd, bytes, 8192, 16 * 512), 8192);
		CHECK_MEM(bytes, front.ram + DATA, 8192);
		close(fd);
		unlink(options.disk.path);
		blk_close(&blk);
	}
}

/* To a file that takes all that is written, and has nowhere to keep it. */
static uint8_t write_to_null(const char *engine, uint64_t drop)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	uint8_t status;

	use_file(engine);
	open_device();
	CHECK_OK(dup3(null, blk.disk.fd, O_CLOEXEC));
	close(null);
	CHECK_OK(front_end_negotiate(&front, drop));
	CHECK_OK(front_end_send_memory(&front));
	CHECK_OK(front_end_start_ring(&front, 0));
	status = request(VIRTIO_BLK_T_OUT, 16, 8192, 0);
	CHECK_EQ(end(), 0);
	unlink(options.disk.path);
	blk_close(&blk);
	return status;
}

/* To a driver that is offered flushes, and takes none, a write that is answered is on the disk. */
TEST(who_cannot_flush_need_not)
{
	for (int i = 0; i < 2; i++) {
		const char *engine = i ? "io_uring" : "sync";

		if (i && !disk_io_uring)
			continue;
		CHECK_EQ(write_to_null(engine, 0), VIRTIO_BLK_S_OK);
		CHECK_EQ(write_to_null(engine, 1ull << VIRTIO_BLK_F_FLUSH), VIRTIO_BLK_S_IOERR);
	}
}

TEST(zeroes_and_discards)
{
	struct virtio_blk_discard_write_zeroes range = { .sector = 16, .num_sectors = 8 };

	use_file("sync");
	begin();
	fill(1, 8192);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 16, 8192, 0), VIRTIO_BLK_S_OK);
	memcpy(front.ram + DATA, &range, sizeof(range));
	CHECK_EQ(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(range), 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 16, 8192, 1), VIRTIO_BLK_S_OK);
	for (int i = 0; i < 4096; i++)
		CHECK_EQ(front.ram[DATA + i], 0);
	CHECK_EQ(front.ram[DATA + 4096], (uint8_t)(1 + 4096 * 13));
	range.flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	memcpy(front.ram + DATA, &range, sizeof(range));
	CHECK_EQ(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(range), 0), VIRTIO_BLK_S_OK);
	/* Of a discard that flag makes no sense. */
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, sizeof(range), 0), VIRTIO_BLK_S_UNSUPP);
	range.flags = 0;
	memcpy(front.ram + DATA, &range, sizeof(range));
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, sizeof(range), 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, 32, 0), VIRTIO_BLK_S_UNSUPP);
	range.num_sectors = UINT32_MAX;
	memcpy(front.ram + DATA, &range, sizeof(range));
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, sizeof(range), 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(end(), 0);
	unlink(options.disk.path);
}

TEST(the_id_is_the_serial)
{
	begin();
	CHECK_EQ(request(VIRTIO_BLK_T_GET_ID, 0, 20, 1), VIRTIO_BLK_S_OK);
	CHECK_STR((char *)front.ram + DATA, options.serial);
	CHECK_EQ(end(), 0);
}

TEST(what_the_disk_has_not_is_an_error)
{
	const uint64_t sectors = DISK / 512;

	begin();
	CHECK_EQ(request(VIRTIO_BLK_T_IN, sectors - 8, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, sectors - 7, 4096, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, UINT64_MAX, 4096, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, UINT64_MAX / 512, 4096, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 100, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(4711, 0, 512, 1), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(end(), 0);
}

TEST(nothing_writes_what_is_only_read)
{
	options.disk.read_only = true;
	begin();
	CHECK(front.features & 1ull << VIRTIO_BLK_F_RO);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 0, 4096, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(end(), 0);
}

/* A kick that came before the ring was enabled is not lost. */
TEST(a_request_may_wait_for_its_ring)
{
	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	post(VIRTIO_BLK_T_IN, 0, DATA, 4096, 1);
	CHECK_OK(front_end_start_ring(&front, 0));
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(front.ram[STATUS], VIRTIO_BLK_S_OK);
	CHECK_EQ(end(), 0);
}

TEST(a_stopped_ring_says_where_it_stands)
{
	uint32_t base;

	begin();
	for (int i = 0; i < 5; i++)
		CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_OK(front_end_stop_ring(&front, 0, &base));
	CHECK_EQ(base, 5);
	post(VIRTIO_BLK_T_IN, 0, DATA, 4096, 1);
	/* Whoever asks again is answered, and nothing was served meanwhile. */
	CHECK_OK(front_end_stop_ring(&front, 0, &base));
	CHECK_EQ(base, 5);
	CHECK_EQ(front.ram[STATUS], 0xff);
	CHECK_EQ(end(), 0);
}

/* How a front end has its guest reset one queue: the file of what is in flight stays as it is. */
TEST(a_ring_that_is_made_anew_begins_anew)
{
	uint32_t base;
	int i, j;

	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_EQ(front.features & RING_RESET, 0); /* QEMU would not tell the device of a reset */
	CHECK_OK(front_end_send_memory(&front));
	CHECK_OK(front_end_send_inflight(&front, 1));
	for (i = 1; i < 6; i++) {
		CHECK_OK(front_end_start_ring(&front, 0));
		for (j = 0; j < i; j++)
			CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
		post(VIRTIO_BLK_T_IN, 0, DATA, 4096, 1);
		CHECK_OK(front_end_stop_ring(&front, 0, &base));
		memset(front.ram, 0xa5, FRONT_RING_SPACE);
		CHECK_EQ(front.rings[0].used->idx, 0xa5a5);
		memset(front.ram, 0, FRONT_RING_SPACE);
		front.rings[0].next_avail = front.rings[0].next_used = front.rings[0].kicked = 0;
	}
	CHECK_EQ(end(), 0);
}

/* What a dead device had taken is done by the next one, and answered once. */
TEST(a_request_in_flight_is_done_again)
{
	struct inflight_queue *part;

	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	CHECK_OK(front_end_send_inflight(&front, 1));
	part = mmap(NULL, front.inflight.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    front.inflight_fd, 0);
	CHECK(part != MAP_FAILED);
	/* As if it had been taken by somebody who has died. */
	post(VIRTIO_BLK_T_IN, 0, DATA, 4096, 1);
	inflight_take(part, 0, 17);
	CHECK_OK(front_end_start_ring(&front, 0));
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(front.ram[STATUS], VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(front.rings[0].used->idx, 2);
	CHECK_EQ(part->desc[0].inflight, 0);
	CHECK_EQ(end(), 0);
}

/* Each ring has a part of the file for itself. The second one's buffers are its own, too. */
static void check_parts(uint16_t nr_descs)
{
	const uint64_t header = HEADER + 1024, status = STATUS + 1024, data = DATA + 8192;
	struct vas_virtq_used *used;
	struct inflight_queue *parts[2];
	uint8_t *file;

	open_device();
	front.inflight_descs = nr_descs;
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	CHECK_OK(front_end_send_inflight(&front, 2));
	file = mmap(NULL, front.inflight.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		    front.inflight_fd, 0);
	CHECK(file != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		parts[i] = (void *)(file + (size_t)i * front.inflight.size / 2);
	CHECK_EQ(front.inflight.nr_queues, 2);
	used = front.rings[1].used;
	/* Of the second one's two, one was taken, before the other. */
	memset(front.ram + header, 0, sizeof(struct virtio_blk_outhdr));
	for (uint16_t slot = 0; slot < 2; slot++)
		front_ring_post(&front.rings[1], slot, header, data, 4096, 1, status);
	inflight_take(parts[1], 3, 1);
	CHECK_OK(front_end_start_ring(&front, 0));
	CHECK_OK(front_end_start_ring(&front, 1));
	front_ring_kick(&front.rings[1]);
	for (int i = 0; i < 2; i++)
		test_wait(is_answered_by_second, NULL, TEST_HANG_MS);
	CHECK_EQ(used->idx, 2);
	CHECK_EQ(used->ring[0].head, 3);
	CHECK_EQ(parts[1]->desc[3].inflight, 0);
	CHECK_EQ(parts[0]->desc[3].inflight, 0);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(end(), 0);
}

TEST(requests_in_flight_are_those_of_their_ring)
{
	check_parts(FRONT_RING_SIZE);
}

/* QEMU 10.0.13 asks for less than what its disk's queues have. */
TEST(a_front_end_asks_for_too_little_room_for_requests_in_flight)
{
	check_parts(FRONT_RING_SIZE / 2);
}

/* ---- the dirty log ------------------------------------------------------------------------ */

static int set_log(uint64_t size, uint64_t offset, int fd)
{
	struct vhost_user_log log = { size, offset };
	uint64_t features = front.features | 1ull << VHOST_F_LOG_ALL;
	struct vhost_user_message message;
	int err = front_end_send(&front, VHOST_USER_SET_LOG_BASE, 0, &log, sizeof(log), &fd, 1);

	if (!err)
		err = front_end_receive(&front, &message);
	if (!err)
		err = front_end_send(&front, VHOST_USER_SET_FEATURES, 0, &features,
				     sizeof(features), NULL, 0);
	/* Whoever is answered knows that what came before was done. */
	return err ? err : front_end_ask(&front, VHOST_USER_GET_FEATURES, &features);
}

static int is_marked(const uint8_t *log, uint64_t gpa)
{
	return log[gpa / 4096 / 8] >> gpa / 4096 % 8 & 1;
}

TEST(what_the_device_writes_is_in_the_log)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	uint8_t *log;

	begin();
	CHECK_OK(ftruncate(fd, 8192));
	log = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_OK(set_log(RAM / 4096 / 8, 4096, fd));
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 0, 8192, 0), VIRTIO_BLK_S_OK);
	CHECK(!is_marked(log + 4096, DATA));
	CHECK(is_marked(log + 4096, STATUS));
	CHECK(is_marked(log + 4096, 32768)); /* the used ring */
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 8192, 1), VIRTIO_BLK_S_OK);
	CHECK(is_marked(log + 4096, DATA));
	CHECK(is_marked(log + 4096, DATA + 4096));
	CHECK(!is_marked(log + 4096, DATA + 8192));
	CHECK(!is_marked(log + 4096, 0));
	CHECK_EQ(end(), 0);
}

/* A log that is too small for the memory: nothing is written behind its end. */
TEST(a_small_log_is_not_overflowed)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	uint8_t *log;

	begin();
	CHECK_OK(ftruncate(fd, 4096));
	log = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_OK(set_log(2, 0, fd));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 8192, 1), VIRTIO_BLK_S_OK);
	for (int i = 2; i < 4096; i++)
		CHECK_EQ(log[i], 0);
	CHECK(is_marked(log, 32768));
	CHECK_EQ(end(), 0);
}

TEST(a_log_that_is_truncated_crashes_nobody)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

#ifdef __SANITIZE_THREAD__
	test_skip("the thread sanitizer holds locks of its own where an atomic access faults");
#endif
	begin();
	CHECK_OK(ftruncate(fd, 4096));
	CHECK_OK(set_log(4096, 0, fd));
	CHECK_OK(ftruncate(fd, 0));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 8192, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(end(), 0);
}

/* ---- hostile memory ----------------------------------------------------------------------- */

TEST(memory_that_is_truncated_crashes_nobody)
{
	begin();
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_OK(ftruncate(front.memory_fd, 0));
	eventfd_write(front.rings[0].kick_fd, 1);
	eventfd_write(front.rings[0].kick_fd, 1);
	CHECK_EQ(end(), 0);
	/* The next one is served. */
	front_end_clean(&front);
	CHECK_OK(front_end_init(&front, RAM));
	connect_pair();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	CHECK_OK(front_end_start_ring(&front, 0));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(end(), 0);
}

static int has_broken_or_answered(void *arg)
{
	uint64_t status;

	(void)arg;
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
	return status & VIRTIO_CONFIG_S_NEEDS_RESET || front.rings[0].used->idx > 1;
}

/* There are zeros in its place, which nobody has written: the driver is not told that they were. */
TEST(nothing_is_answered_with_memory_that_is_gone)
{
	struct vhost_user_one_region one = { 0, { RAM, 8192, FRONT_USER + RAM, 0 } };
	int fd = memfd_create("data", MFD_CLOEXEC);
	struct vhost_user_message message;

	CHECK_OK(ftruncate(fd, 8192));
	begin();
	CHECK_OK(front_end_send(&front, VHOST_USER_ADD_MEM_REG, VHOST_USER_NEED_REPLY, &one,
				sizeof(one), &fd, 1));
	CHECK_OK(front_end_receive(&front, &message));
	CHECK_EQ(message.u64, 0);
	post(VIRTIO_BLK_T_OUT, 16, RAM, 8192, 0);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(front.ram[STATUS], VIRTIO_BLK_S_OK);
	CHECK_OK(ftruncate(fd, 4096));
	post(VIRTIO_BLK_T_OUT, 16, RAM, 8192, 0);
	test_wait(has_broken_or_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(front.rings[0].used->idx, 1);
	CHECK_EQ(end(), 0);
}

static int send_region(uint64_t gpa, uint64_t size, uint64_t user, uint64_t offset)
{
	struct vhost_user_one_region one = { 0, { gpa, size, user, offset } };
	struct vhost_user_message message;
	int err = front_end_send(&front, VHOST_USER_ADD_MEM_REG, VHOST_USER_NEED_REPLY, &one,
				 sizeof(one), &front.memory_fd, 1);

	if (!err)
		err = front_end_receive(&front, &message);
	return err ? err : message.u64 != 0;
}

TEST(regions_that_make_no_sense_are_refused)
{
	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_EQ(send_region(0, RAM, FRONT_USER, 0), 0);
	CHECK_EQ(send_region(RAM, 0, 1ull << 50, 0), 1);
	CHECK_EQ(send_region(RAM, RAM + 1, 1ull << 50, 0), 1);
	CHECK_EQ(send_region(RAM, RAM, 1ull << 50, 1), 1);
	CHECK_EQ(send_region(RAM, 4096, 1ull << 50, UINT64_MAX - 1000), 1);
	CHECK_EQ(send_region(UINT64_MAX - 4095, 8192, 1ull << 50, 0), 1);
	CHECK_EQ(send_region(RAM, 8192, UINT64_MAX - 4095, 0), 1);
	CHECK_EQ(send_region(RAM - 1, 4096, 1ull << 50, 0), 1);
	CHECK_EQ(send_region(RAM, 4096, FRONT_USER + 4096, 0), 1);
	CHECK_EQ(send_region(RAM, 4096, 1ull << 50, 100), 0);
	CHECK_EQ(end(), 0);
}

static int take_region_away(uint64_t gpa, uint64_t size, uint64_t user)
{
	struct vhost_user_one_region one = { 0, { gpa, size, user, 0 } };
	struct vhost_user_message message;
	int err = front_end_send(&front, VHOST_USER_REM_MEM_REG, VHOST_USER_NEED_REPLY, &one,
				 sizeof(one), &front.memory_fd, 1);

	if (!err)
		err = front_end_receive(&front, &message);
	return err ? err : message.u64 != 0;
}

TEST(memory_that_may_never_answer_is_refused)
{
	struct mute mute;
	int memory_fd;

	mute_mount(&mute);
	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	memory_fd = front.memory_fd;
	front.memory_fd = mute.fd;
	CHECK_EQ(send_region(0, RAM, FRONT_USER, 0), 1);
	front.memory_fd = memory_fd;
	/* Nor does anybody wait for its end. */
	CHECK_EQ(send_region(0, RAM, FRONT_USER, 0), 0);
	CHECK_EQ(end(), 0);
	CHECK(mute_is_there(&mute));
	mute_end(&mute);
}

TEST(a_region_is_taken_away_by_all_of_its_numbers)
{
	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_EQ(send_region(0, RAM, FRONT_USER, 0), 0);
	CHECK_EQ(take_region_away(0, 4096, FRONT_USER), 1);
	CHECK_EQ(take_region_away(4096, RAM, FRONT_USER), 1);
	CHECK_EQ(take_region_away(0, RAM, FRONT_USER + 4096), 1);
	CHECK_EQ(send_region(0, RAM, FRONT_USER + 4096, 0), 1);
	CHECK_EQ(take_region_away(0, RAM, FRONT_USER), 0);
	CHECK_EQ(take_region_away(0, RAM, FRONT_USER), 1);
	CHECK_EQ(send_region(0, RAM, FRONT_USER, 0), 0);
	CHECK_EQ(end(), 0);
}

/* A front end that says all of its memory for each of its queues takes it away as often. */
TEST(a_region_may_be_added_twice)
{
	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_EQ(send_region(0, RAM, FRONT_USER, 0), 0);
	CHECK_EQ(send_region(0, RAM, FRONT_USER, 0), 0);
	CHECK_OK(front_end_start_ring(&front, 0));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(take_region_away(0, RAM, FRONT_USER), 0);
	CHECK_EQ(take_region_away(0, RAM, FRONT_USER), 0);
	CHECK_EQ(end(), 0);
}

TEST(a_table_with_fewer_fds_than_regions_is_refused)
{
	struct vhost_user_mem_table table = {
		.nr = 2,
		.regions = { { 0, RAM, FRONT_USER, 0 }, { RAM, RAM, 1ull << 50, 0 } },
	};

	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_MEM_TABLE, 0, &table, sizeof(table),
				&front.memory_fd, 1));
	is_refused("regions, with 1 fds");
	connect_pair();
	table.nr = UINT32_MAX;
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_MEM_TABLE, 0, &table, sizeof(table),
				&front.memory_fd, 1));
	is_refused("regions, with 1 fds");
}

/* ---- hostile rings ------------------------------------------------------------------------ */

static void start_at(uint64_t desc, uint64_t used, uint32_t num)
{
	struct vhost_user_vring_state state = { 0, num };
	struct vhost_user_vring_addr addr = {
		.desc = desc,
		.avail = FRONT_USER + 16384,
		.used = used,
	};
	uint64_t number = 0;

	open_device();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	front_end_send(&front, VHOST_USER_SET_VRING_NUM, 0, &state, sizeof(state), NULL, 0);
	front_end_send(&front, VHOST_USER_SET_VRING_ADDR, 0, &addr, sizeof(addr), NULL, 0);
	front_end_send(&front, VHOST_USER_SET_VRING_KICK, 0, &number, sizeof(number),
		       &front.rings[0].kick_fd, 1);
	state.num = 1;
	front_end_send(&front, VHOST_USER_SET_VRING_ENABLE, 0, &state, sizeof(state), NULL, 0);
}

TEST(a_ring_that_is_not_in_memory_is_refused)
{
	start_at(FRONT_USER - 16, FRONT_USER + 32768, 256);
	is_refused("not in the front end's memory");
	start_at(FRONT_USER, FRONT_USER + RAM - 4, 256);
	is_refused("not in the front end's memory");
	start_at(FRONT_USER + 8, FRONT_USER + 32768, 256);
	is_refused("cannot run");
	start_at(FRONT_USER, FRONT_USER + 32768, 255);
	is_refused("cannot run");
	start_at(FRONT_USER, FRONT_USER + 32768, 65536);
	is_refused("not 1 to");
	start_at(FRONT_USER, FRONT_USER + 32768, 0);
	is_refused("not 1 to");
}

TEST(a_queue_that_there_is_not_is_refused)
{
	struct vhost_user_vring_state state = { 2, 1 };
	uint64_t number = 2;

	open_device();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_VRING_NUM, 0, &state, sizeof(state), NULL,
				0));
	is_refused("queue 2; there are 2");
	connect_pair();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_VRING_CALL, 0, &number, sizeof(number),
				&front.rings[0].call_fd, 1));
	is_refused("queue 2; there are 2");
}

TEST(what_is_no_eventfd_is_refused)
{
	uint64_t number = 0;

	open_device();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_VRING_KICK, 0, &number, sizeof(number),
				&front.memory_fd, 1));
	is_refused("no eventfd");
	connect_pair();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_VRING_CALL, 0, &number, sizeof(number), NULL,
				0));
	is_refused("eventfd is missing");
}

/* Whoever writes to it would sleep, and takes nobody with it. */
TEST(a_full_interrupt_holds_nobody_up)
{
	eventfd_t count;

	begin();
	/* A ring that starts interrupts once. */
	CHECK_EQ(poll(&(struct pollfd){ front.rings[0].call_fd, POLLIN, 0 }, 1, TEST_HANG_MS), 1);
	CHECK_OK(eventfd_read(front.rings[0].call_fd, &count));
	CHECK_OK(fcntl(front.rings[0].call_fd, F_SETFL, 0));
	CHECK_OK(eventfd_write(front.rings[0].call_fd, UINT64_MAX - 1));
	/* Each answer wants an interrupt. */
	front.rings[0].next_avail = 0;
	post(VIRTIO_BLK_T_IN, 0, DATA, 4096, 1);
	front.rings[0].avail->ring[FRONT_RING_SIZE] = 0;
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(end(), 0);
}

static int needs_reset(void *arg)
{
	uint64_t status;

	(void)arg;
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
	return (status & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

static void breaks(void)
{
	uint64_t number = 0;
	int err = eventfd(0, EFD_CLOEXEC);

	CHECK_OK(front_end_send(&front, VHOST_USER_SET_VRING_ERR, 0, &number, sizeof(number), &err,
				1));
	front_ring_kick(&front.rings[0]);
	eventfd_write(front.rings[0].kick_fd, 1);
	test_wait(needs_reset, NULL, TEST_HANG_MS);
	CHECK(poll(&(struct pollfd){ err, POLLIN, 0 }, 1, TEST_HANG_MS) == 1);
	CHECK_EQ(front.rings[0].used->idx, 0);
	CHECK_EQ(end(), 0);
	front_end_clean(&front);
	blk_close(&blk);
}

TEST(a_request_that_makes_no_sense_stops_its_queue)
{
	/* Shorter than its header. */
	begin();
	front.rings[0].desc[0] = (struct vas_virtq_desc){ HEADER, 8, 0, 0 };
	front.rings[0].avail->idx = 1;
	breaks();
	/* Nowhere to write the status. */
	begin();
	front.rings[0].desc[0] = (struct vas_virtq_desc){ HEADER, 64, 0, 0 };
	front.rings[0].avail->idx = 1;
	breaks();
	/* Data outside of memory. */
	begin();
	front_ring_post(&front.rings[0], 0, HEADER, RAM, 4096, 1, STATUS);
	breaks();
	begin();
	front_ring_post(&front.rings[0], 0, HEADER, RAM - 2048, 4096, 1, STATUS);
	breaks();
	/* A status, and a header, outside of it. */
	begin();
	front_ring_post(&front.rings[0], 0, HEADER, DATA, 4096, 1, 1ull << 40);
	breaks();
	begin();
	front_ring_post(&front.rings[0], 0, UINT64_MAX - 8, DATA, 4096, 1, STATUS);
	breaks();
	/* A chain that goes round. */
	begin();
	front.rings[0].desc[0] = (struct vas_virtq_desc){ HEADER, 16, VAS_VIRTQ_DESC_NEXT, 0 };
	front.rings[0].avail->idx = 1;
	breaks();
}

/* ---- config and features ------------------------------------------------------------------ */

TEST(the_config_space_ends_in_zeros)
{
	struct vhost_user_config config = { .offset = 0, .size = 256 };
	struct vhost_user_message message;
	struct virtio_blk_config got;

	open_device();
	memset(config.bytes, 0xff, sizeof(config.bytes));
	CHECK_OK(
		front_end_send(&front, VHOST_USER_GET_CONFIG, 0, &config, sizeof(config), NULL, 0));
	CHECK_OK(front_end_receive(&front, &message));
	CHECK_EQ(message.size, sizeof(config));
	memcpy(&got, message.config.bytes, sizeof(got));
	CHECK_EQ(got.capacity, DISK / 512);
	CHECK_EQ(got.num_queues, 2);
	for (size_t i = sizeof(got); i < 256; i++)
		CHECK_EQ(message.config.bytes[i], 0);
	/* Too much, or behind its end: an empty answer says that it failed. */
	config.size = UINT32_MAX;
	CHECK_OK(front_end_send(&front, VHOST_USER_GET_CONFIG, 0, &config, 12, NULL, 0));
	CHECK_OK(front_end_receive(&front, &message));
	CHECK_EQ(message.size, 0);
	config.size = 16;
	config.offset = UINT32_MAX - 4;
	CHECK_OK(front_end_send(&front, VHOST_USER_GET_CONFIG, 0, &config, 12, NULL, 0));
	CHECK_OK(front_end_receive(&front, &message));
	CHECK_EQ(message.size, 0);
	CHECK_EQ(end(), 0);
}

static uint64_t capacity(void)
{
	struct vhost_user_config config = { .size = 8 };
	struct vhost_user_message message;
	uint64_t sectors;

	CHECK_OK(front_end_send(&front, VHOST_USER_GET_CONFIG, 0, &config, 20, NULL, 0));
	CHECK_OK(front_end_receive(&front, &message));
	memcpy(&sectors, message.config.bytes, sizeof(sectors));
	return sectors;
}

/* The front end is told that a disk has another size, and what is there now can be used. */
TEST(a_disk_may_grow_and_shrink)
{
	struct vhost_user_message message;
	int pair[2], fd;

	use_file("sync");
	fd = open(options.disk.path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);

	vhost_user.look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	begin();
	unlink(options.disk.path);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_BACKEND_REQ_FD, 0, NULL, 0, &pair[1], 1));
	CHECK_EQ(capacity(), DISK / 512);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK / 512, 4096, 1), VIRTIO_BLK_S_IOERR);
	for (int times = 2; times >= 1; times--) {
		CHECK_OK(ftruncate(fd, times * (off_t)DISK));
		CHECK_OK(eventfd_write(vhost_user.look_fd, 1));
		CHECK_EQ(recv(pair[0], &message.request, VHOST_USER_HEADER, MSG_WAITALL),
			 VHOST_USER_HEADER);
		CHECK_EQ(message.request, VHOST_USER_BACKEND_CONFIG_CHANGE);
		CHECK_EQ(message.flags, VHOST_USER_VERSION);
		CHECK_EQ(message.size, 0);
		CHECK_EQ(capacity(), (uint64_t)times * DISK / 512);
		CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK / 512, 4096, 1),
			 times == 2 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
	}
	/* The same size is no news. */
	CHECK_OK(eventfd_write(vhost_user.look_fd, 1));
	CHECK_EQ(capacity(), DISK / 512);
	CHECK_EQ(recv(pair[0], &message.request, 1, MSG_DONTWAIT), -1);
	CHECK_EQ(end(), 0);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

TEST(a_socket_for_requests_is_one)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	open_device();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_BACKEND_REQ_FD, 0, NULL, 0, &fd, 1));
	is_refused("no Unix stream socket");
	connect_pair();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_BACKEND_REQ_FD, 0, NULL, 0, NULL, 0));
	is_refused("no Unix stream socket");
	close(fd);
}

TEST(features_that_were_not_offered_are_refused)
{
	uint64_t features = 1ull << 63;

	open_device();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_FEATURES, 0, &features, 8, NULL, 0));
	is_refused("features that were not offered");
	connect_pair();
	CHECK_OK(
		front_end_send(&front, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &features, 8, NULL, 0));
	is_refused("features that were not offered");
}

TEST(a_reset_device_serves_nothing)
{
	uint64_t status = 0;
	uint32_t base;

	begin();
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_STATUS, 0, &status, 8, NULL, 0));
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
	CHECK_EQ(status, 0);
	/* QEMU 7.2 asks after the reset. */
	CHECK_OK(front_end_stop_ring(&front, 0, &base));
	CHECK_EQ(base, 1);
	post(VIRTIO_BLK_T_IN, 0, DATA, 4096, 1);
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
	CHECK_EQ(front.ram[STATUS], 0xff);
	CHECK_OK(front_end_start_ring(&front, 0));
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(end(), 0);
}

/* The disk is free while no queue runs: a guest stops on one device, and goes on on another. */
TEST(a_disk_is_locked_while_a_queue_runs)
{
	struct disk other;
	uint32_t base;

	use_file("sync");
	begin();
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_OK(disk_open(&other, &options.disk));
	CHECK_EQ(disk_lock(&other), -EBUSY);
	CHECK_HAS(vas_error(), "another process has it in use");
	CHECK_OK(front_end_stop_ring(&front, 0, &base));
	CHECK_OK(disk_lock(&other));
	disk_close(&other);
	CHECK_EQ(end(), 0);
	unlink(options.disk.path);
}

/* ---- memory that is a vas ------------------------------------------------------------------ */

static struct vas *vas;

static void begin_in_vas(uint64_t region_size)
{
	struct vas_options vas_options = { .limit = RAM, .name = "guest" };
	struct vas_region region = { .size = region_size, .name = "ram" };

	CHECK_OK(vas_create(&vas_options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(blk_open(&blk, &options));
	CHECK_OK(front_end_init_at(&front, dup(vas_fd(vas)), RAM));
	connect_pair();
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(front_end_send_memory(&front));
	CHECK_OK(front_end_start_ring(&front, 0));
}

static uint32_t nr_binders(void)
{
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	return info.nr_binders;
}

TEST(a_device_whose_memory_is_a_vas_freezes_with_it)
{
	struct vas_blocker blocker;
	uint8_t copy[4096];

	begin_in_vas(RAM);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(nr_binders(), 2);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
	memset(front.ram + DATA, 0x77, sizeof(copy));
	memcpy(copy, front.ram + DATA, sizeof(copy));
	post(VIRTIO_BLK_T_IN, 0, DATA, 4096, 1);
	poll(NULL, 0, 50);
	CHECK_MEM(front.ram + DATA, copy, sizeof(copy));
	CHECK_EQ(front.ram[STATUS], 0xff);
	CHECK_OK(vas_thaw(vas));
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(front.ram[STATUS], VIRTIO_BLK_S_OK);
	CHECK_OK(end());
	CHECK_EQ(nr_binders(), 1);
	vas_destroy(vas);
}

TEST(what_it_writes_to_a_vas_is_in_the_log_of_that)
{
	const struct vas_dirty_word *words;
	struct vas_tracker *tracker;
	bool is_marked = false;
	uint64_t at = 0;
	ssize_t nr;

	begin_in_vas(RAM);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_OK(vas_tracker_begin(tracker));
	while (at < RAM) {
		nr = vas_tracker_harvest(tracker, &at, RAM, 16, &words);
		CHECK(nr >= 0);
		for (ssize_t i = 0; i < nr; i++)
			is_marked |= words[i].gpa == (DATA & ~0x3ffffull) &&
				     words[i].bits >> (DATA - words[i].gpa) / 4096 & 1;
	}
	CHECK(is_marked);
	vas_tracker_detach(tracker);
	CHECK_OK(end());
	vas_destroy(vas);
}

/* Its table has more than the vas has there: it is served as any, and takes no part. */
TEST(memory_that_is_not_all_of_a_vas_is_no_part_of_it)
{
	begin_in_vas(RAM / 2);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, 4096, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(nr_binders(), 1);
	CHECK_OK(end());
	vas_destroy(vas);
}
