// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A vas that is written to moves to another, over one or several channels, packed or not. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE (16ull << 20)

struct move {
	struct vas *vas;
	struct vas_migrate_options options;
	struct vas_migrate_target target;
	struct vas_migrate_progress report;
	int out[8], in[8];
	struct vas *arrived;
	struct vas_migrate_result result;
	int send_err, recv_err;
	char recv_error[256];
};

static void move_init(struct move *m, struct vas *vas, uint32_t nr, uint32_t flags)
{
	uint32_t i;
	int pair[2];

	memset(m, 0, sizeof(*m));
	m->vas = vas;
	for (i = 0; i < nr; i++) {
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		m->out[i] = pair[0];
		m->in[i] = pair[1];
	}
	m->options = (struct vas_migrate_options){ .fds = m->out, .nr_fds = nr, .flags = flags };
	m->target = (struct vas_migrate_target){ .fds = m->in, .nr_fds = nr };
}

static void *receive(void *arg)
{
	struct move *m = arg;

	m->recv_err = vas_migrate_recv(&m->target, &m->arrived, &m->result);
	if (m->recv_err)
		strcpy(m->recv_error, vas_error());
	return NULL;
}

static void move(struct move *m)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, receive, m), 0);
	m->send_err = vas_migrate_send(m->vas, &m->options, &m->report);
	pthread_join(thread, NULL);
	if (m->send_err || m->recv_err)
		test_note("sender: %s; receiver: %s", vas_error(), m->recv_error);
}

static void check_same(struct vas *a, struct vas *b, uint64_t size)
{
	static char pages[2][VAS_PAGE_SIZE];
	uint64_t gpa;

	for (gpa = 0; gpa < size; gpa += VAS_PAGE_SIZE) {
		CHECK_OK(vas_read(a, gpa, pages[0], VAS_PAGE_SIZE, NULL));
		CHECK_OK(vas_read(b, gpa, pages[1], VAS_PAGE_SIZE, NULL));
		CHECK_MEM(pages[1], pages[0], VAS_PAGE_SIZE);
	}
}

static void fill_some(struct vas *vas, struct test_random *random)
{
	uint64_t page, word;

	for (page = 0; page < SIZE / VAS_PAGE_SIZE; page++) {
		if (test_random_below(random, 3) == 0)
			continue;
		for (word = 0; word < 64; word++)
			CHECK_OK(vas_store_le64(vas, page * VAS_PAGE_SIZE + word * 8,
						test_random_next(random) >> 40, __ATOMIC_RELAXED));
	}
}

struct writer {
	struct vas *vas;
	struct test_random random;
	int stop;
	uint64_t nr;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		uint64_t val = test_random_below(&w->random, 8) ? test_random_next(&w->random) : 0;
		uint64_t gpa = test_random_below(&w->random, SIZE / 8) * 8;
		int err = vas_write(w->vas, gpa, &val, sizeof(val), NULL);

		if (err == -EAGAIN)
			return NULL; /* frozen: moved */
		CHECK_OK(err);
		w->nr++;
	}
	return NULL;
}

/* However busy the machine is, something is written in each round. */
static int write_each_round(void *vas, const struct vas_migrate_progress *progress)
{
	if (!progress->frozen)
		CHECK_OK(vas_write(vas, 0x3000, &progress->round, 4, NULL));
	return 0;
}

static void moves_while_written(uint32_t nr_channels, uint32_t flags, uint32_t create_flags)
{
	static const struct vas_migrate_ops ops = { .progress = write_each_round };
	struct vas *vas = shadow_vas_made(SIZE, create_flags);
	struct writer writer = { vas, { test_seed() }, 0, 0 };
	struct vas_info info;
	pthread_t thread;
	struct move m;

	fill_some(vas, &writer.random);
	move_init(&m, vas, nr_channels, flags);
	m.target.create_flags = create_flags;
	m.options.downtime_ns = 1;
	m.options.max_rounds = 4;
	m.options.ops = &ops;
	m.options.arg = vas;
	CHECK_EQ(pthread_create(&thread, NULL, write_on, &writer), 0);
	move(&m);
	__atomic_store_n(&writer.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_OK(m.send_err);
	CHECK_OK(m.recv_err);
	CHECK_EQ(m.report.round, 5);
	CHECK(m.report.frozen);
	CHECK(!m.result.source_gone);
	CHECK_OK(vas_info(m.arrived, &info));
	CHECK_EQ(info.role, VAS_ROLE_OWNER);
	CHECK_EQ(info.state_flags & VAS_STATE_FROZEN, 0);
	CHECK_STR(info.name, "shadow");
	CHECK_EQ(vas_write(vas, 0, "x", 1, NULL), -EAGAIN);
	check_same(vas, m.arrived, SIZE);
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

TEST(one_channel_moves_all_that_is_written)
{
	moves_while_written(1, 0, 0);
}

TEST(three_channels_move_all_that_is_written)
{
	moves_while_written(3, 0, 0);
}

TEST(eight_channels_with_lz4_move_all_that_is_written)
{
	moves_while_written(8, VAS_MIGRATE_LZ4, 0);
}

TEST(two_channels_with_zstd_move_all_that_is_written)
{
	moves_while_written(2, VAS_MIGRATE_ZSTD, 0);
}

TEST(two_channels_move_ram_that_is_apart)
{
	moves_while_written(2, 0, VAS_CREATE_RAM_APART);
}

static uint64_t resident(struct vas *vas)
{
	struct stat st;

	CHECK_OK(fstat(vas_backing_fd(vas, 0), &st));
	return (uint64_t)st.st_blocks * 512;
}

/* After each round the first quarter becomes zero: in the first it was not. */
static int clear_quarter(void *vas, const struct vas_migrate_progress *progress)
{
	if (!progress->frozen)
		CHECK_OK(vas_fill(vas, 0, 0, SIZE / 4, NULL));
	return 0;
}

static void clears_after_a_round(uint32_t target_flags, uint64_t want)
{
	static const struct vas_migrate_ops ops = { .progress = clear_quarter };
	struct vas *vas = shadow_vas(SIZE);
	struct move m;

	CHECK_OK(vas_fill(vas, 0, 7, SIZE / 2, NULL));
	move_init(&m, vas, 2, 0);
	m.target.flags = target_flags;
	/* A file with nothing but RAM. */
	m.target.create_flags = VAS_CREATE_RAM_APART;
	m.options.downtime_ns = 1;
	m.options.max_rounds = 4;
	m.options.ops = &ops;
	m.options.arg = vas;
	move(&m);
	CHECK_OK(m.send_err);
	CHECK_OK(m.recv_err);
	CHECK(m.result.pages > SIZE / 2 / VAS_PAGE_SIZE);
	CHECK_EQ(resident(m.arrived), want);
	check_same(vas, m.arrived, SIZE);
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

TEST(pages_that_become_zero_take_no_memory_where_they_arrive)
{
	clears_after_a_round(0, SIZE / 4);
}

TEST(memory_that_was_made_before_stays_when_pages_become_zero)
{
	clears_after_a_round(VAS_MIGRATE_POPULATE, SIZE);
}

TEST(what_was_never_touched_is_not_sent)
{
	struct vas *vas = shadow_vas(4ull << 40);
	struct move m;

	CHECK_OK(vas_write(vas, 3ull << 40, "here", 4, NULL));
	move_init(&m, vas, 1, 0);
	move(&m);
	CHECK_OK(m.send_err);
	CHECK_OK(m.recv_err);
	CHECK_EQ(m.result.pages, 1);
	CHECK(m.report.bytes_sent < 10000);
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

/* ---- layouts ------------------------------------------------------------------------------ */

static void add(struct vas *vas, uint64_t gpa, uint64_t size, uint64_t offset, uint32_t backing,
		uint32_t flags)
{
	struct vas_region region = {
		.gpa = gpa, .size = size, .offset = offset, .backing = backing, .flags = flags
	};

	snprintf(region.name, sizeof(region.name), "r%llx", (unsigned long long)gpa);
	CHECK_OK(vas_region_add(vas, &region, NULL));
}

TEST(the_layout_arrives_as_it_is)
{
	struct vas_options options = { .limit = 1ull << 40, .ram_size = 8 << 20 };
	struct vas_region before[8], after[8];
	struct vas *vas;
	struct move m;
	char byte;
	int fd = memfd_create("more", MFD_ALLOW_SEALING), i;

	CHECK_OK(ftruncate(fd, 1 << 20));
	CHECK_OK(vas_create(&options, &vas));
	CHECK_EQ(vas_backing_add(vas, fd), 1);
	add(vas, 0, 0x7000, 0x1000, 0, 0);
	add(vas, 0x7000, 0x3000, 0x10000, 0, 0);
	add(vas, 0x200000, 0x8000, 0x3000, 1, 0);
	CHECK_OK(vas_write(vas, 0x6ffe, "span", 4, NULL));
	CHECK_OK(vas_write(vas, 0x200005, "b", 1, NULL));
	add(vas, 1ull << 39, 0x5000, 0x40000, 0, VAS_REGION_READONLY);
	CHECK_EQ(pwrite(vas_fd(vas), "rom", 3, 0x41000), 3);
	move_init(&m, vas, 2, 0);
	move(&m);
	CHECK_OK(m.send_err);
	CHECK_OK(m.recv_err);
	CHECK_EQ(vas_regions(vas, before, 8), 4);
	CHECK_EQ(vas_regions(m.arrived, after, 8), 4);
	for (i = 0; i < 4; i++) {
		before[i].id = after[i].id;
		CHECK_MEM(&after[i], &before[i], sizeof(before[i]));
	}
	check_same(vas, m.arrived, 0xa000);
	CHECK_OK(vas_read(m.arrived, 0x200005, &byte, 1, NULL));
	CHECK_EQ(byte, 'b');
	CHECK_OK(vas_read(m.arrived, (1ull << 39) + 0x1000, &byte, 1, NULL));
	CHECK_EQ(byte, 'r');
	CHECK_EQ(vas_write(m.arrived, 1ull << 39, "x", 1, NULL), -EACCES);
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

static void check_refused(uint32_t flags)
{
	static char page[VAS_PAGE_SIZE] __attribute__((aligned(4096)));
	struct vas_region region = {
		.gpa = SIZE, .size = sizeof(page), .hva = page, .flags = flags
	};
	struct vas *vas = shadow_vas(SIZE);
	struct move m;

	CHECK_OK(vas_region_add(vas, &region, NULL));
	move_init(&m, vas, 1, 0);
	move(&m);
	CHECK_EQ(m.send_err, -EOPNOTSUPP);
	CHECK_EQ(m.recv_err, -ECONNRESET);
	vas_destroy(vas);
}

TEST(local_memory_is_refused)
{
	check_refused(VAS_REGION_LOCAL);
}

TEST(a_devices_memory_is_refused)
{
	check_refused(VAS_REGION_LOCAL | VAS_REGION_DEVICE);
}

static int step_nothing(struct vas_consumer *consumer, const struct vas_delta *delta,
			uint64_t deadline_ns)
{
	(void)consumer, (void)delta, (void)deadline_ns;
	return 0;
}

static int follow_nothing(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)consumer, (void)delta;
	return 0;
}

TEST(who_cannot_be_stopped_is_named_before_anything_is_sent)
{
	static const struct vas_consumer_ops ops = { .name = "0000:00:04.0",
						     .prepare = step_nothing,
						     .commit = follow_nothing };
	struct vas_consumer device = { .ops = &ops, .flags = VAS_CONSUMER_UNSTOPPABLE };
	struct vas *vas = shadow_vas(SIZE);
	struct move m;

	CHECK_OK(vas_consumer_attach(vas, &device, TEST_HANG_NS, NULL));
	move_init(&m, vas, 1, 0);
	CHECK_EQ(vas_migrate_send(vas, &m.options, &m.report), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "0000:00:04.0 writes guest memory, and cannot be stopped");
	CHECK_EQ(m.report.bytes_sent, 0);
	vas_consumer_detach(&device);
	move_init(&m, vas, 1, 0);
	move(&m);
	CHECK_OK(m.send_err);
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

/* ---- ends --------------------------------------------------------------------------------- */

struct vmm {
	int pauses, resumes, saves, cancel_at;
	struct vas *vas; /* to write to in each round, so that there is another; or NULL */
};

static int vmm_pause(void *arg)
{
	((struct vmm *)arg)->pauses++;
	return 0;
}

static void vmm_resume(void *arg)
{
	((struct vmm *)arg)->resumes++;
}

static int vmm_save(void *arg, void **state, size_t *size)
{
	((struct vmm *)arg)->saves++;
	*state = strdup("registers");
	*size = sizeof("registers");
	return 0;
}

static int vmm_progress(void *arg, const struct vas_migrate_progress *progress)
{
	struct vmm *vmm = arg;

	if (vmm->vas && !progress->frozen)
		CHECK_OK(vas_write(vmm->vas, 0, "x", 1, NULL));
	return vmm->cancel_at >= 0 && (int)progress->round >= vmm->cancel_at;
}

static const struct vas_migrate_ops vmm_ops = {
	.pause = vmm_pause, .resume = vmm_resume, .save = vmm_save, .progress = vmm_progress
};

TEST(state_arrives_with_memory)
{
	struct vmm vmm = { .cancel_at = -1 };
	struct vas *vas = shadow_vas(SIZE);
	struct move m;

	move_init(&m, vas, 2, 0);
	m.options.ops = &vmm_ops;
	m.options.arg = &vmm;
	move(&m);
	CHECK_OK(m.send_err);
	CHECK_OK(m.recv_err);
	CHECK_EQ(m.result.state_size, sizeof("registers"));
	CHECK_STR(m.result.state, "registers");
	CHECK_EQ(vmm.pauses, 1);
	CHECK_EQ(vmm.resumes, 0);
	free(m.result.state);
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

TEST(a_canceled_migration_leaves_the_source_running)
{
	struct vas *vas = shadow_vas(SIZE);
	int at;

	for (at = 0; at < 3; at++) {
		struct vmm vmm = { .cancel_at = at, .vas = vas };
		struct writer writer = { vas, { test_seed() }, 0, 0 };
		struct vas_info info;
		pthread_t thread;
		struct move m;

		move_init(&m, vas, 2, 0);
		m.options.ops = &vmm_ops;
		m.options.arg = &vmm;
		m.options.downtime_ns = 1;
		CHECK_EQ(pthread_create(&thread, NULL, write_on, &writer), 0);
		move(&m);
		writer.stop = 1;
		pthread_join(thread, NULL);
		test_note("at %d: %s; %s", at, vas_error(), m.recv_error);
		CHECK_EQ(m.send_err, -ECANCELED);
		CHECK(m.recv_err < 0);
		CHECK_EQ(vmm.pauses, vmm.resumes);
		CHECK_OK(vas_write(vas, 0, "x", 1, NULL));
		CHECK_OK(vas_info(vas, &info));
		CHECK_EQ(info.state_flags, 0);
	}
	vas_destroy(vas);
}

TEST(writers_that_do_not_freeze_stop_the_migration)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vmm vmm = { .cancel_at = -1 };
	struct vas_mapping *mapping;
	struct move m;

	CHECK_OK(vas_mapping_create(vas, 0, 4096, VAS_MAPPING_WRITE, &mapping));
	move_init(&m, vas, 1, 0);
	m.options.ops = &vmm_ops;
	m.options.arg = &vmm;
	m.options.freeze_ns = 20000000;
	move(&m);
	CHECK_EQ(m.send_err, -EBUSY);
	CHECK(m.recv_err < 0);
	CHECK_EQ(vmm.resumes, 1);
	CHECK_OK(vas_write(vas, 0, "x", 1, NULL));
	vas_mapping_destroy(mapping);
	vas_destroy(vas);
}

struct settings {
	int buffer;
	struct timeval send, recv;
};

static void get_settings(int fd, struct settings *s)
{
	socklen_t size = sizeof(s->buffer), time = sizeof(s->send);

	memset(s, 0, sizeof(*s));
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &s->buffer, &size), 0);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &s->send, &time), 0);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &s->recv, &time), 0);
}

TEST(sockets_are_left_as_they_were_found)
{
	const struct timeval patience = { .tv_sec = 700 };
	struct settings before[2], after[2];
	const int small = 20000;
	struct vas *vas = shadow_vas(SIZE);
	struct move m;

	move_init(&m, vas, 1, VAS_MIGRATE_STOP_FIRST);
	CHECK_EQ(setsockopt(m.out[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	CHECK_EQ(setsockopt(m.in[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	get_settings(m.out[0], &before[0]);
	get_settings(m.in[0], &before[1]);
	move(&m);
	CHECK_OK(m.send_err);
	CHECK_OK(m.recv_err);
	get_settings(m.out[0], &after[0]);
	get_settings(m.in[0], &after[1]);
	CHECK_MEM(after, before, sizeof(before));
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

TEST(the_rate_is_kept)
{
	struct vas *vas = shadow_vas(SIZE);
	uint64_t start = test_now_ns();
	struct move m;

	CHECK_OK(vas_fill(vas, 0, 7, 2 << 20, NULL));
	move_init(&m, vas, 2, 0);
	m.options.rate = 10 << 20;
	move(&m);
	CHECK_OK(m.send_err);
	CHECK(test_now_ns() - start > 190000000);
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

TEST(too_much_ram_is_refused)
{
	struct vas *vas = shadow_vas(SIZE);
	struct move m;

	move_init(&m, vas, 1, 0);
	m.target.max_ram = SIZE - 1;
	move(&m);
	CHECK_EQ(m.recv_err, -E2BIG);
	CHECK_EQ(m.send_err, -ECONNRESET);
	CHECK_OK(vas_write(vas, 0, "x", 1, NULL));
	vas_destroy(vas);
}

TEST(a_silent_peer_does_not_hold_the_source)
{
	struct vas *vas = shadow_vas(SIZE);
	struct move m;

	CHECK_OK(vas_fill(vas, 0, 7, SIZE, NULL));
	move_init(&m, vas, 1, 0);
	m.options.stall_ns = 200000000;
	CHECK_EQ(vas_migrate_send(vas, &m.options, NULL), -ETIMEDOUT);
	CHECK_OK(vas_write(vas, 0, "x", 1, NULL));
	vas_destroy(vas);
}
