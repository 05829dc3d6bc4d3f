// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz the joint of consumers, <vas/consumer.h>: three of them, whose ops answer anything at any
 * time, while the owner changes the layout, freezes and tracks. Checked are the joint's promises:
 * what was begun is ended once, and each consumer that is in step knows the layout as it is.
 *
 * The input is a tape. What the owner does next, and what an op answers, is the next byte.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/dirty.h>

#include "pieces.h"

#define PAGES	     1024u
#define MAX_REGIONS  16u
#define NR_CONSUMERS 3u
#define SHORT_NS     200000ull
#define MAX_STEPS    64

struct consumer {
	struct vas_consumer consumer;		/* first */
	struct vas_region regions[MAX_REGIONS]; /* what it was told of */
	size_t nr;
	bool is_attached, is_prepared, is_tracking;
	bool is_frozen[2];  /* by reason */
	bool *is_under_way; /* which of these has begun and is not done, or NULL */
	uint64_t deadline_ns;
};

static const uint8_t *tape, *tape_end;
static struct vas *owner;
static struct vas_tracker *tracker;
static struct consumer consumers[NR_CONSUMERS];
static int fds[2]; /* one is never readable, one always */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t next(void)
{
	return tape < tape_end ? *tape++ : 0;
}

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "joint: %s (%s)\n", what, vas_error());
	abort();
}

static struct consumer *consumer_of(struct vas_consumer *consumer)
{
	return (struct consumer *)consumer;
}

/* ---- a consumer ---------------------------------------------------------------------------- */

/* Mostly yes; else what an op may answer, and what it may not. */
static int answer(void)
{
	static const int errors[] = { -EBUSY, -ENOMEM, -EIO, -EAGAIN, -1, -4095, -5000, INT32_MIN };
	static const int odd[] = { 2, 7, INT32_MAX };
	uint8_t byte = next();

	if (byte < 128)
		return 0;
	if (byte < 192)
		return VAS_CONSUMER_UNDER_WAY;
	return byte < 240 ? errors[byte % 8] : odd[byte % 3];
}

static int start(struct consumer *c, bool *begun, uint64_t deadline_ns)
{
	int err = answer();

	must(!*begun, "a step begins that was not ended");
	must(!c->is_under_way, "two steps are under way at a time");
	*begun = err >= 0;
	c->is_under_way = err == VAS_CONSUMER_UNDER_WAY ? begun : NULL;
	c->deadline_ns = deadline_ns;
	return err;
}

static void undo(struct consumer *c, bool *begun)
{
	must(*begun, "a step is undone that was not begun");
	*begun = false;
	c->is_under_way = NULL;
}

static void tell(struct consumer *c, const struct vas_delta *delta)
{
	for (size_t i = 0; i < delta->nr_removed; i++) {
		size_t at = 0;

		while (at < c->nr && c->regions[at].id != delta->removed[i].id)
			at++;
		must(at < c->nr, "a region is removed that was never added");
		must(c->regions[at].gpa == delta->removed[i].gpa &&
			     c->regions[at].size == delta->removed[i].size,
		     "a region is removed from another place than it was added to");
		c->regions[at] = c->regions[--c->nr];
	}
	for (size_t i = 0; i < delta->nr_added; i++) {
		must(c->nr < MAX_REGIONS, "more regions are added than there can be");
		c->regions[c->nr++] = delta->added[i];
	}
}

static int prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
		   uint64_t deadline_ns)
{
	must(delta->nr_removed <= MAX_REGIONS, "more regions are removed than there can be");
	return start(consumer_of(consumer), &consumer_of(consumer)->is_prepared, deadline_ns);
}

static int commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct consumer *c = consumer_of(consumer);

	must(!c->is_under_way, "a commit while a step is under way");
	must(c->is_prepared || !delta->nr_added, "a commit without a preparation");
	c->is_prepared = false;
	tell(c, delta);
	return answer();
}

static void abort_change(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)delta;
	undo(consumer_of(consumer), &consumer_of(consumer)->is_prepared);
}

static int retry(struct vas_consumer *consumer)
{
	must(vas_consumer_status(consumer), "a retry of one that is in step");
	return answer();
}

static int freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
		  uint64_t deadline_ns)
{
	return start(consumer_of(consumer), &consumer_of(consumer)->is_frozen[reason], deadline_ns);
}

static void thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	undo(consumer_of(consumer), &consumer_of(consumer)->is_frozen[reason]);
}

static int track(struct vas_consumer *consumer, uint64_t deadline_ns)
{
	return start(consumer_of(consumer), &consumer_of(consumer)->is_tracking, deadline_ns);
}

static void untrack(struct vas_consumer *consumer)
{
	undo(consumer_of(consumer), &consumer_of(consumer)->is_tracking);
}

static int harvest(struct vas_consumer *consumer)
{
	vas_mark_dirty(consumer->vas, next() * VAS_PAGE_SIZE * 8, next() * VAS_PAGE_SIZE);
	vas_mark_dirty_word(consumer->vas, next() * 64 * VAS_PAGE_SIZE, next());
	return answer();
}

/* Sometimes one that tells of nothing, or none; not before a deadline that is a second away. */
static int fd_of(struct vas_consumer *consumer)
{
	struct consumer *c = consumer_of(consumer);

	must(c->is_under_way, "an fd is wanted of one that has no step");
	if (next() % 4 || c->deadline_ns > test_now_ns() + SHORT_NS)
		return fds[1];
	return next() % 2 ? fds[0] : -1;
}

static int finish(struct vas_consumer *consumer)
{
	struct consumer *c = consumer_of(consumer);
	int err = answer();

	must(c->is_under_way, "a step is finished that is not under way");
	/* Whoever refuses has undone its part. */
	if (err < 0)
		*c->is_under_way = false;
	if (err != VAS_CONSUMER_UNDER_WAY)
		c->is_under_way = NULL;
	return err;
}

static void blocker(struct vas_consumer *consumer, struct vas_blocker *who)
{
	(void)consumer;
	memset(who->name, next(), sizeof(who->name));
	who->gpa = who->size = next();
}

static const struct vas_consumer_ops ops = {
	.name = "fuzz",
	.prepare = prepare,
	.commit = commit,
	.abort = abort_change,
	.retry = retry,
	.freeze = freeze,
	.thaw = thaw,
	.track = track,
	.untrack = untrack,
	.harvest = harvest,
	.fd = fd_of,
	.finish = finish,
	.blocker = blocker,
};

/* ---- the owner ----------------------------------------------------------------------------- */

/* Between two calls: nothing is half done, and who is attached knows what there is. */
static void check_one(const struct consumer *c)
{
	struct vas_region region;

	must(!c->is_under_way && !c->is_prepared && !c->is_frozen[VAS_FREEZE_LAYOUT],
	     "a step is left over");
	if (!c->is_attached) {
		must(!c->nr && !c->is_tracking && !c->is_frozen[VAS_FREEZE_WRITERS],
		     "a detached consumer has something left");
		return;
	}
	must(c->nr == (size_t)vas_regions(owner, NULL, 0), "a consumer has another layout");
	for (size_t i = 0; i < c->nr; i++)
		must(!vas_region_by_id(owner, c->regions[i].id, &region) &&
			     region.gpa == c->regions[i].gpa && region.size == c->regions[i].size,
		     "a consumer has another region");
	must(vas_consumer_status(&c->consumer) <= 0, "a status that is no error");
	must(!tracker || c->is_tracking, "the vas is tracked, and a consumer does not log");
}

static void check_all(void)
{
	for (uint32_t i = 0; i < NR_CONSUMERS; i++)
		check_one(&consumers[i]);
}

static void edit(struct vas_layout *layout)
{
	const struct vas_region region = {
		.gpa = next() * 4 * VAS_PAGE_SIZE,
		.size = (1 + next() % 16) * VAS_PAGE_SIZE,
		.offset = VAS_OFFSET_GPA,
	};
	struct vas_region old = { 0 };

	vas_region_at(owner, next() * 4 * VAS_PAGE_SIZE, &old);
	switch (next() % 4) {
	case 0:
		vas_layout_add(layout, &region, NULL);
		break;
	case 1:
		vas_layout_remove(layout, old.id);
		break;
	case 2:
		vas_layout_resize(layout, old.id, region.size);
		break;
	case 3:
		vas_layout_move(layout, old.id, region.gpa);
		break;
	}
}

static void change(void)
{
	struct vas_blocker who;
	struct vas_layout *layout;
	uint8_t nr = next() % 4;

	if (vas_layout_begin(owner, &layout))
		abort();
	while (nr--)
		edit(layout);
	if (next() % 8)
		vas_layout_commit(layout, next() % 4 ? SHORT_NS : 0, &who);
	else
		vas_layout_abort(layout);
}

static void attach(struct consumer *c)
{
	static const uint32_t flags[] = { 0, VAS_CONSUMER_BINDERS, VAS_CONSUMER_ALWAYS_DIRTY,
					  VAS_CONSUMER_PINS };

	if (c->is_attached)
		return;
	*c = (struct consumer){ .consumer = { .ops = &ops, .flags = flags[next() % 4] } };
	c->is_attached = !vas_consumer_attach(owner, &c->consumer, SHORT_NS, NULL);
}

static void detach(struct consumer *c)
{
	if (c->is_attached)
		vas_consumer_detach(&c->consumer);
	c->is_attached = false;
}

static void take_epoch(void)
{
	const struct vas_dirty_word *words;
	uint64_t gpa = 0;

	if (!tracker || vas_tracker_begin(tracker))
		return;
	vas_tracker_harvest(tracker, &gpa, PAGES * VAS_PAGE_SIZE, 4, &words);
	if (next() % 2)
		vas_tracker_commit(tracker);
	else
		vas_tracker_abort(tracker);
}

static void end_tracking(void)
{
	vas_tracker_detach(tracker);
	tracker = NULL;
}

static void step(void)
{
	struct consumer *c = &consumers[next() % NR_CONSUMERS];

	switch (next() % 10) {
	case 0:
	case 1:
		change();
		break;
	case 2:
	case 3:
		attach(c);
		break;
	case 4:
		detach(c);
		break;
	case 5:
		vas_freeze(owner, SHORT_NS, NULL);
		break;
	case 6:
		vas_thaw(owner);
		break;
	case 7:
		if (!tracker && vas_tracker_attach(owner, "fuzz", VAS_TRACKER_ALL, &tracker))
			tracker = NULL;
		take_epoch();
		break;
	case 8:
		end_tracking();
		break;
	case 9:
		if (c->is_attached)
			vas_consumer_retry(&c->consumer);
		else
			vas_discard(owner, next() * VAS_PAGE_SIZE, VAS_PAGE_SIZE, NULL);
		break;
	}
	check_all();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fds[0] = eventfd(0, EFD_CLOEXEC);
	fds[1] = eventfd(1, EFD_CLOEXEC);
	segments_count_fds();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vas_options options = { .limit = PAGES * VAS_PAGE_SIZE,
					     .max_regions = MAX_REGIONS,
					     .nr_slots = 16 };

	tape = data;
	tape_end = data + size;
	CHECK_OK(vas_create(&options, &owner));
	for (int i = 0; i < MAX_STEPS && tape < tape_end; i++)
		step();
	end_tracking();
	/* Whoever is still attached goes with the handle. */
	vas_destroy(owner);
	for (uint32_t i = 0; i < NR_CONSUMERS; i++)
		consumers[i].is_attached = false;
	check_all();
	segments_count_fds();
	return 0;
}
