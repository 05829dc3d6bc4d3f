// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The packed virtqueue, with a driver that does well, and one that does its worst. */
#include "core/virtqueue/packed.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/core/packed_driver.h"
#include "tests/core/virtqueue_rig.h"

#define SIZE 7u /* no power of two */
#define RAM  0x10000ull

/* A guest's memory, its driver, and the device. */
struct rig {
	struct rig_memory memory; /* first */
	struct rig *next;
	struct packed_driver driver;
	struct vas_packed_queue device;
	struct vas_virtq_chain chain;
	struct vas_virtq_answer *taken; /* by the device, in its order */
	uint32_t nr_taken;
};

static void rig_start(struct rig *rig, uint16_t index, bool wrap)
{
	uint16_t position = (uint16_t)(index | (wrap ? 0x8000 : 0));

	if (rig->driver.ram)
		packed_driver_clean(&rig->driver);
	packed_driver_init(&rig->driver, rig->memory.bytes, rig->device.size, index, wrap);
	rig->device.desc = (void *)rig->driver.desc;
	rig->device.driver = (void *)rig->driver.driver;
	rig->device.device = (void *)rig->driver.device;
	CHECK_OK(vas_packed_queue_start(&rig->device, position | (uint32_t)position << 16));
}

/*
 * All rooms are exactly as large as they are said to be, for a sanitizer to see. They end with the
 * case's process.
 */
static struct rig *rig_make(uint32_t size, uint32_t flags)
{
	static struct rig *rigs;
	struct rig *rig = zalloc(sizeof(*rig));

	rig->next = rigs;
	rigs = rig;
	rig->device = (struct vas_packed_queue){
		.size = size,
		.flags = flags,
		.tables = {
			.read = rig_memory_read,
			.user = &rig->memory,
			.room = zalloc(MAX_SEGMENTS * sizeof(struct vas_packed_desc)),
			.max = MAX_SEGMENTS,
		},
	};
	rig->chain.segments = zalloc(MAX_SEGMENTS * sizeof(struct vas_virtq_segment));
	rig->chain.max_segments = MAX_SEGMENTS;
	rig->taken = zalloc(size * sizeof(*rig->taken));
	rig->memory.bytes = zalloc(RAM);
	rig->memory.size = RAM;
	rig_start(rig, 0, 1);
	return rig;
}

static int peek(struct rig *rig)
{
	return vas_packed_queue_peek(&rig->device, &rig->chain);
}

static void is_chain(struct rig *rig, const struct part *parts, uint32_t nr)
{
	CHECK_EQ(peek(rig), 1);
	has_parts(&rig->chain, rig->device.size, parts, nr);
}

static void take_peeked(struct rig *rig)
{
	vas_packed_queue_take(&rig->device, &rig->chain);
	rig->taken[rig->nr_taken++] = (struct vas_virtq_answer){
		.head = rig->chain.head,
		.nr_descs = rig->chain.nr_descs,
	};
}

static void take(struct rig *rig)
{
	CHECK_EQ(peek(rig), 1);
	take_peeked(rig);
}

/* The oldest nr of those that were taken. */
static void give(struct rig *rig, uint32_t nr)
{
	vas_packed_queue_give(&rig->device, rig->taken, nr);
	rig->nr_taken -= nr;
	memmove(rig->taken, rig->taken + nr, rig->nr_taken * sizeof(*rig->taken));
}

static uint16_t serve(struct rig *rig, uint32_t len)
{
	take(rig);
	CHECK_EQ(rig->nr_taken, 1);
	rig->taken[0].len = len;
	give(rig, 1);
	return rig->chain.head;
}

static void is_answered(struct rig *rig, uint16_t id, uint32_t len)
{
	uint16_t is_id;
	uint32_t is_len;

	CHECK(packed_driver_get(&rig->driver, &is_id, &is_len));
	CHECK_EQ(is_id, id);
	CHECK_EQ(is_len, len);
}

static void no_answer(struct rig *rig)
{
	uint16_t id;
	uint32_t len;

	CHECK(!packed_driver_get(&rig->driver, &id, &len));
}

static const struct part three[] = { { DATA, 16, 0 },
				     { DATA + 0x100, 512, 1 },
				     { DATA + 16, 1, 1 } };

/* ---- a driver that does well ---------------------------------------------------------------- */

TEST(the_layout_is_that_of_linux)
{
	CHECK_EQ(sizeof(struct vas_packed_desc), sizeof(struct vring_packed_desc));
	CHECK_EQ(offsetof(struct vas_packed_desc, id), offsetof(struct vring_packed_desc, id));
	CHECK_EQ(offsetof(struct vas_packed_desc, flags),
		 offsetof(struct vring_packed_desc, flags));
	CHECK_EQ(VAS_PACKED_DESC_AVAIL, 1u << VRING_PACKED_DESC_F_AVAIL);
	CHECK_EQ(VAS_PACKED_DESC_USED, 1u << VRING_PACKED_DESC_F_USED);
	CHECK_EQ(offsetof(struct vas_packed_event, flags),
		 offsetof(struct vring_packed_desc_event, flags));
	CHECK_EQ(VAS_PACKED_WRAP, 1u << VRING_PACKED_EVENT_F_WRAP_CTR);
	CHECK_EQ(VAS_PACKED_EVENT_ENABLE, VRING_PACKED_EVENT_FLAG_ENABLE);
	CHECK_EQ(VAS_PACKED_EVENT_DISABLE, VRING_PACKED_EVENT_FLAG_DISABLE);
	CHECK_EQ(VAS_PACKED_EVENT_DESC, VRING_PACKED_EVENT_FLAG_DESC);
	for (int part = 0; part < VAS_PACKED_NR_PARTS; part++) {
		CHECK_EQ(vas_packed_part_size(part, SIZE), part ? 4 : SIZE * 16);
		CHECK_EQ(vas_packed_part_align(part), part ? 4 : 16);
	}
}

TEST(a_size_is_any_up_to_32768)
{
	for (uint32_t size = 0; size < 0x20000; size++)
		CHECK_EQ(vas_packed_size_is_valid(size), size && size <= 32768);
	CHECK(!vas_packed_size_is_valid(1u << 31));
}

TEST(a_chain_comes_as_it_was_added)
{
	struct rig *rig = rig_make(SIZE, 0);
	uint16_t id;

	CHECK_EQ(peek(rig), 0);
	id = packed_driver_add(&rig->driver, three, 3, 0);
	is_chain(rig, three, 3);
	CHECK_EQ(rig->chain.head, id);
	CHECK_EQ(rig->chain.nr_descs, 3);
	CHECK_EQ(rig->chain.nr_out, 1);
	CHECK_EQ(rig->chain.len_out, 16);
	CHECK_EQ(rig->chain.len_in, 513);
	is_chain(rig, three, 3); /* again: nothing was taken */
	no_answer(rig);
	serve(rig, 513);
	is_answered(rig, id, 513);
	CHECK_EQ(peek(rig), 0);
}

TEST(a_table_comes_as_a_chain)
{
	struct part parts[MAX_SEGMENTS];
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_INDIRECT);
	struct vring_packed_desc *table = (void *)(rig->driver.ram + TABLE);

	for (uint32_t i = 0; i < MAX_SEGMENTS; i++)
		parts[i] = (struct part){ DATA + i * 64, i, i > 5 };
	packed_driver_add(&rig->driver, parts, MAX_SEGMENTS, TABLE);
	is_chain(rig, parts, MAX_SEGMENTS);
	CHECK_EQ(rig->memory.nr_reads, 1);
	CHECK_EQ(rig->chain.nr_descs, 1);
	/* What its descriptor says of writing means nothing, and what the others say of their place. */
	rig->driver.desc[0].flags |= VRING_DESC_F_WRITE;
	for (uint32_t i = 0; i < MAX_SEGMENTS; i++)
		table[i].flags |= VRING_DESC_F_NEXT | 1u << VRING_PACKED_DESC_F_USED;
	is_chain(rig, parts, MAX_SEGMENTS);
}

/* One chain of 3, one of 2, one of 1 descriptor: the places of the answers move. */
TEST(answers_may_come_in_any_order)
{
	struct rig *rig = rig_make(SIZE, 0);
	struct vas_virtq_answer answer;

	for (uint32_t i = 0; i < 3; i++) {
		packed_driver_add(&rig->driver, three, 3 - i, 0);
		take(rig);
	}
	for (int i = 2; i >= 0; i--) {
		answer = rig->taken[i];
		answer.len = (uint32_t)i;
		vas_packed_queue_give(&rig->device, &answer, 1);
		is_answered(rig, answer.head, (uint32_t)i);
		no_answer(rig);
	}
}

/* The driver finds one answer after the other behind the first, which was published last. */
TEST(answers_come_at_once)
{
	struct rig *rig = rig_make(SIZE, 0);
	uint16_t ids[3];

	rig_start(rig, SIZE - 1, 0);
	for (uint32_t i = 0; i < 3; i++) {
		ids[i] = packed_driver_add(&rig->driver, three, 1 + i, 0);
		take(rig);
		rig->taken[i].len = i;
	}
	give(rig, 3);
	for (uint32_t i = 0; i < 3; i++)
		is_answered(rig, ids[i], i);
	no_answer(rig);
	CHECK_EQ(rig->device.nr_taken, 0);
}

TEST(one_answer_stands_for_those_before_it)
{
	static const struct part out[] = { { DATA, 1, 0 }, { DATA, 2, 0 } };

	for (uint16_t index = 0; index < SIZE; index++) {
		struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);

		test_note("from %u", index);
		rig_start(rig, index, 1);
		vas_packed_queue_wants_interrupt(&rig->device);
		packed_driver_enable_interrupt(&rig->driver);
		for (uint32_t i = 0; i < 4; i++) {
			packed_driver_add(&rig->driver, out, 1 + i % 2, 0);
			take(rig);
		}
		vas_packed_queue_give_in_order(&rig->device, rig->taken, 3);
		CHECK_EQ(packed_driver_get_in_order(&rig->driver), 3);
		CHECK(vas_packed_queue_wants_interrupt(&rig->device));
		CHECK_EQ(packed_driver_get_in_order(&rig->driver), 0);
		vas_packed_queue_give_in_order(&rig->device, rig->taken + 3, 1);
		CHECK_EQ(packed_driver_get_in_order(&rig->driver), 1);
		CHECK_EQ(rig->device.nr_taken, 0);
		CHECK_EQ(peek(rig), 0);
	}
}

/* What the driver has added and was not answered, by id. */
static void add_one(struct rig *rig, struct test_random *random)
{
	struct packed_driver *d = &rig->driver;
	uint32_t nr = 1 + (uint32_t)test_random_below(random, 4);
	bool is_table = test_random_below(random, 4) == 0;
	struct part parts[4];

	if (!d->nr_free)
		return;
	if (!is_table && nr > d->nr_free)
		nr = d->nr_free;
	for (uint32_t i = 0; i < nr; i++)
		parts[i] = (struct part){ DATA + d->nr_added % 0x1000, i + 1, i >= nr / 2 };
	packed_driver_add(d, parts, nr, is_table ? TABLE : 0);
	/* At once: the table is not kept. The device has others to answer before it. */
	take(rig);
	CHECK_EQ(rig->chain.nr_out + rig->chain.nr_in, nr);
	CHECK_EQ(rig->chain.nr_descs, is_table ? 1 : nr);
	CHECK_EQ(rig->chain.segments[nr - 1].len, nr);
	CHECK_EQ(rig->chain.segments[0].gpa, DATA + (d->nr_added - 1) % 0x1000);
	CHECK_EQ(peek(rig), 0);
}

/* Some of what was taken, in no order; the driver gets just that. */
static void answer_some(struct rig *rig, struct test_random *random)
{
	uint32_t nr =
		(uint32_t)test_random_below(random, (rig->nr_taken < 8 ? rig->nr_taken : 8) + 1);
	struct vas_virtq_answer answers[8];

	if (!nr)
		return;
	for (uint32_t i = 0; i < nr; i++) {
		uint32_t which = i + (uint32_t)test_random_below(random, rig->nr_taken - i);
		struct vas_virtq_answer answer = rig->taken[which];

		rig->taken[which] = rig->taken[i];
		rig->taken[i] = answer;
		rig->taken[i].len = (uint32_t)test_random_below(random, 3);
		answers[i] = rig->taken[i];
	}
	give(rig, nr);
	for (uint32_t i = 0; i < nr; i++)
		is_answered(rig, answers[i].head, answers[i].len);
	no_answer(rig);
}

/* As vhost's get and set base: another device goes on, which knows nothing but where it stands. */
static void resume(struct rig *rig)
{
	struct vas_packed_queue *device = &rig->device;
	uint32_t base = vas_packed_queue_base(device), nr_taken = device->nr_taken;
	const struct packed_driver *d = &rig->driver;

	CHECK_EQ(base & 0x7fff, d->avail);
	CHECK_EQ(base >> 15 & 1, d->avail_wrap);
	CHECK_EQ(base >> 16 & 0x7fff, d->used);
	CHECK_EQ(base >> 31, d->used_wrap);
	device->next_avail = device->next_used = 0x5555;
	device->nr_taken = 0x5555;
	CHECK_OK(vas_packed_queue_start(device, base));
	CHECK_EQ(vas_packed_queue_base(device), base);
	CHECK_EQ(device->nr_taken, nr_taken);
}

static void goes_round(uint32_t size, struct test_random *random)
{
	struct rig *rig = rig_make(size, BOTH);

	test_note("size %u", size);
	rig_start(rig, (uint16_t)(size - 1 - size / 3), 0);
	for (uint32_t i = 0; rig->driver.nr_answered < 5 * size; i++) {
		if (test_random_below(random, 3))
			add_one(rig, random);
		else
			answer_some(rig, random);
		if (i % 5 == 0)
			resume(rig);
	}
	while (rig->nr_taken)
		answer_some(rig, random);
	CHECK_EQ(rig->driver.nr_free, size);
}

TEST(each_size_goes_round_stops_and_resumes)
{
	static const uint32_t large[] = { 255, 256, 257, 1000, 4095, 32767, 32768 };
	struct test_random random = { test_seed() };

	for (uint32_t size = 1; size <= 64; size++)
		goes_round(size, &random);
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		goes_round(large[i], &random);
}

/* Where it may stand: used is behind avail by 0 to `size` descriptors, of 2 * size positions. */
TEST(a_base_where_no_queue_stands_is_refused)
{
	for (uint32_t size = 1; size < 6; size++)
		for (uint32_t avail = 0; avail < 2 * size; avail++)
			for (uint32_t used = 0; used < 2 * size; used++) {
				struct rig *rig = rig_make(size, 0);
				uint32_t base = avail % size | (avail / size) << 15 |
						(used % size) << 16 | (used / size) << 31;
				uint32_t nr = (avail + 2 * size - used) % (2 * size);

				test_note("size %u, avail %u, used %u", size, avail, used);
				CHECK_EQ(vas_packed_queue_start(&rig->device, base),
					 nr <= size ? 0 : -EINVAL);
				if (nr <= size)
					CHECK_EQ(rig->device.nr_taken, nr);
			}
}

TEST(a_base_outside_the_ring_and_a_size_of_none_are_refused)
{
	struct vas_packed_queue queue = rig_make(SIZE, 0)->device;

	CHECK_EQ(vas_packed_queue_start(&queue, 0x80008000 | SIZE), -EINVAL);
	CHECK_EQ(vas_packed_queue_start(&queue, 0x80008000 | SIZE << 16), -EINVAL);
	CHECK_EQ(vas_packed_queue_start(&queue, 0xffffffff), -EINVAL);
	queue.size = 0;
	CHECK_EQ(vas_packed_queue_start(&queue, VAS_PACKED_BASE), -EINVAL);
	queue.size = 32769;
	CHECK_EQ(vas_packed_queue_start(&queue, VAS_PACKED_BASE), -EINVAL);
}

TEST(a_full_ring_is_served)
{
	struct rig *rig = rig_make(VAS_VIRTQ_MAX_SIZE, 0);
	uint16_t *ids = zalloc(VAS_VIRTQ_MAX_SIZE * sizeof(*ids));

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < VAS_VIRTQ_MAX_SIZE; i++)
			ids[i] = packed_driver_add(&rig->driver, three, 1, 0);
		for (uint32_t i = 0; i < VAS_VIRTQ_MAX_SIZE; i++)
			take(rig);
		CHECK_EQ(peek(rig), 0);
		give(rig, VAS_VIRTQ_MAX_SIZE);
		CHECK_EQ(peek(rig), 0);
		for (uint32_t i = 0; i < VAS_VIRTQ_MAX_SIZE; i++)
			is_answered(rig, ids[i], 0);
	}
	free(ids);
}

TEST(a_chain_may_fill_the_ring)
{
	struct rig *rig = rig_make(3, 0);

	for (uint16_t index = 0; index < 3; index++) {
		rig_start(rig, index, index & 1);
		for (uint32_t i = 0; i < 5; i++) {
			uint16_t id = packed_driver_add(&rig->driver, three, 3, 0);

			is_chain(rig, three, 3);
			serve(rig, i);
			is_answered(rig, id, i);
		}
	}
}

/* ---- interrupts and kicks ------------------------------------------------------------------- */

TEST(a_driver_that_wants_no_interrupt_gets_none)
{
	for (uint32_t flags = 0; flags <= VAS_VIRTQ_EVENT_IDX; flags++) {
		struct rig *rig = rig_make(SIZE, flags);

		CHECK(vas_packed_queue_wants_interrupt(&rig->device));
		rig->driver.driver->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		CHECK(!vas_packed_queue_wants_interrupt(&rig->device));
		rig->driver.driver->flags = VRING_PACKED_EVENT_FLAG_ENABLE;
		CHECK(vas_packed_queue_wants_interrupt(&rig->device));
	}
}

/* Of an event that was not negotiated, that has no meaning, or that is nowhere in the ring. */
TEST(what_a_driver_must_not_write_interrupts)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);
	struct vring_packed_desc_event *event = rig->driver.driver;

	vas_packed_queue_wants_interrupt(&rig->device);
	*event = (struct vring_packed_desc_event){ SIZE, VRING_PACKED_EVENT_FLAG_DESC };
	CHECK(vas_packed_queue_wants_interrupt(&rig->device));
	*event = (struct vring_packed_desc_event){ 0xffff, VRING_PACKED_EVENT_FLAG_DESC };
	CHECK(vas_packed_queue_wants_interrupt(&rig->device));
	*event = (struct vring_packed_desc_event){ 0x8000, 3 };
	CHECK(vas_packed_queue_wants_interrupt(&rig->device));
	*event = (struct vring_packed_desc_event){ 0x8001, VRING_PACKED_EVENT_FLAG_DESC };
	CHECK(!vas_packed_queue_wants_interrupt(&rig->device));
	rig->device.flags = 0;
	CHECK(vas_packed_queue_wants_interrupt(&rig->device));
}

/* Of one descriptor each, or of two, which an event in their middle is for, too. */
static void interrupts(uint32_t size, uint32_t start, uint32_t nr, uint32_t each, uint32_t event)
{
	struct rig *rig = rig_make(size, VAS_VIRTQ_EVENT_IDX);
	uint32_t at = (start + event) % (2 * size);

	test_note("size %u, from %u, %u answers of %u, event %u", size, start, nr, each, event);
	rig_start(rig, (uint16_t)(start % size), start < size);
	vas_packed_queue_wants_interrupt(&rig->device);
	*rig->driver.driver = (struct vring_packed_desc_event){
		.off_wrap = (uint16_t)(at % size | (at < size) << 15),
		.flags = VRING_PACKED_EVENT_FLAG_DESC,
	};
	for (uint32_t i = 0; i < nr; i++) {
		uint16_t id;
		uint32_t len;

		packed_driver_add(&rig->driver, three, each, 0);
		serve(rig, 0);
		CHECK(packed_driver_get(&rig->driver, &id, &len));
	}
	CHECK_EQ(vas_packed_queue_wants_interrupt(&rig->device), event < nr * each);
	CHECK(!vas_packed_queue_wants_interrupt(&rig->device));
}

/* Beginning anywhere in the two rounds, each event in them, and up to as many answers. */
TEST(an_interrupt_is_for_the_answer_that_was_asked_for)
{
	for (uint32_t size = 2; size <= 5; size++)
		for (uint32_t start = 0; start < 2 * size; start++)
			for (uint32_t each = 1; each <= 2; each++)
				for (uint32_t nr = 1; nr * each < 2 * size; nr++)
					for (uint32_t event = 0; event < 2 * size; event++)
						interrupts(size, start, nr, each, event);
}

/* Whoever served before may have died between an answer and its interrupt. */
TEST(the_first_answer_after_a_start_interrupts)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);

	packed_driver_enable_interrupt(&rig->driver);
	rig->driver.driver->off_wrap = 5 | 0x8000;
	packed_driver_add(&rig->driver, three, 1, 0);
	serve(rig, 0);
	CHECK(vas_packed_queue_wants_interrupt(&rig->device));
	CHECK(!vas_packed_queue_wants_interrupt(&rig->device));
}

TEST(two_rounds_of_answers_interrupt)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);

	for (uint32_t nr = 2 * SIZE; nr < 6 * SIZE; nr++) {
		vas_packed_queue_wants_interrupt(&rig->device);
		for (uint32_t i = 0; i < nr; i++) {
			uint16_t id = packed_driver_add(&rig->driver, three, 1, 0);

			serve(rig, 0);
			is_answered(rig, id, 0);
		}
		/* The next one, which no answer was for but in earlier rounds. */
		packed_driver_enable_interrupt(&rig->driver);
		CHECK(vas_packed_queue_wants_interrupt(&rig->device));
	}
}

TEST(a_kick_is_asked_for_what_comes_next)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);
	struct packed_driver *d = &rig->driver;

	for (uint32_t i = 0; i < 5 * SIZE; i++) {
		uint32_t nr = 1 + i % 3;
		uint16_t id;

		CHECK(!vas_packed_queue_enable_kick(&rig->device));
		CHECK_EQ(d->device->flags, VRING_PACKED_EVENT_FLAG_DESC);
		CHECK_EQ(d->device->off_wrap, d->avail | d->avail_wrap << 15);
		id = packed_driver_add(d, three, nr, 0);
		CHECK(packed_driver_must_kick(d, nr));
		CHECK(vas_packed_queue_enable_kick(&rig->device));
		serve(rig, 0);
		is_answered(rig, id, 0);
		/* What was asked for has been: no kick for the one after it. */
		id = packed_driver_add(d, three, 1, 0);
		CHECK(!packed_driver_must_kick(d, 1));
		serve(rig, 0);
		is_answered(rig, id, 0);
	}
}

TEST(without_event_idx_each_chain_is_kicked_for)
{
	struct rig *rig = rig_make(SIZE, 0);

	rig->driver.device->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	CHECK(!vas_packed_queue_enable_kick(&rig->device));
	CHECK_EQ(rig->driver.device->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
	packed_driver_add(&rig->driver, three, 1, 0);
	CHECK(packed_driver_must_kick(&rig->driver, 1));
	CHECK(vas_packed_queue_enable_kick(&rig->device));
}

static void sleep_until(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	CHECK_EQ(poll(&poll_fd, 1, TEST_HANG_MS), 1);
	CHECK_EQ(read(fd, &count, sizeof(count)), sizeof(count));
}

static void wake(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(write(fd, &one, sizeof(one)), sizeof(one));
}

#define ROUNDS 200000u

static void *serve_all(void *arg)
{
	struct rig *rig = arg;

	for (uint32_t i = 0; i < ROUNDS;) {
		uint32_t before = i;

		for (; rig->nr_taken < SIZE && peek(rig) == 1; i++) {
			take(rig);
			if (i % 3)
				give(rig, rig->nr_taken);
		}
		if (rig->nr_taken)
			give(rig, rig->nr_taken);
		if (i != before && vas_packed_queue_wants_interrupt(&rig->device))
			wake(rig->driver.call);
		if (i < ROUNDS && !vas_packed_queue_enable_kick(&rig->device))
			sleep_until(rig->driver.kick);
	}
	return NULL;
}

/* The driver kicks if that is asked for, and sleeps if nothing came after it was asked. */
TEST(no_kick_and_no_interrupt_is_disconnected)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);
	struct packed_driver *d = &rig->driver;
	pthread_t thread;
	uint32_t len;
	uint16_t id;

	CHECK_EQ(pthread_create(&thread, NULL, serve_all, rig), 0);
	while (d->nr_answered < ROUNDS) {
		uint32_t most = 1 + d->nr_added % SIZE, nr;

		for (; d->nr_added < ROUNDS && d->nr_added - d->nr_answered < most;) {
			nr = 1 + d->nr_added % 3;
			if (nr > d->nr_free)
				break;
			packed_driver_add(d, three, nr, 0);
			if (packed_driver_must_kick(d, nr))
				wake(d->kick);
		}
		while (!packed_driver_get(d, &id, &len))
			if (!packed_driver_enable_interrupt(d))
				sleep_until(d->call);
	}
	pthread_join(thread, NULL);
}

/* ---- a driver that does its worst ----------------------------------------------------------- */

/* One chain of three, its own or in a table, harmed: an error, and nothing of the queue changed. */
static void breaks(uint32_t flags, void (*harm)(struct rig *rig))
{
	struct rig *rig = rig_make(SIZE, flags);

	packed_driver_add(&rig->driver, three, 3, flags & VAS_VIRTQ_INDIRECT ? TABLE : 0);
	is_chain(rig, three, 3);
	rig->memory.nr_reads = 0;
	harm(rig);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(peek(rig), -EPROTO);
		CHECK_EQ(vas_packed_queue_base(&rig->device), VAS_PACKED_BASE);
		no_answer(rig);
	}
	CHECK(rig->memory.nr_reads <= 2);
}

#define BREAKS(features, name, harm)                                           \
	static void harm_##name(struct rig *rig)                               \
	{                                                                      \
		struct vring_packed_desc *desc = rig->driver.desc, *table;     \
                                                                               \
		table = (struct vring_packed_desc *)(rig->driver.ram + TABLE); \
		(void)table;                                                   \
		(void)desc;                                                    \
		harm;                                                          \
	}                                                                      \
	TEST(name)                                                             \
	{                                                                      \
		breaks(features, harm_##name);                                 \
	}

static void link_all(struct vring_packed_desc *desc)
{
	for (uint32_t i = 0; i < SIZE; i++)
		desc[i].flags |= VRING_DESC_F_NEXT | VRING_DESC_F_WRITE;
	desc[0].flags &= (uint16_t)~VRING_DESC_F_WRITE;
}

BREAKS(0, a_chain_that_goes_round_is_refused, link_all(desc))
BREAKS(0, an_id_beyond_the_ring_is_refused, desc[2].id = SIZE)
BREAKS(0, an_id_far_beyond_the_ring_is_refused, desc[2].id = 0xffff)
BREAKS(0, a_read_after_a_write_is_refused, desc[2].flags &= (uint16_t)~VRING_DESC_F_WRITE)
BREAKS(0, a_segment_that_wraps_is_refused, desc[1].addr = UINT64_MAX - 100)
BREAKS(0, a_table_without_the_feature_is_refused, desc[0].flags |= VRING_DESC_F_INDIRECT)
BREAKS(0, more_than_4_gib_are_refused, (desc[1].len = desc[2].len = UINT32_MAX))
BREAKS(BOTH, a_table_in_a_table_is_refused, table[1].flags |= VRING_DESC_F_INDIRECT)
BREAKS(BOTH, a_table_first_in_a_table_is_refused, table[0].flags = VRING_DESC_F_INDIRECT)
BREAKS(BOTH, a_table_of_no_length_is_refused, desc[0].len = 0)
BREAKS(BOTH, a_table_of_half_an_entry_is_refused, desc[0].len = 8)
BREAKS(BOTH, a_table_of_two_and_a_half_entries_is_refused, desc[0].len = 40)
BREAKS(BOTH, a_table_larger_than_its_room_is_refused, desc[0].len = (MAX_SEGMENTS + 1) * 16)
BREAKS(BOTH, a_table_of_4_gib_is_refused, desc[0].len = 0xfffffff0)
BREAKS(BOTH, a_table_in_a_hole_is_refused, desc[0].addr = RAM)
BREAKS(BOTH, a_table_that_wraps_is_refused, desc[0].addr = UINT64_MAX - 15)
BREAKS(BOTH, a_descriptor_after_a_table_is_refused, desc[0].flags |= VRING_DESC_F_NEXT)
BREAKS(BOTH, an_id_of_a_table_beyond_the_ring_is_refused, desc[0].id = SIZE)

/* The packed format has no chains that end in a table. */
TEST(a_table_after_a_descriptor_is_refused)
{
	struct rig *rig = rig_make(SIZE, BOTH);

	packed_driver_add(&rig->driver, three, 2, 0);
	is_chain(rig, three, 2);
	packed_driver_add(&rig->driver, three + 1, 2, TABLE);
	rig->driver.desc[1] = rig->driver.desc[2];
	CHECK_EQ(peek(rig), -EPROTO);
	CHECK_EQ(rig->memory.nr_reads, 0);
}

/* The ring allows more than there is room for. */
TEST(a_chain_longer_than_its_room_is_refused)
{
	struct rig *rig = rig_make(2 * MAX_SEGMENTS + 1, 0);
	struct part parts[MAX_SEGMENTS + 1];

	for (uint32_t i = 0; i <= MAX_SEGMENTS; i++)
		parts[i] = three[0];
	packed_driver_add(&rig->driver, parts, MAX_SEGMENTS, 0);
	is_chain(rig, parts, MAX_SEGMENTS);
	serve(rig, 0);
	packed_driver_add(&rig->driver, parts, MAX_SEGMENTS + 1, 0);
	CHECK_EQ(peek(rig), -EPROTO);
}

TEST(exactly_4_gib_are_served)
{
	struct part parts[] = { { 0, UINT32_MAX, 0 }, { 0, 1, 1 } };
	struct rig *rig = rig_make(SIZE, 0);

	packed_driver_add(&rig->driver, parts, 2, 0);
	is_chain(rig, parts, 2);
	rig->driver.desc[1].len = 2;
	CHECK_EQ(peek(rig), -EPROTO);
}

/* A driver that makes available again what it has not got back. */
TEST(more_descriptors_than_the_ring_has_are_refused)
{
	static const struct part left[] = { { DATA, 0, 0 }, { DATA, 0, 0 } }; /* by answers */
	struct rig *rig = rig_make(SIZE, 0);
	struct vring_packed_desc *desc = rig->driver.desc;

	for (uint32_t i = 0; i < SIZE; i++) {
		packed_driver_add(&rig->driver, three, 1, 0);
		take(rig);
	}
	desc[0].flags = desc[1].flags = 1u << VRING_PACKED_DESC_F_USED;
	CHECK_EQ(peek(rig), -EPROTO);
	give(rig, 2);
	desc[0].flags = desc[1].flags = 1u << VRING_PACKED_DESC_F_USED;
	is_chain(rig, left, 1);
	/* Two fit, and the third of this chain was taken before. */
	desc[0].flags |= VRING_DESC_F_NEXT;
	is_chain(rig, left, 2);
	desc[1].flags |= VRING_DESC_F_NEXT;
	CHECK_EQ(peek(rig), -EPROTO);
}

TEST(memory_that_cannot_be_read_now_is_no_error_of_the_driver)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_INDIRECT);

	packed_driver_add(&rig->driver, three, 3, TABLE);
	rig->memory.err = -EAGAIN;
	CHECK_EQ(peek(rig), -EAGAIN);
	rig->memory.err = 0;
	is_chain(rig, three, 3);
}

static void poison_the_table(struct rig_memory *memory)
{
	struct rig *rig = (struct rig *)memory;

	memset(rig->driver.ram + TABLE, 0xff, 48);
	memset(rig->driver.desc, 0x7f, SIZE * sizeof(struct vring_packed_desc));
	rig->memory.after_read = NULL;
}

TEST(a_table_that_changes_once_it_is_read_changes_nothing)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_INDIRECT);
	uint16_t id = packed_driver_add(&rig->driver, three, 3, TABLE);

	rig->memory.after_read = poison_the_table;
	is_chain(rig, three, 3);
	CHECK_EQ(rig->chain.head, id);
	/* Available still, and makes no sense any more. */
	rig->driver.desc[0].flags = 0x7fff;
	CHECK_EQ(peek(rig), -EPROTO);
}

struct scribbler {
	struct rig *rig;
	struct test_random random;
	int stop;
};

/* Small numbers, mostly: those nearly make sense. */
static void poison(struct test_random *random, void *at, uint64_t len)
{
	uint16_t *word = (uint16_t *)at + test_random_below(random, len / 2);
	uint64_t value = test_random_next(random);

	__atomic_store_n(word, (uint16_t)((uint16_t)value >> (value >> 60)), __ATOMIC_RELAXED);
}

/* A descriptor that is available half of the time, and nearly makes sense. */
static void poison_desc(struct test_random *random, struct vring_packed_desc *desc)
{
	uint64_t value = test_random_next(random);
	uint16_t flags = (uint16_t)(value & 0x7) | (value & 8 ? 1u << VRING_PACKED_DESC_F_AVAIL :
								1u << VRING_PACKED_DESC_F_USED);

	poison(random, desc, offsetof(struct vring_packed_desc, id));
	__atomic_store_n(&desc->id, (uint16_t)(value >> 8 & 7), __ATOMIC_RELAXED);
	__atomic_store_n(&desc->flags, flags, __ATOMIC_RELAXED);
}

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	struct packed_driver *d = &s->rig->driver;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		poison_desc(&s->random, &d->desc[test_random_below(&s->random, SIZE)]);
		poison(&s->random, d->driver, sizeof(*d->driver));
		poison(&s->random, d->device, sizeof(*d->device));
	}
	return NULL;
}

/* Tables included, but those are of the device's thread: a copy races with no one here. */
TEST(a_ring_that_changes_while_it_is_read_yields_only_what_makes_sense)
{
	struct scribbler s = { .random = { test_seed() } };
	struct test_random random = { ~test_seed() };
	uint32_t nr_good = 0;
	pthread_t thread;

	s.rig = rig_make(SIZE, BOTH);
	CHECK_EQ(pthread_create(&thread, NULL, scribble, &s), 0);
	while (nr_good < 10000) {
		poison(&random, s.rig->driver.ram + TABLE, 64);
		if (peek(s.rig) == 1) {
			nr_good++;
			CHECK_STR(chain_error(&s.rig->chain, SIZE) ?: "", "");
			take_peeked(s.rig);
			CHECK(s.rig->device.nr_taken <= SIZE);
		}
		if (s.rig->nr_taken && test_random_below(&random, 2))
			give(s.rig, 1);
		vas_packed_queue_wants_interrupt(&s.rig->device);
		vas_packed_queue_enable_kick(&s.rig->device);
	}
	__atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}
