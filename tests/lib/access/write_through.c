// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_write_begin() and vas_write_end(): writing through a pointer. */
#include <vas/dirty.h>

#include "simple_vas.h"

/* No section is left behind: a change can begin. */
static void check_outside(struct vas *vas)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	vas_layout_abort(layout);
}

TEST(what_is_written_is_there_and_marked)
{
	struct vas *vas = simple_vas();
	const struct vas_dirty_word *words;
	struct vas_tracker *tracker;
	struct vas_layout *layout;
	uint64_t gpa = 0;
	char buf[6];
	void *ptr;

	simple_add(vas, 0, 8);
	CHECK_OK(vas_tracker_attach(vas, "through", 0, &tracker));
	CHECK_OK(vas_write_begin(vas, 2 * PAGE - 3, 6, &ptr));
	CHECK_EQ(vas_layout_begin(vas, &layout), -EDEADLK);
	memcpy(ptr, "across", 6);
	CHECK_OK(vas_write_end(vas, 2 * PAGE - 3, 6));
	check_outside(vas);
	CHECK_OK(vas_read(vas, 2 * PAGE - 3, buf, 6, NULL));
	CHECK_EQ(memcmp(buf, "across", 6), 0);
	CHECK_OK(vas_tracker_begin(tracker));
	CHECK_EQ(vas_tracker_harvest(tracker, &gpa, 64 * PAGE, 8, &words), 1);
	CHECK_EQ(words[0].bits, 1u << 1 | 1u << 2);
	vas_tracker_detach(tracker);
	vas_destroy(vas);
}

TEST(an_error_enters_no_section)
{
	struct vas *vas = simple_vas(), *observer;
	struct vas_region rom = simple_region(4, 1);
	void *ptr = &rom;

	simple_add(vas, 0, 2);
	rom.flags = VAS_REGION_READONLY;
	CHECK_OK(vas_region_add(vas, &rom, NULL));
	CHECK_EQ(vas_write_begin(vas, 2 * PAGE - 3, 6, &ptr), -EFAULT);
	CHECK(strstr(vas_error(), "gpa 0x2000"));
	CHECK(!ptr);
	CHECK_EQ(vas_write_begin(vas, 4 * PAGE, 6, &ptr), -EACCES);
	CHECK_EQ(vas_write_begin(vas, PAGE, 0, &ptr), -EINVAL);
	CHECK_EQ(vas_write_begin(vas, UINT64_MAX, 2, &ptr), -EFAULT);
	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_OBSERVE, &observer));
	CHECK_EQ(vas_write_begin(observer, PAGE, 8, &ptr), -EACCES);
	vas_unbind(observer);
	CHECK_OK(vas_freeze(vas, VAS_TIMEOUT_DEFAULT_NS, NULL));
	CHECK_EQ(vas_write_begin(vas, PAGE, 8, &ptr), -EAGAIN);
	CHECK_OK(vas_thaw(vas));
	check_outside(vas);
	vas_destroy(vas);
}

TEST(a_range_that_is_not_contiguous_here_is_too_big)
{
	struct vas *vas = simple_vas(), *bound;
	struct vas_region low = simple_region(1, 1), high = simple_region(2, 1);
	void *ptr;

	/* Each elsewhere in the file, and each mapped on its own. */
	low.offset = 9 * PAGE;
	high.offset = 4 * PAGE;
	CHECK_OK(vas_region_add(vas, &low, NULL));
	CHECK_OK(vas_region_add(vas, &high, NULL));
	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_NO_WINDOW, &bound));
	CHECK_EQ(vas_write_begin(bound, 2 * PAGE - 4, 8, &ptr), -E2BIG);
	CHECK(strstr(vas_error(), "from gpa 0x2000"));
	CHECK_OK(vas_write_begin(bound, 2 * PAGE - 4, 4, &ptr));
	CHECK_OK(vas_write_end(bound, 2 * PAGE - 4, 4));
	vas_unbind(bound);
	vas_destroy(vas);
}
