// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/migrate/snapshot/saved.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "snapshot-XXXXXX";

void enter_folder(void)
{
	CHECK(mkdtemp(folder));
	CHECK_OK(chdir(folder));
}

/* How many there are; with `removes`, they go. */
static int each_file(int removes)
{
	struct dirent *entry;
	DIR *dir = opendir(".");
	int nr = 0;

	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		nr++;
		if (removes)
			CHECK_OK(unlink(entry->d_name));
	}
	closedir(dir);
	return nr;
}

int count_files(void)
{
	return each_file(0);
}

void leave_folder(void)
{
	each_file(1);
	CHECK_OK(chdir(".."));
	CHECK_OK(rmdir(folder));
}

uint64_t allocated(const char *path)
{
	struct stat st;

	CHECK_OK(stat(path, &st));
	return (uint64_t)st.st_blocks * 512;
}

void write_some(struct vas *vas, struct test_random *random, int nr)
{
	while (nr--) {
		uint64_t value = test_random_next(random);

		CHECK_OK(vas_write(vas, test_random_below(random, SIZE - 8), &value, 8, NULL));
	}
}

void check_same(struct vas *a, struct vas *b)
{
	static char pages[2][VAS_PAGE_SIZE];
	uint64_t gpa;

	for (gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		CHECK_OK(vas_read(a, gpa, pages[0], VAS_PAGE_SIZE, NULL));
		CHECK_OK(vas_read(b, gpa, pages[1], VAS_PAGE_SIZE, NULL));
		test_note("page %#llx", (unsigned long long)gpa);
		CHECK_MEM(pages[1], pages[0], VAS_PAGE_SIZE);
	}
}

void check_restores(const char *path, struct vas *vas)
{
	struct vas *back;

	CHECK_OK(vas_snapshot_restore(path, 0, &back));
	check_same(vas, back);
	vas_destroy(back);
}
