// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What peers forge in the control area costs a module a bounded amount of work. */
#include <sys/stat.h>
#include <unistd.h>

#include <vas/event.h>

#include "control.h"
#include "device.h"

#define MIB   (1ull << 20)
#define PAGE  4096ull
#define LIMIT (1ull << 42) /* 4 TiB: 128 MiB of log */

static uint64_t allocated(int fd)
{
	struct stat stat;

	CHECK_OK(fstat(fd, &stat));
	return (uint64_t)stat.st_blocks * 512;
}

static void forge_pins(struct control *c, uint32_t tag, uint64_t size)
{
	for (uint32_t i = 0; i < c->sb->nr_pins; i++)
		c->pins[i] = (struct vas_pin){
			.state = VAS_PIN_HELD,
			.tag = tag,
			.size = size,
			.flags = VAS_PIN_WRITABLE,
		};
	__atomic_store_n(&c->control->pins_claimed, c->sb->nr_pins - 1, __ATOMIC_SEQ_CST);
}

/* Whoever takes a dead holder's pin marks what it says: of so much, that all is lost. */
TEST(a_dead_holders_pin_is_marked_up_to_a_bound_and_counted_as_lost_beyond)
{
	static const uint64_t sizes[] = { 1ull << 40, LIMIT, PAGE };
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	struct control c = control_open(vas_fd(vas));
	uint64_t before;
	uint32_t lost, id;

	for (int i = 0; i < 3; i++) {
		int device = device_bound(vas_fd(vas));

		before = allocated(vas_fd(vas));
		lost = c.control->log_incomplete;
		forge_pins(&c, DEAD_TAG, sizes[i]);
		CHECK_OK(device_map(device, 0, PAGE, 0, &id));
		CHECK(c.pins[0].tag != DEAD_TAG);
		CHECK(allocated(vas_fd(vas)) - before < 40 * MIB);
		/* A page is no more than a page. */
		CHECK_EQ(c.control->log_incomplete != lost, i < 2);
		CHECK_EQ(control_is_dirty(&c, 0), i == 2);
		close(device);
		CHECK_EQ(device_counter("log_pages"), 0);
	}
}

/* As an owner leaves it that dies while it writes. */
TEST(an_event_that_is_half_written_hides_no_other)
{
	struct vas_event first = { .kind = VAS_EVENT_DOORBELL, .id = 7, .name = "first" };
	struct vas_event second = { .kind = VAS_EVENT_DOORBELL, .id = 8, .name = "second" };
	struct vas *vas = device_vas(64 * MIB, MIB, 0);
	struct control c = control_open(vas_fd(vas));
	int device = device_bound(vas_fd(vas));
	struct vas_test_event event;

	CHECK_OK(vas_event_add(vas, &first));
	CHECK_OK(vas_event_add(vas, &second));
	CHECK_OK(device_event(device, 7, &event));
	c.events[0].sequence |= 1;
	CHECK_OK(device_event(device, 8, &event));
	CHECK_STR(event.name, "second");
	CHECK_EQ(device_event(device, 7, &event), -EAGAIN);
	CHECK_EQ(device_event(device, 9, &event), -EAGAIN);
	c.events[0].sequence++;
	CHECK_OK(device_event(device, 7, &event));
	CHECK_EQ(device_event(device, 9, &event), -ENOENT);
}
