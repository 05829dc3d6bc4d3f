// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The processes: two VMMs, or three, and foo. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#include "examples/tinyvmm_state.h"
#include "tests/migrate/fd_passing.h"
#include "moving.h"
#include "tests/consumer/kvm/fixture.h"

#define MANY_ROUNDS 4
#define SCRATCH_GPA 0x40000ull /* in RAM, where the guest has no business */

static void read_all(int sock, void *bytes, size_t size)
{
	CHECK_EQ(recv(sock, bytes, size, MSG_WAITALL), (ssize_t)size);
}

static void report(int sock, const struct moving_report *report)
{
	CHECK_EQ(send(sock, report, sizeof(*report), MSG_NOSIGNAL), sizeof(*report));
}

/* The guest's end comes when the test says so, by its memory. Stay until the test has looked. */
static int run_to_the_end(struct fixture *f, int sock)
{
	struct moving_report stopped = { .what = REPORT_STOPPED };

	stopped.err = fixture_wait(f);
	report(sock, &stopped);
	return read(sock, &(char){ 0 }, 1) != 0;
}

/* ---- the source --------------------------------------------------------------------------- */

static void source_init(struct fixture *f, const struct moving_order *order)
{
	int i;

	fixture_init(f, order->kvm_flags);
	for (i = 0; i < NR_AREAS; i++)
		fixture_region(f, moving_ranges[i].gpa, moving_ranges[i].size, 0);
	moving_fill(f->vas, order->seed);
	FIXTURE_LOAD(f, guest_dirty);
	f->box->seed = moving_guest_seed(order->seed);
	f->box->rounds = UINT32_MAX;
	/* Now and then it goes to the VMM, as guests do. */
	f->box->level = 8;
	f->box->doorbell = 0x601;
	f->box->doorbell_len = 4;
	f->box->doorbell_pio = 1;
	f->list[0].gpa = moving_ranges[AREA_GUEST].gpa;
	f->list[0].size = moving_ranges[AREA_GUEST].size;
}

static int source_pause(void *arg)
{
	struct fixture *f = arg;
	int err;

	machine_pause(&f->machine);
	err = machine_settle(&f->machine, TEST_HANG_NS);
	if (err == -ESHUTDOWN)
		CHECK_EQ(fixture_wait(f), -1); /* nobody told it to stop: what was it? */
	if (err)
		machine_resume(&f->machine);
	return err;
}

static void source_resume(void *arg)
{
	struct fixture *f = arg;

	machine_resume(&f->machine);
}

static int source_save(void *arg, void **state, size_t *size)
{
	struct fixture *f = arg;

	return machine_save(&f->machine, state, size);
}

/* However busy the machine is with others, something is written in each round. */
static int source_write(void *arg, const struct vas_migrate_progress *progress)
{
	struct fixture *f = arg;

	if (!progress->frozen)
		CHECK_OK(vas_store_le32(f->vas, SCRATCH_GPA, progress->round, __ATOMIC_RELAXED));
	return 0;
}

static int source_send(struct fixture *f, const int *fds, uint32_t nr, uint32_t *rounds)
{
	static const struct vas_migrate_ops ops = { .pause = source_pause,
						    .resume = source_resume,
						    .save = source_save,
						    .progress = source_write };
	const struct vas_migrate_options options = {
		.fds = fds,
		.nr_fds = nr,
		.downtime_ns = 1, /* never short enough: the number of rounds decides */
		.freeze_ns = TEST_HANG_NS,
		.stall_ns = TEST_HANG_NS,
		.max_downtime_ns = TEST_HANG_NS,
		.max_rounds = MANY_ROUNDS,
		.ops = &ops,
		.arg = f,
	};
	struct vas_migrate_progress progress;
	int err = vas_migrate_send(f->vas, &options, &progress);

	*rounds = progress.round;
	return err;
}

ROLE(source)
{
	struct moving_report moved = { .what = REPORT_MOVED };
	int fds[VAS_MIGRATE_MAX_CHANNELS];
	struct moving_order order;
	struct fixture f;
	uint32_t i;

	read_all(sock, &order, sizeof(order));
	for (i = 0; i < order.nr_channels; i++)
		fds[i] = fd_recv(sock);
	source_init(&f, &order);
	fixture_start(&f);
	CHECK_OK(vas_send_fds(f.vas, sock, 0));
	read_all(sock, &(char){ 0 }, 1);
	moved.err = source_send(&f, fds, order.nr_channels, &moved.rounds);
	for (i = 0; i < order.nr_channels; i++)
		close(fds[i]);
	report(sock, &moved);
	if (moved.err)
		return run_to_the_end(&f, sock);
	return read(sock, &(char){ 0 }, 1) != 0; /* frozen, for the test to compare */
}

/* ---- the destination ---------------------------------------------------------------------- */

struct destination {
	struct fixture f;
	struct moving_order order;
	int sock;
};

static int destination_load(struct destination *d, struct vas *vas, const void *state, size_t size)
{
	int err = fixture_init_around(&d->f, vas, d->order.kvm_flags);

	if (err)
		return err;
	err = machine_load(&d->f.machine, state, size);
	if (err)
		machine_destroy(&d->f.machine);
	return err;
}

/* Should this process die from here on, the test has what it takes to go on. */
static int destination_accept(void *arg, struct vas *vas, const void *state, size_t size)
{
	struct moving_report accepted = { .what = REPORT_ACCEPTED, .size = (uint32_t)size };
	struct destination *d = arg;
	int err = destination_load(d, vas, state, size);

	if (err)
		return err;
	report(d->sock, &accepted);
	CHECK_EQ(send(d->sock, state, size, MSG_NOSIGNAL), (ssize_t)size);
	return vas_send_fds(vas, d->sock, 0);
}

static void destination_withdraw(void *arg)
{
	struct destination *d = arg;

	machine_destroy(&d->f.machine);
}

static int run_when_told(struct destination *d)
{
	read_all(d->sock, &(char){ 0 }, 1);
	CHECK_OK(machine_start(&d->f.machine));
	return run_to_the_end(&d->f, d->sock);
}

ROLE(destination)
{
	static const struct vas_migrate_target_ops ops = { .accept = destination_accept,
							   .withdraw = destination_withdraw };
	struct moving_report moved = { .what = REPORT_MOVED };
	static struct destination d;
	int fds[VAS_MIGRATE_MAX_CHANNELS];
	struct vas_migrate_target target = {
		.fds = fds, .stall_ns = TEST_HANG_NS, .ops = &ops, .arg = &d
	};
	struct vas_migrate_result result;
	struct vas *vas;
	uint32_t i;

	d.sock = sock;
	read_all(sock, &d.order, sizeof(d.order));
	target.nr_fds = d.order.nr_channels;
	for (i = 0; i < target.nr_fds; i++)
		fds[i] = fd_recv(sock);
	moved.err = vas_migrate_recv(&target, &vas, &result);
	moved.rounds = result.rounds;
	for (i = 0; i < target.nr_fds; i++)
		close(fds[i]);
	report(sock, &moved);
	if (moved.err)
		return read(sock, &(char){ 0 }, 1) != 0;
	free(result.state);
	return run_when_told(&d);
}

/* Goes on with what a destination had accepted that then died. */
ROLE(standby)
{
	static struct destination d;
	struct moving_report accepted;
	struct vas *vas;
	void *state;

	d.sock = sock;
	read_all(sock, &d.order, sizeof(d.order));
	read_all(sock, &accepted, sizeof(accepted));
	state = malloc(accepted.size);
	CHECK(state);
	read_all(sock, state, accepted.size);
	CHECK_OK(vas_recv_fds(sock, VAS_BIND_ADOPT, &vas));
	CHECK_OK(destination_load(&d, vas, state, accepted.size));
	free(state);
	return run_when_told(&d);
}

/* ---- foo ---------------------------------------------------------------------------------- */

struct foo {
	struct vas *vas;
	struct vas_mapping *mapping;
	struct moving_record *record;
	uint64_t seed;
};

static void begin(struct foo *foo, enum moving_area area)
{
	__atomic_store_n(&foo->record->begun[area], foo->record->done[area] + 1, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void end(struct foo *foo, enum moving_area area)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&foo->record->done[area], foo->record->begun[area], __ATOMIC_RELEASE);
}

/* While the vas is frozen the same write is tried again: bytes of it may be there already. */
static void write_copy(struct foo *foo)
{
	char bytes[MOVING_MAX_WRITE];
	uint64_t gpa;
	size_t len =
		moving_write(AREA_COPIES, foo->seed, foo->record->done[AREA_COPIES], &gpa, bytes);
	int err;

	begin(foo, AREA_COPIES);
	err = vas_write(foo->vas, gpa, bytes, len, NULL);
	if (err == -EAGAIN) {
		vas_wait_thawed(foo->vas, 1000000);
		return;
	}
	CHECK_OK(err);
	end(foo, AREA_COPIES);
}

static void write_map(struct foo *foo)
{
	char *base = vas_mapping_addr(foo->mapping);
	uint64_t gpa, word;

	if (vas_mapping_request(foo->mapping) != VAS_REQUEST_NONE) {
		vas_mapping_quiesce(foo->mapping); /* which fails if the question is gone by now */
		return;
	}
	moving_write(AREA_MAP, foo->seed, foo->record->done[AREA_MAP], &gpa, &word);
	begin(foo, AREA_MAP);
	*(volatile uint64_t *)(base + (gpa - moving_ranges[AREA_MAP].gpa)) = word;
	end(foo, AREA_MAP);
}

static int is_over(int sock)
{
	return recv(sock, &(char){ 0 }, 1, MSG_DONTWAIT) == 0;
}

ROLE(foo)
{
	const struct moving_range *range = &moving_ranges[AREA_MAP];
	struct moving_order order;
	struct foo foo;

	read_all(sock, &order, sizeof(order));
	foo.seed = order.seed;
	foo.record = moving_record_map(fd_recv(sock));
	CHECK_OK(vas_recv_fds(sock, 0, &foo.vas));
	CHECK_OK(vas_mapping_create(foo.vas, range->gpa, range->size, VAS_MAPPING_WRITE,
				    &foo.mapping));
	while (!is_over(sock)) {
		write_copy(&foo);
		write_map(&foo);
	}
	vas_mapping_destroy(foo.mapping);
	vas_unbind(foo.vas);
	return 0;
}
