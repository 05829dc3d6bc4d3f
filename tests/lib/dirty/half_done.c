// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What a marker, a taker or a tracker leaves behind that dies at each step of docs/design/dirty.md:
 * the log is put into that state by hand, and no write may be lost, then or later.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/access.h>

#include "tests/harness.h"
#include "core/log.h"
#include "core/protocol/entries.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE (64ull << 20)
#define GPA  0x9000ull /* the page that it is about: bit 9 of word 0 */
#define BIT  (1ull << 9)

/* A tag of nobody who lives: the index 1,000 has none of the few binders here. */
#define DEAD_TAKER 1000u

/* The control area, as anyone sees it who may write. */
struct area {
	struct vas_superblock sb;
	char *memory;
	struct vas_control *ctl;
	struct vas_log log; /* the shared one */
};

static void *part(const struct area *a, enum vas_extent_id id)
{
	return a->memory + (a->sb.extents[id].offset - a->sb.ram_size);
}

static void area_map(struct area *a, struct vas *vas)
{
	struct stat st;

	CHECK_OK(fstat(vas_fd(vas), &st));
	CHECK_EQ(pread(vas_fd(vas), &a->sb, sizeof(a->sb), st.st_size - (off_t)sizeof(a->sb)),
		 (ssize_t)sizeof(a->sb));
	a->memory = mmap(NULL, a->sb.file_size - a->sb.ram_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vas_fd(vas), (off_t)a->sb.ram_size);
	CHECK(a->memory != MAP_FAILED);
	a->ctl = part(a, VAS_EXT_CONTROL);
	vas_log_init(&a->log, part(a, VAS_EXT_LOG), a->sb.limit);
}

/* Tracker i's own log. */
static struct vas_log own_log(const struct area *a, uint32_t i)
{
	struct vas_log_layout layout;
	struct vas_log log;

	vas_log_layout(a->sb.limit, &layout);
	vas_log_init(&log, (char *)part(a, VAS_EXT_LOG) + (1 + i) * layout.size, a->sb.limit);
	return log;
}

static void write_at(struct vas *vas, uint64_t gpa)
{
	CHECK_OK(vas_write(vas, gpa, "x", 1, NULL));
}

/* The bits of the first word in one epoch, which stays open. */
static uint64_t begin_and_take(struct vas_tracker *dirty)
{
	const struct vas_dirty_word *words;
	uint64_t bits = 0, gpa = 0;

	CHECK_OK(vas_tracker_begin(dirty));
	while (gpa < SIZE) {
		ssize_t nr = vas_tracker_harvest(dirty, &gpa, SIZE, 64, &words);

		CHECK_OK(nr);
		for (ssize_t i = 0; i < nr; i++)
			bits |= words[i].gpa ? 0 : words[i].bits;
	}
	return bits;
}

static uint64_t epoch(struct vas_tracker *dirty)
{
	uint64_t bits = begin_and_take(dirty);

	CHECK_OK(vas_tracker_commit(dirty));
	return bits;
}

/* H1 was done, H2 was not. */
static void die_between_h1_and_h2(struct area *a)
{
	__atomic_store_n(&a->ctl->draining, DEAD_TAKER, __ATOMIC_SEQ_CST);
	__atomic_store_n(&a->log.top[0], 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&a->log.summary[0], 0, __ATOMIC_SEQ_CST);
}

/* ---- markers ------------------------------------------------------------------------------ */

/* Writes in a section, sets the bit and dies before the levels above. */
ROLE(marker)
{
	struct area a;
	struct vas *vas;
	char *p;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	area_map(&a, vas);
	CHECK_OK(vas_enter(vas));
	p = vas_translate(vas, GPA, 1, VAS_PROT_WRITE);
	CHECK(p);
	*p = 'd';
	__atomic_fetch_or(&a.log.words[0], BIT, __ATOMIC_SEQ_CST); /* W3 */
	raise(SIGKILL);
	return 1;
}

static void let_marker_die(struct vas *vas)
{
	int sock, status;
	pid_t pid = test_spawn("marker", &sock);

	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	close(sock);
}

TEST(a_marker_that_dies_between_w3_and_w5_hides_no_later_write)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *a, *b;

	CHECK_OK(vas_tracker_attach(vas, "a", 0, &a));
	CHECK_OK(vas_tracker_attach(vas, "b", 0, &b));
	let_marker_die(vas);
	write_at(vas, GPA); /* stops at W2 */
	CHECK(epoch(a) & BIT);
	/* All was dirty in that one, for a write may have been lost; now the log must do by itself. */
	write_at(vas, GPA);
	CHECK_EQ(epoch(a), BIT);
	CHECK(epoch(b) & BIT);
	CHECK_EQ(epoch(a), 0);
	write_at(vas, GPA);
	CHECK_EQ(epoch(b), BIT);
	CHECK_EQ(epoch(a), BIT);
	vas_tracker_detach(a);
	vas_tracker_detach(b);
	vas_destroy(vas);
}

/* ---- takers ------------------------------------------------------------------------------- */

TEST(a_taker_that_dies_between_h1_and_h2_hides_no_write)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *a, *b;
	struct area area;

	area_map(&area, vas);
	CHECK_OK(vas_tracker_attach(vas, "a", 0, &a));
	CHECK_OK(vas_tracker_attach(vas, "b", 0, &b));
	write_at(vas, GPA);
	die_between_h1_and_h2(&area);
	write_at(vas, GPA); /* stops at W2 */
	CHECK_EQ(epoch(a), BIT);
	write_at(vas, GPA);
	CHECK_EQ(epoch(b), BIT);
	CHECK_EQ(epoch(a), BIT);
	CHECK_EQ(epoch(b), 0);
	vas_tracker_detach(a);
	vas_tracker_detach(b);
	vas_destroy(vas);
}

/* It also took the top bit only, or the summary's of one word of two. */
TEST(levels_that_are_half_cleared_are_whole_again)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *dirty;
	struct area area;

	area_map(&area, vas);
	CHECK_OK(vas_tracker_attach(vas, "a", 0, &dirty));
	write_at(vas, GPA);
	area.ctl->draining = DEAD_TAKER;
	area.log.top[0] = 0;
	CHECK_EQ(epoch(dirty), BIT);
	write_at(vas, GPA);
	area.ctl->draining = DEAD_TAKER;
	area.log.summary[0] = 0;
	CHECK_EQ(epoch(dirty), BIT);
	CHECK_EQ(area.ctl->draining, 0);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

TEST(a_tracker_that_begins_after_a_death_sees_every_write)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *first, *second;
	struct area area;

	area_map(&area, vas);
	CHECK_OK(vas_tracker_attach(vas, "first", 0, &first));
	write_at(vas, GPA);
	die_between_h1_and_h2(&area);
	/* What the tracker before it has left in the place of its own log. */
	own_log(&area, 1).words[0] = BIT;
	CHECK_OK(vas_tracker_attach(vas, "second", 0, &second));
	CHECK_EQ(epoch(second), 0);
	write_at(vas, GPA);
	CHECK_EQ(epoch(second), BIT);
	CHECK_EQ(epoch(first), BIT);
	vas_tracker_detach(first);
	vas_tracker_detach(second);
	vas_destroy(vas);
}

/* In H2: the word is in another's log, its levels there are not, and the shared one is not cleared. */
static void die_while_delivering(struct area *area, uint32_t to)
{
	die_between_h1_and_h2(area);
	own_log(area, to).words[0] |= area->log.words[0];
}

TEST(a_delivery_that_ends_half_way_is_made_again)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *first, *second;
	struct area area;

	area_map(&area, vas);
	CHECK_OK(vas_tracker_attach(vas, "first", 0, &first));
	CHECK_OK(vas_tracker_attach(vas, "second", 0, &second));
	write_at(vas, GPA);
	die_while_delivering(&area, 1);
	CHECK_EQ(epoch(first), BIT);
	CHECK_EQ(epoch(second), BIT);
	vas_tracker_detach(first);
	vas_tracker_detach(second);
	vas_destroy(vas);
}

TEST(an_abort_gives_back_what_was_half_delivered_before)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *dirty;
	struct area area;

	area_map(&area, vas);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	write_at(vas, GPA);
	die_while_delivering(&area, 0);
	CHECK_EQ(begin_and_take(dirty), BIT);
	CHECK_OK(vas_tracker_abort(dirty));
	CHECK_EQ(epoch(dirty), BIT);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

/* ---- trackers ----------------------------------------------------------------------------- */

/*
 * A tracker marks the pages of maps at the begin of each epoch, outside of any section; if it did so in
 * the shared log and died there half way, nobody would know.
 */
TEST(what_a_tracker_marks_for_maps_is_its_own)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vas_mapping *mapping;
	struct vas_tracker *dirty;
	struct area area;

	area_map(&area, vas);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK_OK(vas_mapping_create(vas, GPA, VAS_PAGE_SIZE, VAS_MAPPING_WRITE, &mapping));
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(area.log.words[0], 0);
	CHECK_EQ(area.log.summary[0], 0);
	CHECK_OK(vas_tracker_abort(dirty));
	CHECK_EQ(epoch(dirty), BIT);
	vas_mapping_destroy(mapping);
	CHECK_EQ(epoch(dirty), BIT);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

/* ---- bounds ------------------------------------------------------------------------------- */

#define HUGE_LIMIT (1ull << 50)

static struct vas *huge_vas(void)
{
	struct vas_options options = { .limit = HUGE_LIMIT, .name = "huge" };
	struct vas_region low = { .size = SIZE }, high = { .gpa = HUGE_LIMIT - SIZE, .size = SIZE };
	struct vas *vas;

	high.offset = high.gpa;
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &low, NULL));
	CHECK_OK(vas_region_add(vas, &high, NULL));
	return vas;
}

static uint64_t allocated(struct vas *vas)
{
	struct stat st;

	CHECK_OK(fstat(vas_fd(vas), &st));
	return (uint64_t)st.st_blocks * 512;
}

TEST(a_huge_log_is_repaired_by_what_is_in_it)
{
	struct vas *vas = huge_vas();
	struct vas_tracker *dirty;
	struct area area;

	area_map(&area, vas);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	write_at(vas, GPA);
	write_at(vas, HUGE_LIMIT - SIZE);
	die_between_h1_and_h2(&area);
	CHECK_EQ(epoch(dirty), BIT);
	CHECK(allocated(vas) < 64 << 20);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}

/* A peer can say of a pin what it likes: it must not make others mark for hours, or fill the log. */
TEST(a_pin_that_says_everything_is_marked_by_what_was_touched)
{
	struct vas *vas = huge_vas();
	struct vas_tracker *dirty;
	struct vas_pin *pins;
	struct area area;
	uint32_t living;

	area_map(&area, vas);
	pins = part(&area, VAS_EXT_PINS);
	/* The owner's own, which is at index 0. */
	living = ((struct vas_binder *)part(&area, VAS_EXT_BINDERS))[0].claims
		 << VAS_TAG_INDEX_BITS;
	write_at(vas, GPA);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	for (unsigned int i = 0; i < area.sb.nr_pins; i++)
		pins[i] = (struct vas_pin){ .state = VAS_PIN_HELD,
					    .tag = living,
					    .size = HUGE_LIMIT,
					    .flags = VAS_PIN_WRITABLE };
	((struct vas_control *)part(&area, VAS_EXT_CONTROL))->pins_claimed = UINT32_MAX;
	CHECK_EQ(epoch(dirty), BIT);
	CHECK(allocated(vas) < 64 << 20);
	/* It dies, by its own word; all that it may have written is dirty. */
	for (unsigned int i = 0; i < area.sb.nr_pins; i++)
		pins[i].tag = DEAD_TAKER;
	CHECK_EQ(epoch(dirty), BIT);
	CHECK_EQ(pins[0].tag, 0);
	CHECK(allocated(vas) < 64 << 20);
	CHECK_EQ(epoch(dirty), 0);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
}
