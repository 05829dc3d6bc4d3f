// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Fuzz restoring, and saving on top: a snapshot's file that says anything, alone, as a parent, or
 * as a child. Input: the mode (PARTS_*), then the parts of the file that are not zero, one after
 * the other. Sums are made right unless the mode says otherwise, so that what is behind them is
 * reached.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/lazy.h>
#include <vas/migrate.h>

#include "pieces.h"
#include "snapshot_parts.h"

#define SIZE (1u << 20)

static struct vas *owner; /* "base" is a snapshot of it */
static char folder[] = "/tmp/fuzz-snapshot-XXXXXX";
static char base[64], hostile[64], honest[64], new[64]; /* paths in it */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void remove_folder(void)
{
	unlink(base);
	unlink(hostile);
	unlink(honest);
	unlink(new);
	rmdir(folder);
}

static void make_folder(void)
{
	CHECK(mkdtemp(folder));
	atexit(remove_folder);
	snprintf(base, sizeof(base), "%s/base", folder);
	snprintf(hostile, sizeof(hostile), "%s/hostile", folder);
	snprintf(honest, sizeof(honest), "%s/honest", folder);
	snprintf(new, sizeof(new), "%s/new", folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct vas_options options = { .limit = SIZE, .ram_size = SIZE, .name = "honest" };
	const struct vas_region ram = { .size = SIZE, .name = "ram" };

	(void)argc;
	(void)argv;
	CHECK_OK(vas_create(&options, &owner));
	CHECK_OK(vas_region_add(owner, &ram, NULL));
	make_folder();
	CHECK_OK(vas_write(owner, 0, "of the base", 12, NULL));
	CHECK_OK(vas_snapshot_save(owner, base, NULL, NULL));
	parts_set_id(base, PARTS_BASE_ID, "");
	CHECK_OK(vas_write(owner, 32, "of the child", 13, NULL));
	CHECK_OK(vas_snapshot_save(owner, honest, "base", NULL));
	parts_set_id(honest, PARTS_HOSTILE_ID, "hostile");
	segments_count_fds();
	return 0;
}

static void look(struct vas *vas)
{
	static char bytes[3 * VAS_PAGE_SIZE];
	struct vas_region region;
	uint64_t gpa = 0;

	vas_read(vas, VAS_PAGE_SIZE - 8, bytes, sizeof(bytes), NULL);
	vas_peek(vas, 0, bytes, sizeof(bytes), NULL);
	while (vas_region_at(vas, gpa, &region) == 0) {
		vas_peek(vas, region.gpa, bytes, sizeof(bytes), NULL);
		vas_write(vas, region.gpa + region.size - 8, "overwritten", 8, NULL);
		gpa = region.gpa + region.size;
	}
	vas_lazy_next(vas, &gpa, UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t ways[] = { 0, VAS_RESTORE_LAZY, VAS_RESTORE_CLONE,
					 VAS_RESTORE_PRIVATE };
	struct vas *vas;
	uint8_t mode;

	if (size < 1 || parts_write(hostile, data, size))
		return 0;
	mode = data[0];
	if (!vas_snapshot_restore(mode & PARTS_IS_PARENT ? honest : hostile, ways[mode & PARTS_WAY],
				  &vas)) {
		look(vas);
		vas_destroy(vas);
	}
	if (mode & PARTS_IS_SAVED_ON)
		vas_snapshot_save(owner, new, mode & PARTS_IS_PARENT ? "honest" : "hostile", NULL);
	segments_count_fds();
	return 0;
}
