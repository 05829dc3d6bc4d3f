// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Steps of several consumers: started together, waited for together, undone in reverse. */
#include <pthread.h>
#include <vas/dirty.h>

#include "recorder.h"

#define NR_MANY 40 /* more than are polled at once */

static void attach_all(struct vas *vas, struct recorder *r, int nr)
{
	for (int i = 0; i < nr; i++) {
		recorder_init(&r[i], (char)('A' + i), 0);
		recorder_attach(vas, &r[i]);
	}
}

static void detach_all(struct recorder *r, int nr)
{
	while (nr--) {
		vas_consumer_detach(&r[nr].consumer);
		close(r[nr].fd);
	}
}

/* The last is ready at once, each other when the one behind it has finished. */
static void chain(struct recorder *r, int nr, char what)
{
	for (int i = 0; i < nr; i++) {
		r[i].slow = what;
		r[i].segments = 1;
		r[i].wakes = i ? &r[i - 1] : NULL;
	}
	recorder_wake(&r[nr - 1]);
}

/* Whoever waited for the first before it had started the last would wait for ever. */
TEST(all_are_started_before_one_is_waited_for)
{
	struct recorder r[NR_MANY];
	struct vas *vas = simple_vas();

	attach_all(vas, r, NR_MANY);
	chain(r, NR_MANY, 'p');
	CHECK_OK(commit_add(vas, 1, LONG_NS, NULL));
	chain(r, NR_MANY, 'F');
	CHECK_OK(commit_add(vas, 2, LONG_NS, NULL));
	chain(r, NR_MANY, 'f');
	CHECK_OK(vas_freeze(vas, LONG_NS, NULL));
	for (int i = 0; i < NR_MANY; i++)
		CHECK_EQ(r[i].segments, 0);
	detach_all(r, NR_MANY);
	vas_destroy(vas);
}

TEST(slow_consumers_have_one_deadline_and_not_one_each)
{
	struct recorder r[5];
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;

	attach_all(vas, r, 5);
	for (int i = 0; i < 5; i++)
		r[i].slow = 'p';
	CHECK_EQ(commit_add(vas, 1, SHORT_NS, &blocker), -EBUSY);
	/* Nobody had news, so there was one look at each: after the deadline. */
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(r[i].deadline_ns, r[0].deadline_ns);
		CHECK_EQ(r[i].nr_finishes, 1);
	}
	check_journal("Ap Bp Cp Dp Ep Ea Da Ca Ba Aa");
	detach_all(r, 5);
	vas_destroy(vas);
}

TEST(one_that_never_prepares_is_named_and_all_is_undone_in_reverse)
{
	struct recorder r[3];
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;
	uint8_t byte;

	attach_all(vas, r, 3);
	r[1].slow = 'p';
	CHECK_EQ(commit_add(vas, 1, SHORT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker.name, "recorder");
	CHECK_HAS(vas_error(), "recorder is not done in time");
	check_journal("Ap Bp Cp Ca Ba Aa");
	CHECK_EQ(vas_read(vas, PAGE, &byte, 1, NULL), -EFAULT);
	r[1].slow = 0;
	CHECK_OK(commit_add(vas, 1, LONG_NS, &blocker));
	check_journal("Ap Bp Cp AF BF CF Ac Bc Cc CT BT AT");
	CHECK_OK(vas_read(vas, PAGE, &byte, 1, NULL));
	detach_all(r, 3);
	vas_destroy(vas);
}

TEST(one_that_refuses_as_it_finishes_is_not_undone_itself)
{
	struct recorder r[3];
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;

	attach_all(vas, r, 3);
	r[0].slow = r[1].slow = 'p';
	r[1].segments = -1;
	r[1].refuse_finish = -ENOSPC;
	recorder_wake(&r[1]);
	CHECK_EQ(commit_add(vas, 1, LONG_NS, &blocker), -ENOSPC);
	CHECK_STR(vas_error(), "the recorder cannot finish");
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	check_journal("Ap Bp Cp Ca Aa");
	detach_all(r, 3);
	vas_destroy(vas);
}

TEST(one_that_never_freezes_lets_all_write_on)
{
	struct recorder r[3];
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;

	simple_add(vas, 1, 1);
	attach_all(vas, r, 3);
	r[2].slow = 'f';
	CHECK_EQ(vas_freeze(vas, SHORT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	check_journal("Af Bf Cf Ct Bt At");
	CHECK_OK(vas_write(vas, PAGE, "a", 1, NULL));
	r[2].slow = 0;
	CHECK_OK(vas_freeze(vas, LONG_NS, &blocker));
	CHECK_OK(vas_thaw(vas));
	check_journal("Af Bf Cf Ct Bt At");
	detach_all(r, 3);
	vas_destroy(vas);
}

TEST(one_that_never_logs_fails_the_tracker)
{
	struct recorder r[2];
	struct vas *vas = simple_vas();
	struct vas_tracker *dirty;
	struct vas_info info;

	attach_all(vas, r, 2);
	r[0].slow = 'l';
	CHECK_EQ(vas_tracker_attach(vas, "test", 0, &dirty), -EBUSY);
	CHECK_HAS(vas_error(), "recorder is not done in time");
	check_journal("Al Bl Bu Au");
	CHECK_OK(vas_info(vas, &info));
	CHECK(!(info.state_flags & VAS_STATE_TRACKING));
	detach_all(r, 2);
	vas_destroy(vas);
}

/* The new layout was published already: the old one comes back. */
TEST(one_that_does_not_stand_still_rolls_the_layout_back)
{
	struct recorder r[2];
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;
	uint64_t id = simple_add(vas, 1, 1);
	struct vas_layout *layout;
	uint8_t byte;

	attach_all(vas, r, 2);
	r[0].slow = 'F';
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_EQ(vas_layout_commit(layout, SHORT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	check_journal("Ap Bp AF BF BT AT Ba Aa");
	CHECK_OK(vas_read(vas, PAGE, &byte, 1, NULL));
	r[0].slow = 0;
	CHECK_OK(vas_region_remove(vas, id));
	CHECK_EQ(vas_read(vas, PAGE, &byte, 1, NULL), -EFAULT);
	detach_all(r, 2);
	vas_destroy(vas);
}

TEST(one_that_hangs_at_attach_is_not_attached)
{
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;
	struct vas_info info;
	struct recorder r;

	recorder_init(&r, 'A', 0);
	r.slow = 'p';
	CHECK_EQ(vas_consumer_attach(vas, &r.consumer, SHORT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	check_journal("Ap Aa");
	CHECK_OK(vas_info(vas, &info));
	CHECK_STR(info.consumers, "");
	simple_add(vas, 1, 1);
	check_journal("");
	vas_destroy(vas);
}

TEST(long_work_is_done_in_pieces)
{
	struct recorder r[2];
	struct vas *vas = simple_vas();

	attach_all(vas, r, 2);
	for (int i = 0; i < 2; i++) {
		r[i].slow = 'p';
		r[i].segments = 1000;
		recorder_wake(&r[i]);
	}
	CHECK_OK(commit_add(vas, 1, LONG_NS, NULL));
	CHECK_EQ(r[0].nr_finishes, 1000);
	CHECK_EQ(r[1].nr_finishes, 1000);
	detach_all(r, 2);
	vas_destroy(vas);
}

/* Its pieces never end; nor does the owner wait longer for that. */
TEST(endless_work_ends_at_the_deadline)
{
	struct vas *vas = simple_vas();
	struct recorder r;

	attach_all(vas, &r, 1);
	r.slow = 'p';
	r.segments = -1;
	recorder_wake(&r);
	CHECK_EQ(commit_add(vas, 1, SHORT_NS, NULL), -EBUSY);
	check_journal("Ap Aa");
	detach_all(&r, 1);
	vas_destroy(vas);
}

static void name_somebody(struct vas_consumer *consumer, struct vas_blocker *blocker)
{
	CHECK_STR(blocker->name, consumer->ops->name);
	*blocker = (struct vas_blocker){ VAS_BLOCKER_CONSUMER, 17, 0, 5 * PAGE, PAGE, "a_module" };
}

TEST(a_consumer_says_who_is_in_its_way)
{
	struct vas_consumer_ops ops = recorder_ops;
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;
	struct recorder r;

	ops.blocker = name_somebody;
	attach_all(vas, &r, 1);
	r.consumer.ops = &ops;
	r.slow = 'p';
	CHECK_EQ(commit_add(vas, 1, SHORT_NS, &blocker), -EBUSY);
	CHECK_STR(blocker.name, "a_module");
	CHECK_EQ(blocker.pid, 17);
	CHECK_EQ(blocker.gpa, 5 * PAGE);
	CHECK_EQ(blocker.size, PAGE);
	CHECK_HAS(vas_error(), "a_module (process 17) keeps [0x5000, +0x1000)");
	detach_all(&r, 1);
	vas_destroy(vas);
}

TEST(those_with_binders_behind_them_start_first)
{
	struct recorder r[3];
	struct vas *vas = simple_vas();

	attach_all(vas, r, 2);
	recorder_init(&r[2], 'C', VAS_CONSUMER_BINDERS);
	recorder_attach(vas, &r[2]);
	CHECK_OK(commit_add(vas, 1, LONG_NS, NULL));
	check_journal("Cp Ap Bp CF AF BF Cc Ac Bc BT AT CT");
	detach_all(r, 3);
	vas_destroy(vas);
}

struct asked {
	struct vas_mapping *mapping;
	struct recorder *early, *late;
};

/* Comes only once the binders' consumer was started, and the other one must not have been by then.
 */
static void *be_quiet(void *arg)
{
	struct asked *asked = arg;

	while (!__atomic_load_n(&asked->early->deadline_ns, __ATOMIC_ACQUIRE))
		;
	CHECK_EQ(__atomic_load_n(&asked->late->deadline_ns, __ATOMIC_ACQUIRE), 0);
	CHECK_OK(vas_mapping_quiesce(asked->mapping));
	return NULL;
}

TEST(a_freeze_starts_others_only_when_binders_have_stopped)
{
	struct vas *vas = simple_vas();
	struct recorder r[2];
	struct asked asked = { .early = &r[1], .late = &r[0] };
	pthread_t thread;

	simple_add(vas, 1, 1);
	attach_all(vas, r, 1);
	recorder_init(&r[1], 'B', VAS_CONSUMER_BINDERS);
	recorder_attach(vas, &r[1]);
	CHECK_OK(vas_mapping_create(vas, PAGE, PAGE, VAS_MAPPING_WRITE, &asked.mapping));
	r[0].deadline_ns = r[1].deadline_ns = 0;
	CHECK_EQ(pthread_create(&thread, NULL, be_quiet, &asked), 0);
	CHECK_OK(vas_freeze(vas, LONG_NS, NULL));
	pthread_join(thread, NULL);
	check_journal("Bf Af");
	CHECK_OK(vas_thaw(vas));
	check_journal("At Bt");
	vas_mapping_destroy(asked.mapping);
	detach_all(r, 2);
	vas_destroy(vas);
}
