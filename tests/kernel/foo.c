// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_example.ko: the test is its guest, by way of the memory and the two eventfds. */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vas/access.h>

#include "device.h"
#include "examples/echo.h"
#include "include/uapi/linux/vas.h"
#include "kernel/modules/example/vas_example.h"
#include "tests/patient.h"

#define MIB  (1ull << 20)
#define PAGE 4096ull

struct guest {
	struct vas *vas;
	uint64_t region;
	int foo;
	int bell;
	int irq;
	uint32_t nr;
};

static int foo_serve(struct guest *g, uint32_t flags)
{
	struct foo_serve serve = {
		.vas_fd = vas_fd(g->vas),
		.doorbell_fd = g->bell,
		.irq_fd = g->irq,
		.flags = flags,
		.gpa = ECHO_GPA,
	};

	return ioctl(g->foo, FOO_SERVE, &serve) ? -errno : 0;
}

static int foo_open(void)
{
	int foo = open("/dev/foo", O_RDWR | O_CLOEXEC);

	if (foo < 0)
		test_skip("no /dev/foo: vas_example.ko is not loaded");
	return foo;
}

static void guest_init(struct guest *g, uint32_t flags)
{
	*g = (struct guest){ .foo = foo_open() };
	g->vas = device_vas(16 * MIB, ECHO_GPA, 0);
	g->region = device_add(g->vas, ECHO_GPA, 4 * PAGE);
	g->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	g->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK_OK(foo_serve(g, flags));
}

static void ask(struct guest *g)
{
	uint64_t one = 1, request = test_now_ns();

	CHECK_OK(vas_store_le64(g->vas, ECHO_GPA, request, __ATOMIC_RELAXED));
	CHECK_OK(vas_store_le32(g->vas, ECHO_GPA + 8, ++g->nr, __ATOMIC_RELEASE));
	CHECK_EQ(write(g->bell, &one, sizeof(one)), 8);
}

static int is_answered(struct guest *g, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = g->irq, .events = POLLIN };
	uint64_t request, answer, count;
	uint32_t nr;

	if (poll(&poll_fd, 1, timeout_ms) != 1)
		return 0;
	CHECK_EQ(read(g->irq, &count, sizeof(count)), 8);
	CHECK_OK(vas_load_le64(g->vas, ECHO_GPA, &request, __ATOMIC_RELAXED));
	CHECK_OK(vas_load_le64(g->vas, ECHO_GPA + 16, &answer, __ATOMIC_RELAXED));
	CHECK_OK(vas_load_le32(g->vas, ECHO_GPA + 24, &nr, __ATOMIC_ACQUIRE));
	CHECK_EQ(nr, g->nr);
	CHECK_EQ(answer, echo_answer(request, nr));
	return 1;
}

static void for_both_ways(void (*test)(struct guest *g))
{
	for (uint32_t flags = 0; flags <= FOO_BY_MAP; flags++) {
		struct guest g;

		test_note("flags %u", flags);
		guest_init(&g, flags);
		test(&g);
		close(g.foo);
	}
}

static void round_trips(struct guest *g)
{
	for (int i = 0; i < 2000; i++) {
		ask(g);
		CHECK(is_answered(g, TEST_HANG_MS));
	}
}

TEST(every_request_is_answered)
{
	for_both_ways(round_trips);
}

static void unplug(struct guest *g)
{
	struct vas_region region = { .gpa = ECHO_GPA, .size = 4 * PAGE, .offset = ECHO_GPA };

	for (int i = 0; i < 20; i++) {
		ask(g);
		CHECK(is_answered(g, TEST_HANG_MS));
		CHECK_OK(patient_remove(g->vas, g->region));
		CHECK_EQ(write(g->bell, &(uint64_t){ 1 }, 8), 8);
		CHECK_OK(patient_add(g->vas, &region, &g->region));
		g->nr = 0;
	}
	ask(g);
	CHECK(is_answered(g, TEST_HANG_MS));
}

TEST(its_memory_may_be_unplugged_and_come_back)
{
	for_both_ways(unplug);
}

static void freeze(struct guest *g)
{
	struct vas_ko_attach attach = { .fd = vas_fd(g->vas) };
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	struct vas_ko_range range = { ECHO_GPA, PAGE };
	struct vas_ko_prepare prepare = { .ranges = (uintptr_t)&range,
					  .nr = 1,
					  .timeout_ns = TEST_HANG_NS };
	int drive = open("/dev/vas", O_RDWR | O_CLOEXEC);

	CHECK_OK(ioctl(drive, VAS_KO_ATTACH, &attach));
	for (int i = 0; i < 10; i++) {
		ask(g);
		CHECK(is_answered(g, TEST_HANG_MS));
		CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
		ask(g);
		CHECK(!is_answered(g, 50));
		/* Its map may be taken from it meanwhile. */
		if (i % 2) {
			CHECK_OK(ioctl(drive, VAS_KO_PREPARE, &prepare));
			CHECK_OK(ioctl(drive, VAS_KO_COMMIT));
			CHECK(!is_answered(g, 50));
		}
		CHECK_OK(ioctl(drive, VAS_KO_THAW));
		CHECK(is_answered(g, TEST_HANG_MS));
	}
	close(drive);
}

TEST(a_freeze_delays_the_answer_until_the_thaw)
{
	for_both_ways(freeze);
}

TEST(what_it_cannot_serve_is_refused)
{
	struct guest g;
	struct foo_serve serve = { .vas_fd = -1, .doorbell_fd = -1, .irq_fd = -1 };

	guest_init(&g, 0);
	CHECK_EQ(foo_serve(&g, 0), -EBUSY);
	close(g.foo);
	g.foo = foo_open();
	CHECK_EQ(ioctl(g.foo, FOO_SERVE, &serve), -1);
	CHECK_EQ(errno, EBADF);
	serve.vas_fd = vas_fd(g.vas);
	CHECK_EQ(ioctl(g.foo, FOO_SERVE, &serve), -1);
	CHECK_EQ(errno, EBADF);
	serve.irq_fd = g.irq;
	CHECK_EQ(ioctl(g.foo, FOO_SERVE, &serve), -1);
	CHECK_EQ(errno, EBADF);
	serve.gpa = 3;
	CHECK_EQ(ioctl(g.foo, FOO_SERVE, &serve), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(foo_serve(&g, 2), -EINVAL);
	CHECK_OK(foo_serve(&g, 0));
}
