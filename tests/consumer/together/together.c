// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * KVM, vhost-net and a device behind an IOMMU follow one vas: a change reaches all of them, or, if
 * one refuses it, none.
 */
#include <pthread.h>

#include "tests/consumer/together/machine.h"

#define ROUNDS 30 /* of hot-plug under load */

static const struct vas_kvm_options many_slots = { .first_slot = 1, .nr_slots = 80 };

static void check_all_have(struct machine *m, uint64_t gpa, char *at)
{
	CHECK(kvm_has(m, gpa, at));
	CHECK(device_has(m, gpa, at));
	net_exchange(&m->net, gpa, at, (uint8_t)(gpa >> 12));
}

/* vhost-net is not asked: its queue would be broken after a buffer that is not there. */
static void check_none_has(struct machine *m, uint64_t gpa, char *at)
{
	CHECK(!kvm_has(m, gpa, at));
	CHECK(!device_has(m, gpa, at));
}

struct load {
	struct machine *machine;
	int is_over;
	int nr;
};

static void *load_run(void *arg)
{
	struct load *load = arg;
	struct net *net = &load->machine->net;

	do {
		uint64_t gpa = BUFFERS + PAGE * (uint64_t)(1 + load->nr % 1000);

		net_exchange(net, gpa, net->t.ram + gpa, (uint8_t)load->nr++);
	} while (!__atomic_load_n(&load->is_over, __ATOMIC_ACQUIRE));
	return NULL;
}

TEST(a_change_reaches_all_under_load)
{
	struct machine m = { 0 };
	struct load load = { .machine = &m };
	struct vas_region island;
	pthread_t thread;
	uint64_t id;
	char *bytes;
	int i;

	machine_open(&m, &many_slots);
	island = islands(&m, 4, &bytes);
	CHECK_OK(vas_region_add(m.net.t.vas, &island, &id));
	check_all_have(&m, GIB, bytes);
	CHECK_OK(vas_region_remove(m.net.t.vas, id));
	check_none_has(&m, GIB, bytes);
	CHECK_OK(pthread_create(&thread, NULL, load_run, &load));
	for (i = 0; i < ROUNDS; i++) {
		CHECK_OK(vas_region_add(m.net.t.vas, &island, &id));
		CHECK(kvm_has(&m, GIB, bytes));
		CHECK(i % 10 || device_has(&m, GIB, bytes));
		CHECK_OK(vas_region_resize(m.net.t.vas, id, 4 * PAGE));
		CHECK(kvm_has(&m, GIB + 3 * PAGE, bytes));
		CHECK(i % 10 || device_has(&m, GIB + 3 * PAGE, bytes + 3 * PAGE));
		CHECK_OK(vas_region_remove(m.net.t.vas, id));
		CHECK(!kvm_has(&m, GIB, bytes));
		CHECK(i % 10 || !device_has(&m, GIB, bytes));
	}
	__atomic_store_n(&load.is_over, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK(load.nr > 1);
	machine_close(&m);
}

TEST(what_the_iommu_refuses_reaches_nobody)
{
	struct vas_region island, msi;
	struct vas_blocker blocker;
	struct vas_layout *layout;
	struct machine m = { 0 };
	char *bytes;

	machine_open(&m, &many_slots);
	island = islands(&m, 2, &bytes);
	msi = island_at(island, 1);
	msi.gpa = 0xfee00000;
	CHECK_OK(vas_layout_begin(m.net.t.vas, &layout));
	CHECK_OK(vas_layout_add(layout, &island, NULL));
	CHECK_OK(vas_layout_add(layout, &msi, NULL));
	CHECK_EQ(vas_layout_commit(layout, TEST_HANG_NS, &blocker), -ERANGE);
	CHECK_STR(blocker.name, m.edu.device.name);
	check_none_has(&m, GIB, bytes);
	CHECK_OK(vas_region_add(m.net.t.vas, &island, NULL));
	check_all_have(&m, GIB, bytes);
	machine_close(&m);
}

/* As many islands as are taken: how many. *blocker: who has refused the next one. */
static uint64_t add_islands(struct machine *m, const struct vas_region *first, uint64_t most,
			    struct vas_blocker *blocker)
{
	uint64_t nr;

	for (nr = 0; nr < most; nr++) {
		const struct vas_region island = island_at(*first, nr);
		int err = add_island(m, &island, TEST_HANG_NS, blocker);

		if (err) {
			CHECK_EQ(err, -ENOSPC);
			return nr;
		}
	}
	return nr;
}

static void check_full(struct machine *m, uint64_t want, const char *name)
{
	struct vas_blocker blocker;
	struct vas_region first;
	uint64_t nr;
	char *bytes;

	first = islands(m, 200, &bytes);
	nr = add_islands(m, &first, 200, &blocker);
	CHECK_EQ(nr, want);
	CHECK_STR(blocker.name, name);
	check_none_has(m, GIB + nr * MIB, bytes + nr * PAGE);
	check_all_have(m, GIB + (nr - 1) * MIB, bytes + (nr - 1) * PAGE);
}

TEST(what_vhost_has_no_room_for_reaches_nobody)
{
	struct machine m = { 0 };

	machine_open(&m, &many_slots);
	/* Its table has 64 entries, of which RAM has two. */
	check_full(&m, 62, "vhost-net");
	machine_close(&m);
}

TEST(what_kvm_has_no_room_for_reaches_nobody)
{
	const struct vas_kvm_options few = { .first_slot = 1, .nr_slots = 10 };
	struct machine m = { 0 };

	machine_open(&m, &few);
	check_full(&m, 8, "kvm");
	machine_close(&m);
}

TEST(a_freeze_that_a_device_refuses_lets_the_others_go_on)
{
	struct vas_blocker blocker;
	struct machine m = { 0 };

	machine_open(&m, &many_slots);
	CHECK_EQ(vas_freeze(m.net.t.vas, TEST_HANG_NS, &blocker), -EOPNOTSUPP);
	CHECK_STR(blocker.name, m.edu.device.name);
	net_exchange(&m.net, BUFFERS, m.net.t.ram + BUFFERS, 1);
	/* Without it, all of them stop. */
	vas_vfio_detach(m.vfio);
	m.vfio = NULL;
	CHECK_OK(vas_freeze(m.net.t.vas, TEST_HANG_NS, &blocker));
	CHECK_OK(vas_thaw(m.net.t.vas));
	net_exchange(&m.net, BUFFERS, m.net.t.ram + BUFFERS, 2);
	machine_close(&m);
}
