/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A consumer that writes down what it is told, in a journal that all of them share: its letter,
 * then the op's. It refuses, hangs or takes its time as the test wishes.
 */
#ifndef TESTS_LIB_LAYOUT_RECORDER_H
#define TESTS_LIB_LAYOUT_RECORDER_H

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "tests/lib/simple_vas.h"

#define SHORT_NS 20000000ull

struct recorder {
	struct vas_consumer consumer; /* first */
	char letter;
	int refuse;	   /* what a step that starts answers instead of 0 */
	int refuse_finish; /* and what finish answers, if the step is under way */
	int out_of_step;   /* what commit and retry answer */
	char slow;    /* this op of p f F l is under way until it has finished `pieces` times */
	int segments; /* < 0: never */
	struct recorder *wakes; /* who is to be told that this one has finished */
	int nr_finishes;
	uint64_t deadline_ns; /* as a step was last told */
	int fd;
	struct vas_region removed[8], added[8], gone[8];
	size_t nr_removed, nr_added, nr_gone;
};

static char journal[4096];

static inline struct recorder *recorder_of(struct vas_consumer *consumer)
{
	return (struct recorder *)consumer;
}

static inline void note(struct recorder *r, char what)
{
	size_t len = strlen(journal);

	CHECK(len + 4 < sizeof(journal));
	snprintf(journal + len, sizeof(journal) - len, "%s%c%c", len ? " " : "", r->letter, what);
}

static inline void check_journal(const char *want)
{
	CHECK_STR(journal, want);
	memset(journal, 0, sizeof(journal));
}

static inline void recorder_wake(struct recorder *r)
{
	CHECK_OK(eventfd_write(r->fd, 1));
}

static inline int recorder_start(struct recorder *r, char what, uint64_t deadline_ns)
{
	note(r, what);
	__atomic_store_n(&r->deadline_ns, deadline_ns, __ATOMIC_RELEASE);
	if (r->refuse)
		return vas_error_set(r->refuse, "the recorder refuses");
	return r->slow == what ? VAS_CONSUMER_UNDER_WAY : 0;
}

static inline void keep(struct vas_region *to, const struct vas_region *from, size_t nr)
{
	CHECK(nr <= 8);
	for (size_t i = 0; i < nr; i++)
		to[i] = from[i];
}

static inline void keep_delta(struct recorder *r, const struct vas_delta *delta)
{
	keep(r->removed, delta->removed, delta->nr_removed);
	keep(r->added, delta->added, delta->nr_added);
	keep(r->gone, delta->gone, delta->nr_gone);
	r->nr_removed = delta->nr_removed;
	r->nr_added = delta->nr_added;
	r->nr_gone = delta->nr_gone;
}

static int recorder_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
			    uint64_t deadline_ns)
{
	keep_delta(recorder_of(consumer), delta);
	return recorder_start(recorder_of(consumer), 'p', deadline_ns);
}

static int recorder_commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct recorder *r = recorder_of(consumer);

	keep_delta(r, delta);
	note(r, 'c');
	return r->out_of_step;
}

static void recorder_abort(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	keep_delta(recorder_of(consumer), delta);
	note(recorder_of(consumer), 'a');
}

static int recorder_retry(struct vas_consumer *consumer)
{
	note(recorder_of(consumer), 'r');
	return recorder_of(consumer)->out_of_step;
}

static int recorder_freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
			   uint64_t deadline_ns)
{
	return recorder_start(recorder_of(consumer), reason == VAS_FREEZE_WRITERS ? 'f' : 'F',
			      deadline_ns);
}

static void recorder_thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	note(recorder_of(consumer), reason == VAS_FREEZE_WRITERS ? 't' : 'T');
}

static int recorder_track(struct vas_consumer *consumer, uint64_t deadline_ns)
{
	return recorder_start(recorder_of(consumer), 'l', deadline_ns);
}

static void recorder_untrack(struct vas_consumer *consumer)
{
	note(recorder_of(consumer), 'u');
}

static int recorder_fd(struct vas_consumer *consumer)
{
	return recorder_of(consumer)->fd;
}

static int recorder_finish(struct vas_consumer *consumer)
{
	struct recorder *r = recorder_of(consumer);
	eventfd_t count;

	r->nr_finishes++;
	if (eventfd_read(r->fd, &count) || !r->segments)
		return VAS_CONSUMER_UNDER_WAY; /* not told yet */
	if (r->refuse_finish)
		return vas_error_set(r->refuse_finish, "the recorder cannot finish");
	if (r->segments > 0 && !--r->segments) {
		if (r->wakes)
			recorder_wake(r->wakes);
		return 0;
	}
	recorder_wake(r);
	return VAS_CONSUMER_UNDER_WAY;
}

static const struct vas_consumer_ops recorder_ops = {
	.name = "recorder",
	.prepare = recorder_prepare,
	.commit = recorder_commit,
	.abort = recorder_abort,
	.retry = recorder_retry,
	.freeze = recorder_freeze,
	.thaw = recorder_thaw,
	.track = recorder_track,
	.untrack = recorder_untrack,
	.fd = recorder_fd,
	.finish = recorder_finish,
};

static inline void recorder_init(struct recorder *r, char letter, uint32_t flags)
{
	*r = (struct recorder){ .letter = letter, .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	CHECK_OK(r->fd);
	r->consumer.ops = &recorder_ops;
	r->consumer.flags = flags;
}

/* Attached, and nothing of that in the journal. */
static inline void recorder_attach(struct vas *vas, struct recorder *r)
{
	CHECK_OK(vas_consumer_attach(vas, &r->consumer, TEST_HANG_NS, NULL));
	memset(journal, 0, sizeof(journal));
}

/* A change of a region that is there goes through a commit of its own deadline. */
static inline int commit_add(struct vas *vas, uint64_t page, uint64_t timeout_ns,
			     struct vas_blocker *blocker)
{
	const struct vas_region region = simple_region(page, 1);
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_add(layout, &region, NULL));
	return vas_layout_commit(layout, timeout_ns, blocker);
}

#endif
