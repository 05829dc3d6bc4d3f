// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The ring of values: in order, bounded, and indices that a peer wrote are not believed. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include <vas/event.h>

#include "tests/harness.h"

#define NR 8u

static struct vas_value_ring *ring_new(void)
{
	struct vas_value_ring *ring = calloc(1, VAS_VALUE_RING_SIZE(NR));

	CHECK(ring);
	return ring;
}

TEST(full_ring_takes_no_more_and_empty_one_gives_none)
{
	struct vas_value_ring *ring = ring_new();
	uint64_t value, i;

	CHECK_EQ(vas_value_ring_take(ring, NR, &value), -EAGAIN);
	for (i = 0; i < NR; i++)
		CHECK_OK(vas_value_ring_post(ring, NR, i));
	CHECK_EQ(vas_value_ring_post(ring, NR, i), -EAGAIN);
	for (i = 0; i < NR; i++) {
		CHECK_OK(vas_value_ring_take(ring, NR, &value));
		CHECK_EQ(value, i);
	}
	CHECK_EQ(vas_value_ring_take(ring, NR, &value), -EAGAIN);
	free(ring);
}

TEST(indices_wrap)
{
	struct vas_value_ring *ring = ring_new();
	uint64_t value, i;

	ring->head = ring->tail = UINT32_MAX - 2;
	for (i = 0; i < 20; i++) {
		CHECK_OK(vas_value_ring_post(ring, NR, i));
		CHECK_OK(vas_value_ring_post(ring, NR, ~i));
		CHECK_OK(vas_value_ring_take(ring, NR, &value));
		CHECK_EQ(value, i);
		CHECK_OK(vas_value_ring_take(ring, NR, &value));
		CHECK_EQ(value, ~i);
	}
	free(ring);
}

TEST(indices_that_cannot_be_are_refused)
{
	struct vas_value_ring *ring = ring_new();
	uint64_t value;

	ring->tail = 1;
	CHECK_EQ(vas_value_ring_post(ring, NR, 0), -EPROTO);
	CHECK_EQ(vas_value_ring_take(ring, NR, &value), -EPROTO);
	ring->tail = 0;
	ring->head = NR + 1;
	CHECK_EQ(vas_value_ring_post(ring, NR, 0), -EPROTO);
	CHECK_EQ(vas_value_ring_take(ring, NR, &value), -EPROTO);
	CHECK_EQ(vas_value_ring_post(ring, 0, 0), -EINVAL);
	CHECK_EQ(vas_value_ring_take(ring, 3, &value), -EINVAL);
	free(ring);
}

static void *producer(void *arg)
{
	uint64_t i;

	for (i = 0; i < 1000000; i++)
		while (vas_value_ring_post(arg, NR, i))
			sched_yield();
	return NULL;
}

TEST(a_million_values_between_two_threads_keep_their_order)
{
	struct vas_value_ring *ring = ring_new();
	uint64_t value, i;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, producer, ring), 0);
	for (i = 0; i < 1000000; i++) {
		while (vas_value_ring_take(ring, NR, &value))
			sched_yield();
		CHECK_EQ(value, i);
	}
	pthread_join(thread, NULL);
	free(ring);
}
