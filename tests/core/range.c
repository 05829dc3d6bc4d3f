// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/range.h"

#include "tests/harness.h"

TEST(a_range_fits_up_to_the_limit_and_no_further)
{
	CHECK(vas_range_fits(0, 0, 0));
	CHECK(vas_range_fits(0, 10, 10));
	CHECK(vas_range_fits(9, 1, 10));
	CHECK(vas_range_fits(10, 0, 10));
	CHECK(!vas_range_fits(10, 1, 10));
	CHECK(!vas_range_fits(11, 0, 10));
	CHECK(!vas_range_fits(0, 11, 10));
	CHECK(vas_range_fits(0, ~0ull, ~0ull));
	CHECK(vas_range_fits(~0ull, 0, ~0ull));
}

TEST(a_range_that_wraps_does_not_fit)
{
	static const uint64_t big[] = { ~0ull, ~0ull - 1, ~0ull - 4095, 1ull << 63 };

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 4; k++) {
			CHECK(!vas_range_fits(big[i], big[k], 1ull << 52));
			CHECK(!vas_range_fits(4096, big[k], 1ull << 52));
			CHECK(!vas_range_fits(big[i], 4096, 1ull << 52));
		}
}

TEST(ranges_that_touch_do_not_overlap)
{
	CHECK(!vas_ranges_overlap(0, 10, 10, 10));
	CHECK(!vas_ranges_overlap(10, 10, 0, 10));
	CHECK(vas_ranges_overlap(0, 11, 10, 10));
	CHECK(vas_ranges_overlap(10, 10, 0, 11));
	CHECK(vas_ranges_overlap(0, 100, 50, 1));
	CHECK(vas_ranges_overlap(50, 1, 0, 100));
	CHECK(vas_ranges_overlap(5, 5, 5, 5));
}

TEST(alignment_is_to_powers_of_two)
{
	CHECK(vas_is_aligned(0, 4096));
	CHECK(vas_is_aligned(8192, 4096));
	CHECK(!vas_is_aligned(8193, 4096));
	CHECK_EQ(vas_align_up(0, 4096), 0);
	CHECK_EQ(vas_align_up(1, 4096), 4096);
	CHECK_EQ(vas_align_up(4096, 4096), 4096);
	CHECK_EQ(vas_align_up(4097, 4096), 8192);
	CHECK(vas_is_power_of_two(1));
	CHECK(vas_is_power_of_two(1ull << 63));
	CHECK(!vas_is_power_of_two(0));
	CHECK(!vas_is_power_of_two(3));
}
