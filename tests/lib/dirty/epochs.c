// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What an epoch has, what an abort gives back, and who may track. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/consumer.h>

#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE (64ull << 20)
#define WORD (256ull << 10)

static void write_at(struct vas *vas, uint64_t gpa)
{
	CHECK_OK(vas_write(vas, gpa, "x", 1, NULL));
}

/* All words of one epoch in [0, SIZE), which must be at most 64; the epoch stays open. */
static size_t begin_and_take(struct vas_tracker *dirty, const struct vas_dirty_word **words)
{
	uint64_t gpa = 0;
	ssize_t nr;

	CHECK_OK(vas_tracker_begin(dirty));
	nr = vas_tracker_harvest(dirty, &gpa, SIZE, 64, words);
	CHECK_EQ(gpa, SIZE);
	CHECK(nr >= 0 && nr < 64);
	return (size_t)nr;
}

TEST(a_write_is_in_one_epoch_and_no_other)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;

	write_at(vas, 0x5000);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_EQ(begin_and_take(dirty, &words), 0);
	CHECK_OK(vas_tracker_commit(dirty));
	write_at(vas, 3 * WORD + 0x2000);
	CHECK_OK(vas_write(vas, 5 * WORD - 1, "xy", 2, NULL));
	CHECK_EQ(begin_and_take(dirty, &words), 3);
	CHECK_EQ(words[0].gpa, 3 * WORD);
	CHECK_EQ(words[0].bits, 4);
	CHECK_EQ(words[1].bits, 1ull << 63);
	CHECK_EQ(words[2].gpa, 5 * WORD);
	CHECK_EQ(words[2].bits, 1);
	CHECK_OK(vas_tracker_commit(dirty));
	CHECK_EQ(begin_and_take(dirty, &words), 0);
	CHECK_OK(vas_tracker_commit(dirty));
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(all_has_what_was_ever_touched)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;

	write_at(vas, 0x5000);
	write_at(vas, SIZE - 1);
	CHECK_OK(vas_tracker_attach(vas, "test", VAS_TRACKER_ALL, &dirty));
	CHECK_EQ(begin_and_take(dirty, &words), 2);
	CHECK_EQ(words[0].bits, 1 << 5);
	CHECK_EQ(words[1].bits, 1ull << 63);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(an_aborted_epoch_comes_again)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	write_at(vas, 0x5000);
	write_at(vas, 9 * WORD);
	CHECK_EQ(begin_and_take(dirty, &words), 2);
	write_at(vas, 0x6000);
	CHECK_OK(vas_tracker_abort(dirty));
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(vas_tracker_harvest(dirty, &(uint64_t){ 0 }, WORD, 64, &words), 2);
	CHECK_EQ(words[0].bits | words[1].bits, 3 << 5);
	CHECK_EQ(vas_tracker_harvest(dirty, &(uint64_t){ WORD }, SIZE, 64, &words), 1);
	CHECK_OK(vas_tracker_commit(dirty));
	CHECK_EQ(begin_and_take(dirty, &words), 0);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(a_harvest_in_pieces_has_each_word_once)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *word;
	struct vas_tracker *dirty;
	unsigned int nr = 0;
	char seen[SIZE / WORD] = "";
	uint64_t gpa;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	for (gpa = 0; gpa < SIZE; gpa += 3 * WORD)
		write_at(vas, gpa);
	CHECK_OK(vas_tracker_begin(dirty));
	for (gpa = 0; gpa < SIZE;) {
		ssize_t got = vas_tracker_harvest(dirty, &gpa, SIZE, 1, &word);

		CHECK_OK(got);
		if (got)
			CHECK_EQ(seen[word->gpa / WORD]++, 0);
		nr += got;
	}
	CHECK_EQ(nr, (SIZE / WORD + 2) / 3);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(every_tracker_sees_every_write)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *a, *b;

	CHECK_OK(vas_tracker_attach(vas, "a", 0, &a));
	write_at(vas, 0);
	CHECK_OK(vas_tracker_attach(vas, "b", 0, &b));
	write_at(vas, WORD);
	CHECK_EQ(begin_and_take(b, &words), 1);
	CHECK_EQ(words[0].gpa, WORD);
	CHECK_EQ(begin_and_take(a, &words), 2);
	CHECK_OK(vas_tracker_commit(a));
	CHECK_OK(vas_tracker_abort(b));
	CHECK_EQ(begin_and_take(a, &words), 0);
	CHECK_EQ(begin_and_take(b, &words), 1);
	vas_tracker_detach(b);
	vas_tracker_detach(a);
	vas_destroy(vas);
}

TEST(tracking_is_on_as_long_as_anyone_tracks)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *a, *b;
	struct vas_info info;

	CHECK_OK(vas_tracker_attach(vas, "a", 0, &a));
	CHECK_OK(vas_tracker_attach(vas, "b", 0, &b));
	vas_tracker_detach(a);
	CHECK_OK(vas_info(vas, &info));
	CHECK(info.state_flags & VAS_STATE_TRACKING);
	vas_tracker_detach(b);
	CHECK_OK(vas_info(vas, &info));
	CHECK(!(info.state_flags & VAS_STATE_TRACKING));
	vas_destroy(vas);
}

TEST(a_writable_map_is_dirty_in_each_epoch)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_mapping *mapping, *marks;
	struct vas_tracker *dirty;
	int i;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_OK(vas_mapping_create(vas, 0x1000, 0x3000, VAS_MAPPING_WRITE, &mapping));
	CHECK_OK(vas_mapping_create(vas, WORD, 0x1000, VAS_MAPPING_WRITE | VAS_MAPPING_MARKS,
				    &marks));
	for (i = 0; i < 3; i++) {
		CHECK_EQ(begin_and_take(dirty, &words), 1);
		CHECK_EQ(words[0].bits, 7 << 1);
		CHECK_OK(vas_tracker_commit(dirty));
	}
	vas_mapping_destroy(mapping);
	vas_mapping_destroy(marks);
	CHECK_EQ(begin_and_take(dirty, &words), 2);
	CHECK_OK(vas_tracker_commit(dirty));
	CHECK_EQ(begin_and_take(dirty, &words), 0);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(a_new_region_is_dirty)
{
	struct vas_region region = { .gpa = SIZE, .size = WORD, .offset = SIZE, .name = "more" };
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_EQ(pwrite(vas_fd(vas), "x", 1, SIZE + 0x3000), 1);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(vas_tracker_harvest(dirty, &(uint64_t){ SIZE }, 2 * SIZE, 64, &words), 1);
	CHECK_EQ(words[0].bits, 1 << 3);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

/* ---- other processes ---------------------------------------------------------------------- */

static int serve(void *arg)
{
	int status;

	vas_notifications(((void **)arg)[0]);
	return waitpid(*(pid_t *)((void **)arg)[1], &status, WNOHANG) > 0 && !status;
}

/* Tracks from another process; the owner only answers. */
ROLE(tracker)
{
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	struct vas *vas;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_OK(vas_tracker_attach(vas, "remote", 0, &dirty));
	write_at(vas, 0x7000);
	CHECK_EQ(begin_and_take(dirty, &words), 1);
	CHECK_EQ(words[0].bits, 1 << 7);
	CHECK_OK(vas_tracker_commit(dirty));
	vas_tracker_detach(dirty);
	vas_unbind(vas);
	return 0;
}

TEST(another_process_tracks_with_the_owners_help)
{
	struct vas *vas = shadow_vas(SIZE);
	int sock;
	pid_t pid = test_spawn("tracker", &sock);

	CHECK_OK(vas_notify_fd(vas));
	CHECK_OK(vas_send_fds(vas, sock, 0));
	test_wait(serve, (void *[]){ vas, &pid }, TEST_HANG_MS);
	vas_destroy(vas);
}

/* Takes words and dies with them. */
ROLE(greedy)
{
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	struct vas *vas;
	char ready;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_OK(vas_tracker_attach(vas, "greedy", 0, &dirty));
	CHECK_EQ(write(sock, "r", 1), 1);
	CHECK_EQ(read(sock, &ready, 1), 1);
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(vas_tracker_harvest(dirty, &(uint64_t){ 0 }, SIZE, 64, &words), 1);
	raise(SIGKILL);
	return 1;
}

static int serve_until_killed(void *arg)
{
	int status = 0;

	vas_notifications(((void **)arg)[0]);
	return waitpid(*(pid_t *)((void **)arg)[1], &status, WNOHANG) > 0 && WIFSIGNALED(status);
}

static int serve_until_ready(void *arg)
{
	vas_notifications(((void **)arg)[0]);
	return recv(*(int *)((void **)arg)[1], &(char){ 0 }, 1, MSG_DONTWAIT) == 1;
}

TEST(a_dead_tracker_takes_nothing_along)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	struct vas_info info;
	int sock;
	pid_t pid = test_spawn("greedy", &sock);

	CHECK_OK(vas_notify_fd(vas));
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_OK(vas_send_fds(vas, sock, 0));
	test_wait(serve_until_ready, (void *[]){ vas, &sock }, TEST_HANG_MS);
	write_at(vas, 0x3000);
	CHECK_EQ(write(sock, "g", 1), 1);
	test_wait(serve_until_killed, (void *[]){ vas, &pid }, TEST_HANG_MS);
	CHECK_EQ(begin_and_take(dirty, &words), 1);
	CHECK_EQ(words[0].bits, 1 << 3);
	vas_tracker_detach(dirty);
	/* Nor does it keep tracking on. */
	CHECK_OK(vas_info(vas, &info));
	CHECK(!(info.state_flags & VAS_STATE_TRACKING));
	vas_destroy(vas);
}

static int serve_until_off(void *arg)
{
	struct pollfd notified = { .fd = vas_notify_fd(arg), .events = POLLIN };
	struct vas_info info;

	if (poll(&notified, 1, 0) > 0)
		vas_notifications(arg);
	return !vas_info(arg, &info) && !(info.state_flags & VAS_STATE_TRACKING);
}

/* As when Ctrl-C ends a command: writers would go on marking, and KVM trapping, for nobody. */
TEST(a_killed_tracker_does_not_keep_tracking_on)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_info info;
	int sock;
	pid_t pid = test_spawn("greedy", &sock);

	CHECK_OK(vas_notify_fd(vas));
	CHECK_OK(vas_send_fds(vas, sock, 0));
	test_wait(serve_until_ready, (void *[]){ vas, &sock }, TEST_HANG_MS);
	CHECK_OK(vas_info(vas, &info));
	CHECK(info.state_flags & VAS_STATE_TRACKING);
	write_at(vas, 0x3000);
	CHECK_EQ(write(sock, "g", 1), 1);
	test_wait(serve_until_killed, (void *[]){ vas, &pid }, TEST_HANG_MS);
	test_wait(serve_until_off, vas, TEST_HANG_MS);
	vas_destroy(vas);
}

/* Writes without marking, in a section, and dies there. */
ROLE(sloppy)
{
	struct vas *vas;
	char *p;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_OK(vas_enter(vas));
	p = vas_translate(vas, 0x9000, 1, VAS_PROT_WRITE);
	CHECK(p);
	*p = 'x';
	raise(SIGKILL);
	return 1;
}

TEST(what_died_inside_a_section_makes_all_dirty)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	int sock, status;
	pid_t pid = test_spawn("sloppy", &sock);

	write_at(vas, 2 * WORD);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_EQ(begin_and_take(dirty, &words), 2);
	CHECK_EQ(words[0].bits, 1 << 9);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

/* A look at a hole of a file by its map fills it: with 2 MiB, perhaps, that are not to be had. */
TEST(what_nobody_tracks_does_not_fill_the_log)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_superblock sb;
	struct vas_extent log;
	struct stat st;

	CHECK_OK(fstat(vas_fd(vas), &st));
	CHECK_EQ(pread(vas_fd(vas), &sb, sizeof(sb), st.st_size - (off_t)sizeof(sb)),
		 (ssize_t)sizeof(sb));
	write_at(vas, 0);
	CHECK_OK(vas_store_le64(vas, SIZE - 8, 1, __ATOMIC_RELAXED));
	log = sb.extents[VAS_EXT_LOG];
	CHECK(lseek(vas_fd(vas), (off_t)log.offset, SEEK_DATA) >= (off_t)(log.offset + log.size));
	vas_destroy(vas);
}

static void check_slow_marks(int fd, uint32_t flags)
{
	struct vas *vas;

	CHECK_OK(vas_bind(fd, flags, &vas));
	CHECK(((struct vas_head *)vas)->view->flags & VAS_STATE_TRACKING);
	CHECK_EQ(((struct vas_head *)vas)->view->nr_dirty, 0);
	vas_unbind(vas);
}

/* Where membarrier does not reach, a look at the log has a fence before it: not the inlined one. */
TEST(marks_without_membarrier_have_a_fence_from_the_first_view_on)
{
	struct vas_options options = { .limit = SIZE, .flags = VAS_CREATE_FENCE };
	struct vas *vas = shadow_vas(SIZE), *fenced;
	struct vas_tracker *dirty;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	check_slow_marks(vas_fd(vas), VAS_BIND_FENCE);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
	CHECK_OK(vas_create(&options, &fenced));
	CHECK_OK(vas_tracker_attach(fenced, "test", 0, &dirty));
	check_slow_marks(vas_fd(fenced), 0);
	vas_tracker_detach(dirty);
	vas_destroy(fenced);
}

static void *end_inside(void *arg)
{
	struct vas *vas = arg;
	char *p;

	CHECK_OK(vas_enter(vas));
	p = vas_translate(vas, 0x9000, 1, VAS_PROT_WRITE);
	CHECK(p);
	*p = 'x';
	return NULL;
}

TEST(a_thread_that_ends_inside_a_section_is_in_nobodys_way)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	struct vas_info info;
	pthread_t thread;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_EQ(pthread_create(&thread, NULL, end_inside, vas), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.nr_threads, 0);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	/* Its write, which it did not come to mark, is had all the same. */
	CHECK_EQ(begin_and_take(dirty, &words), 1);
	CHECK_EQ(words[0].bits, 1 << 9);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(an_observer_marks_nothing)
{
	struct vas *vas = shadow_vas(SIZE), *observer;
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;

	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_OBSERVE, &observer));
	CHECK_OK(vas_enter(observer));
	vas_mark(observer, 0x5000, 1);
	vas_mark(observer, 0x5000, 3 * WORD);
	vas_leave(observer);
	CHECK_EQ(begin_and_take(dirty, &words), 0);
	vas_unbind(observer);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(an_observer_cannot_track)
{
	struct vas *vas = shadow_vas(SIZE), *observer;
	struct vas_tracker *dirty;

	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_OBSERVE, &observer));
	CHECK_EQ(vas_tracker_attach(observer, "test", 0, &dirty), -EPERM);
	vas_unbind(observer);
	vas_destroy(vas);
}

TEST(there_are_only_so_many_trackers)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *dirty[VAS_MAX_TRACKERS + 1];
	int nr = 0, err;

	while (!(err = vas_tracker_attach(vas, "test", 0, &dirty[nr])))
		nr++;
	CHECK_EQ(err, -ENOSPC);
	while (nr--)
		vas_tracker_detach(dirty[nr]);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty[0]));
	vas_tracker_detach(dirty[0]);
	vas_destroy(vas);
}

/* ---- consumers ---------------------------------------------------------------------------- */

struct fake {
	struct vas_consumer head;
	int on;
	int refuses;
	uint64_t dirty_gpa;
};

static int fake_track(struct vas_consumer *c, uint64_t deadline_ns)
{
	struct fake *fake = (struct fake *)c;

	(void)deadline_ns;
	if (fake->refuses)
		return -EIO;
	fake->on++;
	return 0;
}

static void fake_untrack(struct vas_consumer *c)
{
	((struct fake *)c)->on--;
}

static int fake_harvest(struct vas_consumer *c)
{
	return vas_mark_dirty(c->vas, ((struct fake *)c)->dirty_gpa, 1);
}

static const struct vas_consumer_ops fake_ops = {
	.name = "fake",
	.prepare = shadow_prepare,
	.commit = shadow_commit,
	.abort = shadow_abort,
	.track = fake_track,
	.untrack = fake_untrack,
	.harvest = fake_harvest,
};

TEST(a_consumers_log_is_in_the_harvest)
{
	struct fake fake = { .head.ops = &fake_ops, .dirty_gpa = 7 * WORD };
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;

	CHECK_OK(vas_consumer_attach(vas, &fake.head, TEST_HANG_NS, NULL));
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK(fake.on);
	CHECK_EQ(begin_and_take(dirty, &words), 1);
	CHECK_EQ(words[0].gpa, 7 * WORD);
	vas_tracker_detach(dirty);
	CHECK(!fake.on);
	vas_consumer_detach(&fake.head);
	vas_destroy(vas);
}

TEST(a_consumers_refusal_undoes_all)
{
	struct fake second = { .head.ops = &fake_ops, .refuses = 1 };
	struct fake first = { .head.ops = &fake_ops };
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *dirty;
	struct vas_info info;

	CHECK_OK(vas_consumer_attach(vas, &first.head, TEST_HANG_NS, NULL));
	CHECK_OK(vas_consumer_attach(vas, &second.head, TEST_HANG_NS, NULL));
	CHECK_EQ(vas_tracker_attach(vas, "test", 0, &dirty), -EIO);
	CHECK_OK(vas_info(vas, &info));
	CHECK(!(info.state_flags & VAS_STATE_TRACKING));
	CHECK(!first.on);
	vas_destroy(vas);
}
