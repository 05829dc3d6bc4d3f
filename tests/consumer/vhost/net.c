// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vhost-net serves a driver whose memory is a vas: frames go over a tap to a packet socket. */
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/consumer/file_region.h"
#include "tests/consumer/vhost/tap.h"

#define NR_ROUNDS 100 /* of hot-plug under load */

static char *ram(const struct net *net, uint64_t gpa)
{
	return net->t.ram + gpa;
}

TEST(frames_leave_the_guest_and_reach_it)
{
	struct net net;

	net_open(&net);
	for (int i = 0; i < 100; i++)
		net_exchange(&net, BUFFERS + PAGE * (uint64_t)i, ram(&net, BUFFERS + PAGE * i), i);
	net_close(&net);
}

/* ---- layout -------------------------------------------------------------------------------- */

TEST(memory_that_comes_is_used_and_what_goes_is_not)
{
	struct vas_region more;
	struct net net;
	uint64_t id;
	uint8_t *bytes;

	net_open(&net);
	more = file_region(net.t.vas, GIB, MIB, &bytes);
	CHECK_OK(vas_region_add(net.t.vas, &more, &id));
	net_exchange(&net, GIB + PAGE, (char *)bytes + PAGE, 1);
	CHECK_OK(vas_region_remove(net.t.vas, id));
	net_exchange(&net, BUFFERS, ram(&net, BUFFERS), 2);
	memset(bytes, 0, MIB);
	traffic_offer(&net.t, RX, GIB + PAGE, PAGE);
	net_inject(&net, 3);
	CHECK(virtqueue_is_broken(&net.t.queues[RX], TEST_HANG_MS));
	for (uint64_t i = 0; i < MIB; i++)
		CHECK(!bytes[i]);
	net_close(&net);
}

TEST(a_ring_that_is_served_keeps_its_memory)
{
	uint32_t bases[VAS_VHOST_QUEUES];
	struct net net;

	net_open(&net);
	net_exchange(&net, BUFFERS, ram(&net, BUFFERS), 1);
	CHECK_EQ(vas_region_remove(net.t.vas, net.t.rings_id), -EBUSY);
	CHECK_STR(vas_error(),
		  "vhost-net: queue 0 runs, and its ring is in [0, +0x100000) of region "
		  "rings: stop it first");
	/* A part in which there is no ring may go. */
	CHECK_OK(vas_region_resize(net.t.vas, net.t.rings_id, RINGS / 2));
	net_exchange(&net, BUFFERS, ram(&net, BUFFERS), 2);
	vas_vhost_stop(net.t.vhost, bases);
	CHECK_OK(vas_region_remove(net.t.vas, net.t.rings_id));
	net_close(&net);
}

struct load {
	struct net *net;
	int is_over;
	int nr;
};

static void *load_run(void *arg)
{
	struct load *load = arg;

	do {
		uint64_t gpa = BUFFERS + PAGE * (uint64_t)(load->nr % 1000);

		net_exchange(load->net, gpa, ram(load->net, gpa), (uint8_t)load->nr++);
	} while (!__atomic_load_n(&load->is_over, __ATOMIC_ACQUIRE));
	return NULL;
}

TEST(layouts_change_under_traffic)
{
	struct vas_region more = { .gpa = GIB, .size = MIB, .offset = GIB };
	struct net net;
	struct load load = { .net = &net };
	pthread_t thread;
	uint64_t id;

	net_open(&net);
	CHECK_OK(pthread_create(&thread, NULL, load_run, &load));
	for (int i = 0; i < NR_ROUNDS; i++) {
		CHECK_OK(vas_region_add(net.t.vas, &more, &id));
		CHECK_OK(vas_region_resize(net.t.vas, id, 2 * MIB));
		CHECK_OK(vas_region_move(net.t.vas, id, GIB + MIB));
		CHECK_OK(vas_region_remove(net.t.vas, id));
	}
	__atomic_store_n(&load.is_over, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK(load.nr > 1);
	net_close(&net);
}

/* ---- start, stop, freeze ------------------------------------------------------------------- */

TEST(queues_stop_and_go_on_where_they_stood)
{
	struct net net;

	net_open(&net);
	for (uint32_t i = 1; i < 4; i++) {
		uint32_t bases[VAS_VHOST_QUEUES] = { 0, 0 };

		net_exchange(&net, BUFFERS, ram(&net, BUFFERS), (uint8_t)i);
		vas_vhost_stop(net.t.vhost, bases);
		CHECK_EQ(bases[RX], i);
		CHECK_EQ(bases[TX], i);
		traffic_start(&net.t, TAP_FEATURES, net.tap, bases);
	}
	net_close(&net);
}

TEST(nothing_is_written_while_frozen_and_nothing_is_disconnected)
{
	struct net net;
	char *rx, *tx;

	net_open(&net);
	rx = ram(&net, BUFFERS);
	tx = ram(&net, BUFFERS + PAGE);
	net_exchange(&net, BUFFERS, rx, 1);
	CHECK_OK(vas_freeze(net.t.vas, TEST_HANG_NS, NULL));
	memset(rx, 0, PAGE);
	traffic_offer(&net.t, RX, BUFFERS, PAGE);
	net_inject(&net, 2);
	net_post(&net, BUFFERS + PAGE, tx, 3);
	usleep(200000); /* a device that has not stopped would use it */
	CHECK_EQ(net.t.queues[RX].used->idx, 1);
	CHECK_EQ(net.t.queues[TX].used->idx, 1);
	CHECK(!rx[TAP_HEADER]);
	CHECK_OK(vas_thaw(net.t.vas));
	net_check_received(&net, rx, 2);
	net_check_sent(&net, 3);
	net_close(&net);
}

TEST(queues_that_start_in_a_frozen_vas_run_when_it_is_thawed)
{
	uint32_t bases[VAS_VHOST_QUEUES];
	struct net net;

	net_open(&net);
	vas_vhost_stop(net.t.vhost, bases);
	CHECK_OK(vas_freeze(net.t.vas, TEST_HANG_NS, NULL));
	traffic_start(&net.t, TAP_FEATURES, net.tap, bases);
	CHECK_OK(vas_thaw(net.t.vas));
	net_exchange(&net, BUFFERS, ram(&net, BUFFERS), 1);
	net_close(&net);
}

/* ---- dirty log ----------------------------------------------------------------------------- */

/* The page's bit in the words that are harvested now. */
struct epoch {
	struct vas_tracker *tracker;
	const struct vas_dirty_word *words;
	size_t nr;
};

static void epoch_take(struct epoch *epoch)
{
	uint64_t gpa = 0;

	CHECK_OK(vas_tracker_begin(epoch->tracker));
	while (gpa < 4 * GIB)
		CHECK_OK(vas_tracker_harvest(epoch->tracker, &gpa, 4 * GIB, 64, &epoch->words));
	epoch->nr = vas_tracker_harvested(epoch->tracker, &epoch->words);
}

static int is_dirty(const struct epoch *epoch, uint64_t gpa)
{
	for (size_t i = 0; i < epoch->nr; i++)
		if (epoch->words[i].gpa == (gpa & ~(64 * PAGE - 1)))
			return epoch->words[i].bits >> (gpa / PAGE % 64) & 1;
	return 0;
}

TEST(what_vhost_net_writes_is_dirty)
{
	struct epoch epoch;
	struct net net;
	int i;

	net_open(&net);
	net_exchange(&net, BUFFERS, ram(&net, BUFFERS), 1);
	CHECK_OK(vas_tracker_attach(net.t.vas, "test", 0, &epoch.tracker));
	for (i = 0; i < 3; i++) {
		uint64_t gpa = BUFFERS + PAGE * (uint64_t)(i * 100 + 7);

		traffic_offer(&net.t, RX, gpa, PAGE);
		net_inject(&net, 2);
		net_check_received(&net, ram(&net, gpa), 2);
		epoch_take(&epoch);
		CHECK(is_dirty(&epoch, gpa));
		CHECK(is_dirty(&epoch, net.t.queues[RX].used_gpa));
		CHECK(!is_dirty(&epoch, gpa + PAGE));
		CHECK(!is_dirty(&epoch, gpa - 100 * PAGE));
		CHECK_OK(vas_tracker_commit(epoch.tracker));
	}
	vas_tracker_detach(epoch.tracker);
	net_exchange(&net, BUFFERS, ram(&net, BUFFERS), 3);
	net_close(&net);
}
