// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/simple_vas.h"

static int wait_for(struct vas *vas, int bits)
{
	struct pollfd poll_fd = { .fd = vas_notify_fd(vas), .events = POLLIN };
	int seen = 0;

	while ((seen & bits) != bits) {
		int told;

		if (poll(&poll_fd, 1, TEST_HANG_MS) != 1)
			test_fail(__FILE__, __LINE__, "no notification; seen %#x, wanted %#x", seen,
				  bits);
		told = vas_notifications(vas);
		CHECK_OK(told);
		seen |= told;
	}
	return seen;
}

TEST(before_the_fd_there_are_no_notifications)
{
	struct vas *vas = simple_vas();

	CHECK_EQ(vas_notifications(vas), -EINVAL);
	CHECK(vas_notify_fd(vas) >= 0);
	CHECK_EQ(vas_notify_fd(vas), vas_notify_fd(vas));
	CHECK_EQ(vas_notifications(vas), 0);
	vas_destroy(vas);
}

TEST(the_owners_end_and_a_new_one_are_told)
{
	struct vas *vas = simple_vas(), *binder;

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK(vas_notify_fd(binder) >= 0);
	CHECK_OK(vas_notifications(binder));
	vas_unbind(vas);
	wait_for(binder, VAS_NOTIFY_OWNER);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &vas));
	wait_for(binder, VAS_NOTIFY_OWNER);
	simple_add(vas, 1, 1);
	wait_for(binder, VAS_NOTIFY_LAYOUT);
	vas_unbind(vas);
	wait_for(binder, VAS_NOTIFY_OWNER);
	vas_unbind(binder);
}

ROLE(owner_to_be_killed)
{
	struct vas *vas = simple_vas();

	CHECK_OK(vas_send_fds(vas, sock, 0));
	pause();
	return 0;
}

TEST(the_death_of_the_owners_process_is_told)
{
	struct vas *binder;
	int sock;
	pid_t pid = test_spawn("owner_to_be_killed", &sock);

	CHECK_OK(vas_recv_fds(sock, 0, &binder));
	CHECK(vas_notify_fd(binder) >= 0);
	kill(pid, SIGKILL);
	wait_for(binder, VAS_NOTIFY_OWNER);
	vas_unbind(binder);
	close(sock);
}

TEST(an_observer_is_told_too)
{
	struct vas *vas = simple_vas(), *observer;

	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_OBSERVE, &observer));
	CHECK(vas_notify_fd(observer) >= 0);
	CHECK_OK(vas_notifications(observer));
	simple_add(vas, 1, 1);
	wait_for(observer, VAS_NOTIFY_LAYOUT);
	vas_unbind(vas);
	wait_for(observer, VAS_NOTIFY_OWNER);
	vas_unbind(observer);
}

/* Start and stop as fast as can be: no lost thread, no lost fd, no hang. */
TEST(notifiers_come_and_go)
{
	struct vas *vas = simple_vas(), *binder;
	int fds = test_count_fds();

	for (int i = 0; i < 200; i++) {
		CHECK_OK(vas_bind(vas_fd(vas), i & 1 ? VAS_BIND_OBSERVE : 0, &binder));
		CHECK(vas_notify_fd(binder) >= 0);
		vas_unbind(binder);
	}
	CHECK_EQ(test_count_fds(), fds);
	vas_destroy(vas);
}
