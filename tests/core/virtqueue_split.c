// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The split virtqueue, with a driver that does well, and one that does its worst. */
#include "core/virtqueue/split.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/core/virtqueue_rig.h"

#define SIZE  8u
#define QUEUE 0x10000ull /* gpa of the ring; up to 32768 entries */
#define RAM   0x200000ull

/* A guest's memory, its driver, and the device. The driver is written against Linux's header. */
struct rig {
	struct rig_memory memory; /* first */
	struct rig *next;
	struct virtqueue driver;
	struct vas_split_queue device;
	struct vas_virtq_chain chain;
};

static void rig_start(struct rig *rig, uint16_t at)
{
	rig->device.next_avail = at;
	rig->device.next_used = at;
	rig->device.signalled_is_valid = false;
	rig->driver.avail->idx = at;
	rig->driver.used->idx = at;
	rig->driver.seen = at;
}

/*
 * The private rooms are exactly as large as they are said to be, for a sanitizer to see. They end
 * with the case's process.
 */
static struct rig *rig_make(uint32_t size, uint32_t flags)
{
	static struct rig *rigs;
	struct rig *rig = zalloc(sizeof(*rig));

	rig->next = rigs;
	rigs = rig;
	rig->memory.bytes = zalloc(RAM);
	rig->memory.size = RAM;
	virtqueue_init(&rig->driver, rig->memory.bytes, QUEUE, size);
	rig->device = (struct vas_split_queue){
		.desc = (void *)rig->driver.desc,
		.avail = (void *)rig->driver.avail,
		.used = (void *)rig->driver.used,
		.size = size,
		.flags = flags,
		.tables = {
			.read = rig_memory_read,
			.user = &rig->memory,
			.room = zalloc(MAX_SEGMENTS * sizeof(struct vas_virtq_desc)),
			.max = MAX_SEGMENTS,
		},
	};
	rig->chain.segments = zalloc(MAX_SEGMENTS * sizeof(struct vas_virtq_segment));
	rig->chain.max_segments = MAX_SEGMENTS;
	return rig;
}

static int peek(struct rig *rig)
{
	return vas_split_queue_peek(&rig->device, &rig->chain);
}

static void is_chain(struct rig *rig, const struct part *parts, uint32_t nr)
{
	CHECK_EQ(peek(rig), 1);
	has_parts(&rig->chain, rig->device.size, parts, nr);
}

static void give(struct vas_split_queue *queue, uint16_t head, uint32_t len)
{
	struct vas_virtq_answer answer = { .head = head, .len = len };

	vas_split_queue_give(queue, &answer, 1);
}

static uint16_t serve(struct rig *rig, uint32_t len)
{
	CHECK_EQ(peek(rig), 1);
	vas_split_queue_take(&rig->device);
	give(&rig->device, rig->chain.head, len);
	return rig->chain.head;
}

static void is_answered(struct rig *rig, uint16_t head, uint32_t len)
{
	struct virtqueue *q = &rig->driver;

	CHECK(q->used->idx != q->seen);
	CHECK_EQ(q->used->ring[q->seen % q->size].id, head);
	CHECK_EQ(q->used->ring[q->seen % q->size].len, len);
	q->seen++;
}

static uint16_t *avail_event(const struct virtqueue *q)
{
	return (uint16_t *)(q->ram + q->used_gpa + 4 + q->size * sizeof(struct vring_used_elem));
}

static const struct part three[] = { { DATA, 16, 0 },
				     { DATA + 0x100, 512, 1 },
				     { DATA + 16, 1, 1 } };

/* ---- a driver that does well ---------------------------------------------------------------- */

TEST(the_layout_is_that_of_linux)
{
	CHECK_EQ(sizeof(struct vas_virtq_desc), sizeof(struct vring_desc));
	CHECK_EQ(sizeof(struct vas_virtq_used_elem), sizeof(struct vring_used_elem));
	CHECK_EQ(vas_split_part_align(VAS_SPLIT_DESC), VRING_DESC_ALIGN_SIZE);
	CHECK_EQ(vas_split_part_align(VAS_SPLIT_AVAIL), VRING_AVAIL_ALIGN_SIZE);
	CHECK_EQ(vas_split_part_align(VAS_SPLIT_USED), VRING_USED_ALIGN_SIZE);
	for (uint32_t size = 1; size <= VAS_VIRTQ_MAX_SIZE; size *= 2)
		CHECK_EQ(vas_split_part_size(VAS_SPLIT_DESC, size) +
				 vas_split_part_size(VAS_SPLIT_AVAIL, size) +
				 vas_split_part_size(VAS_SPLIT_USED, size),
			 vring_size(size, 2));
}

TEST(a_size_is_a_power_of_two_up_to_32768)
{
	for (uint32_t size = 0; size < 0x20000; size++)
		CHECK_EQ(vas_split_size_is_valid(size),
			 size && size <= 32768 && __builtin_popcount(size) == 1);
	CHECK(!vas_split_size_is_valid(1u << 31));
}

TEST(a_chain_comes_as_it_was_added)
{
	struct rig *rig = rig_make(SIZE, 0);

	CHECK_EQ(peek(rig), 0);
	virtqueue_add(&rig->driver, three, 3, 0);
	is_chain(rig, three, 3);
	CHECK_EQ(rig->chain.nr_out, 1);
	CHECK_EQ(rig->chain.len_out, 16);
	CHECK_EQ(rig->chain.len_in, 513);
	is_chain(rig, three, 3); /* again: nothing was taken */
	serve(rig, 513);
	is_answered(rig, 0, 513);
	CHECK_EQ(peek(rig), 0);
}

TEST(a_table_comes_as_a_chain)
{
	struct part parts[MAX_SEGMENTS];
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_INDIRECT);

	for (uint32_t i = 0; i < MAX_SEGMENTS; i++)
		parts[i] = (struct part){ DATA + i * 64, i, i > 5 };
	virtqueue_add(&rig->driver, parts, MAX_SEGMENTS, TABLE);
	is_chain(rig, parts, MAX_SEGMENTS);
	CHECK_EQ(rig->memory.nr_reads, 1);
	/* What its descriptor says of writing means nothing. */
	rig->driver.desc[0].flags |= VRING_DESC_F_WRITE;
	is_chain(rig, parts, MAX_SEGMENTS);
}

TEST(a_table_may_follow_descriptors)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_INDIRECT);
	struct vring_desc *desc = rig->driver.desc;

	virtqueue_add(&rig->driver, three + 1, 2, TABLE);
	desc[3] = (struct vring_desc){ three[0].gpa, three[0].len, VRING_DESC_F_NEXT, 0 };
	rig->driver.avail->ring[0] = 3;
	is_chain(rig, three, 3);
	CHECK_EQ(rig->chain.head, 3);
}

TEST(answers_may_come_in_any_order)
{
	struct rig *rig = rig_make(SIZE, 0);
	uint16_t heads[3];

	for (uint32_t i = 0; i < 3; i++) {
		heads[i] = virtqueue_add(&rig->driver, three, i < 2 ? 3 : 2, 0);
		CHECK_EQ(peek(rig), 1);
		CHECK_EQ(rig->chain.head, heads[i]);
		vas_split_queue_take(&rig->device);
	}
	for (int i = 2; i >= 0; i--)
		give(&rig->device, heads[i], (uint32_t)i);
	for (int i = 2; i >= 0; i--)
		is_answered(rig, heads[i], (uint32_t)i);
}

/* Three answers, and the driver sees none of them before it may see all. */
TEST(answers_come_at_once)
{
	struct rig *rig = rig_make(SIZE, 0);
	struct vas_virtq_answer answers[3] = { { 0 } };

	rig_start(rig, 0xfffe);
	for (uint32_t i = 0; i < 3; i++) {
		answers[i].head = virtqueue_add(&rig->driver, three, 2, 0);
		answers[i].len = 10 + i;
		CHECK_EQ(peek(rig), 1);
		vas_split_queue_take(&rig->device);
	}
	vas_split_queue_give(&rig->device, answers, 3);
	CHECK_EQ(rig->driver.used->idx, 1);
	for (uint32_t i = 0; i < 3; i++)
		is_answered(rig, answers[i].head, 10 + i);
}

TEST(one_answer_stands_for_those_before_it)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);
	struct vas_virtq_answer answers[3] = { { 0 } };

	vas_split_queue_wants_interrupt(&rig->device);
	rig->driver.avail->ring[SIZE] = 1;
	for (uint32_t i = 0; i < 3; i++) {
		answers[i].head = virtqueue_add(&rig->driver, three, 1, 0);
		CHECK_EQ(peek(rig), 1);
		vas_split_queue_take(&rig->device);
	}
	vas_split_queue_give_in_order(&rig->device, answers, 3);
	CHECK_EQ(rig->driver.used->idx, 3);
	CHECK_EQ(rig->driver.used->ring[0].id, answers[2].head);
	CHECK_EQ(rig->driver.used->ring[0].len, 0);
	CHECK(vas_split_queue_wants_interrupt(&rig->device));
	CHECK_EQ(peek(rig), 0);
}

static void goes_round(uint32_t size)
{
	struct rig *rig = rig_make(size, BOTH);
	struct part part = { DATA, 0, 1 };
	uint16_t head;

	test_note("size %u", size);
	rig_start(rig, 0xfff0);
	for (uint32_t i = 0; i < 3 * 65536; i++) {
		part.len = i;
		head = virtqueue_add(&rig->driver, &part, 1, i & 1 ? TABLE : 0);
		is_chain(rig, &part, 1);
		CHECK_EQ(serve(rig, i), head);
		is_answered(rig, head, i);
	}
}

TEST(indices_go_round)
{
	goes_round(1);
	goes_round(SIZE);
	goes_round(VAS_VIRTQ_MAX_SIZE);
}

TEST(a_full_ring_is_served)
{
	struct rig *rig = rig_make(VAS_VIRTQ_MAX_SIZE, 0);

	for (uint32_t i = 0; i < VAS_VIRTQ_MAX_SIZE; i++)
		virtqueue_add(&rig->driver, three, 1, 0);
	for (uint32_t i = 0; i < VAS_VIRTQ_MAX_SIZE; i++)
		CHECK_EQ(serve(rig, 0), i);
	CHECK_EQ(peek(rig), 0);
}

/* ---- interrupts and kicks ------------------------------------------------------------------- */

TEST(a_driver_that_wants_no_interrupt_gets_none)
{
	struct rig *rig = rig_make(SIZE, 0);

	CHECK(vas_split_queue_wants_interrupt(&rig->device));
	rig->driver.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	CHECK(!vas_split_queue_wants_interrupt(&rig->device));
}

/* Answers from `old` up to `new`, beginning anywhere in the 65536 indices. */
TEST(an_interrupt_is_for_the_answer_that_was_asked_for)
{
	static const uint16_t starts[] = { 0, 1, 0x7fff, 0x8000, 0xfffd, 0xffff };

	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++)
		for (uint16_t nr = 1; nr <= SIZE; nr++)
			for (int event = -3; event < nr + 3; event++) {
				struct vas_split_queue queue =
					rig_make(SIZE, VAS_VIRTQ_EVENT_IDX)->device;
				uint16_t *avail = (uint16_t *)(uintptr_t)queue.avail;

				test_note("from %u, %u answers, event %d", starts[s], nr, event);
				queue.next_avail = starts[s];
				queue.next_used = starts[s];
				vas_split_queue_wants_interrupt(&queue);
				avail[2 + SIZE] = (uint16_t)(starts[s] + event);
				for (int i = 0; i < nr; i++) {
					vas_split_queue_take(&queue);
					give(&queue, 0, 0);
				}
				CHECK_EQ(vas_split_queue_wants_interrupt(&queue),
					 event >= 0 && event < nr);
				CHECK(!vas_split_queue_wants_interrupt(&queue));
			}
}

/* Whoever served before may have died between an answer and its interrupt. */
TEST(the_first_answer_after_a_start_interrupts)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);

	rig_start(rig, 100);
	rig->driver.avail->ring[SIZE] = 99;
	virtqueue_add(&rig->driver, three, 1, 0);
	serve(rig, 0);
	CHECK(vas_split_queue_wants_interrupt(&rig->device));
	CHECK(!vas_split_queue_wants_interrupt(&rig->device));
}

TEST(as_many_answers_as_there_are_indices_interrupt)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);

	vas_split_queue_wants_interrupt(&rig->device);
	rig->driver.avail->ring[SIZE] = 5;
	for (uint32_t i = 0; i < 65536; i++) {
		virtqueue_add(&rig->driver, three, 1, 0);
		serve(rig, 0);
	}
	CHECK(vas_split_queue_wants_interrupt(&rig->device));
}

TEST(a_kick_is_asked_for_what_comes_next)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);

	rig_start(rig, 0xfffe);
	for (uint32_t i = 0; i < 5; i++) {
		CHECK(!vas_split_queue_enable_kick(&rig->device));
		CHECK_EQ(*avail_event(&rig->driver), (uint16_t)(0xfffe + i));
		virtqueue_add(&rig->driver, three, 1, 0);
		CHECK(vas_split_queue_enable_kick(&rig->device));
		serve(rig, 0);
	}
}

static void sleep_until(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	CHECK_EQ(poll(&poll_fd, 1, TEST_HANG_MS), 1);
	CHECK_EQ(read(fd, &count, sizeof(count)), sizeof(count));
}

#define ROUNDS 200000u

static void *serve_all(void *arg)
{
	struct rig *rig = arg;
	uint64_t one = 1;

	for (uint32_t i = 0; i < ROUNDS;) {
		uint32_t before = i;

		for (; peek(rig) == 1; i++)
			serve(rig, 1);
		if (i != before && vas_split_queue_wants_interrupt(&rig->device))
			CHECK_EQ(write(rig->driver.call, &one, sizeof(one)), sizeof(one));
		if (i < ROUNDS && !vas_split_queue_enable_kick(&rig->device))
			sleep_until(rig->driver.kick);
	}
	return NULL;
}

/* As Linux's driver does: kick if that is asked for; sleep if nothing came after it was asked. */
static void drive(struct rig *rig, uint16_t *kicked)
{
	struct virtqueue *q = &rig->driver;
	uint16_t event, idx;

	virtqueue_add(q, three, 1, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(avail_event(q), __ATOMIC_RELAXED);
	idx = q->avail->idx;
	if (vring_need_event(event, idx, *kicked))
		virtqueue_kick(q);
	*kicked = idx;
}

TEST(no_kick_and_no_interrupt_is_disconnected)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_EVENT_IDX);
	uint32_t added = 0, answered = 0;
	struct vring_used_elem elem;
	uint16_t kicked = 0;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, serve_all, rig), 0);
	while (answered < ROUNDS) {
		for (; added < ROUNDS && added - answered < 1 + added % SIZE; added++)
			drive(rig, &kicked);
		CHECK(virtqueue_wait(&rig->driver, &elem, TEST_HANG_MS));
		answered++;
	}
	pthread_join(thread, NULL);
}

/* ---- a driver that does its worst ----------------------------------------------------------- */

/* One chain of three, its own or in a table, harmed: an error, and nothing of the queue changed. */
static void breaks(uint32_t flags, void (*harm)(struct rig *rig))
{
	struct rig *rig = rig_make(SIZE, flags);

	virtqueue_add(&rig->driver, three, 3, flags & VAS_VIRTQ_INDIRECT ? TABLE : 0);
	is_chain(rig, three, 3);
	rig->memory.nr_reads = 0;
	harm(rig);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(peek(rig), -EPROTO);
		CHECK_EQ(rig->device.next_avail, 0);
		CHECK_EQ(rig->driver.used->idx, 0);
	}
	CHECK(rig->memory.nr_reads <= 2);
}

#define BREAKS(flags, name, harm)                              \
	static void harm_##name(struct rig *rig)               \
	{                                                      \
		struct virtqueue *q = &rig->driver;            \
		struct vring_desc *table;                      \
                                                               \
		table = (struct vring_desc *)(q->ram + TABLE); \
		(void)table;                                   \
		harm;                                          \
	}                                                      \
	TEST(name)                                             \
	{                                                      \
		breaks(flags, harm_##name);                    \
	}

BREAKS(0, an_index_that_jumps_ahead_is_refused, q->avail->idx = SIZE + 1)
BREAKS(0, an_index_that_goes_back_is_refused, q->avail->idx = 0xffff)
BREAKS(0, a_head_beyond_the_ring_is_refused, q->avail->ring[0] = SIZE)
BREAKS(0, a_head_far_beyond_the_ring_is_refused, q->avail->ring[0] = 0xffff)
BREAKS(0, a_chain_that_goes_round_is_refused, q->desc[2].flags |= VRING_DESC_F_NEXT)
BREAKS(0, a_descriptor_that_follows_itself_is_refused, q->desc[0].next = 0)
BREAKS(0, a_chain_that_leaves_the_ring_is_refused, q->desc[1].next = SIZE)
BREAKS(0, a_read_after_a_write_is_refused, q->desc[2].flags = 0)
BREAKS(0, a_segment_that_wraps_is_refused, q->desc[1].addr = UINT64_MAX - 100)
BREAKS(0, a_table_without_the_feature_is_refused, q->desc[0].flags = VRING_DESC_F_INDIRECT)
BREAKS(0, more_than_4_gib_are_refused, (q->desc[1].len = q->desc[2].len = UINT32_MAX))
BREAKS(BOTH, a_table_that_goes_round_is_refused, table[2].flags |= VRING_DESC_F_NEXT)
BREAKS(BOTH, a_table_entry_that_follows_itself_is_refused, table[1].next = 1)
BREAKS(BOTH, a_chain_that_leaves_its_table_is_refused, table[1].next = 3)
BREAKS(BOTH, a_table_in_a_table_is_refused, table[1].flags |= VRING_DESC_F_INDIRECT)
BREAKS(BOTH, a_table_first_in_a_table_is_refused, table[0].flags = VRING_DESC_F_INDIRECT)
BREAKS(BOTH, a_table_of_no_length_is_refused, q->desc[0].len = 0)
BREAKS(BOTH, a_table_of_half_an_entry_is_refused, q->desc[0].len = 8)
BREAKS(BOTH, a_table_of_two_and_a_half_entries_is_refused, q->desc[0].len = 40)
BREAKS(BOTH, a_table_larger_than_its_room_is_refused, q->desc[0].len = (MAX_SEGMENTS + 1) * 16)
BREAKS(BOTH, a_table_of_4_gib_is_refused, q->desc[0].len = 0xfffffff0)
BREAKS(BOTH, a_table_in_a_hole_is_refused, q->desc[0].addr = RAM)
BREAKS(BOTH, a_table_that_wraps_is_refused, q->desc[0].addr = UINT64_MAX - 15)
BREAKS(BOTH, a_descriptor_after_a_table_is_refused, q->desc[0].flags |= VRING_DESC_F_NEXT)

/* The ring allows more than there is room for. */
TEST(a_chain_longer_than_its_room_is_refused)
{
	struct rig *rig = rig_make(2 * MAX_SEGMENTS, VAS_VIRTQ_INDIRECT);
	struct part parts[MAX_SEGMENTS + 1];

	for (uint32_t i = 0; i <= MAX_SEGMENTS; i++)
		parts[i] = three[0];
	virtqueue_add(&rig->driver, parts, MAX_SEGMENTS, 0);
	is_chain(rig, parts, MAX_SEGMENTS);
	serve(rig, 0);
	virtqueue_add(&rig->driver, parts, MAX_SEGMENTS + 1, 0);
	CHECK_EQ(peek(rig), -EPROTO);
}

/* Descriptors and a table together, too. */
TEST(a_chain_whose_table_makes_it_too_long_is_refused)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_INDIRECT);
	struct part parts[MAX_SEGMENTS];

	for (uint32_t i = 0; i < MAX_SEGMENTS; i++)
		parts[i] = three[0];
	virtqueue_add(&rig->driver, parts, MAX_SEGMENTS, TABLE);
	rig->driver.desc[3] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, 0 };
	rig->driver.avail->ring[0] = 3;
	CHECK_EQ(peek(rig), -EPROTO);
}

TEST(exactly_4_gib_are_served)
{
	struct part parts[] = { { 0, UINT32_MAX, 0 }, { 0, 1, 1 } };
	struct rig *rig = rig_make(SIZE, 0);

	virtqueue_add(&rig->driver, parts, 2, 0);
	is_chain(rig, parts, 2);
	rig->driver.desc[1].len = 2;
	CHECK_EQ(peek(rig), -EPROTO);
}

/* The same head again and again: no more are under way than the ring has entries. */
TEST(more_chains_than_entries_are_refused)
{
	struct rig *rig = rig_make(SIZE, 0);

	for (uint32_t i = 0; i < SIZE; i++) {
		virtqueue_add(&rig->driver, three, 1, 0);
		CHECK_EQ(peek(rig), 1);
		vas_split_queue_take(&rig->device);
	}
	virtqueue_add(&rig->driver, three, 1, 0);
	CHECK_EQ(peek(rig), -EPROTO);
	give(&rig->device, 0, 0);
	CHECK_EQ(peek(rig), 1);
}

TEST(memory_that_cannot_be_read_now_is_no_error_of_the_driver)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_INDIRECT);

	virtqueue_add(&rig->driver, three, 3, TABLE);
	rig->memory.err = -EAGAIN;
	CHECK_EQ(peek(rig), -EAGAIN);
	rig->memory.err = 0;
	is_chain(rig, three, 3);
}

static void poison_the_table(struct rig_memory *memory)
{
	struct rig *rig = (struct rig *)memory;

	memset(rig->driver.ram + TABLE, 0xff, 48);
	memset(rig->driver.desc, 0xff, SIZE * sizeof(struct vring_desc));
}

TEST(a_table_that_changes_once_it_is_read_changes_nothing)
{
	struct rig *rig = rig_make(SIZE, VAS_VIRTQ_INDIRECT);

	virtqueue_add(&rig->driver, three, 3, TABLE);
	rig->memory.after_read = poison_the_table;
	is_chain(rig, three, 3);
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

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	struct virtqueue *q = &s->rig->driver;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		poison(&s->random, q->desc, SIZE * sizeof(struct vring_desc));
		poison(&s->random, q->avail, 6 + SIZE * 2);
		poison(&s->random, q->used, 6 + SIZE * 8);
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
	for (uint32_t i = 0; nr_good < 10000; i++) {
		/* As after a reset, whatever the index is now. */
		s.rig->device.next_avail =
			__atomic_load_n(&s.rig->driver.avail->idx, __ATOMIC_RELAXED) - 1;
		s.rig->device.next_used = s.rig->device.next_avail;
		poison(&random, s.rig->driver.ram + TABLE, 64);
		if (peek(s.rig) == 1) {
			nr_good++;
			CHECK_STR(chain_error(&s.rig->chain, SIZE) ?: "", "");
			vas_split_queue_take(&s.rig->device);
			give(&s.rig->device, s.rig->chain.head, i);
		}
		vas_split_queue_wants_interrupt(&s.rig->device);
		vas_split_queue_enable_kick(&s.rig->device);
	}
	__atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}
