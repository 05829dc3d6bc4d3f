// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a write may say by a signal comes as an error: nobody who owns a guest dies of it. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "../harness.h"
#include "shadow.h"

#define SIZE (4ull << 20)

/* The caller's signals are as they were. */
static void check_signals(int is_pending)
{
	sigset_t set;

	CHECK_OK(sigpending(&set));
	CHECK_EQ(sigismember(&set, SIGPIPE), is_pending);
	CHECK_EQ(sigismember(&set, SIGXFSZ), 0);
	CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &set));
	CHECK_EQ(sigismember(&set, SIGPIPE), is_pending);
	CHECK_EQ(sigismember(&set, SIGXFSZ), 0);
}

static struct vas *filled_vas(void)
{
	struct vas *vas = shadow_vas(SIZE);

	CHECK_OK(vas_fill(vas, 0, 7, SIZE, NULL));
	return vas;
}

static int send_to(struct vas *vas, int fd)
{
	struct vas_migrate_options options = { .fds = &fd,
					       .nr_fds = 1,
					       .flags = VAS_MIGRATE_ONE_WAY };

	return vas_migrate_send(vas, &options, NULL);
}

static void limit_files(rlim_t size)
{
	struct rlimit limit;

	CHECK_OK(getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = size;
	CHECK_OK(setrlimit(RLIMIT_FSIZE, &limit));
}

TEST(a_pipe_without_a_reader_is_an_error)
{
	struct vas *vas = filled_vas();
	int fds[2];

	CHECK_OK(pipe(fds));
	close(fds[0]);
	CHECK_EQ(send_to(vas, fds[1]), -ECONNRESET);
	check_signals(0);
	CHECK_OK(vas_write(vas, 0, "runs", 4, NULL));
	vas_destroy(vas);
}

TEST(a_signal_that_the_application_has_blocked_stays_its_own)
{
	struct vas *vas = filled_vas();
	sigset_t set;
	int fds[2];

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
	raise(SIGPIPE);
	CHECK_OK(pipe(fds));
	close(fds[0]);
	CHECK_EQ(send_to(vas, fds[1]), -ECONNRESET);
	check_signals(1);
	vas_destroy(vas);
}

TEST(a_stream_beyond_the_size_of_a_file_is_an_error)
{
	struct vas *vas = filled_vas();
	int fd = memfd_create("stream", MFD_CLOEXEC);

	limit_files(1 << 20);
	CHECK_EQ(send_to(vas, fd), -EFBIG);
	check_signals(0);
	CHECK_OK(vas_write(vas, 0, "runs", 4, NULL));
	vas_destroy(vas);
}

TEST(a_snapshot_beyond_the_size_of_a_file_is_an_error)
{
	char path[] = "/tmp/vas-test-XXXXXX";
	struct vas *vas = filled_vas();
	int fd = mkstemp(path);

	CHECK_OK(fd);
	limit_files(1 << 20);
	CHECK_EQ(vas_snapshot_save(vas, path, NULL, NULL), -EFBIG);
	check_signals(0);
	CHECK_OK(vas_write(vas, 0, "runs", 4, NULL));
	unlink(path);
	vas_destroy(vas);
}
