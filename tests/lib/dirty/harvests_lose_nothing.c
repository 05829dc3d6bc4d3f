// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Writers at work, in threads and in another process, by copies and by single fields; copies of
 * memory are kept by harvests, in pieces, aborted at random, beside each other. At the end all are
 * the same as memory.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/access.h>

#include "tests/harness.h"
#include "tests/lib/dirty/shadow.h"

#define SIZE	   (32ull << 20)
#define NR_ROUNDS  60
#define NR_SHADOWS 2

struct writer {
	struct vas *vas;
	struct test_random random;
	int stop;
};

/* Mostly in few places, so that writers meet each other and the harvester. */
static uint64_t anywhere(struct test_random *random)
{
	uint64_t range = test_random_below(random, 4) ? 1 << 20 : SIZE - 64;

	return test_random_below(random, range) & ~7ull;
}

static int write_something(struct vas *vas, struct test_random *random)
{
	uint64_t gpa = anywhere(random), bytes[8];
	unsigned int i;

	for (i = 0; i < 8; i++)
		bytes[i] = test_random_next(random);
	switch (test_random_below(random, 3)) {
	case 0:
		return vas_write(vas, gpa, bytes, sizeof(bytes), NULL);
	case 1:
		return vas_store_le64(vas, gpa, bytes[0], __ATOMIC_RELEASE);
	default:
		return vas_write(vas, gpa, bytes, 8, NULL);
	}
}

static void *write_until_stopped(void *arg)
{
	struct writer *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED))
		CHECK_OK(write_something(w->vas, &w->random));
	return NULL;
}

/* Writes until it is killed, through copies and a map. */
ROLE(remote)
{
	struct test_random random = { test_seed() ^ 3 };
	struct vas_mapping *mapping;
	struct vas *vas;
	uint64_t *p, i;

	CHECK_OK(vas_recv_fds(sock, 0, &vas));
	CHECK_OK(vas_mapping_create(vas, 8 << 20, 1 << 20, VAS_MAPPING_WRITE, &mapping));
	p = vas_mapping_addr(mapping);
	CHECK_EQ(write(sock, "r", 1), 1);
	for (i = 0;; i++) {
		p[test_random_below(&random, (1 << 20) / 8)] = i;
		CHECK_OK(write_something(vas, &random));
	}
	return 0;
}

static void some_epochs(struct shadow *s, struct test_random *random)
{
	int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		struct shadow *one = &s[test_random_below(random, NR_SHADOWS)];

		if (test_random_below(random, 3)) {
			shadow_round(one, 1 + test_random_below(random, 500));
			continue;
		}
		CHECK_OK(vas_tracker_begin(one->dirty));
		shadow_segment(one, &(uint64_t){ anywhere(random) }, SIZE,
			       1 + test_random_below(random, 99));
		CHECK_OK(vas_tracker_abort(one->dirty));
	}
}

TEST(copies_by_harvest_are_the_same_as_memory)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE);
	struct writer writers[2] = { { vas, { test_seed() ^ 1 }, 0 },
				     { vas, { test_seed() ^ 2 }, 0 } };
	struct shadow shadows[NR_SHADOWS];
	pthread_t threads[2];
	int i, sock;
	pid_t pid;

	pid = test_spawn("remote", &sock);
	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(read(sock, &(char){ 0 }, 1), 1);
	for (i = 0; i < NR_SHADOWS; i++)
		shadow_init(&shadows[i], vas, SIZE);
	for (i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, write_until_stopped, &writers[i]), 0);
	some_epochs(shadows, &random);
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&writers[i].stop, 1, __ATOMIC_RELAXED);
		pthread_join(threads[i], NULL);
	}
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	for (i = 0; i < NR_SHADOWS; i++) {
		shadow_round(&shadows[i], 500);
		shadow_check(&shadows[i]);
		CHECK(shadows[i].nr_pages > SIZE / VAS_PAGE_SIZE / 2);
		shadow_clean(&shadows[i]);
	}
	vas_destroy(vas);
}
