// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A vas moves while kernel modules write to it: by copies, through caches, by maps that come and go, and
 * vas_example.ko through short accesses and through a map that it keeps. The source stays frozen after
 * it has moved, so nothing was lost if the two are the same to the byte.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#include "device.h"
#include "examples/echo.h"
#include "kernel/modules/example/vas_example.h"

#define MIB	  (1ull << 20)
#define RAM	  (8 * MIB)
#define LIMIT	  (64 * MIB)
#define NR_KINDS  3
#define PAGES_GPA 0 /* of two echo pages: one a way in which foo works */

#define REFUSED_NS 10000000000ull /* waited for in vain; all others comply long before */

/* Who asks foo, and what was answered. */
struct asker {
	struct vas *vas;
	uint64_t gpa;
	int foo;
	int bell;
	int irq;
	int stop;
	uint32_t nr;
	uint32_t nr_answered;
	pthread_t thread;
};

struct world {
	struct vas *vas;
	int loads[NR_KINDS];
	struct asker askers[2];
};

/* ---- writers ------------------------------------------------------------------------------ */

static int has_answer(void *arg)
{
	struct asker *a = arg;
	struct pollfd irq = { .fd = a->irq, .events = POLLIN };

	return __atomic_load_n(&a->stop, __ATOMIC_ACQUIRE) || poll(&irq, 1, 10) == 1;
}

/* A vCPU, in effect: it is stopped before the memory is frozen. */
static void *ask(void *arg)
{
	struct asker *a = arg;
	uint64_t answer, count;

	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		CHECK_OK(vas_store_le64(a->vas, a->gpa, test_now_ns(), __ATOMIC_RELAXED));
		CHECK_OK(vas_store_le32(a->vas, a->gpa + 8, ++a->nr, __ATOMIC_RELEASE));
		CHECK_EQ(write(a->bell, &(uint64_t){ 1 }, 8), 8);
		test_wait(has_answer, a, TEST_HANG_MS);
		if (read(a->irq, &count, sizeof(count)) != sizeof(count))
			continue;
		CHECK_OK(vas_load_le64(a->vas, a->gpa + 16, &answer, __ATOMIC_RELAXED));
		a->nr_answered++;
	}
	return NULL;
}

static void asker_init(struct asker *a, struct vas *vas, uint32_t flags)
{
	struct foo_serve serve = { .vas_fd = vas_fd(vas), .flags = flags };

	a->vas = vas;
	a->gpa = PAGES_GPA + flags * VAS_PAGE_SIZE;
	a->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->foo = open("/dev/foo", O_RDWR | O_CLOEXEC);
	if (a->foo < 0)
		test_skip("no /dev/foo: vas_example.ko is not loaded");
	serve.gpa = a->gpa;
	serve.doorbell_fd = a->bell;
	serve.irq_fd = a->irq;
	CHECK_OK(ioctl(a->foo, FOO_SERVE, &serve));
}

static void askers_start(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		w->askers[i].stop = 0;
		CHECK_EQ(pthread_create(&w->askers[i].thread, NULL, ask, &w->askers[i]), 0);
	}
}

static void askers_stop(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&w->askers[i].stop, 1, __ATOMIC_RELEASE);
		pthread_join(w->askers[i].thread, NULL);
	}
}

/* Each load has a part of the memory of its own, so that it can read back what it wrote. */
static void loads_start(struct world *w)
{
	for (uint32_t i = 0; i < NR_KINDS; i++) {
		struct vas_test_load load = {
			.gpa = (2 * i + 1) * MIB,
			.len = MIB,
			.kind = i,
			.seed = (uint32_t)test_seed() | 1,
		};

		CHECK_OK(device_load(w->loads[i], &load));
	}
}

static void loads_stop(struct world *w)
{
	for (int i = 0; i < NR_KINDS; i++) {
		struct vas_test_load_result result = device_load_stop(w->loads[i]);

		test_note("load %d: %llu done, %llu kept out", i, (unsigned long long)result.done,
			  (unsigned long long)(result.faults + result.again));
		CHECK_OK(result.err);
		CHECK_EQ(result.wrong, 0);
		CHECK(result.done > 0);
	}
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	close(device_open()); /* skips here, without the modules */
	w->vas = device_vas(LIMIT, RAM, 0);
	for (int i = 0; i < NR_KINDS; i++)
		w->loads[i] = device_bound(vas_fd(w->vas));
	for (uint32_t flags = 0; flags < 2; flags++)
		asker_init(&w->askers[flags], w->vas, flags);
	loads_start(w);
	askers_start(w);
}

/* ---- moving ------------------------------------------------------------------------------- */

struct move {
	struct vas_migrate_target target;
	struct vas *arrived;
	struct vas_migrate_progress report;
	int sent;
	int received;
};

static void *receive(void *arg)
{
	struct move *m = arg;
	struct vas_migrate_result result;

	m->received = vas_migrate_recv(&m->target, &m->arrived, &result);
	return NULL;
}

static int pause_guest(void *w)
{
	askers_stop(w);
	return 0;
}

static void resume_guest(void *w)
{
	askers_start(w);
}

static const struct vas_migrate_ops guest_ops = { .pause = pause_guest, .resume = resume_guest };

static void move(struct world *w, struct move *m, uint64_t freeze_ns)
{
	int pair[2];
	struct vas_migrate_options options = {
		.fds = &pair[0],
		.nr_fds = 1,
		.max_rounds = 5,
		.freeze_ns = freeze_ns,
		.ops = &guest_ops,
		.arg = w,
	};
	pthread_t thread;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	*m = (struct move){ .target = { .fds = &pair[1], .nr_fds = 1 } };
	CHECK_EQ(pthread_create(&thread, NULL, receive, m), 0);
	m->sent = vas_migrate_send(w->vas, &options, &m->report);
	if (m->sent)
		test_note("send: %s", vas_error());
	pthread_join(thread, NULL);
	close(pair[0]);
	close(pair[1]);
}

static void check_same(struct vas *source, struct vas *destination)
{
	char pages[2][VAS_PAGE_SIZE];

	for (uint64_t gpa = 0; gpa < RAM; gpa += VAS_PAGE_SIZE) {
		test_note("page at %#llx", (unsigned long long)gpa);
		CHECK_OK(vas_read(source, gpa, pages[0], VAS_PAGE_SIZE, NULL));
		CHECK_OK(vas_read(destination, gpa, pages[1], VAS_PAGE_SIZE, NULL));
		CHECK_MEM(pages[1], pages[0], VAS_PAGE_SIZE);
	}
}

TEST(nothing_that_modules_write_is_disconnected)
{
	for (int i = 0; i < 3; i++) {
		struct world w;
		struct move m;

		world_init(&w);
		move(&w, &m, TEST_HANG_NS);
		CHECK_OK(m.sent);
		CHECK_OK(m.received);
		CHECK(m.report.round >= 1);
		/* The loads go on, and are kept out. */
		check_same(w.vas, m.arrived);
		loads_stop(&w);
		check_same(w.vas, m.arrived);
		for (int a = 0; a < 2; a++) {
			CHECK(w.askers[a].nr_answered > 0);
			close(w.askers[a].foo);
		}
		for (int l = 0; l < NR_KINDS; l++)
			close(w.loads[l]);
		vas_destroy(m.arrived);
		vas_destroy(w.vas);
	}
}

/* A module that will not let go: the source runs on, the destination has nothing. */
static void refused(enum vas_test_policy policy)
{
	struct world w;
	struct move m;
	uint32_t id;
	int holder, before;

	world_init(&w);
	holder = device_bound(vas_fd(w.vas));
	CHECK_OK(device_map(holder, 7 * MIB, VAS_PAGE_SIZE, VAS_MAPPING_WRITE, &id));
	device_policy(holder, policy);
	move(&w, &m, REFUSED_NS);
	CHECK_EQ(m.sent, -EBUSY);
	CHECK_HAS(vas_error(), "vas_test");
	CHECK(m.received < 0);
	/* All write on as if nothing had been, the holder, too. */
	CHECK_OK(device_map_write(holder, id, 0, "x", 1));
	loads_stop(&w);
	loads_start(&w);
	before = (int)w.askers[1].nr_answered;
	device_policy(holder, VAS_TEST_COMPLY);
	move(&w, &m, TEST_HANG_NS);
	CHECK_OK(m.sent);
	CHECK_OK(m.received);
	CHECK((int)w.askers[1].nr_answered >= before);
	check_same(w.vas, m.arrived);
	loads_stop(&w);
	check_same(w.vas, m.arrived);
}

TEST(a_module_that_refuses_fails_the_freeze_and_no_more)
{
	refused(VAS_TEST_REFUSE);
}

TEST(a_module_that_hangs_fails_the_freeze_and_no_more)
{
	refused(VAS_TEST_HANG);
}
