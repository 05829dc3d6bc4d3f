// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

static void do_nothing(int sig)
{
	(void)sig;
}

/* For each thread of this process but its first: how many is(tid) is true of. */
static int count_threads(int (*is)(int tid))
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int nr = 0;

	CHECK(dir);
	while ((entry = readdir(dir))) {
		int tid = atoi(entry->d_name);

		if (tid > 0 && tid != getpid())
			nr += is(tid);
	}
	closedir(dir);
	return nr;
}

/* A line of a file that the kernel has for the thread. */
static int read_line(int tid, const char *file, const char *start, char line[128])
{
	char path[64];
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, file);
	f = fopen(path, "re");
	while (f && !found && fgets(line, 128, f))
		found = !strncmp(line, start, strlen(start));
	if (f)
		fclose(f);
	return found;
}

static int waits_for_a_lock(int tid)
{
	char line[128], call[16];

	snprintf(call, sizeof(call), "%d ", SYS_fcntl);
	return read_line(tid, "syscall", call, line);
}

static int is_one_waiting_for_the_owner(void *arg)
{
	(void)arg;
	return count_threads(waits_for_a_lock) == 1;
}

static int take_signal(int tid)
{
	return !syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
}

TEST(a_signal_does_not_end_the_watch)
{
	const struct sigaction action = { .sa_handler = do_nothing };
	struct vas *binder;
	int sock;
	pid_t pid = test_spawn("owner_to_be_killed", &sock);

	CHECK_OK(vas_recv_fds(sock, 0, &binder));
	CHECK(vas_notify_fd(binder) >= 0);
	CHECK_OK(sigaction(SIGUSR1, &action, NULL));
	test_wait(is_one_waiting_for_the_owner, NULL, 60000);
	CHECK(count_threads(take_signal) >= 2);
	kill(pid, SIGKILL);
	wait_for(binder, VAS_NOTIFY_OWNER);
	vas_unbind(binder);
	close(sock);
}

static int takes_sigbus_only(int tid)
{
	unsigned long long blocked;
	char line[128];

	CHECK(read_line(tid, "status", "SigBlk:", line));
	CHECK_EQ(sscanf(line, "SigBlk: %llx", &blocked), 1);
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP &&
		    (blocked >> (sig - 1) & 1) != (sig != SIGBUS))
			return 0;
	return 1;
}

/* A thread that has just been made takes none yet. */
static int do_all_take_sigbus_only(void *arg)
{
	(void)arg;
	return count_threads(takes_sigbus_only) == 2;
}

TEST(threads_of_the_librarys_own_take_no_signal_but_sigbus)
{
	struct vas *vas = simple_vas(), *binder;

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK(vas_notify_fd(binder) >= 0);
	test_wait(do_all_take_sigbus_only, NULL, 60000);
	vas_unbind(binder);
	vas_destroy(vas);
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
