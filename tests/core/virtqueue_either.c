// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* One device's code, for both formats, each with a driver of its own. */
#include "core/virtqueue/virtq.h"

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
		CHECK_EQ(serve_either(&queue), 3);
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
		CHECK_EQ(serve_either(&queue), 3);
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
