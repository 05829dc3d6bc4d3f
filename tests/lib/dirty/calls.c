// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a tracker's calls say when they are made at the wrong time, or nobody answers. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/access.h>

#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE (64ull << 20)
#define WORD (256ull << 10)

TEST(calls_at_the_wrong_time_are_refused)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	uint64_t gpa = WORD;

	CHECK_EQ(vas_tracker_attach(vas, "test", 1u << 31, &dirty), -EINVAL);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_EQ(vas_tracker_commit(dirty), -EINVAL);
	CHECK_EQ(vas_tracker_abort(dirty), -EINVAL);
	CHECK_EQ(vas_tracker_harvest(dirty, &gpa, SIZE, 4, &words), -EINVAL);
	CHECK_HAS(vas_error(), "vas_tracker_begin");
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(vas_tracker_begin(dirty), -EBUSY);
	CHECK_EQ(vas_tracker_harvest(dirty, &gpa, 0, 4, &words), -EINVAL);
	CHECK_EQ(vas_tracker_harvest(dirty, &gpa, SIZE, SIZE_MAX, &words), -EINVAL);
	CHECK_EQ(gpa, WORD);
	CHECK_OK(vas_tracker_commit(dirty));
	CHECK_EQ(vas_tracker_commit(dirty), -EINVAL);
	vas_tracker_detach(dirty);
	vas_tracker_detach(NULL);
	vas_destroy(vas);
}

/* Its end is the owner's to notice; others' writes cost the tracker nothing then. */
TEST(an_owner_that_does_not_answer_is_waited_for_one_second)
{
	struct vas *vas = shadow_vas(SIZE), *binder;
	struct vas_tracker_info tracker;
	struct vas_tracker *dirty;
	struct vas_info info;
	uint64_t start_ns = test_now_ns();

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_EQ(vas_tracker_attach(binder, "test", 0, &dirty), -ETIMEDOUT);
	CHECK_HAS(vas_error(), "vas_notify_fd");
	CHECK(test_now_ns() - start_ns >= 1000000000ull);
	/* Nothing of it stays: the owner, which answers now, has nothing to track for. */
	CHECK_OK(vas_notify_fd(vas));
	CHECK_OK(vas_notifications(vas));
	CHECK_OK(vas_info(vas, &info));
	CHECK(!(info.state_flags & VAS_STATE_TRACKING));
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_EQ(vas_trackers(vas, &tracker, 1), 1);
	CHECK_STR(tracker.name, "test");
	vas_tracker_detach(dirty);
	vas_unbind(binder);
	vas_destroy(vas);
}

/* A fork takes no tracker along: the child's copy is for nothing but to be let go. */
TEST(a_childs_copy_of_a_tracker_is_no_tracker)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *dirty;
	int status;
	pid_t pid;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	pid = fork();
	if (pid == 0) {
		status = vas_tracker_begin(dirty) == -EBUSY ? 0 : 1;
		vas_tracker_detach(dirty);
		_exit(status);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_OK(vas_tracker_commit(dirty));
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

/* By every way to write there is, where marks have a fence. */
TEST(writes_with_fences_are_marked)
{
	struct vas *vas = shadow_vas(SIZE), *binder;
	struct shadow s;
	uint64_t old, *p;

	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_FENCE, &binder));
	shadow_init(&s, vas, SIZE);
	shadow_round(&s, 100);
	CHECK_OK(vas_write(binder, WORD - 4, "12345678", 8, NULL));
	CHECK_OK(vas_store_le64(binder, 2 * WORD, 1, __ATOMIC_RELAXED));
	CHECK_OK(vas_fetch_or_le64(binder, 3 * WORD, 1, &old, __ATOMIC_RELAXED));
	CHECK_OK(vas_fill(binder, 5 * WORD - 4096, 1, 8192, NULL));
	CHECK_OK(vas_enter(binder));
	p = vas_translate(binder, 7 * WORD, 8, VAS_PROT_WRITE);
	CHECK(p);
	*p = 1;
	vas_mark(binder, 7 * WORD, 8);
	vas_leave(binder);
	CHECK_EQ(shadow_round(&s, 100), 7);
	shadow_check(&s);
	shadow_clean(&s);
	vas_unbind(binder);
	vas_destroy(vas);
}
