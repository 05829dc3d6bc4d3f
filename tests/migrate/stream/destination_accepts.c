// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Before the source is told that all has arrived, the destination's VMM may refuse it. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/migrate.h>

#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE (1ull << 20)

struct move {
	int fds[2];
	int verdict; /* of accept() */
	int slow;    /* accept() takes until the source has given up */
	int sent;
	int accepted;
	int withdrawn;
	int recv_err;
	struct vas *arrived;
};

static int save(void *arg, void **state, size_t *size)
{
	(void)arg;
	*state = strdup("state");
	*size = 6;
	return 0;
}

static int source_has_ended(void *arg)
{
	struct move *m = arg;

	return __atomic_load_n(&m->sent, __ATOMIC_ACQUIRE);
}

static int accept_arrived(void *arg, struct vas *vas, const void *state, size_t size)
{
	struct move *m = arg;
	char bytes[4];

	/* Whole, and the caller's, but the source is not told yet. */
	CHECK_EQ(size, 6);
	CHECK_STR(state, "state");
	CHECK_OK(vas_read(vas, SIZE - 4, bytes, 4, NULL));
	CHECK_MEM(bytes, "last", 4);
	m->accepted++;
	if (m->slow)
		test_wait(source_has_ended, m, TEST_HANG_MS);
	return m->verdict;
}

static void withdraw_arrived(void *arg)
{
	struct move *m = arg;

	m->withdrawn++;
}

static void *receive(void *arg)
{
	static const struct vas_migrate_target_ops ops = { .accept = accept_arrived,
							   .withdraw = withdraw_arrived };
	struct move *m = arg;
	struct vas_migrate_target target = {
		.fds = &m->fds[1], .nr_fds = 1, .ops = &ops, .arg = m
	};
	struct vas_migrate_result result;

	m->recv_err = vas_migrate_recv(&target, &m->arrived, &result);
	if (!m->recv_err)
		free(result.state);
	return NULL;
}

static int move(struct move *m, struct vas *vas)
{
	static const struct vas_migrate_ops ops = { .save = save };
	struct vas_migrate_options options = { .fds = &m->fds[0], .nr_fds = 1, .ops = &ops };
	pthread_t thread;
	int err;

	if (m->slow)
		options.stall_ns = 5000000000;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, m->fds));
	CHECK_OK(vas_write(vas, SIZE - 4, "last", 4, NULL));
	CHECK_EQ(pthread_create(&thread, NULL, receive, m), 0);
	err = vas_migrate_send(vas, &options, NULL);
	__atomic_store_n(&m->sent, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	close(m->fds[0]);
	close(m->fds[1]);
	return err;
}

TEST(accepted_is_moved)
{
	struct vas *vas = shadow_vas(SIZE);
	struct move m = { 0 };

	CHECK_OK(move(&m, vas));
	CHECK_OK(m.recv_err);
	CHECK_EQ(m.accepted, 1);
	CHECK_EQ(m.withdrawn, 0);
	CHECK_OK(vas_write(m.arrived, 0, "runs", 4, NULL));
	CHECK_EQ(vas_write(vas, 0, "runs", 4, NULL), -EAGAIN);
	vas_destroy(m.arrived);
	vas_destroy(vas);
}

TEST(refused_runs_on_at_the_source)
{
	struct vas *vas = shadow_vas(SIZE);
	struct move m = { .verdict = -ENODEV };

	CHECK_EQ(move(&m, vas), -ECONNRESET);
	CHECK_EQ(m.recv_err, -ENODEV);
	CHECK(!m.arrived);
	CHECK_EQ(m.accepted, 1);
	CHECK_EQ(m.withdrawn, 0);
	CHECK_OK(vas_write(vas, 0, "runs", 4, NULL));
	vas_destroy(vas);
}

TEST(accepted_too_late_is_withdrawn)
{
	struct vas *vas = shadow_vas(SIZE);
	struct move m = { .slow = 1 };

	CHECK_EQ(move(&m, vas), -ETIMEDOUT);
	CHECK_EQ(m.recv_err, -ECONNRESET);
	CHECK_EQ(m.accepted, 1);
	CHECK_EQ(m.withdrawn, 1);
	CHECK_OK(vas_write(vas, 0, "runs", 4, NULL));
	vas_destroy(vas);
}
