// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A block device behind a vhost-user connection, and a guest's IOMMU between it and memory: what it
 * reaches, what it asks for, and what a front end cannot do to it.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/iommu.h>
#include <vas/vas.h>

#include "device/blk/blk.h"
#include "device/vhost_user/session.h"
#include "harness.h"
#include "tests/device/front_end.h"

#define PAGE	 4096ull
#define DISK	 (1u << 20)
#define RAM	 (4ull << 20)
#define NR_PAGES (RAM / PAGE)
#define RW	 (VAS_IOMMU_READ | VAS_IOMMU_WRITE)

/* Where the guest has things, as its device sees them. */
#define HEADER (FRONT_IOVA + FRONT_DATA)
#define STATUS (FRONT_IOVA + FRONT_DATA + PAGE)
#define DATA   (FRONT_IOVA + FRONT_DATA + 2 * PAGE)

struct miss {
	uint32_t request, flags, size;
	struct vhost_user_iotlb iotlb;
} __attribute__((packed));

struct reply {
	uint32_t request, flags, size;
	uint64_t u64;
} __attribute__((packed));

/* The guest's table: of each page from FRONT_IOVA on, the gpa and what is allowed there. */
static struct {
	uint64_t gpa;
	uint8_t prot; /* 0: it is not mapped */
} pages[NR_PAGES];

static struct blk_options options = {
	.disk = { .kind = DISK_MEMORY, .size = DISK },
	.nr_queues = 2,
	.queue_size = FRONT_RING_SIZE,
};
static struct vhost_user_options vhost_user = { .look_fd = -1 };
static struct blk blk;
static struct front_end front;
static pthread_t server;
static int server_sock, request_sock;
static char server_error[256];
static uint32_t nr_misses, nr_faults;
static bool is_silent;

/* ---- both sides --------------------------------------------------------------------------- */

static void *serve(void *arg)
{
	int err = vhost_user_serve(server_sock, -1, &blk.device, &vhost_user);

	(void)arg;
	snprintf(server_error, sizeof(server_error), "%s", err ? vas_error() : "");
	close(server_sock);
	return (void *)(intptr_t)err;
}

/* As the guest's driver maps all of it: the pages of its data lie in memory in another order. */
static void fill_table(void)
{
	uint64_t i, first = FRONT_DATA / PAGE;

	for (i = 0; i < NR_PAGES; i++) {
		pages[i].gpa = (i < first + 2 ? i : NR_PAGES - 1 - (i - first - 2)) * PAGE;
		pages[i].prot = RW;
	}
}

static void connect_pair(void)
{
	int pair[2], requests[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, requests));
	front.sock = pair[0];
	server_sock = pair[1];
	request_sock = requests[0];
	CHECK_OK(pthread_create(&server, NULL, serve, NULL));
	CHECK_OK(front_end_negotiate(&front, 0));
	CHECK_OK(
		front_end_send(&front, VHOST_USER_SET_BACKEND_REQ_FD, 0, NULL, 0, &requests[1], 1));
	close(requests[1]);
	CHECK_OK(front_end_send_memory(&front));
}

static void begin(void)
{
	fill_table();
	CHECK_OK(blk_open(&blk, &options));
	CHECK_OK(front_end_init(&front, RAM));
	front.has_iommu = true;
	connect_pair();
	CHECK_OK(front_end_start_ring(&front, 0));
}

static int end(void)
{
	void *result;

	shutdown(front.sock, SHUT_RDWR);
	CHECK_OK(pthread_join(server, &result));
	close(front.sock);
	close(request_sock);
	front.sock = -1;
	return (int)(intptr_t)result;
}

/* It ends by itself. */
static void is_refused(const char *why)
{
	void *result;

	CHECK_OK(pthread_join(server, &result));
	CHECK((intptr_t)result < 0);
	CHECK_HAS(server_error, why);
}

/* ---- the front end ------------------------------------------------------------------------ */

/* What the device's side says to it: 0, or 1 for no. */
static uint64_t tell(const struct vhost_user_iotlb *iotlb)
{
	struct vhost_user_message message;

	CHECK_OK(front_end_send(&front, VHOST_USER_IOTLB_MSG, VHOST_USER_NEED_REPLY, iotlb,
				sizeof(*iotlb), NULL, 0));
	CHECK_OK(front_end_receive(&front, &message));
	CHECK_EQ(message.request, VHOST_USER_IOTLB_MSG);
	return message.u64;
}

static uint64_t update(uint64_t iova, uint64_t size, uint64_t gpa, uint8_t prot)
{
	const struct vhost_user_iotlb iotlb = {
		iova, size, FRONT_USER + gpa, prot, VHOST_USER_IOTLB_UPDATE, { 0 }
	};

	return tell(&iotlb);
}

static uint64_t invalidate(uint64_t iova, uint64_t size)
{
	const struct vhost_user_iotlb iotlb = {
		iova, size, 0, 0, VHOST_USER_IOTLB_INVALIDATE, { 0 }
	};

	return tell(&iotlb);
}

static void reply(uint64_t result)
{
	const struct reply message = { VHOST_USER_BACKEND_IOTLB_MSG,
				       VHOST_USER_VERSION | VHOST_USER_IS_REPLY, 8, result };

	CHECK_EQ(write(request_sock, &message, sizeof(message)), sizeof(message));
}

static bool is_miss_there(void)
{
	struct pollfd fd = { .fd = request_sock, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

static struct miss take_miss(void)
{
	struct miss miss;

	CHECK_EQ(recv(request_sock, &miss, sizeof(miss), MSG_WAITALL), sizeof(miss));
	CHECK_EQ(miss.request, VHOST_USER_BACKEND_IOTLB_MSG);
	CHECK_EQ(miss.size, sizeof(miss.iotlb));
	nr_misses += miss.iotlb.type == VHOST_USER_IOTLB_MISS;
	nr_faults += miss.iotlb.type == VHOST_USER_IOTLB_ACCESS_FAIL;
	return miss;
}

/* Who looks while an update is being taken in may ask for that page once more. */
static void have_missed(uint32_t nr)
{
	CHECK(nr_misses >= nr);
	CHECK(nr_misses <= nr + 2);
}

static void reply_if_asked(const struct miss *miss, uint64_t result)
{
	if (miss->flags & VHOST_USER_NEED_REPLY)
		reply(result);
}

/* As QEMU does: the update first, then the reply. */
static void answer(const struct miss *miss)
{
	uint64_t page = (miss->iotlb.iova - FRONT_IOVA) / PAGE;

	if (page >= NR_PAGES || !(pages[page].prot)) {
		reply_if_asked(miss, 1);
		return;
	}
	CHECK_EQ(update(FRONT_IOVA + page * PAGE, PAGE, pages[page].gpa, pages[page].prot), 0);
	reply_if_asked(miss, 0);
}

static void answer_misses(void)
{
	while (!is_silent && is_miss_there()) {
		struct miss miss = take_miss();

		if (miss.iotlb.type == VHOST_USER_IOTLB_MISS)
			answer(&miss);
	}
}

/* ---- the guest ---------------------------------------------------------------------------- */

static uint8_t *at(uint64_t iova)
{
	uint64_t offset = iova - FRONT_IOVA;

	return front.ram + pages[offset / PAGE].gpa + offset % PAGE;
}

static void post(uint32_t type, uint64_t sector, uint32_t len, int is_written)
{
	struct virtio_blk_outhdr *header = (void *)at(HEADER);

	header->type = type;
	header->sector = sector;
	*at(STATUS) = 0xff;
	front_ring_post(&front.rings[0], 0, HEADER, DATA, len, is_written, STATUS);
	front_ring_kick(&front.rings[0]);
}

static int is_answered(void *arg)
{
	(void)arg;
	answer_misses();
	return front_ring_take(&front.rings[0]) >= 0;
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len, int is_written)
{
	post(type, sector, len, is_written);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	return *at(STATUS);
}

static void fill(uint8_t seed, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		*at(DATA + i) = (uint8_t)(i * 7 + seed + i / 251);
}

static void is_filled(uint8_t seed, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		CHECK_EQ(*at(DATA + i), (uint8_t)(i * 7 + seed + i / 251));
}

static void write_and_read(uint8_t seed, uint32_t len)
{
	fill(seed, len);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 8, len, 0), VIRTIO_BLK_S_OK);
	fill((uint8_t)(seed + 1), len);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 8, len, 1), VIRTIO_BLK_S_OK);
	is_filled(seed, len);
}

/* The device asks for a reset, and nothing is answered any more. */
static int has_broken(void *arg)
{
	uint64_t status = 0;

	(void)arg;
	answer_misses();
	CHECK_OK(front_end_ask(&front, VHOST_USER_GET_STATUS, &status));
	return (status & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

static int has_missed(void *arg)
{
	(void)arg;
	return is_miss_there();
}

/* ---- what works --------------------------------------------------------------------------- */

TEST(a_disk_works_by_iovas_in_whatever_pages_they_are)
{
	begin();
	write_and_read(3, 16 * PAGE);
	/* The ring's three pages, the header's, the status's, the data's. */
	CHECK(nr_misses >= 21);
	write_and_read(4, 16 * PAGE);
	CHECK(nr_misses <= 22);
	CHECK_EQ(end(), 0);
}

TEST(packed_rings_do_too)
{
	fill_table();
	CHECK_OK(blk_open(&blk, &options));
	CHECK_OK(front_end_init(&front, RAM));
	front.has_iommu = front.is_packed = true;
	connect_pair();
	{
		struct vas_packed_desc *ring = (void *)front.ram;
		struct virtio_blk_outhdr *header = (void *)at(HEADER);
		const uint16_t next = VAS_VIRTQ_DESC_NEXT, write = VAS_VIRTQ_DESC_WRITE;

		header->type = VIRTIO_BLK_T_IN;
		memset(at(DATA), 0xee, 512);
		*at(STATUS) = 0xff;
		ring[1] = (struct vas_packed_desc){ DATA, 512, 0,
						    next | write | VAS_PACKED_DESC_AVAIL };
		ring[2] = (struct vas_packed_desc){ STATUS, 1, 9, write | VAS_PACKED_DESC_AVAIL };
		ring[0] = (struct vas_packed_desc){ HEADER, sizeof(*header), 0, next };
		__atomic_store_n(&ring[0].flags, next | VAS_PACKED_DESC_AVAIL, __ATOMIC_RELEASE);
	}
	CHECK_OK(front_end_start_ring(&front, 0));
	while (*(volatile uint8_t *)at(STATUS))
		answer_misses();
	CHECK_EQ(*at(DATA), 0);
	CHECK_EQ(end(), 0);
}

TEST(indirect_tables_are_read_through_it)
{
	struct vas_virtq_desc *table;

	begin();
	post(VIRTIO_BLK_T_IN, 0, 512, 1);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	/* The table lies over two pages, which do not follow each other in memory. */
	table = calloc(3, sizeof(*table));
	memcpy(table, front.rings[0].desc, 3 * sizeof(*table));
	table[0].next = 1;
	table[1].next = 2;
	for (uint32_t i = 0; i < 3 * sizeof(*table); i++)
		*at(DATA + 9 * PAGE - 24 + i) = ((uint8_t *)table)[i];
	free(table);
	memset(at(DATA), 0xee, 512);
	*at(STATUS) = 0xff;
	front.rings[0].desc[5] =
		(struct vas_virtq_desc){ DATA + 9 * PAGE - 24, 48, VAS_VIRTQ_DESC_INDIRECT, 0 };
	front.rings[0].avail->ring[front.rings[0].next_avail++ % FRONT_RING_SIZE] = 5;
	__atomic_store_n(&front.rings[0].avail->idx, front.rings[0].next_avail, __ATOMIC_RELEASE);
	eventfd_write(front.rings[0].kick_fd, 1);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(*at(STATUS), VIRTIO_BLK_S_OK);
	CHECK_EQ(*at(DATA), 0);
	CHECK_EQ(end(), 0);
}

TEST(what_was_invalidated_is_asked_for_again_and_may_be_elsewhere)
{
	uint64_t page = (DATA - FRONT_IOVA) / PAGE, before;

	begin();
	write_and_read(5, PAGE);
	before = pages[page].gpa;
	pages[page].gpa = pages[page + 20].gpa;
	memset(front.ram + before, 0x5a, PAGE);
	CHECK_EQ(invalidate(DATA, PAGE), 0);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 8, PAGE, 1), VIRTIO_BLK_S_OK);
	is_filled(5, PAGE);
	for (uint32_t i = 0; i < PAGE; i++)
		CHECK_EQ(front.ram[before + i], 0x5a);
	CHECK_EQ(end(), 0);
}

/* Whatever the driver's timing: after the invalidation's answer the page is left alone. */
TEST(no_stale_iova_is_written_to)
{
	uint64_t page = (DATA - FRONT_IOVA) / PAGE, old;
	uint64_t spare[2];

	begin();
	spare[0] = pages[page].gpa;
	spare[1] = pages[page + 30].gpa;
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 8, PAGE, 1), VIRTIO_BLK_S_OK);
	for (int round = 0; round < 300; round++) {
		post(VIRTIO_BLK_T_IN, 8, PAGE, 1);
		old = spare[round % 2];
		pages[page].gpa = spare[(round + 1) % 2];
		CHECK_EQ(invalidate(DATA, PAGE), 0);
		memset(front.ram + old, 0x77, PAGE);
		test_wait(is_answered, NULL, TEST_HANG_MS);
		for (uint32_t i = 0; i < PAGE; i++)
			CHECK_EQ(front.ram[old + i], 0x77);
	}
	CHECK_EQ(end(), 0);
}

TEST(a_ring_is_found_again_after_an_invalidation)
{
	uint64_t moved = (RAM / 2) / PAGE * PAGE;
	uint32_t i;

	begin();
	write_and_read(6, PAGE);
	/* All of ring 0 goes elsewhere, and nothing is left where it was. */
	for (i = 0; i < FRONT_RING_SPACE / PAGE; i++)
		pages[i].gpa += moved;
	memcpy(front.ram + moved, front.ram, FRONT_RING_SPACE);
	CHECK_EQ(invalidate(FRONT_IOVA, FRONT_RING_SPACE), 0);
	memset(front.ram, 0xff, FRONT_RING_SPACE);
	front.rings[0].desc = (void *)(front.ram + moved);
	front.rings[0].avail = (void *)(front.ram + moved + 16384);
	front.rings[0].used = (void *)(front.ram + moved + 32768);
	eventfd_write(front.rings[0].kick_fd, 1);
	write_and_read(7, PAGE);
	for (i = 0; i < FRONT_RING_SPACE; i++)
		CHECK_EQ(front.ram[i], 0xff);
	CHECK_EQ(end(), 0);
}

TEST(updates_that_nobody_has_asked_for_are_kept)
{
	begin();
	for (uint64_t i = 0; i < NR_PAGES; i++)
		CHECK_EQ(update(FRONT_IOVA + i * PAGE, PAGE, pages[i].gpa, RW), 0);
	nr_misses = 0;
	write_and_read(8, 4 * PAGE);
	CHECK(nr_misses <= 3); /* of the ring, before */
	CHECK_EQ(end(), 0);
}

TEST(more_updates_than_there_is_room_for_do_no_harm)
{
	begin();
	write_and_read(8, PAGE);
	for (uint64_t i = 0; i < 20000; i++)
		CHECK_EQ(update((1ull << 40) + 2 * i * PAGE, PAGE, 0, RW), 0);
	write_and_read(9, 4 * PAGE);
	CHECK_EQ(end(), 0);
}

TEST(the_log_goes_by_gpa)
{
	const struct vhost_user_log log = { RAM / PAGE / 8, 0 };
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct vhost_user_message message;
	uint64_t features, gpa;
	uint8_t *bits;

	CHECK_OK(ftruncate(fd, (off_t)log.size));
	bits = mmap(NULL, log.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(bits != MAP_FAILED);
	begin();
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_LOG_BASE, 0, &log, sizeof(log), &fd, 1));
	CHECK_OK(front_end_receive(&front, &message));
	features = front.features | 1ull << VHOST_F_LOG_ALL;
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_FEATURES, 0, &features, 8, NULL, 0));
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 8, 2 * PAGE, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(end(), 0);
	for (gpa = 0; gpa < RAM; gpa += PAGE) {
		bool is_marked = bits[gpa / PAGE / 8] >> gpa / PAGE % 8 & 1;
		bool is_data = front.ram + gpa == at(DATA) || front.ram + gpa == at(DATA + PAGE);
		bool is_status = front.ram + gpa == at(STATUS), is_ring = gpa < FRONT_RING_SPACE;

		CHECK_EQ(is_marked, is_ring ? is_marked : is_data || is_status);
	}
	CHECK(bits[32768 / PAGE / 8] >> 32768 / PAGE % 8 & 1);
}

TEST(a_device_that_starts_again_asks_again)
{
	uint32_t base;

	begin();
	write_and_read(3, PAGE);
	CHECK_OK(front_end_stop_ring(&front, 0, &base));
	CHECK_EQ(base, 2);
	nr_misses = 0;
	CHECK_OK(front_end_start_ring(&front, 0));
	write_and_read(4, PAGE);
	CHECK(nr_misses >= 5);
	CHECK_EQ(end(), 0);
}

/* ---- ahead -------------------------------------------------------------------------------- */

#define MOST   256u
#define SECOND (DATA + 200 * PAGE) /* header, status and data of a second request */

static struct miss misses[MOST];
static uint32_t nr_taken;

/* All that is asked for before anything is answered: it comes at once. */
static void take_misses(void)
{
	test_wait(has_missed, NULL, TEST_HANG_MS);
	for (nr_taken = 0; is_miss_there(); nr_taken++) {
		CHECK(nr_taken < MOST);
		misses[nr_taken] = take_miss();
	}
}

static void answer_taken(void)
{
	for (uint32_t i = 0; i < nr_taken; i++)
		answer(&misses[i]);
}

static uint32_t count_asked(uint64_t iova)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < nr_taken; i++)
		nr += misses[i].iotlb.iova / PAGE == iova / PAGE;
	return nr;
}

/* A second one, whose header, status and data are other pages: behind those of the first. */
static void post_second(uint32_t len)
{
	struct virtio_blk_outhdr *header = (void *)at(SECOND);

	header->type = VIRTIO_BLK_T_IN;
	header->sector = 0;
	*at(SECOND + PAGE) = 0xff;
	front_ring_post(&front.rings[0], 1, SECOND, SECOND + 2 * PAGE, len, 1, SECOND + PAGE);
}

/* The ring is known, and nothing else. */
static void begin_silently(void)
{
	vhost_user.miss_ns = TEST_HANG_NS;
	begin();
	write_and_read(1, PAGE);
	CHECK_EQ(invalidate(HEADER, 0), 0);
	is_silent = true;
}

static uint32_t count_replies(void)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < nr_taken; i++)
		nr += (misses[i].flags & VHOST_USER_NEED_REPLY) != 0;
	return nr;
}

TEST(all_of_a_request_is_asked_for_at_once)
{
	begin_silently();
	post(VIRTIO_BLK_T_IN, 8, 16 * PAGE, 1);
	take_misses();
	CHECK_EQ(nr_taken, 18);
	CHECK_EQ(count_asked(HEADER), 1);
	CHECK_EQ(count_asked(STATUS), 1);
	for (uint32_t i = 0; i < 16; i++)
		CHECK_EQ(count_asked(DATA + i * PAGE), 1);
	/* One reply tells of all. */
	CHECK_EQ(count_replies(), 1);
	CHECK(misses[17].flags & VHOST_USER_NEED_REPLY);
	answer_taken();
	is_silent = false;
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(*at(STATUS), VIRTIO_BLK_S_OK);
	have_missed(18 + 6);
	CHECK_EQ(end(), 0);
}

TEST(all_requests_in_the_ring_are_asked_for_at_once)
{
	begin_silently();
	post_second(2 * PAGE);
	post(VIRTIO_BLK_T_IN, 8, 2 * PAGE, 1);
	take_misses();
	CHECK_EQ(nr_taken, 8);
	CHECK_EQ(count_asked(DATA + PAGE), 1);
	CHECK_EQ(count_asked(SECOND + 3 * PAGE), 1);
	answer_taken();
	is_silent = false;
	test_wait(is_answered, NULL, TEST_HANG_MS);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(*at(STATUS), VIRTIO_BLK_S_OK);
	CHECK_EQ(*at(SECOND + PAGE), VIRTIO_BLK_S_OK);
	have_missed(8 + 6);
	CHECK_EQ(end(), 0);
}

static void fill_packed_chain(struct vas_packed_desc *ring, uint64_t header, uint64_t data,
			      uint64_t status, uint16_t id)
{
	const uint16_t next = VAS_VIRTQ_DESC_NEXT, write = VAS_VIRTQ_DESC_WRITE;

	((struct virtio_blk_outhdr *)at(header))->type = VIRTIO_BLK_T_IN;
	*at(status) = 0xff;
	ring[1] =
		(struct vas_packed_desc){ data, 2 * PAGE, 0, next | write | VAS_PACKED_DESC_AVAIL };
	ring[2] = (struct vas_packed_desc){ status, 1, id, write | VAS_PACKED_DESC_AVAIL };
	ring[0] = (struct vas_packed_desc){ header, sizeof(struct virtio_blk_outhdr), 0,
					    next | VAS_PACKED_DESC_AVAIL };
}

TEST(all_requests_in_a_packed_ring_are_asked_for_at_once)
{
	struct vas_packed_desc *ring;

	vhost_user.miss_ns = TEST_HANG_NS;
	fill_table();
	CHECK_OK(blk_open(&blk, &options));
	CHECK_OK(front_end_init(&front, RAM));
	front.has_iommu = front.is_packed = is_silent = true;
	connect_pair();
	ring = (void *)front.ram;
	fill_packed_chain(&ring[0], HEADER, DATA, STATUS, 9);
	fill_packed_chain(&ring[3], SECOND, SECOND + 2 * PAGE, SECOND + PAGE, 7);
	CHECK_OK(front_end_start_ring(&front, 0));
	/* Where the ring's parts are is asked first. */
	for (int i = 0; i < 3; i++) {
		take_misses();
		CHECK_EQ(nr_taken, 1);
		answer_taken();
	}
	take_misses();
	CHECK_EQ(nr_taken, 8);
	CHECK_EQ(count_replies(), 1);
	CHECK_EQ(count_asked(DATA + PAGE), 1);
	CHECK_EQ(count_asked(SECOND + 3 * PAGE), 1);
	answer_taken();
	while (*(volatile uint8_t *)at(STATUS) || *(volatile uint8_t *)at(SECOND + PAGE))
		answer_misses();
	CHECK(!is_miss_there());
	CHECK_EQ(end(), 0);
}

TEST(there_is_a_limit_to_what_is_asked_for_at_once)
{
	begin_silently();
	post(VIRTIO_BLK_T_IN, 0, 100 * PAGE, 1);
	take_misses();
	CHECK_EQ(nr_taken, 64);
	/* Nor is anything asked for again that has no answer. */
	post_second(PAGE);
	eventfd_write(front.rings[0].kick_fd, 1);
	CHECK_EQ(invalidate(FRONT_IOVA, PAGE), 0);
	is_silent = false;
	answer_taken();
	test_wait(is_answered, NULL, TEST_HANG_MS);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	have_missed(6 + 102 + 3 + 1);
	CHECK_EQ(end(), 0);
}

/* Those of all requests at once, then what they say. */
TEST(tables_are_asked_for_at_once)
{
	struct front_ring *ring = &front.rings[0];

	begin_silently();
	for (uint16_t i = 0; i < 2; i++) {
		uint64_t iova = DATA + (20 + i) * PAGE;
		struct vas_virtq_desc *table = (void *)at(iova);

		memset(at(HEADER), 0, sizeof(struct virtio_blk_outhdr));
		table[0] = (struct vas_virtq_desc){ HEADER, 16, VAS_VIRTQ_DESC_NEXT, 1 };
		table[1] = (struct vas_virtq_desc){ DATA + i * PAGE, 512,
						    VAS_VIRTQ_DESC_NEXT | VAS_VIRTQ_DESC_WRITE, 2 };
		table[2] = (struct vas_virtq_desc){ STATUS, 1, VAS_VIRTQ_DESC_WRITE, 0 };
		ring->desc[9 + i] = (struct vas_virtq_desc){ iova, 48, VAS_VIRTQ_DESC_INDIRECT, 0 };
		ring->avail->ring[ring->next_avail++ % FRONT_RING_SIZE] = (uint16_t)(9 + i);
	}
	__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_RELEASE);
	eventfd_write(ring->kick_fd, 1);
	take_misses();
	CHECK_EQ(nr_taken, 2);
	answer_taken();
	take_misses();
	CHECK_EQ(nr_taken, 4);
	answer_taken();
	is_silent = false;
	test_wait(is_answered, NULL, TEST_HANG_MS);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(*at(STATUS), VIRTIO_BLK_S_OK);
	have_missed(6 + 6);
	CHECK_EQ(end(), 0);
}

TEST(what_is_refused_ahead_of_time_harms_nobody)
{
	uint64_t page = (SECOND + 2 * PAGE - FRONT_IOVA) / PAGE;

	begin_silently();
	pages[page].prot = 0;
	post(VIRTIO_BLK_T_IN, 8, PAGE, 1);
	take_misses();
	answer_taken();
	test_wait(is_answered, NULL, TEST_HANG_MS);
	post(VIRTIO_BLK_T_IN, 8, PAGE, 1);
	post_second(PAGE);
	eventfd_write(front.rings[0].kick_fd, 1);
	take_misses();
	CHECK_EQ(count_asked(SECOND + 2 * PAGE), 1);
	answer_taken();
	/* By the time it is needed it is there. */
	pages[page].prot = RW;
	is_silent = false;
	test_wait(is_answered, NULL, TEST_HANG_MS);
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(*at(SECOND + PAGE), VIRTIO_BLK_S_OK);
	CHECK_EQ(nr_faults, 0);
	CHECK_EQ(end(), 0);
}

TEST(what_is_refused_ahead_of_time_and_later_breaks_the_queue_and_not_before)
{
	begin_silently();
	pages[(SECOND + 2 * PAGE - FRONT_IOVA) / PAGE].prot = 0;
	*at(STATUS) = 0xff;
	is_silent = false;
	((struct virtio_blk_outhdr *)at(HEADER))->type = VIRTIO_BLK_T_IN;
	front_ring_post(&front.rings[0], 0, HEADER, DATA, PAGE, 1, STATUS);
	post_second(PAGE);
	eventfd_write(front.rings[0].kick_fd, 1);
	test_wait(has_broken, NULL, TEST_HANG_MS);
	CHECK_EQ(*at(STATUS), VIRTIO_BLK_S_OK);
	CHECK_EQ(*at(SECOND + PAGE), 0xff);
	answer_misses();
	CHECK_EQ(nr_faults, 1);
	CHECK_EQ(end(), 0);
}

/* A front end tells of no changes then, so what it says may have changed by the next start. */
TEST(what_is_answered_while_the_device_is_stopped_is_asked_for_again)
{
	uint32_t base;

	begin_silently();
	post(VIRTIO_BLK_T_IN, 8, PAGE, 1);
	take_misses();
	CHECK_EQ(nr_taken, 3);
	CHECK_OK(front_end_stop_ring(&front, 0, &base));
	answer_taken();
	is_silent = false;
	CHECK_OK(front_end_start_ring(&front, 0));
	test_wait(is_answered, NULL, TEST_HANG_MS);
	have_missed(6 + 3 + 6);
	CHECK_EQ(end(), 0);
}

/* ---- what does not ------------------------------------------------------------------------ */

TEST(an_iova_that_stands_for_nothing_breaks_the_queue)
{
	vhost_user.miss_ns = TEST_HANG_NS; /* a no is no silence */
	begin();
	pages[(DATA - FRONT_IOVA) / PAGE + 1].prot = 0;
	fill(1, 2 * PAGE);
	post(VIRTIO_BLK_T_OUT, 8, 2 * PAGE, 0);
	test_wait(has_broken, NULL, TEST_HANG_MS);
	answer_misses();
	CHECK_EQ(nr_faults, 1);
	CHECK_EQ(*at(STATUS), 0xff);
	/* A reset, and it goes on. */
	pages[(DATA - FRONT_IOVA) / PAGE + 1].prot = RW;
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_STATUS, 0, &(uint64_t){ 0 }, 8, NULL, 0));
	memset(front.ram, 0, FRONT_RING_SPACE);
	front.rings[0].next_avail = front.rings[0].next_used = front.rings[0].kicked = 0;
	CHECK_OK(front_end_start_ring(&front, 0));
	write_and_read(2, 2 * PAGE);
	CHECK_EQ(end(), 0);
}

TEST(what_may_only_be_read_is_not_written)
{
	uint64_t page = (DATA - FRONT_IOVA) / PAGE;

	begin();
	pages[page].prot = VAS_IOMMU_READ;
	fill(9, PAGE);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 8, PAGE, 0), VIRTIO_BLK_S_OK);
	fill(1, PAGE);
	post(VIRTIO_BLK_T_IN, 8, PAGE, 1);
	test_wait(has_broken, NULL, TEST_HANG_MS);
	is_filled(1, PAGE);
	CHECK(nr_misses < 40);
	CHECK_EQ(end(), 0);
}

static int has_broken_or_answered(void *arg)
{
	return has_broken(arg) || front.rings[0].used->idx;
}

/* Its descriptors may be read only, which a device of a split ring does; its answers are written. */
TEST(a_ring_that_may_only_be_read_is_not_written)
{
	const struct front_ring *ring = &front.rings[0];
	uint64_t i, used = FRONT_RING_SPACE / 2 / PAGE;

	fill_table();
	for (i = 0; i < FRONT_RING_SPACE / PAGE; i++)
		pages[i].prot = VAS_IOMMU_READ;
	CHECK_OK(blk_open(&blk, &options));
	CHECK_OK(front_end_init(&front, RAM));
	front.has_iommu = true;
	connect_pair();
	CHECK_OK(front_end_start_ring(&front, 0));
	post(VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	test_wait(has_broken_or_answered, NULL, TEST_HANG_MS);
	answer_misses();
	CHECK_EQ(ring->used->idx, 0);
	CHECK_EQ(*at(STATUS), 0xff);
	CHECK_EQ(nr_faults, 1);
	CHECK_EQ(end(), 0);
	/* And what is only written is not read. */
	pages[used].prot = VAS_IOMMU_WRITE;
	connect_pair();
	CHECK_OK(front_end_start_ring(&front, 0));
	test_wait(has_broken_or_answered, NULL, TEST_HANG_MS);
	answer_misses();
	CHECK_EQ(nr_faults, 2);
	CHECK_EQ(end(), 0);
}

TEST(what_may_be_written_later_is_asked_for_again)
{
	uint64_t page = (DATA - FRONT_IOVA) / PAGE;

	begin();
	pages[page].prot = VAS_IOMMU_READ;
	fill(9, PAGE);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 8, PAGE, 0), VIRTIO_BLK_S_OK);
	pages[page].prot = RW;
	fill(1, PAGE);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 8, PAGE, 1), VIRTIO_BLK_S_OK);
	is_filled(9, PAGE);
	CHECK_EQ(end(), 0);
}

TEST(silence_breaks_the_queue_by_its_deadline)
{
	vhost_user.miss_ns = 20000000;
	begin();
	is_silent = true;
	test_wait(has_broken, NULL, TEST_HANG_MS);
	CHECK_EQ(end(), 0);
}

TEST(a_queue_that_waits_for_an_answer_can_be_stopped)
{
	uint32_t base;

	vhost_user.miss_ns = TEST_HANG_NS;
	begin();
	write_and_read(1, PAGE);
	CHECK_EQ(invalidate(DATA, PAGE), 0);
	is_silent = true;
	post(VIRTIO_BLK_T_IN, 8, PAGE, 1);
	test_wait(has_missed, NULL, TEST_HANG_MS);
	CHECK_OK(front_end_stop_ring(&front, 0, &base));
	CHECK_EQ(base, 2); /* it was not taken */
	CHECK_EQ(*at(STATUS), 0xff);
	is_silent = false;
	CHECK_OK(front_end_start_ring(&front, 0));
	test_wait(is_answered, NULL, TEST_HANG_MS);
	is_filled(1, PAGE);
	CHECK_EQ(end(), 0);
}

TEST(an_invalidation_does_not_wait_for_an_answer_to_a_miss)
{
	vhost_user.miss_ns = TEST_HANG_NS;
	begin();
	write_and_read(1, PAGE);
	CHECK_EQ(invalidate(DATA, 2 * PAGE), 0);
	is_silent = true;
	post(VIRTIO_BLK_T_IN, 8, 2 * PAGE, 1);
	test_wait(has_missed, NULL, TEST_HANG_MS);
	/* In the middle of the chain: its first page is known, and goes again. */
	CHECK_EQ(update(DATA, PAGE, pages[(DATA - FRONT_IOVA) / PAGE].gpa, RW), 0);
	CHECK_EQ(invalidate(0, 0), 0);
	is_silent = false;
	test_wait(is_answered, NULL, TEST_HANG_MS);
	CHECK_EQ(*at(STATUS), VIRTIO_BLK_S_OK);
	CHECK_EQ(end(), 0);
}

TEST(without_a_socket_for_misses_the_queue_breaks)
{
	begin();
	write_and_read(1, PAGE);
	shutdown(request_sock, SHUT_RDWR);
	CHECK_EQ(invalidate(DATA, PAGE), 0);
	post(VIRTIO_BLK_T_IN, 8, PAGE, 1);
	is_silent = true;
	test_wait(has_broken, NULL, TEST_HANG_MS);
	CHECK_EQ(end(), 0);
}

TEST(a_ring_that_is_not_contiguous_breaks_the_queue)
{
	const struct vhost_user_vring_addr addr = {
		.desc = FRONT_IOVA + PAGE / 2,
		.avail = FRONT_IOVA + 16384,
		.used = FRONT_IOVA + 32768,
	};

	begin();
	write_and_read(1, PAGE);
	pages[1].gpa = pages[40].gpa;
	CHECK_OK(
		front_end_send(&front, VHOST_USER_SET_VRING_ADDR, 0, &addr, sizeof(addr), NULL, 0));
	test_wait(has_broken, NULL, TEST_HANG_MS);
	CHECK_EQ(end(), 0);
}

TEST(a_reply_to_nothing_ends_the_session)
{
	begin();
	write_and_read(1, PAGE);
	reply(0);
	is_refused("no reply to a miss");
}

TEST(a_wrong_reply_ends_the_session)
{
	const struct reply wrong = { 2, VHOST_USER_VERSION | VHOST_USER_IS_REPLY, 8, 0 };

	begin();
	is_silent = true;
	test_wait(has_missed, NULL, TEST_HANG_MS);
	CHECK_EQ(write(request_sock, &wrong, sizeof(wrong)), sizeof(wrong));
	is_refused("replies to request 2");
}

TEST(updates_that_make_no_sense_are_refused)
{
	struct vhost_user_iotlb wrong = { .type = 9 };

	begin();
	write_and_read(1, PAGE);
	CHECK_EQ(update(0x1000, PAGE, RAM, RW), 1);
	CHECK_EQ(update(0x1000, PAGE, RAM - 1, RW), 1);
	CHECK_EQ(update(0x1000, 0, 0, RW), 1);
	CHECK_EQ(update(0x1000, PAGE, 0, 0), 1);
	CHECK_EQ(update(0x1000, PAGE, 0, 4), 1);
	CHECK_EQ(update(UINT64_MAX, 2, 0, RW), 1);
	CHECK_EQ(tell(&wrong), 1);
	wrong.type = VHOST_USER_IOTLB_MISS;
	CHECK_EQ(tell(&wrong), 1);
	CHECK_EQ(invalidate(UINT64_MAX - 5, 4096), 0);
	write_and_read(2, PAGE);
	CHECK_EQ(end(), 0);
}

TEST(who_has_accepted_no_iommu_cannot_speak_of_one)
{
	const struct vhost_user_iotlb iotlb = { 0,    PAGE, FRONT_USER, RW, VHOST_USER_IOTLB_UPDATE,
						{ 0 } };
	uint64_t features;

	begin();
	features = front.features & ~(1ull << VIRTIO_F_ACCESS_PLATFORM);
	CHECK_OK(front_end_send(&front, VHOST_USER_SET_FEATURES, 0, &features, 8, NULL, 0));
	CHECK_OK(front_end_send(&front, VHOST_USER_IOTLB_MSG, 0, &iotlb, sizeof(iotlb), NULL, 0));
	is_refused("has not accepted one");
}
