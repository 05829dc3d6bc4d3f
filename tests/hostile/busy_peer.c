// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A peer that writes all the time, or that has filled what one call looks through with what takes
 * longest. Each call ends: by its deadline, or by a bound of its own. Work is counted, not timed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/dirty.h>
#include <vas/event.h>
#include <vas/lazy.h>
#include <vas/vas.h>

#include "tests/harness.h"
#include "core/protocol/entries.h"
#include "lib/handle/handle.h"

#define LIMIT	   (1ull << 40)
#define SIZE	   (LIMIT / 2)
#define TIMEOUT_NS 100000000ull

struct scene {
	struct vas *owner;
	struct vas *peer; /* a binder that lives */
	struct vas_control *ctl;
	uint64_t region;
	pthread_t thread;
	bool stop;
};

static void scene_make(struct scene *s, uint32_t max_regions)
{
	struct vas_options options = { .limit = LIMIT, .name = "busy", .max_regions = max_regions };
	struct vas_region region = { .size = SIZE, .name = "ram" };

	*s = (struct scene){ 0 };
	CHECK_OK(vas_create(&options, &s->owner));
	CHECK_OK(vas_region_add(s->owner, &region, &s->region));
	CHECK_OK(vas_bind(vas_fd(s->owner), 0, &s->peer));
	s->ctl = s->owner->ctl;
}

static void scene_clear(struct scene *s)
{
	vas_unbind(s->peer);
	vas_destroy(s->owner);
}

static bool goes_on(struct scene *s)
{
	return !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE);
}

/* As a hostile peer does: the state as it is, under one number after the other. */
static void *count_generations(void *arg)
{
	struct scene *s = arg;

	while (goes_on(s)) {
		uint64_t generation = __atomic_load_n(&s->ctl->generation, __ATOMIC_ACQUIRE) + 1;
		struct vas_state state = s->ctl->state[(generation - 1) & 1];

		state.generation = generation;
		s->ctl->state[generation & 1] = state;
		__atomic_store_n(&s->ctl->generation, generation, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Whoever sleeps on one of these does not: the words are never what it has seen. */
static void *count_futexes(void *arg)
{
	struct scene *s = arg;

	while (goes_on(s)) {
		__atomic_fetch_add(&s->ctl->answer, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&s->ctl->notify, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&s->ctl->lazy_wakeup, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&s->ctl->tracking_request, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&s->ctl->log_incomplete, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *flip_lazy(void *arg)
{
	struct scene *s = arg;
	struct vas_log_layout layout;
	uint64_t *words, *summary, *top;

	/* Of the log that say_lazy() names. */
	vas_log_layout(LIMIT, &layout);
	words = (uint64_t *)((char *)vas_extent(s->owner, VAS_EXT_LOG) + layout.size);
	summary = words + layout.summary_offset / 8;
	top = words + layout.top_offset / 8;
	for (uint64_t i = 0; goes_on(s); i++) {
		__atomic_store_n(&words[i % 8], i & 8 ? ~0ull : 0, __ATOMIC_RELAXED);
		__atomic_store_n(summary, i & 16 ? ~0ull : 0, __ATOMIC_RELAXED);
		__atomic_store_n(top, i & 32 ? ~0ull : 0, __ATOMIC_RELAXED);
		__atomic_store_n(&s->ctl->lazy_log, (uint32_t)(i & 1), __ATOMIC_RELAXED);
		__atomic_store_n(&s->ctl->lazy_request, i << 18 | 1, __ATOMIC_RELAXED);
		__atomic_store_n(&s->ctl->lazy_failed, i & 2 ? i << 18 | 1 : 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void start(struct scene *s, void *(*run)(void *arg))
{
	s->stop = false;
	CHECK_OK(-pthread_create(&s->thread, NULL, run, s));
}

static void stop(struct scene *s)
{
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	CHECK_OK(-pthread_join(s->thread, NULL));
}

static void check_one_of(int err, int a, int b)
{
	if (err != a)
		CHECK_EQ(err, b);
}

/* The largest table, and it is another one each time that its copy is complete. */
TEST(a_layout_that_never_stands_still_is_copied_a_few_times)
{
	struct vas_region_entry *table;
	struct vas_proto_work before;
	struct vas_info info;
	struct scene s;
	uint32_t i;
	int err;

	scene_make(&s, VAS_MAX_REGIONS);
	table = vas_extent(s.owner, s.owner->own.table ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0);
	for (i = 0; i < VAS_MAX_REGIONS; i++)
		table[i] = (struct vas_region_entry){
			.gpa = i * 8192ull, .size = 4096, .offset = i * 8192ull, .id = i + 1
		};
	s.ctl->state[0].nr_regions = s.ctl->state[1].nr_regions = VAS_MAX_REGIONS;
	s.ctl->state[0].regions_generation = s.ctl->state[1].regions_generation = 1;
	start(&s, count_generations);
	before = s.peer->proto.work;
	/* Never still; or for once, if the peer did not run: it may be too large to be mapped then. */
	err = vas_info(s.peer, &info);
	CHECK(err == -EAGAIN || err == -ENOMEM || err == 0);
	CHECK(s.peer->proto.work.entries - before.entries <= 3ull * VAS_MAX_REGIONS);
	stop(&s);
	scene_clear(&s);
}

TEST(generations_that_count_up_stop_no_call_of_the_owner)
{
	struct vas_tracker *tracker;
	struct scene s;

	scene_make(&s, 16);
	start(&s, count_generations);
	CHECK_OK(vas_freeze(s.owner, TEST_HANG_NS, NULL));
	CHECK_OK(vas_thaw(s.owner));
	CHECK_OK(vas_tracker_attach(s.owner, "t", 0, &tracker));
	CHECK_OK(vas_tracker_begin(tracker));
	CHECK_OK(vas_tracker_abort(tracker));
	vas_tracker_detach(tracker);
	CHECK_OK(vas_region_remove(s.owner, s.region));
	stop(&s);
	scene_clear(&s);
}

/* What a binder waits for never comes, and none of its sleeps is one. */
TEST(words_that_count_up_keep_no_binder_beyond_its_time)
{
	struct vas_tracker *tracker;
	struct scene s;

	scene_make(&s, 16);
	CHECK_OK(vas_freeze(s.owner, TEST_HANG_NS, NULL));
	start(&s, count_futexes);
	CHECK_EQ(vas_wait_thawed(s.peer, TIMEOUT_NS), -ETIMEDOUT);
	/* Nobody answers for the owner; the reply may seem to be there, as the request was moved. */
	check_one_of(vas_tracker_attach(s.peer, "t", 0, &tracker), -ETIMEDOUT, 0);
	stop(&s);
	scene_clear(&s);
}

static void hold_pin(struct scene *s)
{
	s->owner->proto.pins[0] = (struct vas_pin){ .state = VAS_PIN_HELD,
						    .tag = s->peer->proto.tag,
						    .size = SIZE,
						    .flags = VAS_PIN_WRITABLE };
	s->ctl->pins_claimed = 1;
}

TEST(words_that_count_up_keep_no_owner_beyond_its_time)
{
	struct vas_blocker blocker;
	struct vas_layout *layout;
	struct scene s;

	scene_make(&s, 16);
	hold_pin(&s);
	start(&s, count_futexes);
	CHECK_EQ(vas_freeze(s.owner, TIMEOUT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	CHECK_OK(vas_layout_begin(s.owner, &layout));
	CHECK_OK(vas_layout_remove(layout, s.region));
	CHECK_EQ(vas_layout_commit(layout, TIMEOUT_NS, &blocker), -EBUSY);
	stop(&s);
	memset(&s.owner->proto.pins[0], 0, sizeof(struct vas_pin));
	scene_clear(&s);
}

static void say_lazy(struct scene *s)
{
	struct vas_state state = s->ctl->state[s->ctl->generation & 1];

	state.generation++;
	state.flags |= VAS_STATE_LAZY;
	s->ctl->state[state.generation & 1] = state;
	s->ctl->lazy_log = 1;
	__atomic_store_n(&s->ctl->generation, state.generation, __ATOMIC_RELEASE);
}

/* All levels say that there is something, and there is nothing, for two million words. */
TEST(a_log_of_nothing_is_not_walked_beyond_the_deadline)
{
	struct vas_log_layout layout;
	struct vas_proto_work before;
	struct scene s;
	char *log;

	scene_make(&s, 16);
	vas_log_layout(LIMIT, &layout);
	log = (char *)vas_extent(s.owner, VAS_EXT_LOG) + layout.size;
	memset(log + layout.summary_offset, 0xff, layout.size - layout.summary_offset);
	say_lazy(&s);
	before = s.peer->proto.work;
	CHECK_EQ(vas_lazy_wait(s.peer, 1), -ETIMEDOUT);
	CHECK(s.peer->proto.work.entries - before.entries <= 4096);
	scene_clear(&s);
}

TEST(lazy_words_that_flip_keep_no_reader_and_no_map_for_longer_than_a_page_may_take)
{
	struct vas_mapping *mapping;
	struct scene s;
	char byte;
	int err;

	scene_make(&s, 16);
	say_lazy(&s);
	start(&s, flip_lazy);
	err = vas_lazy_wait(s.peer, TIMEOUT_NS);
	CHECK(err == -ETIMEDOUT || err == -EIO || err == 0);
	for (int i = 0; i < 100; i++) {
		err = vas_read(s.peer, 0, &byte, 1, NULL);
		CHECK(err == -ETIMEDOUT || err == -EIO || err == -EAGAIN || err == 0);
		err = vas_mapping_create(s.peer, 0, 8 << 18, VAS_MAPPING_WRITE, &mapping);
		CHECK(err == -ETIMEDOUT || err == -EIO || err == -EAGAIN || err == 0);
		if (!err)
			vas_mapping_destroy(mapping);
	}
	CHECK_OK(vas_write(s.owner, 0, "x", 1, NULL));
	stop(&s);
	scene_clear(&s);
}

TEST(trackers_of_one_that_lives_leave_no_place_and_that_is_said_at_once)
{
	struct vas_tracker_info infos[VAS_MAX_TRACKERS];
	struct vas_tracker *tracker;
	struct vas_proto_work before;
	struct scene s;
	uint32_t i;

	scene_make(&s, 16);
	for (i = 0; i < s.owner->sb.nr_trackers; i++) {
		s.owner->proto.trackers[i].tag = s.peer->proto.tag;
		s.owner->proto.trackers[i].state = ~0u;
		memset(s.owner->proto.trackers[i].name, 0xff,
		       sizeof(s.owner->proto.trackers[i].name));
	}
	before = s.owner->proto.work;
	CHECK_EQ(vas_tracker_attach(s.owner, "t", 0, &tracker), -ENOSPC);
	CHECK(vas_trackers(s.owner, infos, VAS_MAX_TRACKERS) <= (ssize_t)s.owner->sb.nr_trackers);
	CHECK(s.owner->proto.work.looks - before.looks <= 4);
	scene_clear(&s);
}

TEST(events_that_are_never_whole_are_none)
{
	struct vas_event_entry *entries;
	struct vas_event event;
	struct scene s;
	uint32_t i;

	scene_make(&s, 16);
	entries = vas_extent(s.owner, VAS_EXT_EVENTS);
	for (i = 0; i < s.owner->sb.nr_events; i++)
		entries[i] = (struct vas_event_entry){ .kind = VAS_EVENT_IRQ,
						       .id = i + 1,
						       .sequence = 1 };
	CHECK_EQ(vas_events(s.peer, NULL, 0), 0);
	CHECK_EQ(vas_event_find(s.peer, 1, &event), -ENOENT);
	scene_clear(&s);
}
