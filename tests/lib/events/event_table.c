// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/event.h>

#include "tests/lib/simple_vas.h"

static struct vas_event bell(uint32_t id, const char *name)
{
	struct vas_event event = { .kind = VAS_EVENT_DOORBELL, .id = id, .addr = 0x1000 * id };

	snprintf(event.name, sizeof(event.name), "%s", name);
	return event;
}

static void refuse(struct vas *vas, struct vas_event event, int err)
{
	CHECK_EQ(vas_event_add(vas, &event), err);
	CHECK(vas_error()[0]);
}

TEST(events_that_make_no_sense_are_refused)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_event event = bell(1, "one");

	event.id = 0;
	refuse(vas, event, -EINVAL);
	event = bell(1, "one");
	event.kind = 9;
	refuse(vas, event, -EINVAL);
	event = bell(1, "one");
	event.len = 3;
	refuse(vas, event, -EINVAL);
	event.len = 0;
	event.flags = 1u << 30;
	refuse(vas, event, -EINVAL);
	event.flags = VAS_EVENT_MSI;
	refuse(vas, event, -EINVAL);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	refuse(binder, bell(1, "one"), -EPERM);
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(ids_and_names_are_unique)
{
	struct vas *vas = simple_vas();
	struct vas_event event = bell(1, "one"), got;

	CHECK_OK(vas_event_add(vas, &event));
	refuse(vas, bell(1, "two"), -EEXIST);
	refuse(vas, bell(2, "one"), -EEXIST);
	event = bell(2, "two");
	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(vas_event_find_by_name(vas, "two", &got));
	CHECK_EQ(got.id, 2);
	CHECK_EQ(got.addr, 0x2000);
	CHECK_OK(vas_event_find(vas, 1, &got));
	CHECK_STR(got.name, "one");
	CHECK_EQ(vas_event_find(vas, 3, &got), -ENOENT);
	CHECK_OK(vas_event_remove(vas, 1));
	CHECK_EQ(vas_event_remove(vas, 1), -ENOENT);
	CHECK_EQ(vas_event_fd(vas, 1), -ENOENT);
	CHECK_EQ(vas_events(vas, &got, 1), 1);
	CHECK_EQ(got.id, 2);
	vas_destroy(vas);
}

TEST(there_is_room_for_188_events)
{
	struct vas *vas = simple_vas();
	char name[24];

	for (uint32_t id = 1; id <= VAS_MAX_EVENTS; id++) {
		struct vas_event event;

		snprintf(name, sizeof(name), "bell %u", id);
		event = bell(id, name);
		CHECK_OK(vas_event_add(vas, &event));
	}
	refuse(vas, bell(1000, "one too many"), -ENOSPC);
	CHECK_EQ(vas_events(vas, NULL, 0), VAS_MAX_EVENTS);
	vas_destroy(vas);
}

TEST(a_doorbell_counts_its_rings)
{
	struct vas *vas = simple_vas();
	struct vas_event event = bell(1, "bell");
	uint64_t start;

	CHECK_OK(vas_event_add(vas, &event));
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), -ETIMEDOUT);
	start = test_now_ns();
	CHECK_EQ(vas_doorbell_wait(vas, 1, 20000000), -ETIMEDOUT);
	CHECK(test_now_ns() - start >= 20000000);
	for (int i = 0; i < 3; i++)
		CHECK_OK(vas_doorbell_ring(vas, 1));
	CHECK_EQ(vas_doorbell_wait(vas, 1, UINT64_MAX), 3);
	CHECK_EQ(vas_doorbell_wait(vas, 1, 0), -ETIMEDOUT);
	CHECK_EQ(vas_doorbell_wait(vas, 2, 0), -ENOENT);
	vas_destroy(vas);
}

TEST(a_binder_by_fd_alone_has_no_eventfds)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_event event = bell(1, "bell"), got;

	CHECK_OK(vas_event_add(vas, &event));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_event_find_by_name(binder, "bell", &got));
	CHECK_EQ(vas_event_fd(binder, 1), -ENXIO);
	CHECK_EQ(vas_doorbell_wait(binder, 1, 0), -ENXIO);
	CHECK_EQ(vas_event_fd(binder, 2), -ENOENT);
	vas_unbind(binder);
	vas_destroy(vas);
}

static struct vas_value_ring *make_ring(uint32_t nr)
{
	struct vas_value_ring *ring = aligned_alloc(64, VAS_VALUE_RING_SIZE(nr));

	CHECK(ring);
	memset(ring, 0, VAS_VALUE_RING_SIZE(nr));
	return ring;
}

TEST(a_value_ring_is_a_queue_of_its_size)
{
	struct vas_value_ring *ring = make_ring(8);
	uint64_t value;

	ring->head = ring->tail = UINT32_MAX - 3; /* over the end of the indices, too */
	CHECK_EQ(vas_value_ring_take(ring, 8, &value), -EAGAIN);
	for (uint64_t i = 0; i < 8; i++)
		CHECK_OK(vas_value_ring_post(ring, 8, i));
	CHECK_EQ(vas_value_ring_post(ring, 8, 8), -EAGAIN);
	for (uint64_t i = 0; i < 8; i++) {
		CHECK_OK(vas_value_ring_take(ring, 8, &value));
		CHECK_EQ(value, i);
	}
	CHECK_EQ(vas_value_ring_take(ring, 8, &value), -EAGAIN);
	free(ring);
}

TEST(a_value_ring_with_mad_indices_is_refused)
{
	struct vas_value_ring *ring = make_ring(8);
	uint64_t value;

	ring->head = 9;
	CHECK_EQ(vas_value_ring_take(ring, 8, &value), -EPROTO);
	CHECK_EQ(vas_value_ring_post(ring, 8, 1), -EPROTO);
	ring->head = 0;
	ring->tail = 1;
	CHECK_EQ(vas_value_ring_take(ring, 8, &value), -EPROTO);
	CHECK_EQ(vas_value_ring_post(ring, 8, 1), -EPROTO);
	CHECK_EQ(vas_value_ring_post(ring, 0, 1), -EINVAL);
	CHECK_EQ(vas_value_ring_post(ring, 7, 1), -EINVAL);
	free(ring);
}

#define NR_VALUES 200000

static void *produce(void *arg)
{
	for (uint64_t i = 0; i < NR_VALUES;)
		i += !vas_value_ring_post(arg, 64, i * 3);
	return NULL;
}

TEST(a_value_ring_between_threads_keeps_order)
{
	struct vas_value_ring *ring = make_ring(64);
	pthread_t thread;
	uint64_t value;

	CHECK_EQ(pthread_create(&thread, NULL, produce, ring), 0);
	for (uint64_t i = 0; i < NR_VALUES;) {
		int err = vas_value_ring_take(ring, 64, &value);

		if (err == -EAGAIN)
			continue;
		CHECK_OK(err);
		CHECK_EQ(value, 3 * i);
		i++;
	}
	pthread_join(thread, NULL);
	free(ring);
}
