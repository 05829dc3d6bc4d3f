// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Doorbells that modules answer, and the interrupts that they raise. */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vas/event.h>

#include "device.h"

#define MIB 1048576ull

struct fixture {
	struct vas *vas;
	int device;
	int bell;
	int irq;
};

static struct fixture setup(void)
{
	struct fixture f = {
		.vas = device_vas(64 * MIB, MIB, 0),
		.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};

	CHECK(f.bell >= 0 && f.irq >= 0);
	f.device = device_bound(vas_fd(f.vas));
	return f;
}

static void ring(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(write(fd, &one, sizeof(one)), sizeof(one));
}

/* 0: it did not come. */
static int came(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&poll_fd, 1, timeout_ms) == 1 && read(fd, &count, sizeof(count)) == 8;
}

static void answers(uint32_t flags)
{
	struct fixture f = setup();

	CHECK_OK(device_doorbell(f.device, f.bell, f.irq, flags));
	for (int i = 0; i < 1000; i++) {
		ring(f.bell);
		CHECK(came(f.irq, TEST_HANG_MS));
	}
	CHECK_EQ(device_doorbell_stop(f.device), 1000);
	ring(f.bell);
	CHECK(!came(f.irq, 0));
	CHECK(came(f.bell, 0));
}

TEST(a_doorbell_is_answered_in_process_context)
{
	answers(0);
}

TEST(a_doorbell_is_answered_at_once)
{
	answers(1); /* VAS_DOORBELL_ATOMIC */
}

TEST(a_doorbell_that_rang_before_is_answered)
{
	for (uint32_t flags = 0; flags < 4; flags++) {
		struct fixture f = setup();

		ring(f.bell);
		CHECK_OK(device_doorbell(f.device, f.bell, f.irq, flags));
		CHECK(came(f.irq, TEST_HANG_MS));
	}
}

TEST(a_shared_doorbell_is_left_to_its_readers)
{
	for (uint32_t atomic = 0; atomic < 2; atomic++) {
		struct fixture f = setup();

		CHECK_OK(device_doorbell(f.device, f.bell, f.irq, 2 | atomic));
		ring(f.bell);
		CHECK(came(f.irq, TEST_HANG_MS));
		CHECK(came(f.bell, 0));
		CHECK_EQ(device_doorbell_stop(f.device), 1);
	}
}

TEST(a_doorbell_of_its_own_is_taken)
{
	struct fixture f = setup();

	CHECK_OK(device_doorbell(f.device, f.bell, f.irq, 1));
	ring(f.bell);
	CHECK(came(f.irq, TEST_HANG_MS));
	CHECK(!came(f.bell, 0));
}

static uint32_t nr_rings, is_enough; /* atomic */

static void *ring_on(void *arg)
{
	const struct fixture *f = arg;

	while (!__atomic_load_n(&is_enough, __ATOMIC_RELAXED)) {
		ring(f->bell);
		__atomic_add_fetch(&nr_rings, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Attach and detach in the face of rings: nothing is called after a detach, nothing hangs. */
TEST(detaching_races_with_rings)
{
	struct fixture f = setup();
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, ring_on, &f), 0);
	for (int i = 0; i < 1000 || __atomic_load_n(&nr_rings, __ATOMIC_RELAXED) < 20000; i++) {
		CHECK_OK(device_doorbell(f.device, f.bell, f.irq, i & 1));
		device_doorbell_stop(f.device);
		came(f.irq, 0);
		CHECK(!came(f.irq, 0));
	}
	__atomic_store_n(&is_enough, 1, __ATOMIC_RELAXED);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(a_ring_that_comes_too_late_is_left_for_the_next)
{
	struct fixture f = setup();

	for (int i = 0; i < 1000; i++) {
		uint64_t nr;

		CHECK_OK(device_doorbell(f.device, f.bell, f.irq, 0));
		ring(f.bell);
		nr = device_doorbell_stop(f.device);
		test_note("round %d: answered %llu times", i, (unsigned long long)nr);
		CHECK_EQ(came(f.irq, 0), nr == 1);
		CHECK_EQ(came(f.bell, 0), nr == 0);
	}
}

TEST(what_is_no_eventfd_is_refused)
{
	struct fixture f = setup();

	CHECK_EQ(device_doorbell(f.device, f.bell, vas_fd(f.vas), 0), -EINVAL);
	CHECK_EQ(device_doorbell(f.device, vas_fd(f.vas), f.irq, 0), -EINVAL);
	CHECK_EQ(device_doorbell(f.device, -1, f.irq, 0), -EBADF);
	CHECK_OK(device_doorbell(f.device, f.bell, f.irq, 0));
	close(f.device);
}

/* The eventfds' last descriptors go while a module still has them. */
TEST(eventfds_may_be_closed_under_a_module)
{
	struct fixture f = setup();

	CHECK_OK(device_doorbell(f.device, f.bell, f.irq, 0));
	ring(f.bell);
	close(f.bell);
	close(f.irq);
	device_doorbell_stop(f.device);
}

TEST(an_event_is_known_by_its_id)
{
	struct vas_event bell = {
		.kind = VAS_EVENT_DOORBELL, .id = 7, .len = 4, .addr = 0xfe000000, .name = "queue"
	};
	struct vas_event irq = { .kind = VAS_EVENT_IRQ, .id = 8, .gsi = 5, .name = "answer" };
	struct fixture f = setup();
	struct vas_test_event event;

	CHECK_OK(vas_event_add(f.vas, &bell));
	CHECK_OK(vas_event_add(f.vas, &irq));
	CHECK_OK(device_event(f.device, 7, &event));
	CHECK_EQ(event.kind, VAS_EVENT_DOORBELL);
	CHECK_EQ(event.addr, 0xfe000000);
	CHECK_STR(event.name, "queue");
	CHECK_OK(device_event(f.device, 8, &event));
	CHECK_EQ(event.kind, VAS_EVENT_IRQ);
	CHECK_EQ(device_event(f.device, 9, &event), -ENOENT);
	CHECK_EQ(device_event(f.device, 0, &event), -ENOENT);
	CHECK_OK(device_doorbell(f.device, vas_event_fd(f.vas, 7), vas_event_fd(f.vas, 8), 0));
	CHECK_OK(vas_doorbell_ring(f.vas, 7));
	CHECK(came(vas_event_fd(f.vas, 8), TEST_HANG_MS));
}
