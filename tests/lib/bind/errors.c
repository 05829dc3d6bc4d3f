// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* An argument that is refused: vas_error() says which, and why. */
#include <vas/dirty.h>
#include <vas/event.h>

#include "simple_vas.h"

static void check_error(int err, const char *sentence)
{
	CHECK_EQ(err, -EINVAL);
	test_note("%s", vas_error());
	CHECK(strstr(vas_error(), sentence));
}

TEST(options_are_refused_by_name)
{
	static const struct {
		struct vas_options options;
		const char *sentence;
	} cases[] = {
		{ { .limit = 0 }, "limit must be" },
		{ { .limit = PAGE + 1 }, "limit must be" },
		{ { .limit = PAGE, .ram_size = 1 }, "ram_size must be" },
		{ { .limit = PAGE, .flags = 1u << 31 }, "flags 0x80000000" },
		{ { .limit = PAGE, .max_regions = UINT32_MAX }, "max_regions must be" },
		{ { .limit = PAGE, .nr_slots = UINT32_MAX }, "nr_slots must be" },
		{ { .limit = PAGE, .reserved = { 0, 1 } }, "reserved" },
	};
	struct vas *vas;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_error(vas_create(&cases[i].options, &vas), cases[i].sentence);
}

TEST(events_are_refused_by_field)
{
	static const struct {
		struct vas_event event;
		const char *sentence;
	} cases[] = {
		{ { .kind = VAS_EVENT_IRQ }, "event 0: the id" },
		{ { .id = 7 }, "event 7: kind is" },
		{ { .kind = VAS_EVENT_DOORBELL, .id = 7, .gsi = 1 }, "no gsi" },
		{ { .kind = VAS_EVENT_DOORBELL, .id = 7, .len = 3 }, "len is" },
		{ { .kind = VAS_EVENT_DOORBELL, .id = 7, .data = 1 }, "needs VAS_EVENT_DATAMATCH" },
		{ { .kind = VAS_EVENT_DOORBELL, .id = 7, .addr = UINT64_MAX, .len = 2 }, "2^64" },
		{ { .kind = VAS_EVENT_IRQ, .id = 7, .len = 1 }, "no len" },
		{ { .kind = VAS_EVENT_IRQ, .id = 7, .addr = 1 }, "need VAS_EVENT_MSI" },
	};
	struct vas *vas = simple_vas();
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_error(vas_event_add(vas, &cases[i].event), cases[i].sentence);
	vas_destroy(vas);
}

TEST(others_are_refused_by_value)
{
	struct vas *vas = simple_vas();
	const struct vas_dirty_word *words;
	struct vas_value_ring ring = { 0 };
	struct vas_tracker *tracker;
	uint64_t gpa = PAGE;
	uint32_t val;

	simple_add(vas, 0, 4);
	check_error(vas_load_le32(vas, 0x1002, &val, __ATOMIC_RELAXED), "at gpa 0x1002");
	check_error(vas_value_ring_post(&ring, 3, 0), "not 3");
	CHECK_OK(vas_tracker_attach(vas, "errors", 0, &tracker));
	CHECK_OK(vas_tracker_begin(tracker));
	check_error(vas_tracker_harvest(tracker, &gpa, 0, 1, &words), "gpa 0x1000 is beyond");
	vas_tracker_detach(tracker);
	vas_destroy(vas);
}
