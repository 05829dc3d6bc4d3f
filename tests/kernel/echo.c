// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * KVM runs a guest on a vas, and a kernel module that knows nothing of KVM answers it: what the 2009
 * interface was made for. TEST_ECHO_ROUNDS sets how often.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vas/dirty.h>

#include "tests/consumer/kvm/echo_device.h"
#include "kernel/modules/example/vas_example.h"
#include "tests/patient.h"

static const struct vas_event pin = { .kind = VAS_EVENT_IRQ, .id = ECHO_IRQ_ID, .gsi = ECHO_GSI };

static uint32_t nr_rounds(void)
{
	const char *rounds = getenv("TEST_ECHO_ROUNDS");

	return rounds ? (uint32_t)strtoul(rounds, NULL, 0) : 300;
}

/* From here on the module serves the guest, until the fd is closed. */
static int foo_start(struct fixture *f, uint32_t flags)
{
	struct foo_serve serve = {
		.vas_fd = vas_fd(f->vas),
		.doorbell_fd = vas_event_fd(f->vas, ECHO_DOORBELL_ID),
		.irq_fd = vas_event_fd(f->vas, ECHO_IRQ_ID),
		.flags = flags,
		.gpa = ECHO_GPA,
	};
	int foo = open("/dev/foo", O_RDWR | O_CLOEXEC);

	if (foo < 0)
		test_skip("no /dev/foo: vas_example.ko is not loaded");
	CHECK_OK(ioctl(foo, FOO_SERVE, &serve));
	return foo;
}

static void echo(uint32_t flags)
{
	struct fixture f;
	int foo;

	fixture_init(&f, 0);
	echo_init(&f, &pin);
	f.box->rounds = nr_rounds();
	foo = foo_start(&f, flags);
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_EQ(f.box->done, nr_rounds());
	close(foo);
	fixture_clean(&f);
}

TEST(no_round_trip_through_a_module_is_disconnected)
{
	echo(0);
}

TEST(no_round_trip_through_a_map_of_a_module_is_disconnected)
{
	echo(FOO_BY_MAP);
}

struct progress {
	struct fixture *f;
	uint64_t target;
};

static int filled_so_far(void *arg)
{
	struct progress *progress = arg;
	struct echo_page page;

	if (!vas_read(progress->f->vas, ECHO_GPA, &page, sizeof(page), NULL))
		test_note("request %u, answer %u, the guest has seen %llu", page.request_nr,
			  page.answer_nr, (unsigned long long)progress->f->box->done);
	return progress->f->box->done >= progress->target;
}

static void wait_for_rounds(struct fixture *f, uint64_t nr)
{
	struct progress progress = { f, f->box->done + nr };

	test_wait(filled_so_far, &progress, TEST_HANG_MS);
}

TEST(a_module_that_leaves_is_replaced_by_the_next)
{
	struct fixture f;
	int foo;

	fixture_init(&f, 0);
	echo_init(&f, &pin);
	f.box->rounds = UINT32_MAX;
	foo = foo_start(&f, 0);
	fixture_start(&f);
	for (uint32_t i = 1; i <= 6; i++) {
		wait_for_rounds(&f, 10);
		close(foo);
		foo = foo_start(&f, i % 2 ? FOO_BY_MAP : 0);
	}
	f.box->turn = 1;
	fixture_finish(&f);
	close(foo);
	fixture_clean(&f);
}

/* Memory comes and goes beside the echo page, and guest and module are frozen and thawed. */
TEST(the_owner_changes_the_layout_under_guest_and_module)
{
	struct vas_region region = { .gpa = 8 << 20, .size = 1 << 20, .offset = 8 << 20 };
	struct vas_info info;
	struct fixture f;
	uint64_t id;
	int foo;

	fixture_init(&f, 0);
	CHECK_OK(vas_info(f.vas, &info));
	CHECK_STR(info.consumers, "module,kvm");
	echo_init(&f, &pin);
	f.box->rounds = UINT32_MAX;
	foo = foo_start(&f, FOO_BY_MAP);
	fixture_start(&f);
	for (int i = 0; i < 10; i++) {
		CHECK_OK(patient_add(f.vas, &region, &id));
		wait_for_rounds(&f, 5);
		CHECK_OK(vas_freeze(f.vas, TEST_HANG_NS, NULL));
		CHECK_OK(vas_thaw(f.vas));
		CHECK_OK(patient_remove(f.vas, id));
		wait_for_rounds(&f, 5);
	}
	f.box->turn = 1;
	fixture_finish(&f);
	close(foo);
	fixture_clean(&f);
}
