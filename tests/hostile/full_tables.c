// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A peer fills the control area, at its largest, with what costs others most. Work is counted, not
 * timed: entries looked at, looks at locks, bytes marked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/dirty.h>
#include <vas/vas.h>

#include "tests/harness.h"
#include "core/protocol/entries.h"
#include "lib/handle/handle.h"

#define LIMIT	   (1ull << 40)
#define SIZE	   (64ull << 20)
#define TIMEOUT_NS 200000000ull

struct scene {
	struct vas *owner;
	struct vas *peer; /* a binder that lives */
	uint64_t region;
};

static struct scene scene(void)
{
	struct vas_options options = { .limit = LIMIT, .name = "full", .nr_slots = VAS_MAX_SLOTS };
	struct vas_region region = { .size = SIZE, .name = "ram" };
	struct scene s;

	CHECK_OK(vas_create(&options, &s.owner));
	CHECK_OK(vas_region_add(s.owner, &region, &s.region));
	CHECK_OK(vas_bind(vas_fd(s.owner), 0, &s.peer));
	return s;
}

static void clear(struct scene *s)
{
	vas_unbind(s->peer);
	vas_destroy(s->owner);
}

/* Nobody lives under these, and each names another index. */
static uint32_t dead_tag(const struct scene *s, uint32_t i)
{
	return 7u << VAS_TAG_INDEX_BITS | (2 + i % (s->owner->sb.nr_binders - 2));
}

/* The records say that they do. */
static void forge_binders(struct scene *s)
{
	struct vas_binder *binders = s->owner->proto.binders;

	for (uint32_t i = 2; i < s->owner->sb.nr_binders; i++) {
		binders[i].state = 1;
		binders[i].claims = 7;
	}
}

static void forge_slots(struct scene *s, uint32_t tag)
{
	struct vas_slot *slots = s->owner->proto.slots;

	for (uint32_t i = 0; i < s->owner->sb.nr_slots; i++)
		slots[i] = (struct vas_slot){ .generation = 1, .tag = tag ? tag : dead_tag(s, i) };
}

static void forge_pins(struct scene *s, uint32_t tag)
{
	struct vas_pin *pins = s->owner->proto.pins;

	for (uint32_t i = 0; i < s->owner->sb.nr_pins; i++)
		pins[i] = (struct vas_pin){ .state = VAS_PIN_HELD,
					    .tag = tag ? tag : dead_tag(s, i),
					    .size = LIMIT,
					    .flags = VAS_PIN_WRITABLE };
	s->owner->ctl->pins_claimed = UINT32_MAX;
}

/* What the handle has done since *before: no more than that. */
static void check_work(const struct vas *vas, const struct vas_proto_work *before, uint64_t entries,
		       uint64_t looks)
{
	const struct vas_proto_work *now = &vas->proto.work;

	CHECK(now->entries - before->entries <= entries);
	CHECK(now->looks - before->looks <= looks);
	CHECK(now->marked - before->marked <= 2 * VAS_SCAN_ROOM);
}

TEST(slots_of_the_dead_cost_a_commit_one_walk)
{
	struct scene s = scene();
	struct vas_proto_work before = s.owner->proto.work;

	forge_binders(&s);
	forge_slots(&s, 0);
	CHECK_OK(vas_region_remove(s.owner, s.region));
	CHECK_EQ(s.owner->proto.slots[100].tag, 0);
	check_work(s.owner, &before, 4ull * VAS_MAX_SLOTS, 2ull * VAS_MAX_SLOTS);
	clear(&s);
}

static int remove_region(struct scene *s, struct vas_blocker *blocker)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(s->owner, &layout));
	CHECK_OK(vas_layout_remove(layout, s->region));
	return vas_layout_commit(layout, TIMEOUT_NS, blocker);
}

TEST(slots_of_one_that_lives_stop_a_commit_and_it_is_named)
{
	struct scene s = scene();
	struct vas_blocker blocker;

	forge_slots(&s, s.peer->proto.tag);
	CHECK_EQ(remove_region(&s, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_SECTION);
	CHECK_EQ(blocker.pid, getpid());
	clear(&s);
}

TEST(pins_of_the_dead_are_marked_within_one_allowance)
{
	struct scene s = scene();
	struct vas_proto_work before = s.owner->proto.work;

	forge_binders(&s);
	forge_pins(&s, 0);
	CHECK_OK(vas_region_remove(s.owner, s.region));
	CHECK_EQ(s.owner->proto.pins[5].tag, 0);
	CHECK(s.owner->ctl->log_incomplete > 0);
	check_work(s.owner, &before, 4ull * s.owner->sb.nr_pins + 2ull * VAS_MAX_SLOTS,
		   2ull * s.owner->sb.nr_pins);
	clear(&s);
}

TEST(pins_of_one_that_lives_stop_a_commit_and_it_is_named)
{
	struct scene s = scene();
	struct vas_blocker blocker;

	forge_pins(&s, s.peer->proto.tag);
	CHECK_EQ(remove_region(&s, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	CHECK_EQ(blocker.pid, getpid());
	clear(&s);
}

TEST(info_is_told_from_full_tables_of_any_kind)
{
	struct scene s = scene();
	struct vas_proto_work before;
	struct vas_info info;

	forge_binders(&s);
	for (int kind = 0; kind < 2; kind++) {
		forge_slots(&s, kind ? s.peer->proto.tag : 0);
		forge_pins(&s, kind ? s.peer->proto.tag : 0);
		before = s.owner->proto.work;
		CHECK_OK(vas_info(s.owner, &info));
		CHECK_EQ(info.nr_threads, kind ? VAS_MAX_SLOTS : 0);
		check_work(s.owner, &before, 2ull * (VAS_MAX_SLOTS + s.owner->sb.nr_pins + 2048),
			   VAS_MAX_SLOTS + 2ull * s.owner->sb.nr_pins);
	}
	clear(&s);
}

static void *enter_once(void *arg)
{
	return (void *)(intptr_t)vas_enter(arg);
}

TEST(a_thread_finds_no_slot_in_a_table_of_the_living_and_says_so)
{
	struct scene s = scene();
	struct vas_proto_work before;
	pthread_t thread;
	void *err;

	forge_slots(&s, s.owner->proto.tag);
	before = s.peer->proto.work;
	CHECK_OK(-pthread_create(&thread, NULL, enter_once, s.peer));
	CHECK_OK(-pthread_join(thread, &err));
	CHECK_EQ((intptr_t)err, -EAGAIN);
	check_work(s.peer, &before, 3ull * VAS_MAX_SLOTS, 4);
	clear(&s);
}

/* Locks as slow as a peer can make them, by a clock that goes on with each look at one. */
static const struct vas_proto_ops *quick;
static uint64_t looks_took_ns;

static bool slow_is_locked(struct vas_proto *proto, uint64_t offset)
{
	looks_took_ns += VAS_SCAN_NS / 10;
	return quick->is_locked(proto, offset);
}

static uint64_t slow_now_ns(void)
{
	return quick->now_ns() + looks_took_ns;
}

static void slow_down(struct vas *vas)
{
	static struct vas_proto_ops slow;

	quick = vas->proto.ops;
	slow = *quick;
	slow.is_locked = slow_is_locked;
	slow.now_ns = slow_now_ns;
	vas->proto.ops = &slow;
}

/* Two tables, a look at a lock for each entry, and time for a few of these. */
TEST(slow_looks_at_the_locks_of_the_dead_end_with_the_call)
{
	struct scene s = scene();
	struct vas_proto_work before;
	struct vas_blocker blocker;
	struct vas_info info;

	forge_binders(&s);
	forge_slots(&s, 0);
	forge_pins(&s, 0);
	slow_down(s.owner);
	before = s.owner->proto.work;
	CHECK_EQ(remove_region(&s, &blocker), -EBUSY);
	/* Those of the call's time, and of one scan; and another scan, which asks holders. */
	check_work(s.owner, &before, UINT64_MAX, TIMEOUT_NS / (VAS_SCAN_NS / 10) + 25);
	before = s.owner->proto.work;
	CHECK_OK(vas_info(s.owner, &info));
	check_work(s.owner, &before, UINT64_MAX, 15);
	s.owner->proto.ops = quick;
	clear(&s);
}

/* Every byte of the file that nobody has locked for writing, and beyond. */
static void read_lock_all(int fd, const struct vas *owner)
{
	uint64_t binders = owner->sb.extents[VAS_EXT_BINDERS].offset;
	uint64_t owner_byte = owner->sb.file_size - sizeof(owner->sb);
	struct flock parts[] = { { .l_len = (off_t)binders },
				 { .l_start = (off_t)binders + 2,
				   .l_len = (off_t)(owner_byte - binders) - 2 },
				 { .l_start = (off_t)owner_byte + 1 } };

	for (unsigned int i = 0; i < 3; i++) {
		parts[i].l_type = F_RDLCK;
		CHECK_OK(fcntl(fd, F_OFD_SETLK, &parts[i]));
	}
}

TEST(an_observer_that_locks_the_whole_file_stops_no_commit_and_no_tracker)
{
	struct scene s = scene();
	struct vas *newcomer;
	int fd = vas_readonly_fd(s.owner);

	CHECK(fd >= 0);
	read_lock_all(fd, s.owner);
	CHECK_OK(vas_write(s.peer, 0, "x", 1, NULL));
	CHECK_OK(vas_region_resize(s.owner, s.region, SIZE / 2));
	CHECK_OK(vas_freeze(s.owner, TIMEOUT_NS, NULL));
	CHECK_OK(vas_thaw(s.owner));
	/* No index can be locked: that is said, and at once. */
	CHECK_EQ(vas_bind(vas_fd(s.owner), 0, &newcomer), -EAGAIN);
	CHECK_HAS(vas_error(), "observer");
	close(fd);
	CHECK_OK(vas_bind(vas_fd(s.owner), 0, &newcomer));
	vas_unbind(newcomer);
	clear(&s);
}

/* The owner ends while an observer waits for its byte: whoever is bound already can adopt. */
TEST(an_observer_that_locks_the_whole_file_stops_no_adoption)
{
	struct scene s = scene();
	struct flock lock = { .l_type = F_RDLCK };
	int fd = vas_readonly_fd(s.owner);

	CHECK(fd >= 0);
	read_lock_all(fd, s.owner);
	vas_unbind(s.owner);
	lock.l_start = (off_t)(s.peer->sb.file_size - sizeof(s.peer->sb));
	lock.l_len = 1;
	CHECK_OK(fcntl(fd, F_OFD_SETLK, &lock));
	CHECK_OK(vas_adopt(s.peer));
	CHECK_OK(vas_region_remove(s.peer, s.region));
	vas_destroy(s.peer);
	close(fd);
}

/* Locks are a list in the kernel: each look at one costs as many steps as there are. */
TEST(a_peer_with_thousands_of_locks_stops_nobody)
{
	struct scene s = scene();
	struct vas_layout *layout;
	struct vas *other;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", vas_fd(s.owner));
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	for (int i = 0; i < 4000; i++) {
		struct flock lock = { .l_type = F_WRLCK, .l_start = 2 * i, .l_len = 1 };

		CHECK_OK(fcntl(fd, F_OFD_SETLK, &lock));
	}
	forge_binders(&s);
	forge_slots(&s, 0);
	CHECK_OK(vas_bind(vas_fd(s.owner), 0, &other));
	CHECK_OK(vas_layout_begin(s.owner, &layout));
	CHECK_OK(vas_layout_remove(layout, s.region));
	/* Not in any time: slots of a thousand holders, each a look at a list of thousands. */
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
	vas_unbind(other);
	close(fd);
	clear(&s);
}
