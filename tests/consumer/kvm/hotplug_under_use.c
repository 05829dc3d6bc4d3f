// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Memory that comes and goes: a guest that asks for it and uses it, and a guest and another process
 * that do not care, because they use other memory all the while.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "consumer/kvm/machine.h"
#include "tests/consumer/kvm/fixture.h"
#include "tests/patient.h"

#define SIZE	 (64ull << 10)
#define DOORBELL 9

/* The guest asks (turn 1), gets (2), has done (3), and it goes (0). */
static void serve_guest(struct fixture *f, int round)
{
	uint64_t gpa = HIGH_GPA + (test_random_next(&f->random) % 1000) * SIZE, id;

	test_note("round %d", round);
	CHECK_EQ(vas_doorbell_wait(f->vas, DOORBELL, TEST_HANG_NS), 1);
	CHECK_EQ(f->box->turn, 1);
	id = fixture_region(f, gpa, SIZE, 0);
	f->list[0].gpa = gpa;
	f->list[0].size = SIZE;
	__atomic_store_n(&f->box->turn, 2, __ATOMIC_RELEASE);
	CHECK_EQ(vas_doorbell_wait(f->vas, DOORBELL, TEST_HANG_NS), 1);
	CHECK_EQ(f->box->turn, 3);
	CHECK_OK(patient_remove(f->vas, id));
	/* Given back: it is empty when it comes again. */
	CHECK_EQ(*(uint64_t *)(f->ram + gpa), 0);
	__atomic_store_n(&f->box->turn, 0, __ATOMIC_RELEASE);
}

TEST(guest_uses_what_is_plugged_in_for_it)
{
	struct fixture f;
	int i;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_hotplug);
	f.box->rounds = 200;
	fixture_doorbell(&f, DOORBELL, 0x600, 4, VAS_EVENT_PIO);
	fixture_start(&f);
	for (i = 0; i < 200; i++)
		serve_guest(&f, i);
	fixture_finish(&f);
	CHECK_EQ(f.nr_mmio_writes, 0);
	fixture_clean(&f);
}

/* Reads and writes the last page of RAM until told to stop; tells how often it did, or an error. */
ROLE(uses_memory)
{
	uint64_t at = GUEST_RAM - 8, value, i = 0;
	int64_t answer = 0;
	struct vas *vas;
	char byte;

	if (vas_recv_fds(sock, 0, &vas))
		return 1;
	while (recv(sock, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN) {
		if (vas_write(vas, at, &i, 8, NULL) || vas_read(vas, at, &value, 8, NULL) ||
		    value != i)
			answer = -EIO;
		i++;
	}
	if (!answer)
		answer = i;
	return write(sock, &answer, sizeof(answer)) != sizeof(answer);
}

static int has_begun(void *arg)
{
	struct fixture *f = arg;

	return f->box->done > 32 && *(volatile uint64_t *)(f->ram + GUEST_RAM - 8);
}

static void plug(struct fixture *f, int times)
{
	int i;

	for (i = 0; i < times; i++) {
		uint64_t gpa = HIGH_GPA + (test_random_next(&f->random) % 1000) * SIZE;

		test_note("time %d", i);
		CHECK_OK(patient_remove(f->vas, fixture_region(f, gpa, SIZE, 0)));
	}
}

struct counts {
	int fds;
	int maps;
	uint32_t slots;
};

static struct counts count(struct fixture *f)
{
	return (struct counts){ test_count_fds(), test_count_maps(), f->machine.kvm->nr_used };
}

/* TEST_HOTPLUG_TIMES: 10,000 take 5 to 60 s, an emulated kernel 0.1 s for one. */
static int nr_times(void)
{
	const char *times = getenv("TEST_HOTPLUG_TIMES");

	return times ? (int)strtoul(times, NULL, 0) : 10000;
}

TEST(hotplug_does_not_disturb_those_who_use_other_memory)
{
	struct counts before, after;
	int64_t answer;
	struct fixture f;
	int sock, status;
	pid_t pid;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_walker);
	f.box->rounds = 0;
	fixture_region(&f, 2 * HIGH_GPA, SIZE, 0);
	fixture_walk(&f, 2 * HIGH_GPA, SIZE, 0);
	pid = test_spawn("uses_memory", &sock);
	CHECK_OK(vas_send_fds(f.vas, sock, 0));
	fixture_start(&f);
	test_wait(has_begun, &f, TEST_HANG_MS);
	plug(&f, 10);
	before = count(&f);
	plug(&f, nr_times());
	after = count(&f);
	CHECK_EQ(after.fds, before.fds);
	CHECK_EQ(after.maps, before.maps);
	CHECK_EQ(after.slots, before.slots);
	CHECK_EQ(write(sock, "", 1), 1);
	CHECK_EQ(read(sock, &answer, sizeof(answer)), sizeof(answer));
	CHECK_OK(answer);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	f.box->turn = 1;
	fixture_finish(&f);
	CHECK_EQ(f.nr_mmio_writes, 0);
	fixture_clean(&f);
}
