// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Lazy memory half filled: what others do, or leave when they die, between two steps. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/consumer.h>
#include <vas/dirty.h>

#include "tests/harness.h"
#include "core/protocol/entries.h"
#include "lib/access/lazy.h"
#include "lib/dirty/tracking.h"

#define SIZE	 (16ull << 20)
#define NR_WORDS (SIZE / WORD_SIZE)

/* ---- a source ----------------------------------------------------------------------------- */

struct source {
	struct vas_source source; /* first */
	uint64_t first; /* pages of the words from here on have bytes: their own gpa + 1 */
	int nr_ends;
};

static int fetch(struct vas_source *source, uint64_t gpa, void *pages, uint64_t *bits)
{
	const struct source *s = (struct source *)source;

	for (uint64_t at = 0; at < WORD_SIZE; at += VAS_PAGE_SIZE)
		*(uint64_t *)((char *)pages + at) = gpa + at + 1;
	*bits = gpa < s->first ? 0 : UINT64_MAX;
	return 0;
}

static void end(struct vas_source *source)
{
	((struct source *)source)->nr_ends++;
}

static struct vas *empty_vas(void)
{
	const struct vas_options options = { .limit = 2 * SIZE };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	return vas;
}

/* From the page `first` on memory is to come, in regions of this size. */
static int try_to_restore(struct vas *vas, struct source *s, uint64_t first, uint64_t size,
			  uint32_t flags)
{
	struct vas_dirty_word words[NR_WORDS];
	struct vas_layout *layout;
	size_t nr = 0;

	*s = (struct source){ .source = { fetch, end }, .first = first };
	for (uint64_t gpa = first; gpa < SIZE; gpa += WORD_SIZE)
		words[nr++] = (struct vas_dirty_word){ gpa, UINT64_MAX };
	CHECK_OK(vas_layout_begin(vas, &layout));
	for (uint64_t gpa = 0; gpa < SIZE; gpa += size) {
		const struct vas_region region = { .gpa = gpa, .size = size, .offset = gpa };

		CHECK_OK(vas_layout_add(layout, &region, NULL));
	}
	return vas_layout_commit_lazy(layout, &s->source, words, nr, flags);
}

static void restore(struct vas *vas, struct source *s, uint64_t first, uint32_t flags)
{
	CHECK_OK(try_to_restore(vas, s, first, SIZE, flags));
}

static struct vas *bound(struct vas *owner)
{
	struct vas *vas;

	CHECK_OK(vas_bind(vas_fd(owner), 0, &vas));
	return vas;
}

static void check_page(struct vas *vas, uint64_t gpa)
{
	uint64_t got;

	CHECK_OK(vas_read(vas, gpa, &got, 8, NULL));
	CHECK_EQ(got, gpa + 1);
}

/* ---- who asks ----------------------------------------------------------------------------- */

TEST(a_search_does_not_skip_what_is_to_come)
{
	uint64_t found, value = SIZE - VAS_PAGE_SIZE + 1;
	struct vas_pattern pattern = { .bytes = &value, .len = 8 };
	struct vas *owner = empty_vas(), *binder;
	struct source s;

	restore(owner, &s, SIZE / 2, VAS_LAZY_ON_TOUCH);
	binder = bound(owner);
	CHECK_OK(vas_search(binder, 0, SIZE, &pattern, &found));
	CHECK_EQ(found, SIZE - VAS_PAGE_SIZE);
	vas_unbind(binder);
	vas_destroy(owner);
}

struct mapper {
	struct vas *vas;
	struct vas_mapping *map;
	int err;
	int is_ready;
};

static void *map_when_it_is_there(void *arg)
{
	struct mapper *m = arg;

	do {
		m->err = vas_mapping_create(m->vas, SIZE - VAS_PAGE_SIZE, 8, 0, &m->map);
		__atomic_store_n(&m->is_ready, 1, __ATOMIC_RELEASE);
	} while (m->err == -EFAULT);
	return NULL;
}

static int is_ready(void *arg)
{
	return __atomic_load_n(&((struct mapper *)arg)->is_ready, __ATOMIC_ACQUIRE);
}

/* The layout comes between the question whether pages are to come and the section. */
TEST(a_map_made_as_the_layout_comes_has_the_page)
{
	for (int round = 0; round < 300; round++) {
		struct vas *owner = empty_vas();
		struct mapper m = { .vas = bound(owner) };
		pthread_t thread;
		struct source s;

		CHECK_OK(pthread_create(&thread, NULL, map_when_it_is_there, &m));
		test_wait(is_ready, &m, TEST_HANG_MS);
		restore(owner, &s, 0, VAS_LAZY_ON_TOUCH);
		CHECK_OK(pthread_join(thread, NULL));
		CHECK_OK(m.err);
		test_note("round %d", round);
		CHECK_EQ(*(uint64_t *)vas_mapping_addr(m.map), SIZE - VAS_PAGE_SIZE + 1);
		vas_mapping_destroy(m.map);
		vas_unbind(m.vas);
		vas_destroy(owner);
	}
}

static uint64_t harvest_all(struct vas *vas)
{
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	uint64_t gpa = 0, nr_pages = 0;

	CHECK_OK(vas_tracker_attach(vas, "all", VAS_TRACKER_ALL, &dirty));
	CHECK_OK(vas_tracker_begin(dirty));
	while (gpa < SIZE) {
		ssize_t nr = vas_tracker_harvest(dirty, &gpa, SIZE, NR_WORDS, &words);

		CHECK(nr >= 0);
		for (ssize_t i = 0; i < nr; i++)
			nr_pages += (uint64_t)__builtin_popcountll(words[i].bits);
	}
	vas_tracker_detach(dirty);
	return nr_pages;
}

static void *touch_all(void *arg)
{
	for (uint64_t i = 0; i < NR_WORDS; i++)
		check_page(arg, i * WORD_SIZE);
	return NULL;
}

/*
 * A page that comes between the look at what is there and that at what is to come would be in
 * neither; many regions make it long.
 */
TEST(a_tracker_of_everything_has_what_comes_meanwhile)
{
	for (int round = 0; round < 20; round++) {
		struct vas *owner = empty_vas();
		pthread_t thread;
		struct source s;

		CHECK_OK(try_to_restore(owner, &s, 0, VAS_PAGE_SIZE, VAS_LAZY_ON_TOUCH));
		CHECK_OK(pthread_create(&thread, NULL, touch_all, owner));
		test_note("round %d", round);
		CHECK_EQ(harvest_all(owner), SIZE / VAS_PAGE_SIZE);
		CHECK_OK(pthread_join(thread, NULL));
		vas_destroy(owner);
	}
}

/* ---- what the dead leave ------------------------------------------------------------------ */

/* It had stored its request, and woken nobody yet. */
TEST(a_dead_binders_request_stops_nobody)
{
	struct vas *owner = empty_vas(), *binder;
	struct source s;

	restore(owner, &s, 0, VAS_LAZY_ON_TOUCH);
	binder = bound(owner);
	for (uint64_t i = 0; i < NR_WORDS / 2; i++) {
		uint64_t nothing = 0;

		check_page(binder, i * WORD_SIZE);
		/* The filler is about to sleep, or asleep. */
		__atomic_compare_exchange_n(&owner->ctl->lazy_request, &nothing,
					    (SIZE / 2 + i * WORD_SIZE) | 1, 0, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED);
	}
	vas_unbind(binder);
	vas_destroy(owner);
}

/* Its log is in the place of one that a dead tracker had, who left bits in it. */
TEST(a_dead_trackers_log_asks_for_nothing)
{
	struct vas *owner = empty_vas(), *binder;
	struct vas_log log;
	struct source s;
	uint64_t got;

	vas_tracker_log(owner, 0, &log);
	log.words[3] = UINT64_MAX;
	restore(owner, &s, SIZE / 2, VAS_LAZY_ON_TOUCH);
	binder = bound(owner);
	CHECK_OK(vas_read(binder, 3 * WORD_SIZE, &got, 8, NULL));
	CHECK_EQ(got, 0);
	check_page(binder, SIZE / 2);
	vas_unbind(binder);
	vas_destroy(owner);
}

static int has_told(void *arg)
{
	struct vas *owner = arg;

	return !__atomic_load_n(&owner->proto.trackers[0].tag, __ATOMIC_ACQUIRE);
}

static void die_while_telling(struct vas *owner)
{
	test_wait(has_told, owner, TEST_HANG_MS);
	__atomic_store_n(&owner->proto.trackers[0].tag, VAS_TAG_IMMORTAL, __ATOMIC_RELEASE);
	__atomic_store_n(&owner->ctl->lazy_log, 1, __ATOMIC_RELEASE);
	vas_unbind(owner);
}

/* Between the generation without ARRIVING and the end of the log. */
TEST(an_owner_that_died_telling_that_all_is_there_told_it)
{
	struct vas *owner = empty_vas(), *binder;
	struct source s;

	binder = bound(owner);
	restore(owner, &s, 0, 0);
	check_page(binder, 0);
	CHECK_OK(vas_lazy_wait(owner, TEST_HANG_NS));
	die_while_telling(owner);
	CHECK_OK(vas_lazy_wait(binder, 0));
	check_page(binder, WORD_SIZE);
	vas_unbind(binder);
}

static void check_adopted(struct vas *adopter)
{
	const struct vas_region more = { .gpa = SIZE, .offset = SIZE, .size = VAS_PAGE_SIZE };
	struct vas_tracker *trackers[4];

	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE)
		check_page(adopter, gpa);
	CHECK_OK(vas_lazy_wait(adopter, TEST_HANG_NS));
	CHECK_OK(vas_region_add(adopter, &more, NULL));
	for (int i = 0; i < 4; i++)
		CHECK_OK(vas_tracker_attach(adopter, "one of all", 0, &trackers[i]));
	for (int i = 0; i < 4; i++)
		vas_tracker_detach(trackers[i]);
}

TEST(an_adopter_ends_what_the_dead_had_almost_told)
{
	struct vas *owner = empty_vas(), *binder, *adopter;
	struct source s;

	binder = bound(owner);
	restore(owner, &s, 0, 0);
	CHECK_OK(vas_lazy_wait(owner, TEST_HANG_NS));
	die_while_telling(owner);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &adopter));
	check_adopted(adopter);
	vas_destroy(adopter);
	vas_unbind(binder);
}

/* The last page has come, and its owner was killed before it told. */
TEST(an_adopter_tells_that_all_is_there)
{
	struct vas *owner = empty_vas(), *binder, *adopter;
	char page[VAS_PAGE_SIZE] = "";
	struct vas_log log;
	struct source s;

	restore(owner, &s, SIZE - WORD_SIZE, VAS_LAZY_ON_TOUCH);
	binder = bound(owner);
	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		*(uint64_t *)page = gpa + 1;
		CHECK_EQ(pwrite(vas_fd(owner), page, sizeof(page), (off_t)gpa), sizeof(page));
	}
	vas_tracker_log(owner, owner->ctl->lazy_log - 1, &log);
	__atomic_store_n(&log.words[NR_WORDS - 1], 0, __ATOMIC_RELEASE);
	vas_unbind(owner);
	CHECK_EQ(s.nr_ends, 1);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &adopter));
	check_adopted(adopter);
	vas_destroy(adopter);
	vas_unbind(binder);
}

/* ---- a beginning that fails ---------------------------------------------------------------- */

static int refuse(struct vas_consumer *consumer, const struct vas_delta *delta,
		  uint64_t deadline_ns)
{
	(void)deadline_ns;
	if (!delta->nr_added || consumer->flags & VAS_CONSUMER_PINS)
		return 0;
	return -ENOTSUP;
}

static int follow(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)consumer;
	(void)delta;
	return 0;
}

static void forget(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)consumer;
	(void)delta;
}

static const struct vas_consumer_ops refusing_ops = {
	.name = "refuses",
	.prepare = refuse,
	.commit = follow,
	.abort = forget,
};

TEST(memory_does_not_come_lazily_under_one_that_pins)
{
	struct vas_consumer pins = { .ops = &refusing_ops, .flags = VAS_CONSUMER_PINS };
	struct vas *owner = empty_vas();
	struct source s;

	CHECK_OK(vas_consumer_attach(owner, &pins, TEST_HANG_NS, NULL));
	CHECK_EQ(try_to_restore(owner, &s, 0, SIZE, 0), -EBUSY);
	CHECK_HAS(vas_error(), "consumer refuses pins memory");
	vas_consumer_detach(&pins);
	restore(owner, &s, 0, VAS_LAZY_ON_TOUCH);
	CHECK_EQ(vas_consumer_attach(owner, &pins, TEST_HANG_NS, NULL), -EBUSY);
	CHECK_HAS(vas_error(), "lazy pages are not all filled");
	CHECK_OK(vas_lazy_wait(owner, TEST_HANG_NS));
	CHECK_OK(vas_consumer_attach(owner, &pins, TEST_HANG_NS, NULL));
	vas_destroy(owner);
}

TEST(a_layout_that_is_refused_is_not_lazy)
{
	struct vas_consumer consumer = { .ops = &refusing_ops };
	struct vas *owner = empty_vas();
	struct source s;

	CHECK_OK(vas_consumer_attach(owner, &consumer, TEST_HANG_NS, NULL));
	for (uint32_t flags = 0; flags <= VAS_LAZY_ON_TOUCH; flags++) {
		CHECK_EQ(try_to_restore(owner, &s, 0, SIZE, flags), -ENOTSUP);
		CHECK_EQ(s.nr_ends, 1);
		CHECK_OK(vas_lazy_wait(owner, 0));
	}
	vas_consumer_detach(&consumer);
	/* Nor is there anything of it in the file. */
	CHECK_EQ(lseek(vas_fd(owner), 0, SEEK_DATA), SIZE * 2);
	restore(owner, &s, SIZE / 2, VAS_LAZY_ON_TOUCH);
	check_page(owner, SIZE / 2);
	vas_destroy(owner);
	CHECK_EQ(s.nr_ends, 1);
}

/* ---- a peer that says that pages are to come ----------------------------------------------- */

/* As long as a page may take to come; a call with a shorter timeout does not wait for that. */
#define PAGE_NS 10000000000ull

TEST(a_wait_for_what_never_comes_ends_in_time)
{
	const struct vas_region region = { .size = SIZE };
	struct vas *vas = empty_vas(), *binder;
	struct vas_state state;
	struct vas_log log;
	uint64_t start;

	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	vas_tracker_log(binder, 0, &log);
	for (uint64_t i = 0; i < NR_WORDS; i++)
		log.words[i] = UINT64_MAX;
	state = binder->ctl->state[binder->ctl->generation & 1];
	state.generation++;
	state.flags |= VAS_STATE_LAZY;
	binder->ctl->state[state.generation & 1] = state;
	binder->ctl->lazy_log = 1;
	__atomic_store_n(&binder->ctl->generation, state.generation, __ATOMIC_RELEASE);
	start = test_now_ns();
	CHECK_EQ(vas_lazy_wait(binder, 50000000), -ETIMEDOUT);
	CHECK(test_now_ns() - start < PAGE_NS);
	vas_unbind(binder);
	vas_destroy(vas);
}
