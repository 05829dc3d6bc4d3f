// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A machine is saved and taken down, and another one is made around the same memory, in the middle
 * of a guest that looks at all the state that it has.
 */
#include <stdlib.h>

#include "examples/tinyvmm_state.h"
#include "kvm_fixture.h"

#define IRQ	 7
#define GSI	 9
#define NR_MOVES 30
#define SETTLE	 5000000000ull

static const struct vas_event irq = { .kind = VAS_EVENT_IRQ, .id = IRQ, .gsi = GSI };

struct progress {
	struct fixture *f;
	uint64_t target;
};

static int filled_so_far(void *arg)
{
	struct progress *progress = arg;

	return progress->f->box->done >= progress->target || progress->f->machine.stopped;
}

static void await_progress(struct fixture *f, uint64_t more)
{
	struct progress progress = { f, f->box->done + more };

	test_wait(filled_so_far, &progress, 20000);
	test_note("the guest's status is %d, it has lost %llu", f->machine.status,
		  (unsigned long long)f->box->where);
	CHECK(!f->machine.stopped);
}

static void save(struct fixture *f, void **state, size_t *size)
{
	machine_pause(&f->machine);
	CHECK_OK(machine_settle(&f->machine, SETTLE));
	CHECK_OK(machine_save(&f->machine, state, size));
}

static void move(struct fixture *f)
{
	struct machine old = f->machine;
	size_t size;
	void *state;

	save(f, &state, &size);
	machine_stop(&f->machine, 0);
	machine_wait(&f->machine);
	machine_destroy(&f->machine);
	CHECK_OK(machine_create(&f->machine, f->vas, 1, 0));
	f->machine.io = old.io;
	f->machine.priv = old.priv;
	CHECK_OK(machine_load(&f->machine, state, size));
	free(state);
	CHECK_OK(vas_kvm_attach_event(f->machine.kvm, IRQ));
	CHECK_OK(machine_start(&f->machine));
}

TEST(vcpu_and_interrupt_controllers_go_on_in_another_machine)
{
	struct fixture f;
	int i;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_state);
	f.box->gsi = GSI;
	fixture_attach_event(&f, &irq);
	fixture_start(&f);
	for (i = 0; i < NR_MOVES; i++) {
		await_progress(&f, 1 + test_random_below(&f.random, 3));
		move(&f);
	}
	await_progress(&f, 2);
	__atomic_store_n(&f.box->turn, 2, __ATOMIC_RELEASE);
	CHECK_OK(vas_irq_raise(f.vas, IRQ));
	fixture_finish(&f);
	fixture_clean(&f);
}

TEST(state_that_is_none_is_refused)
{
	struct fixture f;
	size_t size;
	void *state;

	fixture_init(&f, 0);
	save(&f, &state, &size);
	CHECK_EQ(machine_state_vcpus(state, size), 1);
	CHECK_OK(machine_load(&f.machine, state, size));
	CHECK_EQ(machine_load(&f.machine, state, size - 1), -EPROTO);
	CHECK_EQ(machine_load(&f.machine, state, 0), -EPROTO);
	*(char *)state ^= 1;
	CHECK_EQ(machine_load(&f.machine, state, size), -EPROTO);
	free(state);
	fixture_clean(&f);
}

TEST(machine_that_has_stopped_has_no_state_to_save)
{
	struct fixture f;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_walker);
	f.box->rounds = 1;
	fixture_start(&f);
	fixture_finish(&f);
	machine_pause(&f.machine);
	CHECK_EQ(machine_settle(&f.machine, SETTLE), -ESHUTDOWN);
	fixture_clean(&f);
}
