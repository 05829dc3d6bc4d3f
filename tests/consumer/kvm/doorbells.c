// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Doorbells: by port and by memory, of every length, with and without a value to match. */
#include "tests/consumer/kvm/fixture.h"

#define ROUNDS 20
#define GPA    (HIGH_GPA + 0x1000)
#define PORT   0x700
#define ID     7

struct doorbell_case {
	uint32_t flags;
	uint32_t len;	  /* of the event */
	uint32_t written; /* bytes that the guest writes at once */
	int rings;
};

static void count_port(struct fixture *f, uint16_t port, uint64_t value)
{
	(void)value;
	if (port == PORT)
		f->nr_mmio_writes++;
}

static void try_doorbell(const struct doorbell_case *c)
{
	struct fixture f;

	test_note("flags %u, length %u, written %u", c->flags, c->len, c->written);
	fixture_init(&f, 0);
	f.port = count_port;
	FIXTURE_LOAD(&f, guest_values);
	f.box->rounds = ROUNDS;
	fixture_doorbell(&f, ID, c->flags & VAS_EVENT_PIO ? PORT : GPA, c->len, c->flags);
	f.box->doorbell_len = c->written;
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_EQ(vas_doorbell_wait(f.vas, ID, 0), c->rings ? ROUNDS : -ETIMEDOUT);
	CHECK_EQ(f.nr_mmio_writes, c->rings ? 0 : ROUNDS);
	fixture_clean(&f);
}

static void try_doorbells(const struct doorbell_case *cases, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		try_doorbell(&cases[i]);
}

TEST(doorbell_in_memory_rings_for_writes_of_its_length)
{
	static const struct doorbell_case cases[] = { { 0, 1, 1, 1 }, { 0, 2, 2, 1 },
						      { 0, 4, 4, 1 }, { 0, 8, 8, 1 },
						      { 0, 4, 2, 0 }, { 0, 4, 8, 0 } };

	try_doorbells(cases, sizeof(cases) / sizeof(*cases));
}

TEST(doorbell_of_no_length_rings_for_every_write)
{
	static const struct doorbell_case cases[] = { { 0, 0, 1, 1 },
						      { 0, 0, 2, 1 },
						      { 0, 0, 4, 1 },
						      { 0, 0, 8, 1 },
						      { VAS_EVENT_PIO, 0, 2, 1 } };

	try_doorbells(cases, sizeof(cases) / sizeof(*cases));
}

TEST(doorbell_on_a_port_rings_for_writes_of_its_length)
{
	static const struct doorbell_case cases[] = { { VAS_EVENT_PIO, 1, 1, 1 },
						      { VAS_EVENT_PIO, 2, 2, 1 },
						      { VAS_EVENT_PIO, 4, 4, 1 },
						      { VAS_EVENT_PIO, 4, 1, 0 } };

	try_doorbells(cases, sizeof(cases) / sizeof(*cases));
}

static uint64_t value_of_len(uint64_t value, uint32_t len)
{
	return len == 8 ? value : value & ((1ull << (8 * len)) - 1);
}

/* Two doorbells at one address, for two of the values: the others go to the VMM. */
static void try_datamatch(uint32_t len, uint32_t flags)
{
	struct vas_event event = { .kind = VAS_EVENT_DOORBELL, .len = len };
	struct fixture f;
	uint32_t i, matches[2] = { 0, 0 };

	test_note("length %u, flags %u", len, flags);
	fixture_init(&f, 0);
	f.port = count_port;
	FIXTURE_LOAD(&f, guest_values);
	f.box->rounds = ROUNDS;
	f.box->doorbell = event.addr = flags & VAS_EVENT_PIO ? PORT : GPA;
	f.box->doorbell_len = len;
	f.box->doorbell_pio = !!flags;
	event.flags = flags | VAS_EVENT_DATAMATCH;
	for (event.id = 1; event.id <= 2; event.id++) {
		event.data = value_of_len(guest_value(event.id * 7, f.box->seed), len);
		fixture_attach_event(&f, &event);
		for (i = 0; i < ROUNDS; i++)
			matches[event.id - 1] +=
				value_of_len(guest_value(i, f.box->seed), len) == event.data;
	}
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_EQ(vas_doorbell_wait(f.vas, 1, 0), matches[0]);
	CHECK_EQ(vas_doorbell_wait(f.vas, 2, 0), matches[1]);
	CHECK_EQ(f.nr_mmio_writes, ROUNDS - matches[0] - matches[1]);
	fixture_clean(&f);
}

TEST(doorbell_with_a_value_rings_for_that_value_only)
{
	uint32_t len;

	for (len = 2; len <= 8; len *= 2)
		try_datamatch(len, 0);
	try_datamatch(2, VAS_EVENT_PIO);
	try_datamatch(4, VAS_EVENT_PIO);
}

TEST(doorbell_that_is_detached_exits_again)
{
	struct fixture f;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_values);
	f.box->rounds = ROUNDS;
	fixture_doorbell(&f, ID, GPA, 4, 0);
	CHECK_EQ(vas_kvm_attach_event(f.machine.kvm, ID), -EEXIST);
	/* It is gone from the vas first, and its eventfd with it: KVM lets it go all the same. */
	CHECK_OK(vas_event_remove(f.vas, ID));
	CHECK_OK(vas_kvm_detach_event(f.machine.kvm, ID));
	CHECK_EQ(vas_kvm_detach_event(f.machine.kvm, ID), -ENOENT);
	CHECK_EQ(vas_kvm_attach_event(f.machine.kvm, ID), -ENOENT);
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_EQ(f.nr_mmio_writes, ROUNDS);
	fixture_clean(&f);
}

TEST(two_doorbells_at_one_place_are_refused)
{
	const struct vas_event event = {
		.kind = VAS_EVENT_DOORBELL, .id = 8, .addr = GPA, .len = 4
	};
	int fds;
	struct fixture f;

	fixture_init(&f, 0);
	fixture_doorbell(&f, ID, GPA, 4, 0);
	CHECK_OK(vas_event_add(f.vas, &event));
	fds = test_count_fds();
	CHECK_EQ(vas_kvm_attach_event(f.machine.kvm, 8), -EEXIST);
	CHECK_HAS(vas_error(), "KVM refuses event 8");
	CHECK_EQ(test_count_fds(), fds);
	fixture_clean(&f);
}
