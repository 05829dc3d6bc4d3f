// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* One device's code, for both formats, each with a driver of its own. */
#include "core/virtqueue/virtq.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/core/packed_driver.h"
#include "tests/harness.h"
#include "tests/kernel/virtqueue.h"

#define SIZE  8u
#define QUEUE 0x1000ull
#define DATA  0x8000ull
#define RAM   0x10000ull

static const struct part parts[] = { { DATA, 16, 0 }, { DATA + 0x100, 512, 1 } };

/* Serve what there is, and answer it at once: how many. */
static inline __attribute__((always_inline)) uint32_t serve(struct vas_virtq *queue,
							    enum vas_virtq_format format)
{
	struct vas_virtq_segment segments[SIZE];
	struct vas_virtq_chain chain = { .segments = segments, .max_segments = SIZE };
	struct vas_virtq_answer answers[SIZE];
	uint32_t nr = 0;

	while (nr < SIZE && vas_virtq_peek(queue, format, &chain) == 1) {
		CHECK_EQ(chain.nr_out, 1);
		CHECK_EQ(chain.len_in, 512);
		vas_virtq_take(queue, format, &chain);
		answers[nr] = (struct vas_virtq_answer){ chain.head, chain.nr_descs, nr + 1 };
		nr++;
	}
	if (nr)
		vas_virtq_give(queue, format, answers, nr);
	return nr;
}

static uint32_t serve_either(struct vas_virtq *queue)
{
	return queue->format == VAS_VIRTQ_PACKED ? serve(queue, VAS_VIRTQ_PACKED) :
						   serve(queue, VAS_VIRTQ_SPLIT);
}

/* The same by bursts of as many chains and segments at most, of which all but one are taken at once. */
static uint32_t serve_bursts(struct vas_virtq *queue, uint32_t max_chains, uint32_t max_segments)
{
	struct vas_virtq_segment segments[2 * SIZE];
	struct vas_virtq_chain chains[SIZE];
	struct vas_virtq_burst burst = { chains, segments, max_chains, max_segments, 0 };
	struct vas_virtq_answer answers[SIZE];
	uint32_t nr = 0;
	int result;

	while ((result = vas_virtq_peek_burst(queue, queue->format, &burst)) > 0) {
		uint32_t taken = result > 1 ? (uint32_t)result - 1 : 1;

		CHECK_EQ(burst.nr, (uint32_t)result);
		CHECK(burst.nr <= max_chains && 2 * burst.nr <= max_segments);
		for (uint32_t i = 0; i < taken; i++) {
			CHECK_EQ(chains[i].nr_out, 1);
			CHECK_EQ(chains[i].segments[0].len, 16);
			CHECK_EQ(chains[i].segments[1].len, 512);
			answers[nr] = (struct vas_virtq_answer){ chains[i].head, chains[i].nr_descs,
								 nr + 1 };
			nr++;
		}
		vas_virtq_take_burst(queue, queue->format, chains, taken);
	}
	CHECK_EQ(result, 0);
	if (nr)
		vas_virtq_give(queue, queue->format, answers, nr);
	return nr;
}

/* Each round by another way. */
static uint32_t serve_round(struct vas_virtq *queue, uint32_t round)
{
	switch (round % 4) {
	case 0:
		return serve_either(queue);
	case 1:
		return serve_bursts(queue, SIZE, 2 * SIZE);
	case 2:
		return serve_bursts(queue, 2, 2 * SIZE);
	default:
		return serve_bursts(queue, SIZE, 4);
	}
}

static char *make_ram(void)
{
	static char ram[RAM] __attribute__((aligned(4096)));

	memset(ram, 0, RAM);
	return ram;
}

TEST(a_split_queue_is_served)
{
	struct virtqueue driver;
	struct vas_virtq queue = { .format = VAS_VIRTQ_SPLIT };

	virtqueue_init(&driver, make_ram(), QUEUE, SIZE);
	queue.split = (struct vas_split_queue){
		.desc = (void *)driver.desc,
		.avail = (void *)driver.avail,
		.used = (void *)driver.used,
		.size = SIZE,
		.flags = VAS_VIRTQ_EVENT_IDX,
	};
	for (uint32_t round = 0; round < 3 * SIZE; round++) {
		uint16_t heads[3];

		CHECK(!vas_virtq_enable_kick(&queue, queue.format));
		for (uint32_t i = 0; i < 3; i++)
			heads[i] = virtqueue_add(&driver, parts, 2, 0);
		CHECK(vas_virtq_enable_kick(&queue, queue.format));
		CHECK_EQ(serve_round(&queue, round), 3);
		CHECK(round || vas_virtq_wants_interrupt(&queue, queue.format));
		for (uint32_t i = 0; i < 3; i++) {
			CHECK_EQ(driver.used->ring[driver.seen % SIZE].id, heads[i]);
			CHECK_EQ(driver.used->ring[driver.seen++ % SIZE].len, i + 1);
		}
		CHECK_EQ(driver.seen, driver.used->idx);
	}
}

TEST(a_packed_queue_is_served)
{
	struct packed_driver driver;
	struct vas_virtq queue = { .format = VAS_VIRTQ_PACKED };

	packed_driver_init(&driver, make_ram(), SIZE, 0, true);
	queue.packed = (struct vas_packed_queue){
		.desc = (void *)driver.desc,
		.driver = (void *)driver.driver,
		.device = (void *)driver.device,
		.size = SIZE,
		.flags = VAS_VIRTQ_EVENT_IDX,
	};
	CHECK_OK(vas_packed_queue_start(&queue.packed, VAS_PACKED_BASE));
	for (uint32_t round = 0; round < 3 * SIZE; round++) {
		uint16_t ids[3], id;
		uint32_t len;

		CHECK(!vas_virtq_enable_kick(&queue, queue.format));
		for (uint32_t i = 0; i < 3; i++)
			ids[i] = packed_driver_add(&driver, parts, 2, 0);
		CHECK(vas_virtq_enable_kick(&queue, queue.format));
		CHECK_EQ(serve_round(&queue, round), 3);
		CHECK(round || vas_virtq_wants_interrupt(&queue, queue.format));
		for (uint32_t i = 0; i < 3; i++) {
			CHECK(packed_driver_get(&driver, &id, &len));
			CHECK_EQ(id, ids[i]);
			CHECK_EQ(len, i + 1);
		}
		CHECK(!packed_driver_get(&driver, &id, &len));
	}
	packed_driver_clean(&driver);
}

/* The good ones before it are served; then it is first, and the driver's error. */
static void ends_before_what_makes_no_sense(struct vas_virtq *queue)
{
	struct vas_virtq_segment segments[SIZE];
	struct vas_virtq_chain chains[SIZE];
	struct vas_virtq_burst burst = { chains, segments, SIZE, SIZE, 0 };

	CHECK_EQ(vas_virtq_peek_burst(queue, queue->format, &burst), 2);
	vas_virtq_take_burst(queue, queue->format, chains, 2);
	CHECK_EQ(vas_virtq_peek_burst(queue, queue->format, &burst), -EPROTO);
	CHECK_EQ(burst.nr, 0);
}

/* What is written after what is read. */
static const struct part wrong[] = { { DATA, 16, 1 }, { DATA, 16, 0 } };

TEST(a_split_burst_ends_before_what_makes_no_sense)
{
	struct virtqueue driver;
	struct vas_virtq queue = { .format = VAS_VIRTQ_SPLIT };

	virtqueue_init(&driver, make_ram(), QUEUE, SIZE);
	queue.split = (struct vas_split_queue){
		.desc = (void *)driver.desc,
		.avail = (void *)driver.avail,
		.used = (void *)driver.used,
		.size = SIZE,
	};
	virtqueue_add(&driver, parts, 2, 0);
	virtqueue_add(&driver, parts, 2, 0);
	virtqueue_add(&driver, wrong, 2, 0);
	ends_before_what_makes_no_sense(&queue);
}

TEST(a_packed_burst_ends_before_what_makes_no_sense)
{
	struct packed_driver driver;
	struct vas_virtq queue = { .format = VAS_VIRTQ_PACKED };

	packed_driver_init(&driver, make_ram(), SIZE, 0, true);
	queue.packed = (struct vas_packed_queue){
		.desc = (void *)driver.desc,
		.driver = (void *)driver.driver,
		.device = (void *)driver.device,
		.size = SIZE,
	};
	CHECK_OK(vas_packed_queue_start(&queue.packed, VAS_PACKED_BASE));
	packed_driver_add(&driver, parts, 2, 0);
	packed_driver_add(&driver, parts, 2, 0);
	packed_driver_add(&driver, wrong, 2, 0);
	ends_before_what_makes_no_sense(&queue);
	packed_driver_clean(&driver);
}

/* Without event indices a flag says whether kicks are of use; with them only packed rings say so. */
TEST(kicks_are_disabled_until_they_are_asked_for)
{
	struct virtqueue split_driver;
	struct packed_driver packed_driver;
	struct vas_virtq queue = { .format = VAS_VIRTQ_SPLIT };

	virtqueue_init(&split_driver, make_ram(), QUEUE, SIZE);
	queue.split = (struct vas_split_queue){
		.desc = (void *)split_driver.desc,
		.avail = (void *)split_driver.avail,
		.used = (void *)split_driver.used,
		.size = SIZE,
	};
	vas_virtq_disable_kick(&queue, queue.format);
	CHECK_EQ(split_driver.used->flags, VRING_USED_F_NO_NOTIFY);
	CHECK(!vas_virtq_enable_kick(&queue, queue.format));
	CHECK_EQ(split_driver.used->flags, 0);
	packed_driver_init(&packed_driver, make_ram(), SIZE, 0, true);
	queue.format = VAS_VIRTQ_PACKED;
	queue.packed = (struct vas_packed_queue){
		.desc = (void *)packed_driver.desc,
		.driver = (void *)packed_driver.driver,
		.device = (void *)packed_driver.device,
		.size = SIZE,
		.flags = VAS_VIRTQ_EVENT_IDX,
	};
	CHECK_OK(vas_packed_queue_start(&queue.packed, VAS_PACKED_BASE));
	vas_virtq_disable_kick(&queue, queue.format);
	CHECK_EQ(packed_driver.device->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	CHECK(!vas_virtq_enable_kick(&queue, queue.format));
	CHECK_EQ(packed_driver.device->flags, VRING_PACKED_EVENT_FLAG_DESC);
	packed_driver_clean(&packed_driver);
}
