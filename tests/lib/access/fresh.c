// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Much that is written at once goes to the file where no page is, and zeros take none. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/access.h>

#include "tests/harness_hugetlb.h"
#include "tests/migrate/snapshot/saved.h"

#define PAGE 4096ull
#define HUGE (2ull << 20)
#define MIB  (1ull << 20)

static uint64_t resident(int fd)
{
	struct stat st;

	CHECK_OK(fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

/* Bytes for [0, SIZE): each page is zero, or not. Returns how many are not. */
static uint64_t make_image(struct test_random *random, char *image)
{
	uint64_t page, i, nr = 0;

	memset(image, 0, SIZE);
	for (page = 0; page < SIZE / PAGE; page++) {
		/* In runs, as images have them. */
		if (test_random_below(random, 8) < 4 + (page / 16 & 1) * 3)
			continue;
		for (i = 0; i < PAGE; i += 64)
			image[page * PAGE + i] = (char)(1 + test_random_below(random, 255));
		nr++;
	}
	return nr;
}

static void check_bytes(struct vas *vas, const char *want)
{
	char *got = malloc(SIZE);

	CHECK(got);
	CHECK_OK(vas_peek(vas, 0, got, SIZE, NULL));
	CHECK_MEM(got, want, SIZE);
	CHECK_OK(vas_read(vas, 0, got, SIZE, NULL));
	CHECK_MEM(got, want, SIZE);
	free(got);
}

/* ---- holes -------------------------------------------------------------------------------- */

static void poke_image(uint32_t create_flags)
{
	struct vas *vas = shadow_vas_made(SIZE, create_flags);
	struct test_random random = { test_seed() };
	char *image = malloc(SIZE);
	int fd = vas_backing_fd(vas, 0);
	uint64_t nr, before = resident(fd);
	size_t done;

	CHECK(image);
	nr = make_image(&random, image);
	CHECK_OK(vas_poke(vas, 0, image, SIZE, &done));
	CHECK_EQ(done, SIZE);
	CHECK_EQ(resident(fd), before + nr * PAGE);
	check_bytes(vas, image);
	free(image);
	vas_destroy(vas);
}

TEST(of_a_sparse_image_only_the_pages_with_bytes_take_memory)
{
	poke_image(0);
}

TEST(so_it_is_with_ram_that_is_apart)
{
	poke_image(VAS_CREATE_RAM_APART);
}

TEST(zeros_over_what_was_written_are_zeros)
{
	static char zeros[8 * PAGE], got[8 * PAGE];
	struct vas *vas = shadow_vas(SIZE);
	uint64_t before;

	CHECK_OK(vas_write(vas, 2 * PAGE + 7, "old", 3, NULL));
	CHECK_OK(vas_write(vas, 5 * PAGE, "old", 3, NULL));
	before = resident(vas_fd(vas));
	CHECK_OK(vas_poke(vas, 0, zeros, sizeof(zeros), NULL));
	memset(got, 1, sizeof(got));
	CHECK_OK(vas_read(vas, 0, got, 6 * PAGE, NULL));
	CHECK_MEM(got, zeros, 6 * PAGE);
	/* What was read has pages since; what was not has none. */
	CHECK(resident(vas_fd(vas)) <= before + 6 * PAGE);
	vas_destroy(vas);
}

TEST(a_part_of_a_page_leaves_the_rest_as_it_is)
{
	static char want[4 * PAGE], got[4 * PAGE];
	struct vas *vas = shadow_vas(SIZE);
	uint64_t before;

	memset(want + PAGE - 1, 'x', 2);
	memset(want + 3 * PAGE - 100, 'y', 50);
	CHECK_OK(vas_write(vas, 2 * PAGE, "kept", 4, NULL));
	memcpy(want + 2 * PAGE, "kept", 4);
	before = resident(vas_fd(vas));
	CHECK_OK(vas_poke(vas, PAGE - 1, "xx", 2, NULL));
	CHECK_OK(vas_poke(vas, 3 * PAGE - 100, want + 3 * PAGE - 100, 50, NULL));
	CHECK_OK(vas_peek(vas, 0, got, sizeof(got), NULL));
	CHECK_MEM(got, want, sizeof(got));
	CHECK_EQ(resident(vas_fd(vas)), before + 2 * PAGE);
	vas_destroy(vas);
}

TEST(filling_with_zeros_takes_no_memory)
{
	struct vas *vas = shadow_vas(SIZE);
	uint64_t before;
	char *want = calloc(1, SIZE);
	size_t done;

	CHECK(want);
	CHECK_OK(vas_fill(vas, MIB, 0x5a, 3 * PAGE, NULL));
	before = resident(vas_fd(vas));
	CHECK_OK(vas_fill(vas, 0, 0, SIZE, &done));
	CHECK_EQ(done, SIZE);
	CHECK_EQ(resident(vas_fd(vas)), before);
	check_bytes(vas, want);
	CHECK_OK(vas_fill(vas, PAGE + 3, 0x5a, SIZE - 2 * PAGE, &done));
	CHECK_EQ(done, SIZE - 2 * PAGE);
	memset(want + PAGE + 3, 0x5a, SIZE - 2 * PAGE);
	check_bytes(vas, want);
	free(want);
	vas_destroy(vas);
}

/* hugetlbfs has no write(). */
TEST(huge_pages_are_written_by_the_map)
{
	struct vas_options options = { .limit = 8 * HUGE,
				       .ram_size = 4 * HUGE,
				       .flags = VAS_CREATE_HUGETLB };
	struct vas_region ram = { .size = 4 * HUGE, .name = "ram" };
	struct vas *vas;
	char *want = malloc(HUGE), *got = malloc(HUGE);

	hugetlb_require(8);
	CHECK(want && got);
	memset(want, 'h', HUGE);
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &ram, NULL));
	CHECK_OK(vas_poke(vas, HUGE / 2, want, HUGE, NULL));
	CHECK_OK(vas_read(vas, HUGE / 2, got, HUGE, NULL));
	CHECK_MEM(got, want, HUGE);
	free(want);
	free(got);
	vas_destroy(vas);
}

/* ---- the log ------------------------------------------------------------------------------ */

TEST(a_tracker_sees_all_that_was_poked_and_filled)
{
	struct vas *vas = shadow_vas(SIZE);
	struct test_random random = { test_seed() };
	char *image = malloc(SIZE);
	struct shadow shadow;

	CHECK(image);
	make_image(&random, image);
	CHECK_OK(vas_fill(vas, 0, 0x11, SIZE / 2, NULL));
	shadow_init(&shadow, vas, SIZE);
	shadow_round(&shadow, 64);
	CHECK_OK(vas_poke(vas, 0, image, SIZE, NULL));
	shadow.nr_pages = 0;
	shadow_round(&shadow, 64);
	shadow_check(&shadow);
	CHECK_MEM(shadow.bytes, image, SIZE);
	CHECK_OK(vas_fill(vas, SIZE / 4 + 5, 0, SIZE / 2, NULL));
	shadow_round(&shadow, 64);
	shadow_check(&shadow);
	CHECK_OK(vas_fill(vas, SIZE / 4 + 5, 0x77, SIZE / 2, NULL));
	CHECK_EQ(shadow_round(&shadow, 64), SIZE / 2 / PAGE + 1);
	shadow_check(&shadow);
	shadow_clean(&shadow);
	free(image);
	vas_destroy(vas);
}

/* ---- what is in the way ------------------------------------------------------------------- */

TEST(a_frozen_vas_is_not_poked)
{
	struct vas *vas = shadow_vas(SIZE);
	char page[PAGE] = "frozen", zeros[PAGE] = "";
	uint64_t before = resident(vas_fd(vas));
	size_t done = 1;

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_EQ(vas_poke(vas, 0, page, sizeof(page), &done), -EAGAIN);
	CHECK_EQ(done, 0);
	CHECK_EQ(vas_poke(vas, 0, zeros, sizeof(zeros), NULL), -EAGAIN);
	CHECK_EQ(vas_fill(vas, 0, 1, 2 * PAGE, NULL), -EAGAIN);
	CHECK_EQ(resident(vas_fd(vas)), before);
	CHECK_OK(vas_thaw(vas));
	CHECK_OK(vas_poke(vas, 0, page, sizeof(page), NULL));
	vas_destroy(vas);
}

/* A write to the file would make it longer again, and hide what was lost. */
TEST(what_was_cut_off_a_file_is_not_made_again)
{
	struct vas_region more = { .gpa = SIZE, .size = MIB, .name = "plain" };
	char *bytes = calloc(1, MIB);
	struct vas *vas = shadow_vas(SIZE);
	int fd = memfd_create("cut", MFD_CLOEXEC), backing;
	struct stat st;
	size_t done;

	CHECK(bytes);
	CHECK_OK(ftruncate(fd, (off_t)MIB));
	backing = vas_backing_add(vas, fd);
	CHECK_OK(backing);
	more.backing = (uint32_t)backing;
	CHECK_OK(vas_region_add(vas, &more, NULL));
	CHECK_OK(vas_poke(vas, SIZE, bytes, MIB, NULL));
	CHECK_OK(ftruncate(fd, (off_t)(MIB / 2)));
	CHECK_EQ(vas_poke(vas, SIZE + MIB / 4, bytes, MIB / 2, &done), -EIO);
	CHECK_EQ(done, MIB / 4);
	memset(bytes, 1, MIB);
	CHECK_EQ(vas_poke(vas, SIZE, bytes, MIB, &done), -EIO);
	CHECK_EQ(done, MIB / 2);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, MIB / 2);
	close(fd);
	free(bytes);
	vas_destroy(vas);
}

/* A hole that is punched is as any that was never touched. */
TEST(what_was_given_back_can_be_poked)
{
	struct vas *vas = shadow_vas(SIZE);
	char *want = malloc(SIZE);
	uint64_t before;

	CHECK(want);
	memset(want, 'a', SIZE);
	CHECK_OK(vas_poke(vas, 0, want, SIZE, NULL));
	before = resident(vas_fd(vas));
	CHECK_OK(fallocate(vas_fd(vas), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)MIB,
			   (off_t)(4 * MIB)));
	memset(want + MIB, 0, 2 * MIB);
	CHECK_OK(vas_poke(vas, 0, want, SIZE, NULL));
	CHECK_EQ(resident(vas_fd(vas)), before - 2 * MIB);
	check_bytes(vas, want);
	free(want);
	vas_destroy(vas);
}

static void check_poke_works(struct vas *vas, uint64_t gpa, const char *bytes, size_t len)
{
	char *got = malloc(len);

	CHECK(got);
	CHECK_OK(vas_poke(vas, gpa, bytes, len, NULL));
	CHECK_OK(vas_read(vas, gpa, got, len, NULL));
	CHECK_MEM(got, bytes, len);
	free(got);
}

/* By the map there is no such limit; and nobody dies of a signal. */
TEST(a_limit_on_the_size_of_files_is_in_no_pokes_way)
{
	struct vas *vas = shadow_vas(SIZE);
	struct rlimit limit;
	char bytes[3 * PAGE];
	sigset_t set;

	CHECK_OK(getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = 2 * PAGE;
	CHECK_OK(setrlimit(RLIMIT_FSIZE, &limit));
	memset(bytes, 'l', sizeof(bytes));
	check_poke_works(vas, PAGE, bytes, sizeof(bytes));
	check_poke_works(vas, MIB, bytes, sizeof(bytes));
	CHECK_OK(sigpending(&set));
	CHECK_EQ(sigismember(&set, SIGXFSZ), 0);
	vas_destroy(vas);
}

/* Who has a map that writes may go on, while nobody can write to the file any more. */
TEST(a_seal_against_later_writers_is_in_no_pokes_way)
{
	struct vas_region more = { .gpa = SIZE, .size = MIB, .name = "sealed" };
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	struct vas *vas = shadow_vas(SIZE);
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), backing;
	char bytes[3 * PAGE];

	CHECK_OK(ftruncate(fd, (off_t)MIB));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, seals));
	backing = vas_backing_add(vas, fd);
	CHECK_OK(backing);
	more.backing = (uint32_t)backing;
	CHECK_OK(vas_region_add(vas, &more, NULL));
	memset(bytes, 's', sizeof(bytes));
	check_poke_works(vas, SIZE, bytes, sizeof(bytes));
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		test_skip("this kernel has no F_SEAL_FUTURE_WRITE");
	CHECK_EQ(pwrite(fd, bytes, 1, 0), -1);
	check_poke_works(vas, SIZE + MIB / 2, bytes, sizeof(bytes));
	close(fd);
	vas_destroy(vas);
}

/* ---- memory that comes when it is touched ------------------------------------------------- */

TEST(a_poke_into_a_clone_keeps_the_bytes_around_it)
{
	struct vas *vas = shadow_vas(SIZE), *clone;
	struct test_random random = { test_seed() };
	char *image = malloc(SIZE);
	uint64_t before;

	CHECK(image);
	enter_folder();
	make_image(&random, image);
	CHECK_OK(vas_poke(vas, 0, image, SIZE, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &clone));
	memset(image + MIB + 5, 'c', 2 * MIB);
	CHECK_OK(vas_poke(clone, MIB + 5, image + MIB + 5, 2 * MIB, NULL));
	memset(image + 5 * MIB - 5, 0, MIB);
	CHECK_OK(vas_poke(clone, 5 * MIB - 5, image + 5 * MIB - 5, MIB, NULL));
	before = resident(vas_fd(clone));
	CHECK_OK(vas_poke(clone, 5 * MIB - 5, image + 5 * MIB - 5, MIB, NULL));
	CHECK_EQ(resident(vas_fd(clone)), before);
	check_bytes(clone, image);
	vas_destroy(clone);
	vas_destroy(vas);
	free(image);
	leave_folder();
}
