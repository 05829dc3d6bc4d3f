// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A guest is sent while it runs, by a VMM that tells what it writes: what arrives is its memory as it was when it
 * stood, whatever was written how often and by whom. A VMM that tells nonsense, or without end, harms nobody.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "tests/migrate/snapshot/saved.h"

#define WORD  (64 * VAS_PAGE_SIZE)
#define WORDS (SIZE / WORD)

struct vmm {
	struct vas *vas;
	struct test_random random;
	char *hva;	/* of the RAM: what is written there is marked by nobody */
	uint64_t first; /* words that were told once */
	int nr_more;	/* calls that tell of what was written since, before it stands */
	int nr_rest;	/* and after that */
	int is_silent;	/* of what was written since: it has to be found */
	int nr_calls, nr_ends, nr_pauses, nr_resumes;
	ssize_t (*at_half)(struct vmm *vmm, struct vas_dirty_word *words);
	int out[3], in[3];
	uint32_t nr_channels;
	struct vas_migrate_options options;
	struct vas_migrate_progress report;
	struct vas_migrate_result result;
	struct vas *arrived;
	int send_err, recv_err;
	char error[256];
};

/* Bytes, and zeros where bytes were. */
static struct vas_dirty_word write_unmarked(struct vmm *vmm)
{
	const uint64_t gpa = test_random_below(&vmm->random, SIZE / VAS_PAGE_SIZE) * VAS_PAGE_SIZE;

	memset(vmm->hva + gpa, (int)test_random_below(&vmm->random, 3), VAS_PAGE_SIZE);
	return (struct vas_dirty_word){ gpa / WORD * WORD, 1ull << gpa % WORD / VAS_PAGE_SIZE };
}

static size_t tell_first(struct vmm *vmm, struct vas_dirty_word *words)
{
	size_t n = 0;

	while (n < 4 && vmm->first < WORDS)
		words[n++] = (struct vas_dirty_word){ vmm->first++ * WORD, ~0ull };
	return n;
}

static size_t tell_more(struct vmm *vmm, struct vas_dirty_word *words, size_t nr)
{
	size_t n;

	for (n = 0; n < 100 && n < nr; n++) {
		const struct vas_dirty_word word = write_unmarked(vmm);

		words[n] = vmm->is_silent ? (struct vas_dirty_word){ .bits = 1 } : word;
	}
	return n;
}

static ssize_t tell(void *arg, struct vas_dirty_word *words, size_t nr)
{
	struct vmm *vmm = arg;
	size_t n;

	vmm->nr_calls++;
	if (vmm->first >= WORDS / 2 && vmm->at_half)
		return vmm->at_half(vmm, words);
	n = tell_first(vmm, words);
	if (n)
		return (ssize_t)n;
	if (vmm->nr_more) {
		vmm->nr_more--;
		/* Marked by one who is bound, and told by the VMM. */
		write_some(vmm->vas, &vmm->random, 5);
		return (ssize_t)tell_more(vmm, words, nr);
	}
	if (vmm->nr_pauses && vmm->nr_rest) {
		vmm->nr_rest--;
		CHECK_EQ(vas_write(vmm->vas, 0, "x", 1, NULL), -EAGAIN);
		return (ssize_t)tell_more(vmm, words, nr);
	}
	CHECK_EQ(vmm->nr_ends++, vmm->nr_pauses);
	return 0;
}

static int pause_guest(void *arg)
{
	struct vmm *vmm = arg;

	CHECK_EQ(vmm->nr_ends, 1);
	vmm->nr_pauses++;
	return 0;
}

static void resume_guest(void *arg)
{
	((struct vmm *)arg)->nr_resumes++;
}

static const struct vas_migrate_ops ops = { .pause = pause_guest,
					    .resume = resume_guest,
					    .told = tell };

static void init(struct vmm *vmm, uint32_t nr_channels, uint32_t flags)
{
	int pair[2];

	*vmm = (struct vmm){ .vas = shadow_vas(SIZE),
			     .random = { test_seed() },
			     .nr_more = 40,
			     .nr_rest = 3,
			     .nr_channels = nr_channels };
	vmm->hva = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vas_backing_fd(vmm->vas, 0),
			0);
	CHECK(vmm->hva != MAP_FAILED);
	for (uint32_t i = 0; i < nr_channels; i++) {
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		vmm->out[i] = pair[0];
		vmm->in[i] = pair[1];
	}
	vmm->options = (struct vas_migrate_options){
		.fds = vmm->out, .nr_fds = nr_channels, .flags = flags, .ops = &ops, .arg = vmm
	};
	write_some(vmm->vas, &vmm->random, 300);
}

static void *receive(void *arg)
{
	struct vmm *vmm = arg;
	const struct vas_migrate_target target = { .fds = vmm->in, .nr_fds = vmm->nr_channels };

	vmm->recv_err = vas_migrate_recv(&target, &vmm->arrived, &vmm->result);
	return NULL;
}

static void move(struct vmm *vmm)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, receive, vmm), 0);
	vmm->send_err = vas_migrate_send(vmm->vas, &vmm->options, &vmm->report);
	snprintf(vmm->error, sizeof(vmm->error), "%s", vas_error());
	pthread_join(thread, NULL);
	test_note("sender: %d %s; receiver: %d", vmm->send_err, vmm->error, vmm->recv_err);
}

static void clean(struct vmm *vmm)
{
	for (uint32_t i = 0; i < vmm->nr_channels; i++) {
		close(vmm->out[i]);
		close(vmm->in[i]);
	}
	free(vmm->result.state);
	munmap(vmm->hva, SIZE);
	vas_destroy(vmm->vas);
}

static void check_arrived(struct vmm *vmm)
{
	CHECK_OK(vmm->send_err);
	CHECK_OK(vmm->recv_err);
	CHECK_EQ(vmm->nr_ends, 2);
	CHECK_EQ(vmm->nr_pauses, 1);
	CHECK_EQ(vmm->nr_resumes, 0);
	CHECK(vmm->report.frozen);
	check_same(vmm->vas, vmm->arrived);
	vas_destroy(vmm->arrived);
}

/* It goes on here as before. */
static void check_failed(struct vmm *vmm, int err, int nr_pauses)
{
	CHECK_EQ(vmm->send_err, err);
	CHECK(vmm->recv_err);
	CHECK_EQ(vmm->nr_pauses, nr_pauses);
	CHECK_EQ(vmm->nr_resumes, nr_pauses);
	CHECK_OK(vas_write(vmm->vas, 0, "x", 1, NULL));
}

static void moves(uint32_t nr_channels, uint32_t flags, int is_silent)
{
	struct vmm vmm;

	init(&vmm, nr_channels, flags);
	vmm.is_silent = is_silent;
	move(&vmm);
	check_arrived(&vmm);
	/* All of it, and then what was told again. */
	if (!is_silent) {
		CHECK(vmm.report.round > 5);
		CHECK(vmm.report.pages_sent > SIZE / VAS_PAGE_SIZE + 43 * 50);
	}
	clean(&vmm);
}

TEST(what_is_told_and_what_is_marked_arrives)
{
	moves(1, 0, 0);
}

TEST(three_channels_take_what_is_told)
{
	moves(3, 0, 0);
}

TEST(two_channels_with_zstd_take_what_is_told)
{
	moves(2, VAS_MIGRATE_ZSTD, 0);
}

TEST(what_is_not_told_is_found_by_a_comparison)
{
	moves(1, VAS_MIGRATE_COMPARE_TOLD, 1);
}

TEST(three_channels_with_lz4_compare)
{
	moves(3, VAS_MIGRATE_COMPARE_TOLD | VAS_MIGRATE_LZ4, 1);
}

TEST(what_is_the_same_is_not_sent_by_a_comparison)
{
	struct vmm vmm;

	init(&vmm, 2, VAS_MIGRATE_COMPARE_TOLD);
	vmm.nr_more = vmm.nr_rest = 0;
	move(&vmm);
	check_arrived(&vmm);
	CHECK_EQ(vmm.report.pages_sent, SIZE / VAS_PAGE_SIZE);
	clean(&vmm);
}

/* ---- a VMM that knows when it begins to miss writes --------------------------------------- */

#define EVERY_2ND 0x5555555555555555ull
#define EVERY_4TH 0x1111111111111111ull

/*
 * All is told, then pages again, and the guest stands. What was written to the first word in
 * silence is told of in part.
 */
static ssize_t tell_surely(void *arg, struct vas_dirty_word *words, size_t nr)
{
	struct vmm *vmm = arg;
	const size_t n = tell_first(vmm, words);

	(void)nr;
	if (n)
		return (ssize_t)n;
	switch (vmm->nr_calls++) {
	case 0:
		words[0] = (struct vas_dirty_word){ 0, EVERY_2ND };
		return 1;
	case 2:
		memset(vmm->hva, 2, WORD);
		memset(vmm->hva + SIZE - VAS_PAGE_SIZE, 2, VAS_PAGE_SIZE);
		words[0] = (struct vas_dirty_word){ 0, EVERY_4TH };
		return 1;
	default:
		return 0;
	}
}

/*
 * It asks when a half is told, and has the answer before all is; and then once more, when something
 * is told again, and has none.
 */
static int is_sure(void *arg)
{
	struct vmm *vmm = arg;

	if (vmm->nr_calls)
		return VAS_MIGRATE_ASKS;
	if (vmm->first == WORDS / 2)
		return VAS_MIGRATE_ASKS;
	return vmm->first == WORDS ? VAS_MIGRATE_SURE : 0;
}

static int read_first(struct vas *vas, uint64_t page)
{
	char first;

	CHECK_OK(vas_read(vas, page * VAS_PAGE_SIZE, &first, 1, NULL));
	return first;
}

TEST(what_it_was_sure_of_is_not_compared)
{
	static const struct vas_migrate_ops sure_ops = { .told = tell_surely, .is_sure = is_sure };
	struct vmm vmm;

	init(&vmm, 2, VAS_MIGRATE_COMPARE_TOLD);
	memset(vmm.hva, 1, WORD);
	vmm.options.ops = &sure_ops;
	move(&vmm);
	CHECK_OK(vmm.send_err);
	CHECK_OK(vmm.recv_err);
	CHECK_EQ(vmm.nr_calls, 4);
	for (unsigned int page = 0; page < 64; page++)
		CHECK_EQ(read_first(vmm.arrived, page), EVERY_2ND >> page & 1 ? 2 : 1);
	/* The last page was told after it had asked. */
	CHECK_EQ(read_first(vmm.arrived, SIZE / VAS_PAGE_SIZE - 1), 2);
	/* Once, again, while it stood, and those that a comparison found. */
	CHECK_EQ(vmm.report.pages_sent, SIZE / VAS_PAGE_SIZE + 32 + 16 + 17);
	vas_destroy(vmm.arrived);
	clean(&vmm);
}

/* Of a page that is told, and again in the same round, when it is zeros. */
static ssize_t tell_twice(struct vmm *vmm, struct vas_dirty_word *words)
{
	const uint64_t gpa = vmm->first * WORD;

	if (vmm->first == WORDS) {
		vmm->at_half = NULL;
		return tell(vmm, words, 1);
	}
	words[0] = (struct vas_dirty_word){ gpa, ~0ull };
	if (vmm->hva[gpa] != 1) {
		memset(vmm->hva + gpa, 1, VAS_PAGE_SIZE);
		return 1;
	}
	usleep(1000); /* so that it was sent, as a rule */
	words[0].bits = 1;
	memset(vmm->hva + gpa, 0, VAS_PAGE_SIZE);
	vmm->first++;
	return 1;
}

TEST(what_becomes_zeros_in_the_first_round_arrives)
{
	struct vmm vmm;

	init(&vmm, 1, 0);
	vmm.nr_more = vmm.nr_rest = 0;
	vmm.at_half = tell_twice;
	move(&vmm);
	check_arrived(&vmm);
	CHECK(vmm.report.pages_sent > SIZE / VAS_PAGE_SIZE);
	clean(&vmm);
}

/* ---- a VMM that tells nonsense ------------------------------------------------------------ */

static ssize_t tell_beyond(struct vmm *vmm, struct vas_dirty_word *words)
{
	words[0] = (struct vas_dirty_word){ SIZE, ~0ull };
	words[1] = (struct vas_dirty_word){ 1ull << 63, ~0ull };
	words[2] = (struct vas_dirty_word){ -(uint64_t)WORD, ~0ull };
	words[3] = (struct vas_dirty_word){ 0, 0 };
	vmm->at_half = NULL;
	return 4;
}

static void goes_on_beyond(uint32_t flags)
{
	struct vmm vmm;

	init(&vmm, 1, flags);
	vmm.at_half = tell_beyond;
	move(&vmm);
	check_arrived(&vmm);
	clean(&vmm);
}

TEST(pages_beyond_the_layout_are_left_out)
{
	goes_on_beyond(0);
	goes_on_beyond(VAS_MIGRATE_COMPARE_TOLD);
}

static ssize_t tell_between(struct vmm *vmm, struct vas_dirty_word *words)
{
	(void)vmm;
	words[0] = (struct vas_dirty_word){ VAS_PAGE_SIZE, 1 };
	return 1;
}

static ssize_t tell_too_many(struct vmm *vmm, struct vas_dirty_word *words)
{
	(void)vmm;
	(void)words;
	return 1 << 20;
}

static ssize_t fail(struct vmm *vmm, struct vas_dirty_word *words)
{
	(void)vmm;
	(void)words;
	return vas_error_set(-ENOTCONN, "the guest is gone");
}

/* From the half on, for ever. */
static ssize_t tell_for_ever(struct vmm *vmm, struct vas_dirty_word *words)
{
	(void)vmm;
	words[0] = (struct vas_dirty_word){ 0, 0xff };
	return 1;
}

static ssize_t tell_nothing_for_ever(struct vmm *vmm, struct vas_dirty_word *words)
{
	(void)vmm;
	words[0] = (struct vas_dirty_word){ 0, 0 };
	return 1;
}

/* For ever too, but only when it stands. */
static ssize_t tell_when_it_stands(struct vmm *vmm, struct vas_dirty_word *words)
{
	if (vmm->nr_pauses)
		return tell_for_ever(vmm, words);
	vmm->nr_ends = 1;
	return 0;
}

TEST(nonsense_ends_it_and_the_guest_goes_on)
{
	static const struct {
		ssize_t (*tell)(struct vmm *vmm, struct vas_dirty_word *words);
		int err, nr_pauses;
		const char *word;
	} cases[] = {
		{ tell_between, -EINVAL, 0, "no word begins at gpa 0x1000" },
		{ tell_too_many, -EINVAL, 0, "more than it has room for" },
		{ fail, -ENOTCONN, 0, "the guest is gone" },
		{ tell_for_ever, -EOVERFLOW, 0, "no end of pages" },
		{ tell_nothing_for_ever, -EOVERFLOW, 0, "no end of pages" },
		{ tell_when_it_stands, -EOVERFLOW, 1, "no end of pages" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vmm vmm;

		init(&vmm, 2, 0);
		vmm.options.max_rounds = 2;
		vmm.at_half = cases[i].tell;
		move(&vmm);
		check_failed(&vmm, cases[i].err, cases[i].nr_pauses);
		CHECK(strstr(vmm.error, cases[i].word));
		clean(&vmm);
	}
}

/* ---- a destination that goes away --------------------------------------------------------- */

static ssize_t cut_and_tell_for_ever(struct vmm *vmm, struct vas_dirty_word *words)
{
	shutdown(vmm->in[0], SHUT_RDWR);
	return tell_for_ever(vmm, words);
}

TEST(a_destination_that_is_gone_is_noticed)
{
	struct vmm vmm;

	init(&vmm, 3, 0);
	vmm.options.max_rounds = UINT32_MAX;
	vmm.at_half = cut_and_tell_for_ever;
	move(&vmm);
	check_failed(&vmm, -ECONNRESET, 0);
	clean(&vmm);
}

static int cancel(void *arg, const struct vas_migrate_progress *progress)
{
	(void)arg;
	return progress->round > 3;
}

TEST(it_is_canceled_while_it_is_told)
{
	static struct vas_migrate_ops canceled;
	struct vmm vmm;

	canceled = ops;
	canceled.progress = cancel;
	init(&vmm, 2, 0);
	vmm.options.ops = &canceled;
	move(&vmm);
	check_failed(&vmm, -ECANCELED, 0);
	clean(&vmm);
}

TEST(options_that_do_not_fit_are_refused)
{
	struct vmm vmm;

	init(&vmm, 1, VAS_MIGRATE_STOP_FIRST);
	CHECK_EQ(vas_migrate_send(vmm.vas, &vmm.options, NULL), -EINVAL);
	vmm.options.flags = VAS_MIGRATE_COMPARE_TOLD;
	vmm.options.ops = NULL;
	CHECK_EQ(vas_migrate_send(vmm.vas, &vmm.options, NULL), -EINVAL);
	CHECK_EQ(vmm.nr_calls, 0);
	clean(&vmm);
}
