// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What the saver has beside the memory lies in the file as well, and comes back the same or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "migrate/snapshot/snapshot.h"
#include "tests/migrate/snapshot/saved.h"

#define STATE_SIZE 100001u

static char *some_state(void)
{
	char *state = malloc(STATE_SIZE);

	for (unsigned int i = 0; i < STATE_SIZE; i++)
		state[i] = (char)(i * 7 >> 3);
	return state;
}

static void check_state(const char *path, const char *want, size_t want_size)
{
	void *state;
	size_t size;

	CHECK_OK(vas_snapshot_state(path, &state, &size));
	CHECK_EQ(size, want_size);
	if (want_size)
		CHECK_MEM(state, want, size);
	else
		CHECK(!state);
	free(state);
}

static int nr_names(void)
{
	DIR *dir = opendir(".");
	int nr = 0;

	CHECK(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

TEST(a_file_without_a_name_is_restored_by_its_fd)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE);
	int fd = -1;
	char path[64];
	struct vas_snapshot_options options = { .state = "state", .state_size = 5, .fd = &fd };

	enter_folder();
	write_some(vas, &random, 30);
	CHECK_OK(vas_snapshot_save_with(vas, ".", &options));
	CHECK(fd >= 0);
	/* Nothing but "." and "..". */
	CHECK_EQ(nr_names(), 2);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check_state(path, "state", 5);
	check_restores(path, vas);
	close(fd);
	options.parent = "full";
	CHECK_EQ(vas_snapshot_save_with(vas, ".", &options), -EINVAL);
	options.parent = NULL;
	CHECK_EQ(vas_snapshot_save_with(vas, "missing", &options), -ENOENT);
	vas_destroy(vas);
	leave_folder();
}

TEST(a_state_comes_back_and_so_does_the_memory)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE);
	char *state = some_state();
	struct vas_snapshot_options options = { .state = state, .state_size = STATE_SIZE };

	enter_folder();
	write_some(vas, &random, 30);
	CHECK_OK(vas_snapshot_save_with(vas, "full", &options));
	check_state("full", state, STATE_SIZE);
	check_restores("full", vas);

	/* A child has one of its own, or none, whatever its parent has. */
	write_some(vas, &random, 30);
	options =
		(struct vas_snapshot_options){ .parent = "full", .state = state, .state_size = 1 };
	CHECK_OK(vas_snapshot_save_with(vas, "child", &options));
	check_state("child", state, 1);
	check_restores("child", vas);
	CHECK_OK(vas_snapshot_save(vas, "other", "full", NULL));
	check_state("other", NULL, 0);
	free(state);
	vas_destroy(vas);
	leave_folder();
}

TEST(a_state_that_is_damaged_or_cut_is_refused)
{
	struct vas *vas = shadow_vas(SIZE);
	char *state = some_state(), byte;
	struct vas_snapshot_options options = { .state = state, .state_size = STATE_SIZE };
	void *back = NULL;
	size_t size;
	off_t end;
	int fd;

	enter_folder();
	CHECK_OK(vas_snapshot_save_with(vas, "full", &options));
	fd = open("full", O_RDWR);
	end = lseek(fd, 0, SEEK_END);
	CHECK_EQ(pread(fd, &byte, 1, end - 1), 1);
	byte ^= 4;
	CHECK_EQ(pwrite(fd, &byte, 1, end - 1), 1);
	CHECK_EQ(vas_snapshot_state("full", &back, &size), -EPROTO);
	CHECK(!back);
	CHECK_OK(ftruncate(fd, end - 1));
	CHECK_EQ(vas_snapshot_state("full", &back, &size), -EPROTO);
	/* A hole is not bytes that the file has: no memory is taken for it. */
	CHECK_OK(ftruncate(fd, end));
	CHECK_EQ(vas_snapshot_state("full", &back, &size), -EPROTO);
	CHECK(!back);
	close(fd);
	options.state_size = (256u << 20) + 1;
	CHECK_EQ(vas_snapshot_save_with(vas, "large", &options), -EFBIG);
	CHECK_EQ(access("large", F_OK), -1);
	free(state);
	vas_destroy(vas);
	leave_folder();
}

static int goes_on_and_refuses(void *arg)
{
	/* All is written: the guest may write again. */
	CHECK_OK(vas_write(arg, 0, "goes on", 7, NULL));
	return -ECANCELED;
}

TEST(a_saver_that_changes_its_mind_leaves_the_old_file)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *back;
	struct vas_snapshot_options options = { .written = goes_on_and_refuses, .arg = vas };
	char bytes[7];

	enter_folder();
	write_some(vas, &random, 30);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_EQ(vas_snapshot_save_with(vas, "full", &options), -ECANCELED);
	CHECK_EQ(vas_snapshot_save_with(vas, "new", &options), -ECANCELED);
	CHECK_EQ(access("new", F_OK), -1);
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	CHECK_OK(vas_read(back, 0, bytes, sizeof(bytes), NULL));
	CHECK(memcmp(bytes, "goes on", 7));
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}
