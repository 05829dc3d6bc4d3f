// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <vas/consumer.h>

#include "tests/lib/simple_vas.h"

/* A consumer that writes down what it is told, and refuses what it is told to refuse. */
struct recorder {
	struct vas_consumer consumer;
	char log[64]; /* p, c, a: prepare, commit, abort */
	int refuse;
	struct vas_region removed[8], added[8];
	size_t nr_removed, nr_added;
};

static void note(struct recorder *r, char what, const struct vas_delta *delta)
{
	size_t len = strlen(r->log);

	CHECK(len + 1 < sizeof(r->log));
	r->log[len] = what;
	CHECK(delta->nr_removed <= 8 && delta->nr_added <= 8);
	for (size_t i = 0; i < delta->nr_removed; i++)
		r->removed[i] = delta->removed[i];
	for (size_t i = 0; i < delta->nr_added; i++)
		r->added[i] = delta->added[i];
	r->nr_removed = delta->nr_removed;
	r->nr_added = delta->nr_added;
}

static int prepare(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct recorder *r = (struct recorder *)consumer;

	note(r, 'p', delta);
	return r->refuse ? vas_error_set(r->refuse, "the recorder refuses") : 0;
}

static void commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	note((struct recorder *)consumer, 'c', delta);
}

static void undo(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	note((struct recorder *)consumer, 'a', delta);
}

static const struct vas_consumer_ops ops = {
	.name = "recorder",
	.prepare = prepare,
	.commit = commit,
	.abort = undo,
};

static void check_log(struct recorder *r, const char *want)
{
	CHECK_STR(r->log, want);
	r->log[0] = '\0';
	memset(r->log, 0, sizeof(r->log));
}

TEST(attaching_brings_all_regions_and_detaching_takes_them)
{
	struct recorder r = { .consumer.ops = &ops };
	struct vas *vas = simple_vas();

	simple_add(vas, 5, 1);
	simple_add(vas, 1, 1);
	CHECK_OK(vas_consumer_attach(vas, &r.consumer));
	check_log(&r, "pc");
	CHECK_EQ(r.nr_added, 2);
	CHECK_EQ(r.nr_removed, 0);
	CHECK_EQ(r.added[0].gpa, PAGE);
	CHECK_EQ(r.added[1].gpa, 5 * PAGE);
	vas_consumer_detach(&r.consumer);
	check_log(&r, "c");
	CHECK_EQ(r.nr_removed, 2);
	CHECK_EQ(r.nr_added, 0);
	simple_add(vas, 9, 1);
	check_log(&r, "");
	vas_destroy(vas);
}

TEST(a_change_is_prepared_then_committed)
{
	struct recorder r = { .consumer.ops = &ops };
	struct vas *vas = simple_vas();
	uint64_t id;

	CHECK_OK(vas_consumer_attach(vas, &r.consumer));
	check_log(&r, "pc");
	id = simple_add(vas, 1, 2);
	check_log(&r, "pc");
	CHECK_OK(vas_region_resize(vas, id, PAGE));
	check_log(&r, "pc");
	CHECK_EQ(r.nr_removed, 1);
	CHECK_EQ(r.nr_added, 1);
	CHECK_EQ(r.removed[0].id, id);
	CHECK_EQ(r.removed[0].size, 2 * PAGE);
	CHECK_EQ(r.added[0].id, id);
	CHECK_EQ(r.added[0].size, PAGE);
	vas_consumer_detach(&r.consumer);
	vas_destroy(vas);
}

TEST(one_that_refuses_stops_the_change_for_all)
{
	struct recorder first = { .consumer.ops = &ops }, second = { .consumer.ops = &ops };
	const struct vas_region region = simple_region(1, 1);
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;
	struct vas_layout *layout;
	uint8_t byte;

	CHECK_OK(vas_consumer_attach(vas, &first.consumer));
	CHECK_OK(vas_consumer_attach(vas, &second.consumer));
	check_log(&first, "pc");
	check_log(&second, "pc");
	first.refuse = -ENOSPC;
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_add(layout, &region, NULL));
	CHECK_EQ(vas_layout_commit(layout, 0, &blocker), -ENOSPC);
	CHECK_STR(vas_error(), "the recorder refuses");
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker.name, "recorder");
	CHECK_EQ(vas_read(vas, PAGE, &byte, 1, NULL), -EFAULT);
	/* Whoever had prepared was told; the one that refused needs no telling. */
	check_log(&first, "p");
	check_log(&second, "pa");
	first.refuse = 0;
	simple_add(vas, 1, 1);
	check_log(&first, "pc");
	check_log(&second, "pc");
	vas_consumer_detach(&first.consumer);
	vas_consumer_detach(&second.consumer);
	vas_destroy(vas);
}

TEST(a_deadline_that_passes_aborts_consumers)
{
	struct recorder r = { .consumer.ops = &ops };
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 1, 1);
	struct vas_mapping *mapping;
	struct vas_layout *layout;

	CHECK_OK(vas_consumer_attach(vas, &r.consumer));
	CHECK_OK(vas_mapping_create(vas, PAGE, PAGE, 0, &mapping));
	check_log(&r, "pc");
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_EQ(vas_layout_commit(layout, 1000000, NULL), -EBUSY);
	check_log(&r, "pa");
	vas_mapping_destroy(mapping);
	vas_consumer_detach(&r.consumer);
	vas_destroy(vas);
}

TEST(what_refuses_at_attach_is_not_attached)
{
	struct recorder r = { .consumer.ops = &ops, .refuse = -EBUSY };
	struct vas *vas = simple_vas(), *binder;

	CHECK_EQ(vas_consumer_attach(vas, &r.consumer), -EBUSY);
	check_log(&r, "p");
	simple_add(vas, 1, 1);
	check_log(&r, "");
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_EQ(vas_consumer_attach(binder, &r.consumer), -EPERM);
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(consumers_go_with_the_handle)
{
	struct recorder r = { .consumer.ops = &ops };
	struct vas *vas = simple_vas();

	simple_add(vas, 1, 1);
	CHECK_OK(vas_consumer_attach(vas, &r.consumer));
	check_log(&r, "pc");
	vas_destroy(vas);
	check_log(&r, "c");
}

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
