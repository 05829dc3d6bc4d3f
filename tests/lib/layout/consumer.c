// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Consumers come, follow changes of the layout, fall out of step, and go. */
#include <sys/wait.h>

#include "tests/lib/layout/recorder.h"

TEST(attaching_brings_all_regions_and_detaching_takes_them)
{
	struct vas *vas = simple_vas();
	struct recorder r;

	simple_add(vas, 5, 1);
	simple_add(vas, 1, 1);
	recorder_init(&r, 'A', 0);
	CHECK_OK(vas_consumer_attach(vas, &r.consumer, TEST_HANG_NS, NULL));
	check_journal("Ap Ac");
	CHECK_EQ(r.nr_added, 2);
	CHECK_EQ(r.nr_removed, 0);
	CHECK_EQ(r.added[0].gpa, PAGE);
	CHECK_EQ(r.added[1].gpa, 5 * PAGE);
	vas_consumer_detach(&r.consumer);
	check_journal("Ac");
	CHECK_EQ(r.nr_removed, 2);
	CHECK_EQ(r.nr_gone, 2);
	CHECK_EQ(r.nr_added, 0);
	simple_add(vas, 9, 1);
	check_journal("");
	vas_destroy(vas);
}

TEST(a_change_is_prepared_then_committed)
{
	struct vas *vas = simple_vas();
	struct recorder r;
	uint64_t id;

	recorder_init(&r, 'A', 0);
	recorder_attach(vas, &r);
	id = simple_add(vas, 1, 2);
	check_journal("Ap AF Ac AT");
	CHECK_OK(vas_region_resize(vas, id, PAGE));
	check_journal("Ap AF Ac AT");
	CHECK_EQ(r.nr_removed, 1);
	CHECK_EQ(r.nr_added, 1);
	CHECK_EQ(r.removed[0].id, id);
	CHECK_EQ(r.removed[0].size, 2 * PAGE);
	CHECK_EQ(r.added[0].id, id);
	CHECK_EQ(r.added[0].size, PAGE);
	vas_consumer_detach(&r.consumer);
	vas_destroy(vas);
}

TEST(what_is_gone_is_only_what_has_lost_its_bytes)
{
	struct vas *vas = simple_vas();
	struct recorder r;
	uint64_t id;

	recorder_init(&r, 'A', 0);
	recorder_attach(vas, &r);
	id = simple_add(vas, 1, 2);
	CHECK_OK(vas_region_resize(vas, id, 3 * PAGE));
	CHECK_EQ(r.nr_removed, 1);
	CHECK_EQ(r.nr_gone, 0);
	CHECK_OK(vas_region_resize(vas, id, PAGE));
	CHECK_EQ(r.nr_gone, 1);
	CHECK_EQ(r.gone[0].gpa, 2 * PAGE);
	CHECK_EQ(r.gone[0].size, 2 * PAGE);
	CHECK_OK(vas_region_move(vas, id, 4 * PAGE));
	CHECK_EQ(r.nr_gone, 1);
	CHECK_EQ(r.gone[0].gpa, PAGE);
	vas_destroy(vas);
}

TEST(one_that_refuses_stops_the_change_for_all)
{
	struct vas *vas = simple_vas();
	struct recorder first, second;
	struct vas_blocker blocker;
	uint8_t byte;

	recorder_init(&first, 'A', 0);
	recorder_init(&second, 'B', 0);
	recorder_attach(vas, &first);
	recorder_attach(vas, &second);
	second.refuse = -ENOSPC;
	CHECK_EQ(commit_add(vas, 1, 0, &blocker), -ENOSPC);
	CHECK_STR(vas_error(), "the recorder refuses");
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker.name, "recorder");
	CHECK_EQ(vas_read(vas, PAGE, &byte, 1, NULL), -EFAULT);
	/* Whoever had prepared was told; the one that refused needs no telling. */
	check_journal("Ap Bp Aa");
	second.refuse = 0;
	simple_add(vas, 1, 1);
	check_journal("Ap Bp AF BF Ac Bc BT AT");
	vas_consumer_detach(&first.consumer);
	vas_consumer_detach(&second.consumer);
	vas_destroy(vas);
}

TEST(a_deadline_that_passes_aborts_consumers)
{
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 1, 1);
	struct vas_mapping *mapping;
	struct vas_layout *layout;
	struct recorder r;

	recorder_init(&r, 'A', 0);
	recorder_attach(vas, &r);
	CHECK_OK(vas_mapping_create(vas, PAGE, PAGE, 0, &mapping));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_EQ(vas_layout_commit(layout, SHORT_NS, NULL), -EBUSY);
	check_journal("Ap Aa");
	vas_mapping_destroy(mapping);
	vas_consumer_detach(&r.consumer);
	vas_destroy(vas);
}

TEST(what_refuses_at_attach_is_not_attached)
{
	struct vas *vas = simple_vas(), *binder;
	struct recorder r;

	recorder_init(&r, 'A', 0);
	r.refuse = -EBUSY;
	CHECK_EQ(vas_consumer_attach(vas, &r.consumer, TEST_HANG_NS, NULL), -EBUSY);
	check_journal("Ap");
	simple_add(vas, 1, 1);
	check_journal("");
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_EQ(vas_consumer_attach(binder, &r.consumer, TEST_HANG_NS, NULL), -EPERM);
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(consumers_go_with_the_handle)
{
	struct vas *vas = simple_vas();
	struct recorder r;

	simple_add(vas, 1, 1);
	recorder_init(&r, 'A', 0);
	recorder_attach(vas, &r);
	vas_destroy(vas);
	check_journal("Ac");
}

TEST(a_child_leaves_its_parents_consumers_alone)
{
	struct vas *vas = simple_vas();
	struct recorder r;
	int status;
	pid_t pid;

	simple_add(vas, 1, 1);
	recorder_init(&r, 'A', 0);
	recorder_attach(vas, &r);
	pid = fork();
	if (!pid) {
		vas_consumer_detach(&r.consumer);
		vas_unbind(vas);
		_exit(*journal != 0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	vas_destroy(vas);
}

/* ---- out of step --------------------------------------------------------------------------- */

static void check_told(struct vas *vas, const char *consumers)
{
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	CHECK_STR(info.consumers, consumers);
}

TEST(one_that_cannot_follow_is_out_of_step_and_the_change_holds)
{
	struct vas *vas = simple_vas();
	struct recorder first, second;

	recorder_init(&first, 'A', 0);
	recorder_init(&second, 'B', 0);
	recorder_attach(vas, &first);
	recorder_attach(vas, &second);
	check_told(vas, "recorder,recorder");
	first.out_of_step = -ENOMEM;
	CHECK_OK(commit_add(vas, 1, TEST_HANG_NS, NULL));
	CHECK_OK(vas_write(vas, PAGE, "a", 1, NULL));
	CHECK_EQ(vas_consumer_status(&first.consumer), -ENOMEM);
	CHECK_OK(vas_consumer_status(&second.consumer));
	check_told(vas, "recorder!,recorder");
	vas_destroy(vas);
}

TEST(one_out_of_step_tries_again_before_the_next_change)
{
	struct vas *vas = simple_vas();
	struct recorder r;

	recorder_init(&r, 'A', 0);
	recorder_attach(vas, &r);
	r.out_of_step = -ENOMEM;
	CHECK_OK(commit_add(vas, 1, TEST_HANG_NS, NULL));
	check_journal("Ap AF Ac AT");
	CHECK_OK(commit_add(vas, 2, TEST_HANG_NS, NULL));
	check_journal("Ar Ap AF Ac AT");
	CHECK_EQ(vas_consumer_status(&r.consumer), -ENOMEM);
	r.out_of_step = 0;
	CHECK_OK(commit_add(vas, 3, TEST_HANG_NS, NULL));
	CHECK_OK(vas_consumer_status(&r.consumer));
	check_journal("Ar Ap AF Ac AT");
	CHECK_OK(commit_add(vas, 4, TEST_HANG_NS, NULL));
	check_journal("Ap AF Ac AT");
	check_told(vas, "recorder");
	vas_destroy(vas);
}

TEST(one_out_of_step_tries_again_when_it_is_told_to)
{
	struct vas *vas = simple_vas();
	struct recorder r;

	recorder_init(&r, 'A', 0);
	recorder_attach(vas, &r);
	CHECK_OK(vas_consumer_retry(&r.consumer));
	check_journal("");
	r.out_of_step = -ENOMEM;
	CHECK_OK(commit_add(vas, 1, TEST_HANG_NS, NULL));
	check_journal("Ap AF Ac AT");
	CHECK_EQ(vas_consumer_retry(&r.consumer), -ENOMEM);
	r.out_of_step = 0;
	CHECK_OK(vas_consumer_retry(&r.consumer));
	CHECK_OK(vas_consumer_status(&r.consumer));
	check_journal("Ar Ar");
	check_told(vas, "recorder");
	vas_destroy(vas);
}

TEST(one_that_answers_neither_0_nor_an_error_is_out_of_step)
{
	struct vas *vas = simple_vas();
	struct recorder r;

	recorder_init(&r, 'A', 0);
	recorder_attach(vas, &r);
	r.out_of_step = 7;
	CHECK_OK(commit_add(vas, 1, TEST_HANG_NS, NULL));
	CHECK_EQ(vas_consumer_status(&r.consumer), -EINVAL);
	vas_destroy(vas);
}

/* ---- marks --------------------------------------------------------------------------------- */

TEST(marks_outside_of_the_address_space_are_refused)
{
	struct vas *vas = simple_vas();

	CHECK_OK(vas_mark_dirty(vas, 0, 256 * PAGE));
	CHECK_OK(vas_mark_dirty(vas, 256 * PAGE - 1, 1));
	CHECK_EQ(vas_mark_dirty(vas, 256 * PAGE, 1), -EINVAL);
	CHECK_EQ(vas_mark_dirty(vas, 1, 256 * PAGE), -EINVAL);
	CHECK_EQ(vas_mark_dirty(vas, ~0ull, 2), -EINVAL);
	CHECK_OK(vas_mark_dirty_word(vas, 192 * PAGE, ~0ull));
	CHECK_EQ(vas_mark_dirty_word(vas, 256 * PAGE, 1), -EINVAL);
	CHECK_EQ(vas_mark_dirty_word(vas, PAGE, 1), -EINVAL);
	vas_destroy(vas);
}
