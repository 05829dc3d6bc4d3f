// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The destination's VMM makes ready while the memory comes; whatever goes wrong then, it hears of it. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

#include "forged.h"
#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE (1ull << 20)

struct move {
	struct vas *vas;
	int fds[2];
	/* what is to happen */
	int begin_err, accept_err;
	int source_cancels, destination_cancels;
	struct vas_migrate_ops ops;
	struct vas_migrate_target_ops target_ops;
	/* what has */
	int begun, accepted, withdrawn;
	struct vas *begun_in;
	struct vas_migrate_progress report;
	struct vas_migrate_result result;
	struct vas *arrived;
	int send_err, recv_err;
};

static int describe(void *arg, void **description, size_t *size)
{
	(void)arg;
	*description = strdup("a guest");
	*size = sizeof("a guest");
	return 0;
}

/* The vas is there, so that it can be mapped; nobody has its layout yet. */
static int begin(void *arg, struct vas *vas, const void *description, size_t size)
{
	struct move *m = arg;

	CHECK_EQ(size, sizeof("a guest"));
	CHECK_STR(description, "a guest");
	CHECK_EQ(vas_regions(vas, NULL, 0), 0);
	CHECK(vas_backing_fd(vas, 0) >= 0);
	CHECK_EQ(m->accepted, 0);
	m->begun++;
	m->begun_in = vas;
	return m->begin_err ? vas_error_set(m->begin_err, "not this one") : 0;
}

static int accept_arrived(void *arg, struct vas *vas, const void *state, size_t size)
{
	struct move *m = arg;
	char bytes[4];

	(void)state;
	(void)size;
	CHECK(!m->begun || m->begun_in == vas);
	CHECK_OK(vas_read(vas, SIZE - 4, bytes, 4, NULL));
	CHECK_MEM(bytes, "last", 4);
	m->accepted++;
	return m->accept_err;
}

static void withdraw(void *arg)
{
	((struct move *)arg)->withdrawn++;
}

static int look_there(void *arg)
{
	return ((struct move *)arg)->destination_cancels;
}

/* The destination, which looks ten times a second, has the time for it. */
static int look_here(void *arg, const struct vas_migrate_progress *progress)
{
	const struct move *m = arg;

	(void)progress;
	return m->source_cancels;
}

static void init(struct move *m)
{
	*m = (struct move){ .vas = shadow_vas(SIZE),
			    .ops = { .progress = look_here, .describe = describe },
			    .target_ops = { .begin = begin,
					    .accept = accept_arrived,
					    .withdraw = withdraw,
					    .progress = look_there } };
	CHECK_OK(vas_write(m->vas, SIZE - 4, "last", 4, NULL));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, m->fds));
}

static void clean(struct move *m)
{
	close(m->fds[0]);
	close(m->fds[1]);
	if (!m->recv_err) {
		free(m->result.state);
		vas_destroy(m->arrived);
	}
	vas_destroy(m->vas);
}

static void *receive(void *arg)
{
	struct move *m = arg;
	const struct vas_migrate_target target = {
		.fds = &m->fds[1], .nr_fds = 1, .ops = &m->target_ops, .arg = m
	};

	m->recv_err = vas_migrate_recv(&target, &m->arrived, &m->result);
	return NULL;
}

/* At this rate the memory takes for ever. */
static void move(struct move *m, uint64_t rate)
{
	const struct vas_migrate_options options = {
		.fds = &m->fds[0], .nr_fds = 1, .ops = &m->ops, .arg = m, .rate = rate
	};
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, receive, m), 0);
	m->send_err = vas_migrate_send(m->vas, &options, &m->report);
	pthread_join(thread, NULL);
	test_note("sender: %d; receiver: %d", m->send_err, m->recv_err);
}

static void check(const struct move *m, int begun, int accepted, int withdrawn)
{
	CHECK_EQ(m->begun, begun);
	CHECK_EQ(m->accepted, accepted);
	CHECK_EQ(m->withdrawn, withdrawn);
	if (m->send_err)
		CHECK_OK(vas_write(m->vas, 0, "runs", 4, NULL));
}

TEST(what_is_described_begins_before_it_is_accepted)
{
	struct move m;

	init(&m);
	move(&m, 0);
	CHECK_OK(m.send_err);
	CHECK_OK(m.recv_err);
	check(&m, 1, 1, 0);
	clean(&m);
}

TEST(nothing_begins_that_was_not_described)
{
	struct move m;

	init(&m);
	m.ops.describe = NULL;
	move(&m, 0);
	CHECK_OK(m.recv_err);
	check(&m, 0, 1, 0);
	clean(&m);

	init(&m);
	m.target_ops.begin = NULL;
	move(&m, 0);
	CHECK_OK(m.recv_err);
	check(&m, 0, 1, 0);
	clean(&m);
}

TEST(nothing_begins_in_further_backings)
{
	struct vas_region region = { .gpa = SIZE, .size = SIZE };
	struct move m;
	int fd = memfd_create("more", MFD_ALLOW_SEALING);

	init(&m);
	CHECK_OK(ftruncate(fd, SIZE));
	region.backing = (uint32_t)vas_backing_add(m.vas, fd);
	CHECK_OK(vas_region_add(m.vas, &region, NULL));
	move(&m, 0);
	CHECK_OK(m.recv_err);
	check(&m, 0, 1, 0);
	close(fd);
	clean(&m);
}

TEST(who_does_not_begin_gets_no_memory)
{
	struct move m;

	init(&m);
	m.begin_err = -ENODEV;
	move(&m, 0);
	CHECK_EQ(m.send_err, -ECONNRESET);
	CHECK_EQ(m.recv_err, -ENODEV);
	CHECK_EQ(m.report.pages_sent, 0);
	check(&m, 1, 0, 0);
	clean(&m);
}

TEST(who_began_and_does_not_accept_hears_that_it_is_over)
{
	struct move m;

	init(&m);
	m.accept_err = -ENODEV;
	move(&m, 0);
	CHECK_EQ(m.send_err, -ECONNRESET);
	CHECK_EQ(m.recv_err, -ENODEV);
	check(&m, 1, 1, 1);
	clean(&m);
}

TEST(a_source_that_gives_up_meanwhile_is_heard_of)
{
	struct move m;

	init(&m);
	CHECK_OK(vas_fill(m.vas, 0, 7, SIZE - 4, NULL));
	m.source_cancels = 1;
	move(&m, 1);
	CHECK_EQ(m.send_err, -ECANCELED);
	CHECK_EQ(m.recv_err, -ECONNRESET);
	check(&m, 1, 0, 1);
	clean(&m);
}

TEST(a_destination_may_give_up_meanwhile)
{
	struct move m;

	init(&m);
	CHECK_OK(vas_fill(m.vas, 0, 7, SIZE - 4, NULL));
	m.destination_cancels = 1;
	move(&m, 1);
	CHECK_EQ(m.send_err, -ECONNRESET);
	CHECK_EQ(m.recv_err, -ECANCELED);
	check(&m, 1, 0, 1);
	clean(&m);
}

static int describe_much(void *arg, void **description, size_t *size)
{
	(void)arg;
	*size = STREAM_MAX_DESCRIPTION + 1;
	*description = calloc(1, *size);
	return 0;
}

TEST(a_description_has_a_bound)
{
	struct move m;

	init(&m);
	m.ops.describe = describe_much;
	move(&m, 0);
	CHECK_EQ(m.send_err, -EFBIG);
	CHECK_EQ(m.recv_err, -ECONNRESET);
	check(&m, 0, 0, 0);
	clean(&m);
}

/* By hand: another chunk where the description should be, or one that claims too much. */
static void check_forged(uint16_t type, uint32_t length)
{
	struct stream_header header = { .type = type, .length = length };
	void *payload = calloc(1, length + 1);
	struct forged f;
	struct move m;

	init(&m);
	forged_init(&f, m.fds[0], (const uint8_t[16]){ 0 }, 0);
	forged_begin_with(&f, SIZE, VAS_PAGE_SIZE, STREAM_ONE_WAY | STREAM_DESCRIBED);
	forged_seal(&f, &header, payload);
	CHECK_EQ(write(f.fd, &header, sizeof(header)), (ssize_t)sizeof(header));
	free(payload);
	receive(&m);
	CHECK_EQ(m.recv_err, -EPROTO);
	check(&m, 0, 0, 0);
	clean(&m);
}

TEST(what_should_be_a_description_is_one)
{
	check_forged(STREAM_ALIVE, 0);
	check_forged(STREAM_STATE, 0);
	check_forged(STREAM_DESCRIPTION, STREAM_MAX_DESCRIPTION + 1);
}
