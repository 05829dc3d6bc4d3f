// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A process with a share has its regions, follows the parent, and reaches nothing else. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/dirty.h>

#include "peer.h"
#include "tests/lib/simple_vas.h"

#define SHORT_NS 50000000ull

/* Pages 1 to 8 in the vas's own file; 16 to 19 in one of their own, 32 to 39 in another. */
struct parent {
	struct vas *vas;
	uint64_t own, first, second;
	int first_file, second_file;
};

static uint64_t add_with(struct vas *vas, int backing, uint64_t page, uint64_t nr, uint32_t flags)
{
	const struct vas_region region = {
		.gpa = page * PAGE, .size = nr * PAGE, .flags = flags, .backing = (uint32_t)backing
	};
	uint64_t id;

	CHECK_OK(vas_region_add(vas, &region, &id));
	return id;
}

static uint64_t add_in(struct vas *vas, int backing, uint64_t page, uint64_t nr)
{
	return add_with(vas, backing, page, nr, 0);
}

static uint64_t add_alias(struct vas *vas, int backing, uint64_t page)
{
	return add_with(vas, backing, page, 1, VAS_REGION_ALIAS);
}

static int make_file(struct vas *vas, const char *name, uint64_t pages)
{
	int backing = vas_backing_create(vas, name, pages * PAGE, 0);

	CHECK(backing > 0);
	return backing;
}

static struct parent parent_make(void)
{
	struct parent p = { .vas = simple_vas() };

	p.own = simple_add(p.vas, 1, 8);
	p.first_file = make_file(p.vas, "first", 8);
	p.first = add_in(p.vas, p.first_file, 16, 4);
	p.second_file = make_file(p.vas, "second", 8);
	p.second = add_in(p.vas, p.second_file, 32, 8);
	return p;
}

static struct vas *share_first(const struct parent *p, uint32_t flags)
{
	struct vas *share;

	CHECK_OK(vas_share(p->vas, &p->first, 1, flags, &share));
	return share;
}

static int read_byte(struct vas *vas, uint64_t page)
{
	uint8_t byte;
	int err = vas_read(vas, page * PAGE, &byte, 1, NULL);

	return err ? err : byte;
}

static void write_byte(struct vas *vas, uint64_t page, uint8_t val)
{
	CHECK_OK(vas_write(vas, page * PAGE, &val, 1, NULL));
}

/* ---- what a peer has ---------------------------------------------------------------------- */

TEST(a_peer_reads_and_writes_what_is_shared_and_no_other_region)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);
	struct peer peer = peer_start(share);

	write_byte(p.vas, 16, 7);
	CHECK_EQ(peer_do(&peer, PEER_REGIONS, 0, 0), 1);
	CHECK_EQ(peer_do(&peer, PEER_GPA, 0, p.first), 16 * PAGE);
	CHECK_EQ(peer_do(&peer, PEER_READ, 16 * PAGE, 0), 7);
	CHECK_EQ(peer_do(&peer, PEER_WRITE, 19 * PAGE, 9), 0);
	CHECK_EQ(read_byte(p.vas, 19), 9);
	CHECK_EQ(peer_do(&peer, PEER_READ, 1 * PAGE, 0), -EFAULT);
	CHECK_EQ(peer_do(&peer, PEER_READ, 32 * PAGE, 0), -EFAULT);
	CHECK_EQ(peer_do(&peer, PEER_WRITE, 20 * PAGE, 1), -EFAULT);
	peer_stop(&peer);
	vas_destroy(share);
	vas_destroy(p.vas);
}

static long reaches(const struct peer *peer, enum peer_op op, int fd)
{
	struct stat st;

	CHECK_OK(fstat(fd, &st));
	return peer_do(peer, op, st.st_dev, st.st_ino);
}

/* Of all its fds and maps, looked up in /proc. */
static void reach_shared_files_only(uint32_t flags)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, flags);
	struct peer peer = peer_start(share);

	CHECK(peer_do(&peer, PEER_READ, 16 * PAGE, 0) >= 0);
	CHECK_EQ(reaches(&peer, PEER_REACHES, vas_fd(share)), 1);
	CHECK_EQ(reaches(&peer, PEER_REACHES, vas_backing_fd(p.vas, (uint32_t)p.first_file)), 1);
	CHECK_EQ(reaches(&peer, PEER_REACHES, vas_fd(p.vas)), 0);
	CHECK_EQ(reaches(&peer, PEER_REACHES, vas_backing_fd(p.vas, (uint32_t)p.second_file)), 0);
	CHECK_EQ(reaches(&peer, PEER_WRITABLE, vas_backing_fd(p.vas, (uint32_t)p.first_file)),
		 !(flags & VAS_SHARE_READONLY));
	peer_stop(&peer);
	vas_destroy(share);
	vas_destroy(p.vas);
}

TEST(a_peer_has_no_fd_and_no_map_of_another_file)
{
	reach_shared_files_only(0);
}

TEST(a_peer_of_a_read_only_share_has_no_fd_that_writes_memory)
{
	reach_shared_files_only(VAS_SHARE_READONLY);
}

TEST(a_peer_of_a_read_only_share_reads_and_cannot_write)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, VAS_SHARE_READONLY);
	struct peer peer = peer_start(share);

	write_byte(p.vas, 17, 3);
	CHECK_EQ(peer_do(&peer, PEER_READ, 17 * PAGE, 0), 3);
	CHECK_EQ(peer_do(&peer, PEER_WRITE, 17 * PAGE, 4), -EACCES);
	CHECK_EQ(peer_do(&peer, PEER_MAP, 17 * PAGE, 0), -EACCES);
	CHECK_EQ(read_byte(p.vas, 17), 3);
	peer_stop(&peer);
	vas_destroy(share);
	vas_destroy(p.vas);
}

/* ---- what can be shared ------------------------------------------------------------------- */

static void be_refused(struct parent *p, const uint64_t *ids, size_t nr, int err, const char *why)
{
	struct vas *share;

	CHECK_EQ(vas_share(p->vas, ids, nr, 0, &share), err);
	CHECK_HAS(vas_error(), why);
}

TEST(what_lies_in_one_file_with_something_else_is_not_shared)
{
	struct parent p = parent_make();
	uint64_t more = add_alias(p.vas, p.second_file, 64), both[2] = { p.second, more };
	int again = vas_backing_add(p.vas, vas_backing_fd(p.vas, (uint32_t)p.first_file));
	int own = vas_backing_add(p.vas, vas_fd(p.vas));
	uint64_t alias = add_alias(p.vas, again, 80), hidden = add_alias(p.vas, own, 90);
	uint64_t none = 1000;
	struct vas *share;

	be_refused(&p, NULL, 0, -EINVAL, "no region is named");
	be_refused(&p, &none, 1, -ENOENT, "no region with the id");
	be_refused(&p, &p.own, 1, -EINVAL, "the vas's own file");
	be_refused(&p, &hidden, 1, -EINVAL, "the vas's own file");
	be_refused(&p, &p.second, 1, -EINVAL, "in the same file");
	be_refused(&p, &p.first, 1, -EINVAL, "in the same file");
	be_refused(&p, &alias, 1, -EINVAL, "in the same file");
	CHECK_EQ(vas_share(p.vas, both, 2, 64, &share), -EINVAL);
	CHECK_OK(vas_share(p.vas, both, 2, 0, &share));
	CHECK_EQ(vas_regions(share, NULL, 0), 2);
	vas_destroy(share);
	vas_destroy(p.vas);
}

TEST(ram_that_is_apart_is_shared_and_the_control_area_is_not)
{
	const struct vas_options options = { .limit = 256 * PAGE, .flags = VAS_CREATE_RAM_APART };
	struct parent p = { 0 };
	struct vas *share;
	uint64_t hidden;
	int own;

	CHECK_OK(vas_create(&options, &p.vas));
	p.first = simple_add(p.vas, 16, 4);
	own = vas_backing_add(p.vas, vas_fd(p.vas));
	CHECK(own > 0);
	hidden = add_in(p.vas, own, 64, 1);
	be_refused(&p, &hidden, 1, -EINVAL, "the vas's own file");
	share = share_first(&p, 0);
	write_byte(p.vas, 17, 7);
	CHECK_EQ(read_byte(share, 17), 7);
	vas_destroy(share);
	vas_destroy(p.vas);
}

/* The owner looks after the share as after any vas, and does not let it be tracked all the same. */
static long track_served(const struct peer *peer, struct vas *share)
{
	struct pollfd fds[] = { { .fd = vas_notify_fd(share), .events = POLLIN },
				{ .fd = peer->sock, .events = POLLIN } };

	peer_begin(peer, PEER_TRACK, 0, 0);
	do {
		CHECK(poll(fds, 2, TEST_HANG_MS) > 0);
		CHECK(vas_notifications(share) >= 0);
	} while (!fds[1].revents);
	return peer_end(peer);
}

TEST(a_share_is_changed_by_its_parent_alone)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0), *other;
	struct peer peer = peer_start(share);
	struct vas_tracker *tracker;
	struct vas_info info;

	CHECK_EQ(vas_region_remove(share, p.first), -EPERM);
	CHECK_EQ(vas_freeze(share, 0, NULL), -EPERM);
	CHECK_EQ(vas_thaw(share), -EPERM);
	CHECK_EQ(vas_backing_remove(share, 1), -EPERM);
	CHECK_EQ(vas_backing_create(share, NULL, PAGE, 0), -EPERM);
	CHECK_EQ(vas_discard(share, 16 * PAGE, PAGE, NULL), -EPERM);
	CHECK_EQ(vas_share(share, &p.first, 1, 0, &other), -EPERM);
	CHECK_EQ(vas_tracker_attach(share, "test", 0, &tracker), -EPERM);
	CHECK_EQ(track_served(&peer, share), -ETIMEDOUT);
	CHECK_OK(vas_info(p.vas, &info));
	CHECK_STR(info.consumers, "share");
	CHECK_OK(vas_info(share, &info));
	CHECK_EQ(info.nr_binders, 2);
	peer_stop(&peer);
	vas_destroy(share);
	CHECK_OK(vas_info(p.vas, &info));
	CHECK_STR(info.consumers, "");
	vas_destroy(p.vas);
}

TEST(a_file_of_its_own_cannot_be_sealed_or_cut_by_a_peer)
{
	struct parent p = parent_make();
	int fd = vas_backing_fd(p.vas, (uint32_t)p.first_file);

	CHECK_EQ(ftruncate(fd, 0), -1);
	CHECK_EQ(ftruncate(fd, 64 * PAGE), -1);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	CHECK_EQ(vas_backing_create(p.vas, NULL, 0, 0), -EINVAL);
	CHECK_EQ(vas_backing_create(p.vas, NULL, PAGE, 64), -EINVAL);
	vas_destroy(p.vas);
}

/* ---- following ---------------------------------------------------------------------------- */

TEST(what_comes_goes_grows_shrinks_and_moves_in_its_files_does_so_in_the_share)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);
	struct peer peer = peer_start(share);
	struct vas_region more = { .gpa = 48 * PAGE,
				   .size = PAGE,
				   .offset = 7 * PAGE,
				   .backing = (uint32_t)p.first_file };
	uint64_t id;

	CHECK_OK(vas_region_add(p.vas, &more, &id));
	CHECK_EQ(peer_do(&peer, PEER_WRITE, 48 * PAGE, 5), 0);
	CHECK_EQ(read_byte(p.vas, 48), 5);
	CHECK_OK(vas_region_move(p.vas, id, 50 * PAGE));
	CHECK_EQ(peer_do(&peer, PEER_READ, 48 * PAGE, 0), -EFAULT);
	CHECK_EQ(peer_do(&peer, PEER_READ, 50 * PAGE, 0), 5);
	CHECK_OK(vas_region_move(p.vas, id, 2 * PAGE + 8 * PAGE));
	CHECK_EQ(peer_do(&peer, PEER_READ, 10 * PAGE, 0), 5);
	CHECK_OK(vas_region_resize(p.vas, p.first, 6 * PAGE));
	CHECK_EQ(peer_do(&peer, PEER_WRITE, 21 * PAGE, 1), 0);
	CHECK_OK(vas_region_resize(p.vas, p.first, 2 * PAGE));
	CHECK_EQ(peer_do(&peer, PEER_READ, 17 * PAGE, 0), 0);
	CHECK_EQ(peer_do(&peer, PEER_READ, 18 * PAGE, 0), -EFAULT);
	CHECK_OK(vas_region_remove(p.vas, p.first));
	CHECK_EQ(peer_do(&peer, PEER_READ, 16 * PAGE, 0), -EFAULT);
	CHECK_EQ(peer_do(&peer, PEER_REGIONS, 0, 0), 1);
	peer_stop(&peer);
	vas_destroy(share);
	vas_destroy(p.vas);
}

/* Its number in the parent is free then, and may be another file's. */
TEST(a_file_that_comes_under_the_number_of_a_shared_one_is_not_shared)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);

	CHECK_OK(vas_region_remove(p.vas, p.first));
	CHECK_OK(vas_backing_remove(p.vas, (uint32_t)p.first_file));
	CHECK_EQ(make_file(p.vas, "third", 8), p.first_file);
	add_in(p.vas, p.first_file, 16, 4);
	CHECK_EQ(vas_regions(share, NULL, 0), 0);
	vas_destroy(share);
	vas_destroy(p.vas);
}

static uint64_t generation_of(struct vas *vas)
{
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	return info.generation;
}

TEST(a_change_of_other_regions_asks_no_peer)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);
	struct peer peer = peer_start(share);
	uint64_t before = generation_of(share);

	CHECK_OK(peer_do(&peer, PEER_ENTER, 0, 0));
	CHECK_OK(vas_region_remove(p.vas, p.second));
	CHECK_OK(vas_region_remove(p.vas, p.own));
	CHECK_EQ(generation_of(share), before);
	peer_stop(&peer);
	vas_destroy(share);
	vas_destroy(p.vas);
}

static int remove_in(struct vas *vas, uint64_t id, uint64_t timeout_ns, struct vas_blocker *blocker)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	return vas_layout_commit(layout, timeout_ns, blocker);
}

static void check_blocker(const struct vas_blocker *blocker, const struct peer *peer)
{
	CHECK_EQ(blocker->kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker->name, "sharer");
	CHECK_EQ(blocker->pid, peer->pid);
	CHECK_HAS(vas_error(), "consumer share is not done in time: sharer");
}

/* Stays in the way: the change fails, the old layout holds for all; goes: the change is made. */
static void be_in_the_way(enum peer_op begin, enum peer_op end)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);
	struct peer peer = peer_start(share);
	struct vas_blocker blocker;

	CHECK_OK(peer_do(&peer, begin, 17 * PAGE, 0));
	CHECK_EQ(remove_in(p.vas, p.first, SHORT_NS, &blocker), -EBUSY);
	check_blocker(&blocker, &peer);
	CHECK_EQ(read_byte(p.vas, 17), 0);
	CHECK_EQ(vas_regions(share, NULL, 0), 1);
	CHECK_EQ(vas_freeze(p.vas, SHORT_NS, &blocker), -EBUSY);
	check_blocker(&blocker, &peer);
	peer_begin(&peer, end, 0, 0);
	CHECK_OK(remove_in(p.vas, p.first, TEST_HANG_NS, &blocker));
	CHECK_OK(peer_end(&peer));
	CHECK_EQ(vas_regions(share, NULL, 0), 0);
	peer_stop(&peer);
	vas_destroy(share);
	vas_destroy(p.vas);
}

TEST(a_peer_that_stays_in_a_section_is_named_at_the_deadline)
{
	be_in_the_way(PEER_ENTER, PEER_LEAVE);
}

TEST(a_peer_that_keeps_a_map_is_named_at_the_deadline)
{
	be_in_the_way(PEER_MAP, PEER_UNMAP);
}

TEST(a_peer_in_a_section_keeps_tracking_off_until_it_leaves)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);
	struct peer peer = peer_start(share);
	struct vas_tracker *tracker;

	CHECK_OK(peer_do(&peer, PEER_ENTER, 0, 0));
	CHECK_EQ(vas_tracker_attach(p.vas, "test", 0, &tracker), -EBUSY);
	CHECK_HAS(vas_error(), "sharer");
	CHECK_OK(peer_do(&peer, PEER_LEAVE, 0, 0));
	CHECK_OK(vas_tracker_attach(p.vas, "test", 0, &tracker));
	vas_tracker_detach(tracker);
	peer_stop(&peer);
	vas_destroy(share);
	vas_destroy(p.vas);
}

/* ---- freeze, dirty log -------------------------------------------------------------------- */

TEST(a_freeze_of_the_parent_stops_peers_and_a_thaw_lets_them_write)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0), *late;
	struct peer peer = peer_start(share), second;

	CHECK_OK(vas_freeze(p.vas, TEST_HANG_NS, NULL));
	CHECK_EQ(peer_do(&peer, PEER_WRITE, 16 * PAGE, 1), -EAGAIN);
	CHECK_EQ(peer_do(&peer, PEER_READ, 16 * PAGE, 0), 0);
	/* One that comes while it is frozen, too. */
	CHECK_OK(vas_share(p.vas, &p.second, 1, 0, &late));
	second = peer_start(late);
	CHECK_EQ(peer_do(&second, PEER_WRITE, 32 * PAGE, 1), -EAGAIN);
	CHECK_OK(vas_thaw(p.vas));
	CHECK_OK(peer_do(&peer, PEER_WRITE, 16 * PAGE, 1));
	CHECK_OK(peer_do(&second, PEER_WRITE, 32 * PAGE, 1));
	peer_stop(&peer);
	peer_stop(&second);
	vas_destroy(late);
	vas_destroy(share);
	vas_destroy(p.vas);
}

/* The pages that an epoch of the tracker finds, as bits; all are below 64. */
static uint64_t epoch(struct vas_tracker *tracker)
{
	const struct vas_dirty_word *words;
	uint64_t gpa = 0, bits = 0;
	ssize_t i, nr;

	CHECK_OK(vas_tracker_begin(tracker));
	while (gpa < 256 * PAGE) {
		nr = vas_tracker_harvest(tracker, &gpa, 256 * PAGE, 8, &words);
		CHECK(nr >= 0);
		for (i = 0; i < nr; i++)
			bits |= words[i].gpa ? 0 : words[i].bits;
	}
	CHECK_OK(vas_tracker_commit(tracker));
	return bits;
}

TEST(a_peers_writes_are_in_the_parents_log)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0), *late;
	struct peer peer = peer_start(share), second;
	struct vas_tracker *tracker;

	CHECK_OK(peer_do(&peer, PEER_WRITE, 19 * PAGE, 1));
	CHECK_OK(vas_tracker_attach(p.vas, "test", 0, &tracker));
	CHECK_EQ(epoch(tracker), 0);
	CHECK_OK(peer_do(&peer, PEER_WRITE, 16 * PAGE, 1));
	CHECK_OK(peer_do(&peer, PEER_WRITE, 18 * PAGE, 1));
	CHECK_EQ(epoch(tracker), 1ull << 16 | 1ull << 18);
	CHECK_EQ(epoch(tracker), 0);
	CHECK_OK(vas_share(p.vas, &p.second, 1, 0, &late));
	second = peer_start(late);
	CHECK_OK(peer_do(&second, PEER_WRITE, 39 * PAGE, 1));
	CHECK_OK(peer_do(&peer, PEER_WRITE, 17 * PAGE, 1));
	CHECK_EQ(epoch(tracker), 1ull << 39 | 1ull << 17);
	/* A map that may be written at any time counts as written. */
	CHECK_OK(peer_do(&peer, PEER_MAP, 16 * PAGE, 0));
	CHECK_EQ(epoch(tracker), 1ull << 16);
	CHECK_EQ(epoch(tracker), 1ull << 16);
	CHECK_OK(peer_do(&peer, PEER_UNMAP, 0, 0));
	vas_tracker_detach(tracker);
	peer_stop(&peer);
	peer_stop(&second);
	vas_destroy(late);
	vas_destroy(share);
	vas_destroy(p.vas);
}

/* In a section, or with a map: nobody knows what it wrote, so all that was touched counts. */
static void die(enum peer_op op)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);
	struct peer peer = peer_start(share);
	struct vas_tracker *tracker;

	write_byte(p.vas, 16, 1);
	write_byte(p.vas, 19, 1);
	CHECK_OK(vas_tracker_attach(p.vas, "test", 0, &tracker));
	CHECK_EQ(epoch(tracker) & 1ull << 19, 0);
	CHECK_OK(peer_do(&peer, op, 19 * PAGE, 0));
	CHECK_OK(kill(peer.pid, SIGKILL));
	peer_stop(&peer);
	CHECK(epoch(tracker) & 1ull << 19);
	vas_tracker_detach(tracker);
	vas_destroy(share);
	vas_destroy(p.vas);
}

TEST(a_peer_that_dies_in_a_section_loses_no_write)
{
	die(PEER_ENTER);
}

TEST(a_peer_that_dies_with_a_map_loses_no_write)
{
	die(PEER_MAP);
}

TEST(what_a_peer_wrote_before_the_share_ends_is_in_the_next_epoch)
{
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);
	struct peer peer = peer_start(share);
	struct vas_tracker *tracker;

	CHECK_OK(vas_tracker_attach(p.vas, "test", 0, &tracker));
	CHECK_EQ(epoch(tracker), 0);
	CHECK_OK(peer_do(&peer, PEER_WRITE, 18 * PAGE, 1));
	vas_destroy(share);
	CHECK_EQ(peer_do(&peer, PEER_READ, 18 * PAGE, 0), -EFAULT);
	CHECK(epoch(tracker) & 1ull << 18);
	vas_tracker_detach(tracker);
	peer_stop(&peer);
	vas_destroy(p.vas);
}

#define NR_EPOCHS 300
#define NR_WRITES 100000

/* All pages that are dirty, into the copy; what is a hole meanwhile, was not in the copy either. */
static void copy_epoch(struct vas *vas, struct vas_tracker *tracker, uint8_t *copy)
{
	uint64_t bits = epoch(tracker);

	for (uint64_t i = 0; i < 64; i++)
		if (bits >> i & 1)
			vas_read(vas, i * PAGE, copy + i * PAGE, PAGE, NULL);
}

/* Pages that come and go, and one peer that never stops writing to them. */
ROLE(writes)
{
	uint64_t val = 0, page;
	struct vas *vas;
	char byte;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	while (recv(sock, &byte, 1, MSG_DONTWAIT) < 0) {
		for (page = 16; page < 24; page++)
			vas_write(vas, page * PAGE + val % 512 * 8, &val, sizeof(val), NULL);
		if (!val++)
			CHECK_EQ(write(sock, "w", 1), 1);
	}
	return 0;
}

/* How often it has been through the pages, as page 16 shows it now and then. */
static uint64_t counter(struct vas *vas)
{
	uint64_t val;

	CHECK_OK(vas_read(vas, 16 * PAGE, &val, sizeof(val), NULL));
	return val;
}

TEST(a_migration_that_goes_on_under_a_peers_writes_and_changes_misses_none)
{
	static uint8_t copy[64 * PAGE], now[8 * PAGE];
	struct parent p = parent_make();
	struct vas *share = share_first(&p, 0);
	struct vas_tracker *tracker;
	uint64_t first;
	int sock;

	test_spawn("writes", &sock);
	CHECK_OK(vas_send_fds(share, sock, 0));
	CHECK_EQ(read(sock, now, 1), 1);
	CHECK_OK(vas_tracker_attach(p.vas, "test", VAS_TRACKER_ALL, &tracker));
	for (int i = 0; i < NR_EPOCHS; i++) {
		if (i % 3 == 0)
			CHECK_OK(vas_region_resize(p.vas, p.first, (1 + i % 8) * PAGE));
		if (i % 7 == 0)
			CHECK_OK(vas_region_move(p.vas, p.first, (16 + i % 2 * 60) * PAGE));
		copy_epoch(p.vas, tracker, copy);
	}
	CHECK_OK(vas_region_move(p.vas, p.first, 16 * PAGE));
	CHECK_OK(vas_region_resize(p.vas, p.first, 8 * PAGE));
	/* No change any more, after which all counts as dirty: now it is the marks that count. */
	first = counter(p.vas);
	while (counter(p.vas) - first < NR_WRITES)
		copy_epoch(p.vas, tracker, copy);
	CHECK_OK(vas_freeze(p.vas, TEST_HANG_NS, NULL));
	copy_epoch(p.vas, tracker, copy);
	CHECK_OK(vas_read(p.vas, 16 * PAGE, now, sizeof(now), NULL));
	CHECK_MEM(copy + 16 * PAGE, now, sizeof(now));
	CHECK_OK(vas_thaw(p.vas));
	vas_tracker_detach(tracker);
	close(sock);
	vas_destroy(share);
	vas_destroy(p.vas);
}

/* ---- ends --------------------------------------------------------------------------------- */

TEST(shares_come_and_go_and_leave_nothing)
{
	struct parent p = parent_make();
	int fds, maps;

	vas_destroy(share_first(&p, 0));
	fds = test_count_fds();
	maps = test_count_maps();
	for (int i = 0; i < 20; i++) {
		vas_destroy(share_first(&p, i % 2 ? VAS_SHARE_READONLY : 0));
		be_refused(&p, &p.own, 1, -EINVAL, "own file");
	}
	CHECK_EQ(test_count_fds(), fds);
	CHECK(TEST_SANITIZED || test_count_maps() == maps); /* a sanitizer has maps of its own */
	vas_destroy(p.vas);
}
