// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Whoever restores lazily dies or ends: no zeros in place of what had not come, and nothing left behind. */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/lazy.h>

#include "tests/migrate/snapshot/numbered.h"

/* ---- who serves dies ---------------------------------------------------------------------- */

ROLE(restorer)
{
	struct vas *vas;
	char byte;

	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &vas));
	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(read(sock, &byte, 1), 0);
	return 1;
}

TEST(the_restorers_death_is_an_error_to_those_who_ask)
{
	struct vas *vas, *binder, *adopter, *kept;
	uint64_t got;
	int sock, pid;

	enter_folder();
	vas = numbered_vas();
	pid = test_spawn("restorer", &sock);
	CHECK_OK(vas_recv_fds(sock, 0, &binder));
	CHECK_OK(vas_read(binder, 4096, &got, 8, NULL));
	CHECK_EQ(got, wanted_at(4096));
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	/* What has come stays, what was zero is; the rest is not taken for zero. */
	CHECK_OK(vas_read(binder, 8192, &got, 8, NULL));
	CHECK_EQ(got, wanted_at(8192));
	CHECK_OK(vas_read(binder, 1 << 20, &got, 8, NULL));
	CHECK_EQ(got, 0);
	CHECK_EQ(vas_read(binder, 2 << 20, &got, 8, NULL), -EIO);
	CHECK_HAS(vas_error(), "ended");
	CHECK_EQ(vas_lazy_wait(binder, TEST_HANG_NS), -EIO);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &adopter));
	CHECK_EQ(vas_read(adopter, 2 << 20, &got, 8, NULL), -EIO);
	CHECK_EQ(vas_snapshot_save(adopter, "again", NULL, NULL), -EIO);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_OBSERVE, &kept));
	CHECK_EQ(vas_read(kept, 2 << 20, &got, 8, NULL), -EIO);
	vas_unbind(kept);
	vas_unbind(adopter);
	vas_unbind(binder);
	vas_destroy(vas);
	close(sock);
	leave_folder();
}

/* The same while the rest is on its way: at each moment a page is right, or an error. */
ROLE(hasty)
{
	struct vas *vas;
	char byte;

	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &vas));
	CHECK_OK(vas_send_fds(vas, sock, 0));
	CHECK_EQ(read(sock, &byte, 1), 0);
	return 1;
}

TEST(a_death_half_way_never_shows_zeros)
{
	struct test_random random = { test_seed() };
	struct vas *vas, *binder;
	uint64_t got;
	int sock, pid, err, nr_errors = 0;

	enter_folder();
	vas = numbered_vas();
	for (int round = 0; round < 30; round++) {
		uint64_t until = test_random_below(&random, SIZE / VAS_PAGE_SIZE);

		pid = test_spawn("hasty", &sock);
		CHECK_OK(vas_recv_fds(sock, 0, &binder));
		for (uint64_t i = 0; i < SIZE / VAS_PAGE_SIZE; i++) {
			uint64_t gpa = SIZE - (i + 1) * VAS_PAGE_SIZE;

			if (i == until)
				CHECK_OK(kill(pid, SIGKILL));
			err = vas_read(binder, gpa, &got, 8, NULL);
			nr_errors += err == -EIO;
			CHECK(err == 0 || err == -EIO);
			if (!err)
				CHECK_EQ(got, wanted_at(gpa));
		}
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		close(sock);
		vas_unbind(binder);
	}
	printf("# %d pages were lost\n", nr_errors);
	vas_destroy(vas);
	leave_folder();
}

/* ---- what stays behind -------------------------------------------------------------------- */

static void come_and_go(void)
{
	struct vas *back;
	uint64_t got;

	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &back));
	CHECK_OK(vas_read(back, 4096, &got, 8, NULL));
	vas_destroy(back);
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &back));
	vas_unbind(back);
	/* Its second region is in a further backing, which is found out late. */
	CHECK_EQ(vas_snapshot_restore("other", VAS_RESTORE_LAZY, &back), -EOPNOTSUPP);
	CHECK_EQ(vas_snapshot_restore("cut", VAS_RESTORE_LAZY, &back), -EPROTO);
	CHECK_EQ(vas_snapshot_restore("absent", VAS_RESTORE_LAZY, &back), -ENOENT);
}

TEST(neither_an_end_nor_a_failure_leaves_anything)
{
	struct vas *vas, *other = shadow_vas(SIZE);
	struct vas_region more = { .gpa = SIZE, .size = 1 << 20, .name = "more" };
	int fd = memfd_create("more", MFD_CLOEXEC), fds, maps, i;

	enter_folder();
	vas = numbered_vas();
	CHECK_OK(vas_snapshot_save(vas, "cut", NULL, NULL));
	CHECK_OK(truncate("cut", 100000));
	CHECK_OK(ftruncate(fd, 1 << 20));
	more.backing = (uint32_t)vas_backing_add(other, fd);
	CHECK_OK(vas_region_add(other, &more, NULL));
	CHECK_OK(vas_snapshot_save(other, "other", NULL, NULL));
	come_and_go();
	fds = test_count_fds();
	maps = test_count_maps();
	for (i = 0; i < 20; i++)
		come_and_go();
	CHECK_EQ(test_count_fds(), fds);
	/* Stacks of threads are kept by the C library, up to a bound; a sanitizer has maps of its own. */
	CHECK(TEST_SANITIZED || test_count_maps() <= maps + 8);
	close(fd);
	vas_destroy(other);
	vas_destroy(vas);
	leave_folder();
}
