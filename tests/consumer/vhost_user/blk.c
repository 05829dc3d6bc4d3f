// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Disks that other processes serve: qemu-storage-daemon's, and ours. A driver writes and reads blocks
 * all the time, each with a pattern of its own, while its owner does what owners do.
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vas/dirty.h>
#include <vas/vas.h>
#include <vas/vhost_user.h>

#include "tests/device/front_end.h"
#include "tests/harness.h"

#define PAGE	    4096ull
#define QSD	    "/usr/bin/qemu-storage-daemon"
#define RAM	    (4ull << 20) /* the ring, headers, statuses, and blocks */
#define MORE	    (16ull << 20)
#define LIMIT	    (64ull << 20)
#define BLOCK	    4096u
#define DISK_SIZE   (16u << 20)
#define CONFIG_SIZE 60u /* as much as qemu-storage-daemon 7.2 knows of it */
#define DEPTH	    32u /* slots; each has a part of the disk for itself */
#define HEADERS	    FRONT_DATA
#define STATUSES    (FRONT_DATA + PAGE)
#define BLOCKS	    (FRONT_DATA + 2 * PAGE)

enum peer { PEER_VAS, PEER_QSD };

static char folder[] = "/dev/shm/vas-front-XXXXXX";
static char disk_path[64], sock_path[64];
static enum peer peer;
static pid_t pid;

static struct vas *vas;
static struct vas_vhost_user *front;
static uint8_t *ram;
static struct front_ring ring;

/* ---- the back end's process ------------------------------------------------------------------ */

static void exec_peer(void)
{
	char word[3][256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (peer == PEER_VAS) {
		snprintf(word[0], sizeof(word[0]), "--path=%s", disk_path);
		snprintf(word[1], sizeof(word[1]), "--vhost-user=%s", sock_path);
		execl(getenv("VAS"), "vas", "device", "blk", word[0], word[1], NULL);
	} else {
		snprintf(word[0], sizeof(word[0]), "driver=file,node-name=disk,filename=%s",
			 disk_path);
		snprintf(word[1], sizeof(word[1]),
			 "type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,"
			 "addr.path=%s",
			 sock_path);
		execl(QSD, "qsd", "--blockdev", word[0], "--export", word[1], NULL);
	}
	_exit(127);
}

static int is_connected(void *arg)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int *sock = arg;

	strcpy(address.sun_path, sock_path);
	*sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!connect(*sock, (struct sockaddr *)&address, sizeof(address)))
		return 1;
	close(*sock);
	return 0;
}

static int start_peer(void)
{
	int sock;

	unlink(sock_path);
	pid = fork();
	if (!pid)
		exec_peer();
	test_wait(is_connected, &sock, TEST_HANG_MS);
	return sock;
}

static void kill_peer(void)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- the guest ------------------------------------------------------------------------------- */

static void make_vas(void)
{
	const struct vas_options options = { .limit = LIMIT, .name = "guest", .max_regions = 64 };
	struct vas_region region = { .size = RAM, .name = "ram" };

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	ram = mmap(NULL, LIMIT, PROT_READ | PROT_WRITE, MAP_SHARED, vas_backing_fd(vas, 0), 0);
	CHECK(ram != MAP_FAILED);
}

static struct vas_virtio_server *server(void)
{
	return vas_vhost_user_server(front);
}

static void start_queue(void)
{
	const struct vas_virtio_queue queue = {
		.size = FRONT_RING_SIZE,
		.driver = 16384,
		.device = 32768,
		.kick_fd = ring.kick_fd,
		.call_fd = ring.call_fd,
	};

	CHECK_OK(server()->ops->start(server(),
				      server()->features & (1ull << VIRTIO_F_VERSION_1 |
							    1ull << VIRTIO_RING_F_EVENT_IDX)));
	CHECK_OK(server()->ops->queue_start(server(), 0, &queue));
}

static void begin(enum peer which)
{
	const struct vas_vhost_user_options options = {
		.name = "disk",
		.device_id = VIRTIO_ID_BLOCK,
		.nr_queues = 1,
		.config_size = CONFIG_SIZE,
		.timeout_ns = TEST_HANG_NS,
	};
	int fd, sock;

	peer = which;
	if (peer == PEER_QSD && access(QSD, X_OK))
		test_skip("qemu-storage-daemon is not installed");
	CHECK(mkdtemp(folder));
	snprintf(disk_path, sizeof(disk_path), "%s/disk", folder);
	snprintf(sock_path, sizeof(sock_path), "%s/sock", folder);
	fd = open(disk_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK_OK(ftruncate(fd, DISK_SIZE));
	close(fd);
	make_vas();
	sock = start_peer();
	CHECK_OK(vas_vhost_user_attach(vas, sock, &options, &front));
	close(sock);
	ring = (struct front_ring){
		.desc = (void *)ram,
		.avail = (void *)(ram + 16384),
		.used = (void *)(ram + 32768),
		.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	start_queue();
}

static void finish(void)
{
	vas_vhost_user_detach(front);
	kill_peer();
	unlink(disk_path);
	unlink(sock_path);
	rmdir(folder);
	munmap(ram, LIMIT);
	vas_destroy(vas);
}

/* ---- the driver ------------------------------------------------------------------------------ */

static struct slot {
	uint64_t gpa; /* of its block */
	int writes;
	uint64_t block; /* of the disk */
	uint8_t seed;
} slots[DEPTH];

static uint64_t nr_done;
static int driver_ends;
static uint64_t more_gpa; /* other memory for slot 0, or 0 */

static uint8_t pattern(uint8_t seed, uint32_t at)
{
	return (uint8_t)(seed + at * 7 + at / 256);
}

static void post(uint32_t at)
{
	struct virtio_blk_outhdr *header = (void *)(ram + HEADERS + 16 * at);
	struct slot *slot = &slots[at];
	uint32_t i;

	if (slot->writes)
		for (i = 0; i < BLOCK; i++)
			ram[slot->gpa + i] = pattern(slot->seed, i);
	else
		memset(ram + slot->gpa, 0, BLOCK);
	header->type = slot->writes ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	header->sector = slot->block * (BLOCK / 512);
	ram[STATUSES + at] = 0xff;
	front_ring_post(&ring, (uint16_t)at, HEADERS + 16 * at, slot->gpa, BLOCK, !slot->writes,
			STATUSES + at);
}

/* A block is written, read, and the next one is written. */
static void answered(uint32_t at)
{
	struct slot *slot = &slots[at];
	uint64_t more = __atomic_load_n(&more_gpa, __ATOMIC_ACQUIRE);
	uint32_t i;

	CHECK_EQ(ram[STATUSES + at], VIRTIO_BLK_S_OK);
	for (i = 0; !slot->writes && i < BLOCK; i++)
		CHECK_EQ(ram[slot->gpa + i], pattern(slot->seed, i));
	if (!slot->writes) {
		slot->seed += 3;
		slot->block = slot->block % DEPTH + (slot->block / DEPTH + 1) % 64 * DEPTH;
	}
	slot->writes = !slot->writes;
	slot->gpa = !at && more ? more : BLOCKS + at * BLOCK;
}

static void *drive(void *arg)
{
	uint32_t at, under_way = DEPTH;
	int slot;

	(void)arg;
	for (at = 0; at < DEPTH; at++) {
		slots[at] = (struct slot){ BLOCKS + at * BLOCK, 1, at, (uint8_t)(17 * at) };
		post(at);
	}
	front_ring_kick(&ring);
	while (under_way) {
		slot = front_ring_take(&ring);
		if (slot < 0) {
			usleep(100);
			continue;
		}
		answered((uint32_t)slot);
		__atomic_fetch_add(&nr_done, 1, __ATOMIC_RELEASE);
		if (__atomic_load_n(&driver_ends, __ATOMIC_ACQUIRE))
			under_way--;
		else
			post((uint32_t)slot);
		front_ring_kick(&ring);
	}
	return NULL;
}

static pthread_t driver;

static void drive_begin(void)
{
	CHECK_OK(pthread_create(&driver, NULL, drive, NULL));
}

struct wish {
	int (*is_true)(void *arg);
	void *arg;
};

static int is_served(void *arg)
{
	const struct wish *wish = arg;

	CHECK_OK(vas_vhost_user_serve(front));
	return wish->is_true(wish->arg);
}

/* As a VMM's loop does that watches vas_vhost_user_fd(): a back end may be late for a thaw. */
static void serve_until(int (*is_true)(void *arg), void *arg)
{
	struct wish wish = { is_true, arg };

	test_wait(is_served, &wish, TEST_HANG_MS);
}

static int is_further(void *arg)
{
	return __atomic_load_n(&nr_done, __ATOMIC_ACQUIRE) >= *(uint64_t *)arg;
}

static void serve_answers(uint64_t nr)
{
	uint64_t until = __atomic_load_n(&nr_done, __ATOMIC_ACQUIRE) + nr;

	serve_until(is_further, &until);
}

static int driver_has_ended(void *arg)
{
	(void)arg;
	return !pthread_tryjoin_np(driver, NULL);
}

static void drive_end(void)
{
	__atomic_store_n(&driver_ends, 1, __ATOMIC_RELEASE);
	serve_until(driver_has_ended, NULL);
}

/* Each slot has been answered some times. */
static void let_it_run(void)
{
	serve_answers(8 * DEPTH);
}

/* ---- what owners do -------------------------------------------------------------------------- */

static int slot_is_elsewhere(void *arg)
{
	(void)arg;
	return __atomic_load_n(&slots[0].gpa, __ATOMIC_ACQUIRE) == BLOCKS;
}

static int slot_is_there(void *arg)
{
	(void)arg;
	return __atomic_load_n(&slots[0].gpa, __ATOMIC_ACQUIRE) == MORE;
}

/* Memory is plugged, used by the driver, and unplugged when it has let go of it. */
static void change_layout(void)
{
	const struct vas_region region = {
		.gpa = MORE, .size = 1 << 20, .offset = MORE, .name = "more"
	};
	struct vas_layout *layout;
	uint64_t id;

	CHECK_OK(vas_region_add(vas, &region, &id));
	__atomic_store_n(&more_gpa, MORE, __ATOMIC_RELEASE);
	serve_until(slot_is_there, NULL);
	let_it_run();
	__atomic_store_n(&more_gpa, 0, __ATOMIC_RELEASE);
	serve_until(slot_is_elsewhere, NULL);
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
}

/* A back end that is late has not begun when vas_thaw() returns. */
static void freeze_and_thaw(bool is_late)
{
	uint16_t used;

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	used = __atomic_load_n(&ring.used->idx, __ATOMIC_ACQUIRE);
	usleep(20000);
	CHECK_EQ(__atomic_load_n(&ring.used->idx, __ATOMIC_ACQUIRE), used);
	if (is_late)
		kill(pid, SIGSTOP);
	CHECK_OK(vas_thaw(vas));
	kill(pid, SIGCONT);
}

static void under_load(enum peer which)
{
	begin(which);
	drive_begin();
	for (int i = 0; i < 20; i++) {
		test_note("round %d", i);
		let_it_run();
		change_layout();
		freeze_and_thaw(i % 4 == 3);
	}
	drive_end();
	CHECK_OK(vas_vhost_user_status(front));
	finish();
}

TEST(layouts_change_and_freezes_pass_while_qemu_storage_daemon_serves_a_disk)
{
	under_load(PEER_QSD);
}

TEST(layouts_change_and_freezes_pass_while_vas_device_serves_a_disk)
{
	under_load(PEER_VAS);
}

/* ---- the dirty log --------------------------------------------------------------------------- */

static uint64_t dirty_bits(struct vas_tracker *tracker, uint64_t page)
{
	const struct vas_dirty_word *words;
	uint64_t gpa = 0, bits = 0;
	ssize_t nr, i;

	CHECK_OK(vas_tracker_begin(tracker));
	while (gpa < LIMIT) {
		nr = vas_tracker_harvest(tracker, &gpa, LIMIT, 64, &words);
		CHECK(nr >= 0);
		for (i = 0; i < nr; i++)
			if (words[i].gpa == page / 64 * 64 * PAGE)
				bits |= words[i].bits;
	}
	CHECK_OK(vas_tracker_commit(tracker));
	return bits >> page % 64;
}

static int slot_was_answered(void *arg)
{
	(void)arg;
	return front_ring_take(&ring) >= 0;
}

static void one_request(uint32_t at, int writes)
{
	slots[at] = (struct slot){ BLOCKS + at * BLOCK, writes, at, 5 };
	post(at);
	front_ring_kick(&ring);
	test_wait(slot_was_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(ram[STATUSES + at], VIRTIO_BLK_S_OK);
}

static void what_is_written_is_logged(enum peer which)
{
	struct vas_tracker *tracker;

	begin(which);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	one_request(3, 1);
	dirty_bits(tracker, 0);
	CHECK(!(dirty_bits(tracker, BLOCKS / PAGE) & 0xff));
	one_request(5, 0);
	/* The block that was read, and of the others none. */
	CHECK_EQ(dirty_bits(tracker, BLOCKS / PAGE) & 0xff, 1u << 5);
	one_request(6, 0);
	CHECK(dirty_bits(tracker, 32768 / PAGE) & 1); /* the used ring */
	vas_tracker_detach(tracker);
	one_request(3, 0);
	finish();
}

TEST(what_qemu_storage_daemon_writes_is_dirty)
{
	what_is_written_is_logged(PEER_QSD);
}

TEST(what_vas_device_writes_is_dirty)
{
	what_is_written_is_logged(PEER_VAS);
}

/* ---- death ----------------------------------------------------------------------------------- */

static void connect_successor(void)
{
	int sock = start_peer();

	CHECK_OK(vas_vhost_user_connect(front, sock));
	close(sock);
}

/* What was under way is in the file of requests in flight, and is answered once. */
TEST(a_back_end_is_killed_under_load_and_its_successor_goes_on)
{
	begin(PEER_VAS);
	drive_begin();
	for (int i = 0; i < 20; i++) {
		test_note("round %d", i);
		let_it_run();
		kill_peer();
		while (!vas_vhost_user_serve(front))
			usleep(1000);
		if (i % 2)
			CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
		connect_successor();
		if (i % 2)
			CHECK_OK(vas_thaw(vas));
		serve_answers(1);
	}
	drive_end();
	finish();
}

/* It keeps no such file: so this one dies between two requests. */
TEST(an_idle_qemu_storage_daemon_has_a_successor)
{
	begin(PEER_QSD);
	for (int i = 0; i < 5; i++) {
		one_request(3, 1);
		kill_peer();
		connect_successor();
		one_request(3, 0);
		CHECK_EQ(ram[BLOCKS + 3 * BLOCK + 9], pattern(5, 9));
	}
	finish();
}
