// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A guest and a device in another process, which has nothing but what came over a socket: memory,
 * doorbell, interrupt. TEST_ECHO_ROUNDS sets how often; 100,000 take 15 s where 5,000 take one.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "echo_device.h"

static const struct vas_event pin = { .kind = VAS_EVENT_IRQ, .id = ECHO_IRQ_ID, .gsi = ECHO_GSI };

ROLE(foo)
{
	struct vas *vas;
	int err = vas_recv_fds(sock, 0, &vas);

	if (err)
		return 1;
	err = echo_serve(vas, sock);
	vas_unbind(vas);
	return err ? 2 : 0;
}

static uint32_t nr_rounds(void)
{
	const char *rounds = getenv("TEST_ECHO_ROUNDS");

	return rounds ? strtoul(rounds, NULL, 0) : 5000;
}

static void finish_foo(pid_t pid, int sock)
{
	int status;

	close(sock);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(no_round_trip_through_another_process_is_disconnected)
{
	struct fixture f;
	pid_t pid;
	int sock;

	fixture_init(&f, 0);
	echo_init(&f, &pin);
	f.box->rounds = nr_rounds();
	pid = test_spawn("foo", &sock);
	CHECK_OK(vas_send_fds(f.vas, sock, 0));
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_EQ(f.box->done, nr_rounds());
	finish_foo(pid, sock);
	fixture_clean(&f);
}

struct progress {
	struct fixture *f;
	uint64_t target;
};

static int filled_so_far(void *arg)
{
	struct progress *progress = arg;

	return progress->f->box->done >= progress->target;
}

/* Killed at any instruction, with a request in its hands or not: the next one takes it up. */
TEST(a_foo_that_is_killed_is_replaced_by_the_next)
{
	struct progress progress;
	struct fixture f;
	int sock, i;
	pid_t pid;

	fixture_init(&f, 0);
	echo_init(&f, &pin);
	f.box->rounds = UINT32_MAX;
	fixture_start(&f);
	progress.f = &f;
	for (i = 0; i < 10; i++) {
		pid = test_spawn("foo", &sock);
		CHECK_OK(vas_send_fds(f.vas, sock, 0));
		progress.target = f.box->done + 100;
		test_wait(filled_so_far, &progress, TEST_HANG_MS);
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		close(sock);
	}
	f.box->turn = 1;
	pid = test_spawn("foo", &sock);
	CHECK_OK(vas_send_fds(f.vas, sock, 0));
	fixture_finish(&f);
	finish_foo(pid, sock);
	fixture_clean(&f);
}

ROLE(leaves_in_the_middle_of_the_message)
{
	char part[100];

	/* Part of it is taken, with the fds that come along; the rest is never read. */
	return read(sock, part, sizeof(part)) != sizeof(part);
}

TEST(a_peer_that_closes_half_way_does_no_harm)
{
	int sock, pair[2], i, fds;
	struct fixture f;
	pid_t pid;

	fixture_init(&f, 0);
	echo_init(&f, &pin);
	f.box->rounds = 500;
	fixture_start(&f);
	fds = test_count_fds();
	for (i = 0; i < 5; i++) {
		pid = test_spawn("leaves_in_the_middle_of_the_message", &sock);
		CHECK_OK(vas_send_fds(f.vas, sock, 0));
		finish_foo(pid, sock);
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		close(pair[1]);
		CHECK_EQ(vas_send_fds(f.vas, pair[0], 0), -EPIPE);
		CHECK_HAS(vas_error(), "cannot send the vas");
		close(pair[0]);
	}
	CHECK_EQ(test_count_fds(), fds);
	pid = test_spawn("foo", &sock);
	CHECK_OK(vas_send_fds(f.vas, sock, 0));
	fixture_finish(&f);
	finish_foo(pid, sock);
	fixture_clean(&f);
}
