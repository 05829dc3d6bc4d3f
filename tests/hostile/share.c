// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A peer with a share writes what it likes into the share's control area: the parent holds. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vas/dirty.h>
#include <vas/share.h>
#include <vas/vas.h>

#include "tests/harness.h"
#include "core/protocol/entries.h"
#include "lib/handle/handle.h"

#define PAGE	   4096ull
#define LIMIT	   (1ull << 36)
#define NR_PAGES   16ull
#define SHARED	   (1024 * PAGE)
#define NOT_SHARED (4096 * PAGE)
#define TIMEOUT_NS 100000000ull
/* A commit looks four times: sections and pins, in the parent and in the share. */
#define NR_LOOKS 4ull

struct scene {
	struct vas *parent;
	struct vas
		*share;	  /* the owner's handle, whose map of the control area is the peer's, too */
	struct vas *peer; /* a binder that lives */
	uint64_t shared;
	uint64_t not_shared;
};

static uint64_t add(struct vas *vas, uint64_t gpa, int backing)
{
	const struct vas_region region = { .gpa = gpa,
					   .size = NR_PAGES * PAGE,
					   .backing = (uint32_t)backing };
	uint64_t id;

	CHECK(backing >= 0);
	CHECK_OK(vas_region_add(vas, &region, &id));
	return id;
}

static struct scene scene(void)
{
	const struct vas_options options = { .limit = LIMIT, .ram_size = 64 * PAGE };
	const uint64_t size = NR_PAGES * PAGE;
	struct scene s;

	CHECK_OK(vas_create(&options, &s.parent));
	s.not_shared = add(s.parent, NOT_SHARED, 0);
	s.shared = add(s.parent, SHARED, vas_backing_create(s.parent, "shared", size, 0));
	CHECK_OK(vas_share(s.parent, &s.shared, 1, 0, &s.share));
	CHECK_OK(vas_bind(vas_fd(s.share), 0, &s.peer));
	return s;
}

static void clear(struct scene *s)
{
	vas_unbind(s->peer);
	vas_destroy(s->share);
	vas_destroy(s->parent);
}

static int remove_region(struct scene *s, uint64_t id, struct vas_blocker *blocker)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(s->parent, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	return vas_layout_commit(layout, TIMEOUT_NS, blocker);
}

/* ---- in the way --------------------------------------------------------------------------- */

static void forge_slots(struct scene *s, uint32_t tag)
{
	struct vas_slot *slots = s->share->proto.slots;

	for (uint32_t i = 0; i < s->share->sb.nr_slots; i++)
		slots[i] = (struct vas_slot){ .generation = 1, .tag = tag, .tid = 17 };
}

static void forge_pins(struct scene *s, uint32_t tag)
{
	struct vas_pin *pins = s->share->proto.pins;

	for (uint32_t i = 0; i < s->share->sb.nr_pins; i++)
		pins[i] = (struct vas_pin){
			.state = VAS_PIN_HELD, .tag = tag, .size = LIMIT, .flags = VAS_PIN_WRITABLE
		};
	s->share->ctl->pins_claimed = UINT32_MAX;
}

/* What is shared stays as it is, and the peer is named; the rest changes as if nobody was there. */
static void be_in_the_way(struct scene *s)
{
	struct vas_blocker blocker;
	uint64_t start = test_now_ns();

	CHECK_EQ(remove_region(s, s->shared, &blocker), -EBUSY);
	CHECK(test_now_ns() - start >= TIMEOUT_NS);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_EQ(blocker.pid, getpid());
	CHECK_EQ(vas_freeze(s->parent, TIMEOUT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_OK(vas_write(s->parent, SHARED, "x", 1, NULL));
	CHECK_OK(remove_region(s, s->not_shared, &blocker));
	/* The owner's way out: to share no more. */
	vas_unbind(s->peer);
	vas_destroy(s->share);
	CHECK_OK(remove_region(s, s->shared, &blocker));
	CHECK_OK(vas_freeze(s->parent, TIMEOUT_NS, &blocker));
	vas_destroy(s->parent);
}

TEST(forged_sections_of_a_living_peer_stop_changes_of_what_is_shared_alone)
{
	struct scene s = scene();

	forge_slots(&s, s.peer->proto.tag);
	be_in_the_way(&s);
}

TEST(forged_pins_of_a_living_peer_stop_changes_of_what_is_shared_alone)
{
	struct scene s = scene();

	forge_pins(&s, s.peer->proto.tag);
	be_in_the_way(&s);
}

TEST(forged_entries_of_nobody_stop_nothing)
{
	struct scene s = scene();
	struct vas_proto_work before = s.share->proto.work;
	const struct vas_proto_work *now = &s.share->proto.work;
	uint64_t room = s.share->sb.nr_slots + s.share->sb.nr_pins;

	forge_slots(&s, 7u << VAS_TAG_INDEX_BITS | 500);
	forge_pins(&s, 7u << VAS_TAG_INDEX_BITS | 500);
	CHECK_OK(remove_region(&s, s.shared, NULL));
	CHECK(now->entries - before.entries <= NR_LOOKS * room);
	clear(&s);
}

/* The parent's owner decides from its own copy. */
TEST(a_layout_that_a_peer_publishes_is_the_peers_alone)
{
	struct scene s = scene();
	struct vas_control *ctl = s.share->ctl;
	uint8_t byte;

	memset(ctl->state, 0xff, sizeof(ctl->state));
	ctl->generation += 1000;
	ctl->next_region_id = UINT64_MAX;
	memset(vas_extent(s.share, VAS_EXT_TABLE0), 0xff, 64 * PAGE);
	memset(vas_extent(s.share, VAS_EXT_TABLE1), 0xff, 64 * PAGE);
	memset(vas_extent(s.share, VAS_EXT_BACKINGS), 0xff,
	       sizeof(struct vas_backing_entry) * VAS_MAX_BACKINGS);
	CHECK_OK(vas_region_move(s.parent, s.shared, 2 * SHARED));
	CHECK_OK(vas_read(s.parent, 2 * SHARED, &byte, 1, NULL));
	CHECK_OK(vas_read(s.parent, NOT_SHARED, &byte, 1, NULL));
	CHECK_EQ(vas_regions(s.parent, NULL, 0), 2);
	/* What it has overwritten is there again. */
	CHECK_EQ(vas_regions(s.peer, NULL, 0), 1);
	clear(&s);
}

/* ---- the log ------------------------------------------------------------------------------ */

/* Of an epoch: how many words, all of what is shared. */
static ssize_t count_shared(struct vas_tracker *tracker)
{
	const struct vas_dirty_word *words;
	ssize_t i, nr, all = 0;
	uint64_t gpa = 0;

	CHECK_OK(vas_tracker_begin(tracker));
	do {
		nr = vas_tracker_harvest(tracker, &gpa, LIMIT, 64, &words);
		CHECK(nr >= 0);
		all += nr;
		for (i = 0; i < nr; i++) {
			CHECK_EQ(words[i].gpa, SHARED);
			CHECK_EQ(words[i].bits, (1ull << NR_PAGES) - 1);
		}
	} while (gpa < LIMIT);
	CHECK_OK(vas_tracker_commit(tracker));
	return all;
}

/* Bits, and pins for which all counts as written, for everything there could be. */
TEST(marks_of_what_is_not_shared_do_not_reach_the_parent)
{
	struct scene s = scene();
	struct vas_tracker *tracker;

	CHECK_OK(vas_tracker_attach(s.parent, "test", 0, &tracker));
	CHECK_EQ(count_shared(tracker), 0);
	vas_log_mark_again(&s.share->log, 0, 2 * NOT_SHARED);
	CHECK_EQ(count_shared(tracker), 1);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		CHECK_OK(vas_write(s.parent, SHARED + i * PAGE, "x", 1, NULL));
	forge_pins(&s, s.peer->proto.tag);
	CHECK_EQ(count_shared(tracker), 1);
	vas_tracker_detach(tracker);
	clear(&s);
}

TEST(a_peer_that_keeps_the_shares_log_to_itself_keeps_nobody_waiting)
{
	struct scene s = scene();
	struct vas_tracker *tracker;

	CHECK_OK(vas_tracker_attach(s.parent, "test", 0, &tracker));
	s.share->ctl->draining = s.peer->proto.tag;
	vas_log_mark_again(&s.share->log, SHARED, NR_PAGES * PAGE);
	CHECK_EQ(count_shared(tracker), 1);
	vas_tracker_detach(tracker);
	clear(&s);
}
