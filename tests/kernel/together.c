// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A layout changes under load, with everybody attached who can follow it: each change reaches all, and
 * one that anybody refuses, or does not get done in time, none. TEST_TOGETHER_ROUNDS: how often a
 * region comes and goes.
 */
#include <signal.h>
#include <stdlib.h>

#include <vas/access.h>

#include "everybody.h"

#define SLOTS	   80u
#define DMA_EACH   25		 /* rounds: a device's write takes 0.1 s */
#define PATIENT_NS 4000000000ull /* less than a back end has for an answer */

static struct everybody e;

static int commit(int add, uint64_t timeout_ns, struct vas_blocker *blocker)
{
	const struct vas_region net_island = {
		.gpa = NET_ISLAND, .size = PAGE, .offset = NET_ISLAND, .name = "net island"
	};
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(e.machine.net.t.vas, &layout));
	if (add) {
		CHECK_OK(vas_layout_add(layout, &e.island, &e.island_id));
		CHECK_OK(vas_layout_add(layout, &net_island, &e.net_island_id));
	} else {
		CHECK_OK(vas_layout_remove(layout, e.island_id));
		CHECK_OK(vas_layout_remove(layout, e.net_island_id));
	}
	return vas_layout_commit(layout, timeout_ns, blocker);
}

static void comes(int dma)
{
	CHECK_OK(commit(1, TEST_HANG_NS, NULL));
	everybody_has(&e, dma);
}

static void goes(int dma)
{
	CHECK_OK(commit(0, TEST_HANG_NS, NULL));
	guard_put(&e);
	nobody_has(&e, dma);
}

TEST(each_change_reaches_everybody_under_load)
{
	const char *rounds = getenv("TEST_TOGETHER_ROUNDS");
	int i, nr = rounds ? atoi(rounds) : 100;

	everybody_begin(&e, SLOTS);
	for (i = 0; i < nr; i++) {
		test_note("round %d", i);
		comes(i % DMA_EACH == 0);
		goes(i % DMA_EACH == 0);
		guard_check(&e);
	}
	everybody_end(&e);
}

/* ---- one of them does not do it -------------------------------------------------------------- */

/* Who was prepared may have used it until now. */
static void has_not_come(void)
{
	guard_put(&e);
	nobody_has(&e, 1);
}

static void removal_fails(const char *name)
{
	struct vas_blocker blocker;

	CHECK_EQ(commit(0, PATIENT_NS, &blocker), -EBUSY);
	CHECK_STR(blocker.name, name);
	everybody_has(&e, 1);
}

static void addition_fails(int err, const char *name)
{
	struct vas_blocker blocker;

	CHECK_EQ(commit(1, PATIENT_NS, &blocker), err);
	CHECK_STR(blocker.name, name);
	has_not_come();
}

TEST(what_kvm_has_no_room_for_reaches_nobody)
{
	everybody_begin(&e, 2); /* for RAM */
	addition_fails(-ENOSPC, "kvm");
	everybody_end(&e);
}

/* Of a change that replaces memory, for which it has to stand. */
TEST(what_a_vcpu_does_not_stop_for_reaches_nobody)
{
	struct vas_blocker blocker;
	struct vas_layout *layout;

	everybody_begin(&e, SLOTS);
	comes(1);
	e.vcpu.is_deaf = 1;
	CHECK_OK(vas_layout_begin(e.machine.net.t.vas, &layout));
	CHECK_OK(vas_layout_resize(layout, e.island_id, 2 * ISLAND_SIZE));
	CHECK_EQ(vas_layout_commit(layout, PATIENT_NS, &blocker), -EBUSY);
	CHECK_STR(blocker.name, "kvm");
	everybody_has(&e, 1);
	CHECK(!kvm_has(&e.machine, ISLAND + ISLAND_SIZE, e.bytes + ISLAND_SIZE));
	CHECK(!fake_has(e.fake, ISLAND + ISLAND_SIZE));
	e.vcpu.is_deaf = 0;
	goes(1);
	everybody_end(&e);
}

TEST(what_vhost_net_has_no_room_for_reaches_nobody)
{
	struct vas_region far;
	uint64_t i;

	everybody_begin(&e, SLOTS);
	for (i = 0; i < 62; i++) { /* of 64, RAM has two */
		far = island_at(e.island, i + 16);
		far.size = PAGE;
		far.offset = ISLAND_SIZE + i % ISLAND_PAGES * PAGE;
		far.flags = VAS_REGION_ALIAS;
		CHECK_OK(add_island(&e.machine, &far, TEST_HANG_NS, NULL));
	}
	addition_fails(-ENOSPC, "vhost-net");
	everybody_end(&e);
}

TEST(what_the_iommu_reserves_reaches_nobody)
{
	struct vas_region msi;
	struct vas_blocker blocker;
	struct vas_layout *layout;

	everybody_begin(&e, SLOTS);
	msi = e.island;
	msi.gpa = 0xfee00000;
	msi.offset = ISLAND_SIZE;
	CHECK_OK(vas_layout_begin(e.machine.net.t.vas, &layout));
	CHECK_OK(vas_layout_add(layout, &e.island, NULL));
	CHECK_OK(vas_layout_add(layout, &msi, NULL));
	CHECK_EQ(vas_layout_commit(layout, PATIENT_NS, &blocker), -ERANGE);
	CHECK_STR(blocker.name, e.machine.edu.device.name);
	has_not_come();
	comes(1);
	goes(1);
	everybody_end(&e);
}

static void module_fails(enum vas_test_policy policy)
{
	everybody_begin(&e, SLOTS);
	comes(1);
	device_policy(e.holder, policy);
	removal_fails("vas_test");
	device_policy(e.holder, VAS_TEST_COMPLY);
	goes(1);
	comes(1);
	goes(1);
	e.nr_held = device_counts(e.holder).invalidated; /* more often than it had complied */
	everybody_end(&e);
}

TEST(what_a_module_refuses_reaches_nobody)
{
	module_fails(VAS_TEST_REFUSE);
}

TEST(what_a_module_hangs_in_reaches_nobody)
{
	module_fails(VAS_TEST_HANG);
}

TEST(what_a_back_end_refuses_reaches_nobody)
{
	everybody_begin(&e, SLOTS);
	fake_fault(e.fake, VHOST_USER_ADD_MEM_REG, FAULT_REFUSE);
	addition_fails(-EREMOTEIO, "disk");
	fake_fault(e.fake, 0, FAULT_NONE);
	comes(1);
	goes(1);
	everybody_end(&e);
}

TEST(what_a_back_end_hangs_in_reaches_nobody)
{
	everybody_begin(&e, SLOTS);
	kill(e.fake_pid, SIGSTOP);
	addition_fails(-EBUSY, "disk");
	kill(e.fake_pid, SIGCONT);
	comes(1);
	goes(1);
	everybody_end(&e);
}

static int is_hung(void *state)
{
	return __atomic_load_n(&((struct foo_state *)state)->is_hung, __ATOMIC_ACQUIRE);
}

TEST(what_a_section_does_not_end_for_reaches_nobody)
{
	struct foo_state *state;
	struct vas_blocker blocker;

	everybody_begin(&e, SLOTS);
	state = e.foo.state;
	comes(1);
	__atomic_store_n(&state->hang, 1, __ATOMIC_RELEASE);
	test_wait(is_hung, state, TEST_HANG_MS);
	CHECK_EQ(commit(0, PATIENT_NS, &blocker), -EBUSY);
	CHECK_EQ(blocker.pid, e.foo.pid);
	__atomic_store_n(&state->hang, 0, __ATOMIC_RELEASE);
	everybody_has(&e, 1);
	goes(1);
	everybody_end(&e);
}
