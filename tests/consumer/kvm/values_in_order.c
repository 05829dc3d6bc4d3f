// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A doorbell whose values matter: the guest writes 10,000, no two alike, the VMM's exit handler
 * posts each to a ring in shared memory, and another process takes them: none lost, none twice, all
 * in order.
 */
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/consumer/kvm/fixture.h"

#define PORT	 0x510
#define DOORBELL 5
#define RING_GPA HIGH_GPA
#define RING_NR	 64u /* so small that it fills */
#define VALUES	 10000u

static struct vas_mapping *ring_map(struct vas *vas)
{
	struct vas_mapping *mapping;

	return vas_mapping_create(vas, RING_GPA, VAS_PAGE_SIZE, VAS_MAPPING_WRITE, &mapping) ?
		       NULL :
		       mapping;
}

/* What is taken, beginning with the i-th: the number of the next, or -errno. */
static int64_t values_take(struct vas_value_ring *ring, uint32_t i, uint64_t seed)
{
	uint64_t value;
	int err;

	while (!(err = vas_value_ring_take(ring, RING_NR, &value))) {
		if (value != (uint32_t)guest_value(i, seed))
			return -EILSEQ;
		i++;
	}
	return err == -EAGAIN ? (int64_t)i : err;
}

ROLE(takes_values)
{
	struct vas_mapping *mapping;
	struct vas *vas;
	uint64_t seed;
	int64_t i = 0;

	if (vas_recv_fds(sock, 0, &vas) || read(sock, &seed, sizeof(seed)) != sizeof(seed))
		return 1;
	mapping = ring_map(vas);
	if (!mapping)
		return 2;
	while (i >= 0 && i < VALUES) {
		if (vas_doorbell_wait(vas, DOORBELL, TEST_HANG_NS) <= 0)
			return 3;
		i = values_take(vas_mapping_addr(mapping), i, seed);
	}
	vas_mapping_destroy(mapping);
	vas_unbind(vas);
	/* There is none more. */
	return i == VALUES ? 0 : 4;
}

static void value_post(struct fixture *f, uint16_t port, uint64_t value)
{
	struct vas_value_ring *ring = vas_mapping_addr(f->priv);
	int err;

	CHECK_EQ(port, PORT);
	while ((err = vas_value_ring_post(ring, RING_NR, value)) == -EAGAIN)
		sched_yield();
	CHECK_OK(err);
	CHECK_OK(vas_doorbell_ring(f->vas, DOORBELL));
}

TEST(ten_thousand_values_arrive_in_order)
{
	const struct vas_event event = { .kind = VAS_EVENT_DOORBELL,
					 .id = DOORBELL,
					 .flags = VAS_EVENT_PIO,
					 .len = 4,
					 .addr = PORT };
	int sock, status;
	struct fixture f;
	uint64_t seed;
	pid_t pid;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_values);
	fixture_region(&f, RING_GPA, VAS_PAGE_SIZE, 0);
	f.priv = ring_map(f.vas);
	CHECK(f.priv);
	f.port = value_post;
	f.box->rounds = VALUES;
	f.box->doorbell = PORT;
	f.box->doorbell_len = 4;
	f.box->doorbell_pio = 1;
	CHECK_OK(vas_event_add(f.vas, &event)); /* KVM is not told: it would keep the values */
	pid = test_spawn("takes_values", &sock);
	CHECK_OK(vas_send_fds(f.vas, sock, 0));
	seed = f.box->seed;
	CHECK_EQ(write(sock, &seed, sizeof(seed)), sizeof(seed));
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	vas_mapping_destroy(f.priv);
	fixture_clean(&f);
}
