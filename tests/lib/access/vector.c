// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_readv() and vas_writev(): lists of guest ranges and of buffers. */
#include <sys/uio.h>
#include <vas/dirty.h>

#include "simple_vas.h"

/* Pages 1 to 3, and 5 read-only; page 4 is a hole. Byte n of the page p is n + p. */
static struct vas *make(void)
{
	struct vas *vas = simple_vas();
	struct vas_region rom = simple_region(5, 1);
	uint64_t i;

	simple_add(vas, 1, 1);
	simple_add(vas, 2, 2);
	rom.flags = VAS_REGION_READONLY;
	CHECK_OK(vas_region_add(vas, &rom, NULL));
	for (i = PAGE; i < 4 * PAGE; i++) {
		uint8_t byte = (uint8_t)(i + i / PAGE);

		CHECK_OK(vas_write(vas, i, &byte, 1, NULL));
	}
	return vas;
}

static void check_byte(const uint8_t *byte, uint64_t gpa)
{
	CHECK_EQ(*byte, (uint8_t)(gpa + gpa / PAGE));
}

static void reads_a_chain(struct vas *vas)
{
	/* Across a page and a region, empty, out of order. */
	const struct vas_range chain[] = {
		{ 2 * PAGE - 5, 11 }, { 0, 0 }, { 3 * PAGE, 100 }, { PAGE, 1 }
	};
	uint8_t a[7], b[90], c[40];
	const struct iovec iov[] = { { a, 7 }, { NULL, 0 }, { b, 90 }, { c, 40 } };
	size_t done = 99, i;

	CHECK_OK(vas_readv(vas, chain, 4, iov, 4, &done));
	CHECK_EQ(done, 112);
	for (i = 0; i < 7; i++)
		check_byte(&a[i], 2 * PAGE - 5 + i);
	for (i = 0; i < 4; i++)
		check_byte(&b[i], 2 * PAGE + 2 + i);
	for (i = 4; i < 90; i++)
		check_byte(&b[i], 3 * PAGE + i - 4);
	for (i = 0; i < 14; i++)
		check_byte(&c[i], 3 * PAGE + 86 + i);
	check_byte(&c[14], PAGE);
}

TEST(both_lists_are_cut_as_they_like)
{
	struct vas *vas = make();

	reads_a_chain(vas);
	vas_destroy(vas);
}

TEST(a_handle_without_a_window_reads_the_same)
{
	struct vas *vas = make(), *bound;

	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_NO_WINDOW, &bound));
	reads_a_chain(bound);
	vas_unbind(bound);
	vas_destroy(vas);
}

TEST(an_observer_reads_the_same)
{
	struct vas *vas = make(), *observer;

	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_OBSERVE, &observer));
	reads_a_chain(observer);
	vas_unbind(observer);
	vas_destroy(vas);
}

TEST(the_shorter_list_decides)
{
	struct vas *vas = make();
	const struct vas_range chain[] = { { PAGE, 8 }, { 2 * PAGE, 8 } };
	uint8_t buf[64] = { 0 };
	const struct iovec small = { buf, 10 }, large = { buf, 64 };
	size_t done;

	CHECK_OK(vas_readv(vas, chain, 2, &small, 1, &done));
	CHECK_EQ(done, 10);
	CHECK_EQ(buf[10], 0);
	CHECK_OK(vas_readv(vas, chain, 2, &large, 1, &done));
	CHECK_EQ(done, 16);
	CHECK_OK(vas_readv(vas, NULL, 0, &large, 1, &done));
	CHECK_EQ(done, 0);
	CHECK_OK(vas_readv(vas, chain, 2, NULL, 0, &done));
	CHECK_EQ(done, 0);
	vas_destroy(vas);
}

TEST(it_stops_where_an_access_would)
{
	struct vas *vas = make();
	const struct vas_range hole[] = { { PAGE, 8 }, { 4 * PAGE - 3, 8 }, { PAGE, 8 } };
	const struct vas_range rom[] = { { PAGE, 8 }, { 5 * PAGE, 8 } };
	const struct vas_range top[] = { { UINT64_MAX - 3, 8 } };
	uint8_t buf[64] = "0123456789abcdef";
	const struct iovec iov = { buf, sizeof(buf) };
	size_t done;

	CHECK_EQ(vas_readv(vas, hole, 3, &iov, 1, &done), -EFAULT);
	CHECK_EQ(done, 11);
	CHECK_EQ(vas_writev(vas, hole, 3, &iov, 1, &done), -EFAULT);
	CHECK_EQ(done, 11);
	CHECK_EQ(vas_writev(vas, rom, 2, &iov, 1, &done), -EACCES);
	CHECK_EQ(done, 8);
	CHECK_EQ(vas_readv(vas, top, 1, &iov, 1, &done), -EFAULT);
	CHECK_EQ(done, 0);
	vas_destroy(vas);
}

TEST(what_is_written_is_there_and_marked)
{
	struct vas *vas = make();
	const struct vas_range chain[] = { { 2 * PAGE - 2, 4 }, { 3 * PAGE + 7, 4 } };
	char one[] = "abc", two[] = "defgh";
	const struct iovec iov[] = { { one, 3 }, { two, 5 } };
	const struct vas_dirty_word *words;
	struct vas_tracker *tracker;
	uint64_t gpa = 0;
	size_t done;

	CHECK_OK(vas_tracker_attach(vas, "vector", 0, &tracker));
	CHECK_OK(vas_writev(vas, chain, 2, iov, 2, &done));
	CHECK_EQ(done, 8);
	CHECK_OK(vas_read(vas, 2 * PAGE - 2, one, 3, NULL));
	CHECK_EQ(memcmp(one, "abc", 3), 0);
	CHECK_OK(vas_read(vas, 3 * PAGE + 7, two, 4, NULL));
	CHECK_EQ(memcmp(two, "efgh", 4), 0);
	CHECK_OK(vas_tracker_begin(tracker));
	CHECK_EQ(vas_tracker_harvest(tracker, &gpa, 64 * PAGE, 8, &words), 1);
	CHECK_EQ(words[0].bits, 1u << 1 | 1u << 2 | 1u << 3);
	vas_tracker_detach(tracker);
	vas_destroy(vas);
}
