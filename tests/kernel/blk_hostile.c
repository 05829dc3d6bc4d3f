// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_blk.ko: a guest's driver that does its worst can break its own queue, and nothing else. */
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk_guest.h"
#include "include/uapi/linux/vas.h"

/* After whatever was done to the ring: the queue is broken and says so, and can be started anew. */
static void is_broken(struct guest *g)
{
	struct part in = { DATA, 512, 1 };
	struct vas_queue_stopped stopped;

	CHECK(virtqueue_is_broken(&g->q, TEST_HANG_MS));
	stopped = queue_stop(g);
	CHECK_EQ(stopped.broken, 1);
	virtqueue_init(&g->q, g->ram, QUEUE, SIZE);
	CHECK_OK(queue_start(g, 0));
	CHECK_EQ(request(g, VIRTIO_BLK_T_IN, 0, in, 0, NULL), VIRTIO_BLK_S_OK);
}

static void breaks(uint64_t features, void (*harm)(struct guest *g))
{
	struct part parts[] = { { HEADER, 16, 0 }, { DATA, 512, 1 }, { STATUS, 1, 1 } };
	struct guest g;

	/* Nobody looks at the ring before it is harmed. */
	guest_init(&g, features);
	queue_stop(&g);
	put_header(&g, VIRTIO_BLK_T_IN, 0);
	virtqueue_add(&g.q, parts, 3, features & INDIRECT ? TABLE : 0);
	harm(&g);
	CHECK_OK(queue_start(&g, 0));
	is_broken(&g);
	close(g.blk);
}

static void jump_ahead(struct guest *g)
{
	g->q.avail->idx = SIZE + 1;
}

static void name_no_head(struct guest *g)
{
	g->q.avail->ring[0] = SIZE;
}

static void go_round(struct guest *g)
{
	g->q.desc[1].next = 0;
	g->q.desc[1].flags = VRING_DESC_F_NEXT;
}

static void leave_the_table(struct guest *g)
{
	g->q.desc[1].next = SIZE;
}

static void read_after_write(struct guest *g)
{
	g->q.desc[2].flags = 0;
}

static void have_no_status(struct guest *g)
{
	g->q.desc[0].flags = 0;
}

static void have_no_header(struct guest *g)
{
	g->q.desc[0].len = 15;
}

static void put_the_header_in_a_hole(struct guest *g)
{
	g->q.desc[0].addr = 32 * MIB;
}

static void put_the_status_in_a_hole(struct guest *g)
{
	g->q.desc[2].addr = UINT64_MAX;
}

static void put_data_over_an_end(struct guest *g)
{
	g->q.desc[1].addr = RAM - 256;
}

static void use_a_table_unasked(struct guest *g)
{
	g->q.desc[0].flags = VRING_DESC_F_INDIRECT;
	g->q.desc[0].len = 48;
}

TEST(a_ring_that_makes_no_sense_breaks_its_queue)
{
	breaks(0, jump_ahead);
	breaks(0, name_no_head);
	breaks(0, go_round);
	breaks(0, leave_the_table);
	breaks(0, read_after_write);
	breaks(0, have_no_status);
	breaks(0, have_no_header);
	breaks(0, put_the_header_in_a_hole);
	breaks(0, put_the_status_in_a_hole);
	breaks(0, put_data_over_an_end);
	breaks(0, use_a_table_unasked);
}

static struct vring_desc *table(struct guest *g)
{
	return (struct vring_desc *)(g->ram + TABLE);
}

static void table_goes_round(struct guest *g)
{
	table(g)[1].next = 0;
	table(g)[1].flags = VRING_DESC_F_NEXT;
}

static void table_leaves_itself(struct guest *g)
{
	table(g)[1].next = 3;
}

static void table_has_a_table(struct guest *g)
{
	table(g)[1].flags |= VRING_DESC_F_INDIRECT;
}

static void table_is_odd(struct guest *g)
{
	g->q.desc[0].len = 47;
}

static void table_is_empty(struct guest *g)
{
	g->q.desc[0].len = 0;
}

static void table_is_huge(struct guest *g)
{
	g->q.desc[0].len = 0xfffffff0;
}

static void table_is_in_a_hole(struct guest *g)
{
	g->q.desc[0].addr = 40 * MIB;
}

static void table_is_not_alone(struct guest *g)
{
	g->q.desc[0].flags |= VRING_DESC_F_NEXT;
}

TEST(a_table_that_makes_no_sense_breaks_its_queue)
{
	breaks(INDIRECT, table_goes_round);
	breaks(INDIRECT, table_leaves_itself);
	breaks(INDIRECT, table_has_a_table);
	breaks(INDIRECT, table_is_odd);
	breaks(INDIRECT, table_is_empty);
	breaks(INDIRECT, table_is_huge);
	breaks(INDIRECT, table_is_in_a_hole);
	breaks(INDIRECT, table_is_not_alone);
}

static uint64_t poison(struct test_random *random, char *at, uint64_t len)
{
	uint64_t where = test_random_below(random, len / 2) * 2;

	*(uint16_t *)(at + where) =
		(uint16_t)test_random_next(random) >> test_random_below(random, 16);
	return where;
}

struct scribbler {
	struct guest *g;
	struct test_random random;
	int stop;
};

static void *scribble(void *arg)
{
	struct scribbler *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		poison(&s->random, (char *)s->g->q.desc, SIZE * 16);
		poison(&s->random, (char *)s->g->q.avail, 6 + SIZE * 2);
		poison(&s->random, s->g->ram + TABLE, 48);
		poison(&s->random, s->g->ram + HEADER, 16);
	}
	return NULL;
}

/* Another processor of the guest writes all over the ring while it is read. */
TEST(a_ring_that_changes_while_it_is_read_harms_nobody)
{
	struct part parts[] = { { HEADER, 16, 0 }, { DATA, 512, 1 }, { STATUS, 1, 1 } };
	struct part in = { DATA, 512, 1 };
	struct scribbler s = { .random = { test_seed() } };
	uint64_t end = test_now_ns() + 10000000000ull;
	struct guest g;
	pthread_t thread;
	int rounds = 0;

	guest_init(&g, INDIRECT | EVENT);
	s.g = &g;
	CHECK_EQ(pthread_create(&thread, NULL, scribble, &s), 0);
	while (test_now_ns() < end) {
		virtqueue_add(&g.q, parts, 3, rounds & 1 ? TABLE : 0);
		virtqueue_kick(&g.q);
		if (rounds++ % 64)
			continue;
		if (queue_stop(&g).broken)
			g.q.avail->idx = 0;
		CHECK_OK(queue_start(&g, g.q.avail->idx));
	}
	__atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	queue_stop(&g);
	virtqueue_init(&g.q, g.ram, QUEUE, SIZE);
	CHECK_OK(queue_start(&g, 0));
	CHECK_EQ(request(&g, VIRTIO_BLK_T_IN, 0, in, 0, NULL), VIRTIO_BLK_S_OK);
}

/* In each of NR_BAD ways. */
#define NR_BAD 9
static struct vas_queue_start bad_queue(struct vas_queue_start queue, int way)
{
	switch (way) {
	case 0:
		queue.index = VAS_BLK_MAX_QUEUES;
		break;
	case 1:
		queue.index = UINT32_MAX;
		break;
	case 2:
		queue.size = 0;
		break;
	case 3:
		queue.size = 3;
		break;
	case 4:
		queue.size = 2 * VAS_BLK_MAX_SIZE;
		break;
	case 5:
		queue.parts[0] += 8;
		break;
	case 6:
		queue.parts[1] += 1;
		break;
	case 7:
		queue.parts[2] += 2;
		break;
	case 8:
		queue.base = 1u << 16;
		break;
	}
	return queue;
}

TEST(queues_that_cannot_be_are_refused)
{
	struct vas_queue_start good, bad;
	struct vas_queue_stopped stopped = { .index = 0 };
	struct guest g;

	guest_init(&g, 0);
	good = (struct vas_queue_start){
		.index = 1,
		.size = SIZE,
		.parts = { g.q.desc_gpa, g.q.avail_gpa, g.q.used_gpa },
		.kick_fd = g.q.kick,
		.call_fd = g.q.call,
		.err_fd = -1,
	};
	for (int i = 0; i < NR_BAD; i++) {
		bad = bad_queue(good, i);
		test_note("bad queue %d", i);
		CHECK_EQ(ioctl(g.blk, VAS_BLK_START, &bad), -1);
		CHECK_EQ(errno, EINVAL);
	}
	bad = good;
	bad.kick_fd = g.file;
	CHECK_EQ(ioctl(g.blk, VAS_BLK_START, &bad), -1);
	bad = good;
	bad.call_fd = -1;
	CHECK_EQ(ioctl(g.blk, VAS_BLK_START, &bad), -1);
	good.index = 0;
	CHECK_EQ(ioctl(g.blk, VAS_BLK_START, &good), -1);
	CHECK_EQ(errno, EBUSY);
	stopped.index = 1;
	CHECK_EQ(ioctl(g.blk, VAS_BLK_STOP, &stopped), -1);
	CHECK_EQ(errno, ENOENT);
}

/* Requests of 3 GiB each, as many as the ring has room for, into the same few MiB. */
static void ask_for_too_much(struct guest *g)
{
	struct part parts[1024];

	for (int i = 1; i < 1023; i++)
		parts[i] = (struct part){ DATA, RAM - DATA, 1 };
	parts[0] = (struct part){ HEADER, 16, 0 };
	parts[1023] = (struct part){ STATUS, 1, 1 };
	put_header(g, VIRTIO_BLK_T_IN, 0);
	g->ram[DATA] = 0x7f;
	for (uint32_t i = 0; i < SIZE; i++)
		virtqueue_add(&g->q, parts, 1024, TABLE);
	virtqueue_kick(&g->q);
}

static int is_being_served(void *ram)
{
	return !__atomic_load_n((char *)ram + DATA, __ATOMIC_ACQUIRE);
}

TEST(a_guest_cannot_keep_its_queue_from_being_frozen_unplugged_or_stopped)
{
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	struct vas_ko_range ring = { QUEUE, 4 * PAGE };
	struct vas_ko_prepare prepare = { .ranges = (uintptr_t)&ring,
					  .nr = 1,
					  .timeout_ns = TEST_HANG_NS };
	int drive = open("/dev/vas", O_RDWR | O_CLOEXEC);
	struct vas_ko_attach attach;
	struct guest g;

	guest_init(&g, INDIRECT);
	close(g.blk);
	g.capacity = 1ull << 40;
	g.blk = open("/dev/vas_blk", O_RDWR | O_CLOEXEC);
	CHECK_OK(ftruncate(g.file, (off_t)g.capacity));
	CHECK_OK(blk_open(&g, INDIRECT));
	virtqueue_init(&g.q, g.ram, QUEUE, SIZE);
	CHECK_OK(queue_start(&g, 0));
	attach = (struct vas_ko_attach){ .fd = vas_fd(g.vas) };
	CHECK_OK(ioctl(drive, VAS_KO_ATTACH, &attach));
	ask_for_too_much(&g);
	test_wait(is_being_served, g.ram, TEST_HANG_MS);
	CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
	g.ram[DATA] = 0x7f;
	CHECK_OK(ioctl(drive, VAS_KO_THAW));
	test_wait(is_being_served, g.ram, TEST_HANG_MS);
	CHECK_OK(ioctl(drive, VAS_KO_PREPARE, &prepare));
	CHECK_OK(ioctl(drive, VAS_KO_COMMIT));
	g.ram[DATA] = 0x7f;
	test_wait(is_being_served, g.ram, TEST_HANG_MS);
	CHECK(queue_stop(&g).nr_requests < SIZE);
}

/* A program that runs as its owner, whoever starts it, must not stay so once others write to it. */
TEST(a_disk_is_written_as_by_whoever_opened_its_file)
{
	struct guest g;
	struct stat stat;

	device_drop_capability(CAP_FSETID);
	guest_init(&g, 0);
	CHECK_OK(fchmod(g.file, 04755));
	CHECK_EQ(request(&g, VIRTIO_BLK_T_OUT, 0, (struct part){ DATA, 512, 0 }, 0, NULL),
		 VIRTIO_BLK_S_OK);
	CHECK_OK(fstat(g.file, &stat));
	CHECK_EQ(stat.st_mode & 07777, 0755);
}
