// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <sys/wait.h>
#include <unistd.h>

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
