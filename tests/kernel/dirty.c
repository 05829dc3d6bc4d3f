// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What modules write is in the dirty log, while somebody tracks; and the freeze of the control area. */
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"
#include "device.h"

#define MIB   (1ull << 20)
#define PAGE  4096ull
#define LIMIT (1ull << 36) /* so that the upper levels of the log have several words */

static struct vas *vas;
static struct control c;
static int device;

static void setup(void)
{
	vas = device_vas(LIMIT, 4 * MIB, 0);
	device_add(vas, 33ull << 30, 2 * MIB);
	device = device_bound(vas_fd(vas));
	c = control_open(vas_fd(vas));
}

static int copy(uint32_t flags, uint64_t gpa, size_t len)
{
	static uint8_t buf[4 * MIB];
	struct vas_test_copy copy = { .gpa = gpa, .len = len, .flags = flags | VAS_TEST_WRITE };

	return device_copy_in(device, &copy, buf, NULL);
}

TEST(nothing_is_marked_while_nobody_tracks)
{
	setup();
	CHECK_OK(copy(0, 0, MIB));
	CHECK_OK(copy(VAS_TEST_CACHED, 0, 8));
	CHECK_OK(device_mark(device, 0, PAGE));
	CHECK_EQ(control_nr_dirty(&c), 0);
}

TEST(a_copy_marks_each_page_that_it_touches_and_no_other)
{
	setup();
	control_flags(&c, VAS_STATE_TRACKING);
	for (uint32_t way = 0; way < 2; way++) {
		uint32_t flags = way ? VAS_TEST_CACHED : 0;

		CHECK_OK(copy(flags, 5 * PAGE + 100, 8));
		CHECK(control_is_dirty(&c, 5 * PAGE));
		CHECK_EQ(control_nr_dirty(&c), 1);
		CHECK_OK(copy(flags, 7 * PAGE - 1, 2));
		CHECK(control_is_dirty(&c, 6 * PAGE) && control_is_dirty(&c, 7 * PAGE));
		CHECK_EQ(control_nr_dirty(&c), 3);
		CHECK_OK(copy(flags, (33ull << 30) + PAGE, 300 * PAGE));
		CHECK_EQ(control_nr_dirty(&c), 303);
		CHECK_OK(control_clear_log(&c));
	}
	CHECK_EQ(copy(0, 4 * MIB - PAGE, 2 * PAGE), -EFAULT);
	CHECK_EQ(control_nr_dirty(&c), 1);
}

TEST(what_cannot_sleep_marks_too_or_does_not_write)
{
	uint64_t word = 0;

	setup();
	CHECK_OK(vas_fill(vas, 0, 7, PAGE, NULL));
	control_flags(&c, VAS_STATE_TRACKING);
	CHECK_OK(device_read(device, 0, &word, 8, NULL)); /* follows the change */
	CHECK_EQ(copy(VAS_TEST_ATOMIC, 0, 8), -EAGAIN);
	CHECK_EQ(pread(vas_fd(vas), &word, 8, 0), 8);
	CHECK_EQ(word, 0x0707070707070707);
	CHECK_EQ(control_nr_dirty(&c), 0);
	CHECK_OK(copy(0, 8, 8)); /* brings the log's page */
	CHECK_EQ(control_nr_dirty(&c), 1);
	CHECK_OK(control_clear_log(&c));
	CHECK_OK(copy(VAS_TEST_ATOMIC, 0, 8));
	CHECK(control_is_dirty(&c, 0));
}

TEST(unmapping_a_writable_map_marks_all_of_it)
{
	uint32_t id;

	setup();
	control_flags(&c, VAS_STATE_TRACKING);
	CHECK_OK(device_map(device, PAGE + 1, 3 * PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_EQ(control_nr_dirty(&c), 0);
	CHECK_EQ(c.pins[0].flags, VAS_PIN_WRITABLE);
	CHECK_OK(device_unmap(device, id));
	CHECK_EQ(control_nr_dirty(&c), 4);
	CHECK_OK(control_clear_log(&c));
	CHECK_OK(device_map(device, PAGE + 1, 3 * PAGE, 0, &id));
	CHECK_OK(device_unmap(device, id));
	CHECK_EQ(control_nr_dirty(&c), 0);
}

TEST(a_holder_may_mark_by_itself)
{
	uint32_t id;

	setup();
	control_flags(&c, VAS_STATE_TRACKING);
	CHECK_OK(device_map(device, 0, MIB, VAS_MAPPING_WRITE | VAS_MAPPING_MARKS, &id));
	CHECK_EQ(c.pins[0].flags, VAS_PIN_WRITABLE | VAS_PIN_MARKS);
	CHECK_OK(device_map_write(device, id, 3 * PAGE - 1, "ab", 2));
	CHECK_OK(device_mark(device, 3 * PAGE - 1, 2));
	CHECK_EQ(control_nr_dirty(&c), 2);
	CHECK_OK(control_clear_log(&c));
	CHECK_OK(device_unmap(device, id));
	CHECK_EQ(control_nr_dirty(&c), 256);
}

TEST(tracking_that_begins_is_seen_by_the_next_mark)
{
	uint32_t id;

	setup();
	CHECK_OK(device_map(device, 0, MIB, VAS_MAPPING_WRITE | VAS_MAPPING_MARKS, &id));
	CHECK_OK(device_mark(device, 0, 1));
	CHECK_EQ(control_nr_dirty(&c), 0);
	control_flags(&c, VAS_STATE_TRACKING);
	CHECK_OK(device_mark(device, 0, 1));
	CHECK_EQ(control_nr_dirty(&c), 1);
}

/* All entries are the owner's but pin 9 and slot 40: whoever needs one takes those. */
static void fill_tables(const struct vas_pin *pin)
{
	for (uint32_t i = 0; i < c.sb->nr_pins; i++)
		if (!c.pins[i].tag)
			c.pins[i].tag = control_owners_tag(&c);
	for (uint32_t i = 0; i < c.sb->nr_slots; i++)
		if (!c.slots[i].tag)
			c.slots[i].tag = control_owners_tag(&c);
	c.control->pins_claimed = UINT32_MAX;
	c.pins[9] = *pin;
	c.slots[40].tag = DEAD_TAG;
	c.slots[40].generation = 1;
}

TEST(what_a_dead_binder_has_left_is_marked_by_who_takes_it)
{
	const struct vas_pin pin = { .state = VAS_PIN_HELD,
				     .tag = DEAD_TAG,
				     .gpa = 2 * PAGE,
				     .size = PAGE,
				     .flags = VAS_PIN_WRITABLE };
	uint32_t id;

	setup();
	fill_tables(&pin);
	/* It was marking when it died: a bit that nobody would find, and at which each marker stops. */
	c.log[0] = 1 << 2;
	CHECK_OK(device_map(device, 0, PAGE, 0, &id));
	CHECK(c.pins[9].tag != DEAD_TAG);
	CHECK(control_is_dirty(&c, 2 * PAGE));
	CHECK_EQ(control_nr_dirty(&c), 1);
	CHECK_EQ(c.control->log_incomplete, 0);
	CHECK_OK(device_bind(device_open(), vas_fd(vas)));
	CHECK(c.slots[40].tag != DEAD_TAG);
	CHECK_EQ(c.slots[40].generation, 0);
	CHECK_EQ(c.control->log_incomplete, 1);
	CHECK_OK(control_clear_log(&c));
}

/* What it says costs nobody memory: all counts as dirty instead. */
TEST(a_dead_binder_may_have_mapped_everything)
{
	const struct vas_pin pin = { .state = VAS_PIN_HELD,
				     .tag = DEAD_TAG,
				     .size = 1ull << 42,
				     .flags = VAS_PIN_WRITABLE };
	uint32_t id;

	setup();
	vas = device_vas(1ull << 42, MIB, 0);
	device = device_bound(vas_fd(vas));
	c = control_open(vas_fd(vas));
	fill_tables(&pin);
	CHECK_OK(device_map(device, 0, PAGE, 0, &id));
	CHECK(c.pins[9].tag != DEAD_TAG);
	CHECK_EQ(c.control->log_incomplete, 1);
	CHECK(device_counter("log_pages") == 0);
}

TEST(a_frozen_vas_is_not_written)
{
	uint8_t byte;
	uint32_t id;

	setup();
	control_flags(&c, VAS_STATE_FROZEN);
	CHECK_EQ(copy(0, 0, 8), -EAGAIN);
	CHECK_EQ(copy(VAS_TEST_CACHED, 0, 8), -EAGAIN);
	CHECK_EQ(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &id), -EAGAIN);
	CHECK_OK(device_map(device, 0, PAGE, 0, &id));
	CHECK_OK(device_read(device, 0, &byte, 1, NULL));
	control_flags(&c, 0);
	CHECK_OK(copy(0, 0, 8));
}

static int pin_is_quiet(void *arg)
{
	return __atomic_load_n((uint32_t *)arg, __ATOMIC_ACQUIRE) == VAS_PIN_QUIESCED;
}

static int resumed(void *arg)
{
	(void)arg;
	return device_counts(device).resumed == 1;
}

TEST(a_pin_that_is_asked_to_be_quiet_answers)
{
	uint32_t id;

	setup();
	CHECK_OK(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &id));
	__atomic_store_n(&c.pins[0].state, VAS_PIN_QUIESCE, __ATOMIC_RELEASE);
	test_wait(pin_is_quiet, &c.pins[0].state, TEST_HANG_MS);
	CHECK_EQ(device_counts(device).quiesced, 1);
	CHECK_EQ(device_counts(device).resumed, 0);
	__atomic_store_n(&c.pins[0].state, VAS_PIN_HELD, __ATOMIC_RELEASE);
	test_wait(resumed, NULL, TEST_HANG_MS);
}

TEST(local_memory_is_reached_in_the_process_that_bound)
{
	struct vas_region region = { .gpa = 8 * MIB, .size = MIB, .flags = VAS_REGION_LOCAL };
	uint8_t *memory =
		mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t id;
	uint32_t map;

	setup();
	region.hva = memory;
	CHECK_OK(vas_region_add(vas, &region, &id));
	CHECK_EQ(copy(0, 8 * MIB, 8), -ENXIO);
	CHECK_EQ(device_hva(device, 0, MIB, memory), -ENOENT);
	CHECK_EQ(device_hva(device, 8 * MIB, MIB, memory + 1), -EINVAL);
	CHECK_OK(device_hva(device, 8 * MIB, MIB, memory));
	CHECK_EQ(device_hva(device, 8 * MIB, MIB, memory), -EEXIST);
	for (uint32_t context = VAS_TEST_SELF; context <= VAS_TEST_WORKQUEUE; context++) {
		struct vas_test_copy write = {
			.gpa = 9 * MIB - 8192 - 2,
			.len = 8194,
			.flags = VAS_TEST_WRITE,
			.context = context,
		};
		uint8_t buf[8194], back[8194];

		memset(buf, 0x40 + (int)context, sizeof(buf));
		CHECK_OK(device_copy_in(device, &write, buf, NULL));
		CHECK_MEM(memory + MIB - 8194, buf, sizeof(buf));
		write.flags = 0;
		CHECK_OK(device_copy_in(device, &write, back, NULL));
		CHECK_MEM(back, buf, sizeof(buf));
	}
	CHECK_OK(device_map(device, 8 * MIB + 5, 2 * PAGE, VAS_MAPPING_WRITE, &map));
	CHECK_OK(device_map_write(device, map, PAGE, "mapped", 6));
	CHECK_MEM(memory + PAGE + 5, "mapped", 6);
	CHECK_OK(device_unmap(device, map));
	munmap(memory, MIB);
	CHECK_EQ(copy(0, 8 * MIB, 8), -EIO);
}
