// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/dirty.h>

#include "tests/lib/simple_vas.h"

/* Run child(vas) after a fork; it returns to be judged by its checks. */
static void in_child(void (*child)(struct vas *vas), struct vas *vas)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		child(vas);
		_exit(0);
	}
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void use(struct vas *vas)
{
	uint64_t val;

	CHECK_OK(vas_load_le64(vas, PAGE, &val, __ATOMIC_RELAXED));
	CHECK_EQ(val, 7);
	CHECK_OK(vas_store_le64(vas, PAGE + 8, 8, __ATOMIC_RELAXED));
	CHECK_EQ(vas_load_le64(vas, 9 * PAGE, &val, __ATOMIC_RELAXED), -EFAULT);
}

static void use_as_binder(struct vas *vas)
{
	const struct vas_region region = simple_region(9, 1);
	struct vas_info info;

	use(vas);
	CHECK_EQ(vas_region_add(vas, &region, NULL), -EPERM);
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.role, VAS_ROLE_BINDER);
	CHECK_EQ(info.owner_pid, getppid());
}

static struct vas_thread *parents_thread;

static void leave_and_enter_again(struct vas *vas)
{
	vas_leave_registered(vas, parents_thread);
	use(vas);
	CHECK_OK(vas_enter_registered(vas, parents_thread));
	CHECK(vas_translate(vas, PAGE, 8, VAS_PROT_READ));
	vas_leave_registered(vas, parents_thread);
	vas_leave(vas);
}

TEST(a_fork_in_a_section_takes_no_section_along)
{
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 1, 1);
	struct vas_layout *layout;

	CHECK_OK(vas_store_le64(vas, PAGE, 7, __ATOMIC_RELAXED));
	parents_thread = vas_thread_register(vas);
	CHECK_OK(vas_enter_registered(vas, parents_thread));
	in_child(leave_and_enter_again, vas);
	/* The child has left its own only. */
	CHECK_EQ(vas_layout_begin(vas, &layout), -EDEADLK);
	vas_leave_registered(vas, parents_thread);
	CHECK_OK(vas_region_remove(vas, id));
	vas_destroy(vas);
}

TEST(an_owners_child_is_a_binder)
{
	struct vas *vas = simple_vas();
	struct vas_info info;
	uint64_t val;

	simple_add(vas, 1, 1);
	CHECK_OK(vas_store_le64(vas, PAGE, 7, __ATOMIC_RELAXED));
	in_child(use_as_binder, vas);
	CHECK_OK(vas_load_le64(vas, PAGE + 8, &val, __ATOMIC_RELAXED));
	CHECK_EQ(val, 8);
	/* The parent is the owner still, and its place was not taken. */
	simple_add(vas, 9, 1);
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.role, VAS_ROLE_OWNER);
	CHECK_EQ(info.owner_pid, getpid());
	vas_destroy(vas);
}

static void unbind(struct vas *vas)
{
	use(vas);
	vas_unbind(vas);
}

static void die(struct vas *vas)
{
	use(vas);
}

static void unbind_unused(struct vas *vas)
{
	vas_unbind(vas);
}

TEST(a_childs_end_takes_nothing_from_its_parent)
{
	struct vas *vas = simple_vas(), *binder, *other;

	simple_add(vas, 1, 1);
	CHECK_OK(vas_store_le64(vas, PAGE, 7, __ATOMIC_RELAXED));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	for (int i = 0; i < 3; i++) {
		in_child(unbind, vas);
		in_child(unbind, binder);
		in_child(die, vas);
		in_child(die, binder);
		in_child(unbind_unused, vas);
		in_child(unbind_unused, binder);
		use(binder);
		use(vas);
		CHECK_EQ(vas_bind(vas_fd(vas), VAS_BIND_ADOPT, &other), -EBUSY);
	}
	vas_unbind(binder);
	vas_destroy(vas);
}

static void change_layout(struct vas *vas)
{
	simple_add(vas, 9, 1);
}

/* In a section while the parent forks: the child is in none. */
TEST(a_child_is_in_no_section)
{
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 1, 1);

	CHECK_OK(vas_store_le64(vas, PAGE, 7, __ATOMIC_RELAXED));
	CHECK_OK(vas_enter(vas));
	in_child(use, vas);
	vas_leave(vas);
	CHECK_OK(vas_region_remove(vas, id));
	change_layout(vas);
	vas_destroy(vas);
}

static void fork_again(struct vas *vas)
{
	use(vas);
	in_child(use, vas);
	use(vas);
}

TEST(a_grandchild_binds_too)
{
	struct vas *vas = simple_vas();

	simple_add(vas, 1, 1);
	CHECK_OK(vas_store_le64(vas, PAGE, 7, __ATOMIC_RELAXED));
	in_child(fork_again, vas);
	vas_destroy(vas);
}

/* ---- what is the parent's ------------------------------------------------------------------ */

static pid_t parent;
static int calls_in_child;

static int count_call(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	(void)consumer;
	(void)delta;
	calls_in_child += getpid() != parent;
	return 0;
}

static int count_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
			 uint64_t deadline_ns)
{
	(void)deadline_ns;
	return count_call(consumer, delta);
}

static void count_abort(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	count_call(consumer, delta);
}

static int count_track(struct vas_consumer *consumer, uint64_t deadline_ns)
{
	(void)deadline_ns;
	return count_call(consumer, NULL);
}

static int count_freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
			uint64_t deadline_ns)
{
	(void)reason;
	(void)deadline_ns;
	return count_call(consumer, NULL);
}

static void count_thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	(void)reason;
	count_call(consumer, NULL);
}

static int count_harvest(struct vas_consumer *consumer)
{
	return count_call(consumer, NULL);
}

static void count_end(struct vas_cleanup *cleanup)
{
	(void)cleanup;
	count_call(NULL, NULL);
}

static struct vas_consumer consumer;

static void end_and_count(struct vas *vas)
{
	vas_consumer_detach(&consumer);
	vas_destroy(vas);
	CHECK_EQ(calls_in_child, 0);
}

TEST(a_child_calls_nothing_that_its_parent_attached)
{
	static const struct vas_consumer_ops ops = {
		.name = "counter",
		.prepare = count_prepare,
		.commit = count_call,
		.abort = count_abort,
		.track = count_track,
		.harvest = count_harvest,
		.freeze = count_freeze,
		.thaw = count_thaw,
	};
	struct vas_cleanup cleanup = { .end = count_end };
	struct vas *vas = simple_vas();

	parent = getpid();
	simple_add(vas, 1, 1);
	consumer.ops = &ops;
	CHECK_OK(vas_consumer_attach(vas, &consumer, VAS_TIMEOUT_DEFAULT_NS, NULL));
	vas_cleanup_add(vas, &cleanup);
	CHECK_OK(vas_freeze(vas, VAS_TIMEOUT_DEFAULT_NS, NULL));
	in_child(end_and_count, vas);
	CHECK_OK(vas_thaw(vas));
	vas_destroy(vas);
}

/* A child that allocates, while its parent had threads: only a libc's own allocator allows it. */
static void skip_if_child_waits_for_sanitizer(void)
{
	if (TEST_SANITIZED)
		test_skip(
			"the sanitizer's allocator has locks of its own, which a child waits for");
}

static int nr_fds;

static void count_fds(struct vas *vas)
{
	/* The lock's fd went, and comes with the first use; the notifier's two are gone. */
	CHECK_EQ(test_count_fds(), nr_fds - 3);
	CHECK(vas_notify_fd(vas) >= 0);
	CHECK_OK(vas_notifications(vas));
	vas_unbind(vas);
}

TEST(a_childs_notifications_are_its_own)
{
	struct vas *vas;

	skip_if_child_waits_for_sanitizer();
	vas = simple_vas();
	CHECK(vas_notify_fd(vas) >= 0);
	nr_fds = test_count_fds();
	in_child(count_fds, vas);
	vas_destroy(vas);
}

/* ---- at any moment ------------------------------------------------------------------------- */

static int stop;

static int is_stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

static void map_and_unmap(struct vas *vas)
{
	struct vas_mapping *mapping;

	CHECK_OK(vas_mapping_create(vas, PAGE, PAGE, 0, &mapping));
	vas_mapping_destroy(mapping);
}

static void *map_on(void *vas)
{
	while (!is_stopped())
		map_and_unmap(vas);
	return NULL;
}

TEST(a_child_waits_for_no_thread_of_its_parents)
{
	struct vas *vas;
	pthread_t threads[3];

	skip_if_child_waits_for_sanitizer();
	/* As much as there is: it must not come to that. */
	if (getenv("TEST_EMULATED"))
		test_skip("the emulator keeps memory of each map that ever was");
	vas = simple_vas();
	simple_add(vas, 1, 1);
	for (int i = 0; i < 3; i++)
		CHECK_OK(-pthread_create(&threads[i], NULL, map_on, vas));
	for (int i = 0; i < 2000; i++)
		in_child(map_and_unmap, vas);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		CHECK_OK(-pthread_join(threads[i], NULL));
	vas_destroy(vas);
}

static int nr_bound;

static void *bind_on(void *vas)
{
	struct vas *binder;

	for (;;) {
		CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
		__atomic_fetch_add(&nr_bound, 1, __ATOMIC_RELEASE);
		vas_unbind(binder);
	}
	return NULL;
}

static int are_some_bound(void *arg)
{
	(void)arg;
	return __atomic_load_n(&nr_bound, __ATOMIC_ACQUIRE) >= 3;
}

/* It dies with a child that lives on, while another of its threads is binding or has just bound. */
static void die_young(struct vas *vas, const int hold[2])
{
	pthread_t thread;
	char byte;

	close(hold[1]);
	CHECK_OK(-pthread_create(&thread, NULL, bind_on, vas));
	test_wait(are_some_bound, NULL, 60000);
	if (fork())
		kill(getpid(), SIGKILL);
	while (read(hold[0], &byte, 1) > 0)
		;
	_exit(0);
}

static int is_alone(void *vas)
{
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	return info.nr_binders == 1;
}

/* The last child may not have begun to run when its parent is dead. */
TEST(a_child_keeps_no_place_of_its_dead_parents)
{
	struct vas *vas = simple_vas();
	int hold[2];

	CHECK_OK(pipe(hold));
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (!pid)
			die_young(vas, hold);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
	}
	test_wait(is_alone, vas, 60000);
	close(hold[1]);
	vas_destroy(vas);
}
