// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Giving memory back in the middle of regions. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/dirty.h>

#include "simple_vas.h"

#define LONG_NS 60000000000ull

TEST(discarded_memory_is_zeros_and_takes_no_room)
{
	struct vas *vas = simple_vas();
	char bytes[4 * PAGE], zeros[2 * PAGE] = { 0 };

	simple_add(vas, 1, 2);
	simple_add(vas, 3, 2);
	CHECK_OK(vas_fill(vas, PAGE, 'a', 4 * PAGE, NULL));
	CHECK_OK(vas_discard(vas, 2 * PAGE, 2 * PAGE, NULL));
	CHECK_EQ(lseek(vas_fd(vas), PAGE, SEEK_HOLE), 2 * PAGE);
	CHECK_EQ(lseek(vas_fd(vas), 2 * PAGE, SEEK_DATA), 4 * PAGE);
	CHECK_OK(vas_read(vas, PAGE, bytes, sizeof(bytes), NULL));
	CHECK_MEM(bytes + PAGE, zeros, sizeof(zeros));
	CHECK_EQ(bytes[PAGE - 1], 'a');
	CHECK_EQ(bytes[3 * PAGE], 'a');
	vas_destroy(vas);
}

TEST(a_discard_is_all_or_nothing)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_region local = { .gpa = 4 * PAGE, .size = PAGE, .flags = VAS_REGION_LOCAL };
	char byte;

	simple_add(vas, 1, 2);
	local.hva = aligned_alloc(PAGE, PAGE);
	CHECK_OK(vas_region_add(vas, &local, NULL));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_write(vas, PAGE, "a", 1, NULL));
	CHECK_EQ(vas_discard(vas, PAGE, 3 * PAGE, NULL), -EFAULT);
	CHECK_EQ(vas_discard(vas, 4 * PAGE, PAGE, NULL), -EOPNOTSUPP);
	CHECK_EQ(vas_discard(vas, PAGE, PAGE + 1, NULL), -EINVAL);
	CHECK_EQ(vas_discard(vas, PAGE + 1, PAGE, NULL), -EINVAL);
	CHECK_EQ(vas_discard(vas, PAGE, ~0ull, NULL), -EFAULT);
	CHECK_EQ(vas_discard(binder, PAGE, PAGE, NULL), -EPERM);
	CHECK_OK(vas_discard(vas, PAGE, 0, NULL));
	CHECK_OK(vas_freeze(vas, LONG_NS, NULL));
	CHECK_EQ(vas_discard(vas, PAGE, PAGE, NULL), -EAGAIN);
	CHECK_OK(vas_read(vas, PAGE, &byte, 1, NULL));
	CHECK_EQ(byte, 'a');
	vas_unbind(binder);
	vas_destroy(vas);
	free(local.hva);
}

TEST(what_is_discarded_counts_as_written)
{
	struct vas *vas = simple_vas();
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	uint64_t gpa = 0;

	simple_add(vas, 1, 8);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_OK(vas_discard(vas, 3 * PAGE, 2 * PAGE, NULL));
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(vas_tracker_harvest(dirty, &gpa, 256 * PAGE, 16, &words), 1);
	CHECK_EQ(words[0].bits, 3 << 3);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}
