// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A guest is saved while it runs, by a VMM that tells what it writes: the file has what its memory was when it
 * stood, whatever was written how often and by whom, also on a parent.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/migrate/snapshot/saved.h"

#define WORD  (64 * VAS_PAGE_SIZE)
#define WORDS (SIZE / WORD)

struct vmm {
	struct vas *vas;
	struct test_random random;
	char *hva;	      /* of the RAM: what is written there is marked by nobody */
	uint64_t first;	      /* words that were told once */
	int nr_more;	      /* calls that tell of what was written since */
	int nr_written;	      /* calls of written() */
	int is_silent;	      /* of what was written since: it has to be found */
	int (*at_half)(void); /* called once; not 0: the VMM fails with it */
	struct vas_snapshot_options options;
};

static struct vas *at_half_vas;

static void init(struct vmm *vmm, struct vas *vas)
{
	*vmm = (struct vmm){ .vas = vas, .random = { test_seed() }, .nr_more = 40 };
	vmm->hva = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vas_backing_fd(vas, 0), 0);
	CHECK(vmm->hva != MAP_FAILED);
}

/* Bytes, and zeros where bytes were. */
static uint64_t write_unmarked(struct vmm *vmm)
{
	const uint64_t gpa = test_random_below(&vmm->random, SIZE / VAS_PAGE_SIZE) * VAS_PAGE_SIZE;
	const int value = (int)test_random_below(&vmm->random, 3);

	memset(vmm->hva + gpa, value, VAS_PAGE_SIZE);
	return gpa;
}

static ssize_t tell(void *arg, struct vas_dirty_word *words, size_t nr)
{
	struct vmm *vmm = arg;
	size_t n = 0;

	if (vmm->first == WORDS / 2 && vmm->at_half) {
		int err = vmm->at_half();

		vmm->at_half = NULL;
		if (err)
			return err;
	}
	while (n < 4 && n < nr && vmm->first < WORDS)
		words[n++] = (struct vas_dirty_word){ vmm->first++ * WORD, ~0ull };
	if (n || !vmm->nr_more)
		return (ssize_t)n;
	vmm->nr_more--;
	/* Marked by one who is bound, and told by the VMM. */
	write_some(vmm->vas, &vmm->random, 5);
	for (; n < 100 && n < nr; n++) {
		uint64_t gpa = write_unmarked(vmm);

		if (vmm->is_silent)
			gpa = 0;
		words[n].gpa = gpa / WORD * WORD;
		words[n].bits = 1ull << gpa % WORD / VAS_PAGE_SIZE;
	}
	return (ssize_t)n;
}

/* From here on the guest runs again, and what it writes is not in the file. */
static int written(void *arg)
{
	struct vmm *vmm = arg;

	vmm->nr_written++;
	return 0;
}

static int save(struct vmm *vmm, const char *file, const char *parent)
{
	vmm->options = (struct vas_snapshot_options){ .parent = parent,
						      .written = written,
						      .arg = vmm,
						      .told = tell,
						      .compare_told = vmm->is_silent };
	vmm->first = 0;
	return vas_snapshot_save_with(vmm->vas, file, &vmm->options);
}

TEST(what_is_told_and_what_is_marked_is_in_the_file)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vmm vmm;

	enter_folder();
	init(&vmm, vas);
	write_some(vas, &vmm.random, 300);
	CHECK_OK(save(&vmm, "full", NULL));
	CHECK_EQ(vmm.nr_written, 1);
	check_restores("full", vas);

	/* On a parent: what was written, and then was again as there, is not in the child. */
	vmm.nr_more = 40;
	CHECK_OK(save(&vmm, "child", "full"));
	check_restores("child", vas);
	vmm.nr_more = 0;
	CHECK_OK(save(&vmm, "same", "child"));
	check_restores("same", vas);
	CHECK(allocated("same") < 64 << 10);
	munmap(vmm.hva, SIZE);
	vas_destroy(vas);
	leave_folder();
}

TEST(what_is_not_told_is_found_by_a_comparison)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vmm vmm;

	enter_folder();
	init(&vmm, vas);
	vmm.is_silent = 1;
	write_some(vas, &vmm.random, 300);
	CHECK_OK(save(&vmm, "full", NULL));
	check_restores("full", vas);
	vmm.nr_more = 10;
	CHECK_OK(save(&vmm, "child", "full"));
	check_restores("child", vas);
	munmap(vmm.hva, SIZE);
	vas_destroy(vas);
	leave_folder();
}

static int fail(void)
{
	return -ECONNRESET;
}

static int change_layout(void)
{
	const struct vas_region more = {
		.gpa = SIZE, .size = 1 << 20, .offset = VAS_OFFSET_GPA, .name = "more"
	};

	CHECK_OK(vas_region_add(at_half_vas, &more, NULL));
	return 0;
}

TEST(what_goes_wrong_leaves_no_file)
{
	struct vas *vas = shadow_vas(SIZE);
	struct vmm vmm;

	enter_folder();
	init(&vmm, vas);
	write_some(vas, &vmm.random, 30);
	vmm.at_half = fail;
	CHECK_EQ(save(&vmm, "full", NULL), -ECONNRESET);
	CHECK_EQ(vmm.nr_written, 0);
	at_half_vas = vas;
	vmm.at_half = change_layout;
	CHECK_EQ(save(&vmm, "full", NULL), -ESTALE);
	CHECK_EQ(count_files(), 0);
	munmap(vmm.hva, SIZE);
	vas_destroy(vas);
	leave_folder();
}
