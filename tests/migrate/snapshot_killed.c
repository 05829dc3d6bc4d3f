// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A saver may be killed at any instruction: nothing of a snapshot's size is left behind. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "saved.h"

#define LEFT "full.unfinished"

static void save_for_ever(int tell)
{
	struct vas *vas = shadow_vas(SIZE);

	CHECK_OK(vas_fill(vas, 0, 0x77, SIZE, NULL));
	CHECK_EQ(write(tell, "", 1), 1);
	for (;;)
		CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
}

/* Some time in the midst of saves. */
static void kill_a_saver(struct test_random *random)
{
	struct timespec a_while = { .tv_nsec = (long)test_random_below(random, 30000000) };
	int fds[2], status;
	pid_t pid;
	char byte;

	CHECK_OK(pipe(fds));
	pid = fork();
	CHECK_OK(pid);
	if (!pid)
		save_for_ever(fds[1]);
	CHECK_EQ(read(fds[0], &byte, 1), 1);
	nanosleep(&a_while, NULL); /* where it is killed is a matter of chance */
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	close(fds[0]);
	close(fds[1]);
}

/* As on a file system that has none. */
static void forbid_nameless_files(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		test_skip("no seccomp filters here");
	CHECK_EQ(open(".", O_TMPFILE | O_RDWR, 0600), -1);
}

static void kill_savers(void)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE);
	int i;

	enter_folder();
	CHECK_OK(vas_fill(vas, 0, 0x77, SIZE, NULL));
	for (i = 0; i < 20; i++) {
		test_note("kill %d", i);
		kill_a_saver(&random);
		CHECK_EQ(count_files(), !access("full", F_OK) + !access(LEFT, F_OK));
		if (!access("full", F_OK))
			check_restores("full", vas);
		CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
		CHECK_EQ(count_files(), 1);
	}
	vas_destroy(vas);
	leave_folder();
}

TEST(a_killed_saver_leaves_a_whole_file_or_none)
{
	kill_savers();
}

TEST(so_it_does_where_no_file_can_be_nameless)
{
	forbid_nameless_files();
	kill_savers();
}

TEST(the_next_save_removes_what_a_dead_one_left)
{
	struct vas *vas = shadow_vas(SIZE);
	int fd;

	enter_folder();
	fd = open(LEFT, O_RDWR | O_CREAT, 0600);
	CHECK_OK(ftruncate(fd, 1 << 20));
	/* The other one lives, for it has the lock: it is not disturbed. */
	CHECK_OK(flock(fd, LOCK_EX));
	CHECK_EQ(vas_snapshot_save(vas, "full", NULL, NULL), -EBUSY);
	CHECK_EQ(access(LEFT, F_OK), 0);
	close(fd);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_EQ(count_files(), 1);
	check_restores("full", vas);
	vas_destroy(vas);
	leave_folder();
}

TEST(a_snapshot_is_its_owners_alone)
{
	struct vas *vas = shadow_vas(SIZE);
	struct stat st;

	enter_folder();
	umask(0);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(stat("full", &st));
	CHECK_EQ(st.st_mode & 07777, 0600);
	vas_destroy(vas);
	leave_folder();
}
