// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Regions come and go while kernel threads use them. TEST_HOTPLUG_ROUNDS sets how often, in all; each
 * way of access has its share.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define MIB   (1ull << 20)
#define PAGE  4096ull
#define LIMIT (64 * MIB)
#define HOT   (8 * MIB)

static int nr_rounds(int parts)
{
	const char *rounds = getenv("TEST_HOTPLUG_ROUNDS");

	return (rounds ? atoi(rounds) : 600) / parts;
}

static void plug_in_and_out(struct vas *vas, int rounds)
{
	uint64_t id, word;

	for (int i = 0; i < rounds; i++) {
		test_note("round %d", i);
		id = device_add(vas, HOT, MIB);
		CHECK_OK(vas_read(vas, HOT, &word, sizeof(word), NULL));
		device_remove(vas, id);
		/* Given back: whoever wrote late wrote to nobody. */
		CHECK_EQ(pread(vas_fd(vas), &word, sizeof(word), HOT), 8);
		CHECK_EQ(word, 0);
	}
}

/* One load on what comes and goes, one beside it that must not notice. */
static void under(enum vas_test_load_kind kind)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int hot = device_bound(vas_fd(vas)), cold = device_bound(vas_fd(vas));
	struct vas_test_load load = {
		.gpa = HOT, .len = MIB, .kind = kind, .seed = (uint32_t)test_seed() | 1
	};
	struct vas_test_load_result result;

	CHECK_OK(device_load(hot, &load));
	load.gpa = 0;
	CHECK_OK(device_load(cold, &load));
	plug_in_and_out(vas, nr_rounds(3));
	result = device_load_stop(hot);
	CHECK_OK(result.err);
	CHECK(result.done + result.faults + result.again > 0);
	result = device_load_stop(cold);
	CHECK_OK(result.err);
	CHECK_EQ(result.wrong, 0);
	CHECK_EQ(result.faults, 0);
	/* A request for the other's pin may have met one of its own: docs/design/pins.md. */
	CHECK(result.again <= result.done / 100);
	CHECK(result.done > 0);
}

TEST(regions_come_and_go_under_copies)
{
	under(VAS_TEST_LOAD_COPY);
}

TEST(regions_come_and_go_under_caches)
{
	under(VAS_TEST_LOAD_CACHE);
}

TEST(regions_come_and_go_under_maps)
{
	under(VAS_TEST_LOAD_MAP);
}

TEST(every_long_map_is_given_back_each_time)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas)), rounds = nr_rounds(10);
	uint64_t id;
	uint32_t map;

	for (int i = 0; i < rounds; i++) {
		test_note("round %d", i);
		id = device_add(vas, HOT, MIB);
		CHECK_OK(device_map(device, HOT + PAGE, 8 * PAGE, VAS_MAPPING_WRITE, &map));
		CHECK_OK(device_map_write(device, map, 0, "x", 1));
		device_remove(vas, id);
		CHECK_EQ(device_map_write(device, map, 0, "x", 1), -ENOENT);
	}
	CHECK_EQ(device_counts(device).invalidated, rounds);
}

/* The memory is punched out by somebody who does not ask, and the owner dies now and then. */
TEST(whatever_happens_to_the_file_no_module_is_harmed)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	struct vas_test_load load = { .len = MIB, .seed = (uint32_t)test_seed() | 1 };
	struct vas_test_load_result result;
	struct test_random random = { test_seed() };
	int devices[3];

	for (load.kind = 0; load.kind < 3; load.kind++) {
		devices[load.kind] = device_bound(vas_fd(vas));
		CHECK_OK(device_load(devices[load.kind], &load));
	}
	for (int i = 0; i < nr_rounds(1); i++)
		CHECK_OK(fallocate(vas_fd(vas), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)(test_random_below(&random, 256) * PAGE), 3 * PAGE));
	for (int i = 0; i < 3; i++) {
		result = device_load_stop(devices[i]);
		CHECK_OK(result.err);
		CHECK(result.done > 0);
	}
}
