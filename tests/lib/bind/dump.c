// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Which maps go into a core dump: those of guest memory and of the control area if asked for. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "simple_vas.h"

#define BACKING_PAGES 16

/* Maps of files whose name begins so; *dumped: how many of them a core dump would hold. */
static int count_maps_of(const char *file, int *dumped)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long long start, end;
	char line[512];
	int nr = 0, is_ours = 0;

	CHECK(smaps);
	*dumped = 0;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			nr += is_ours = !!strstr(line, file);
		if (is_ours && !strncmp(line, "VmFlags:", 8))
			*dumped += !strstr(line, " dd");
	}
	fclose(smaps);
	return nr;
}

struct mapped {
	struct vas *owner, *bound;
	struct vas_mapping *mapping;
};

/* One map of each kind: window, a piece in it, the control area, and a long-lived one. */
static void map_all(struct mapped *m, uint32_t create_flags, uint32_t bind_flags)
{
	const struct vas_options options = { .limit = 256 * PAGE,
					     .name = "dump",
					     .flags = create_flags };
	struct vas_region region = { .gpa = 64 * PAGE, .size = BACKING_PAGES * PAGE };
	int fd = memfd_create("vas:dump-second", MFD_CLOEXEC);

	CHECK_OK(ftruncate(fd, BACKING_PAGES * PAGE));
	CHECK_OK(vas_create(&options, &m->owner));
	region.backing = (uint32_t)vas_backing_add(m->owner, fd);
	simple_add(m->owner, 1, 1);
	CHECK_OK(vas_region_add(m->owner, &region, NULL));
	CHECK_OK(vas_bind(vas_fd(m->owner), bind_flags, &m->bound));
	CHECK_OK(vas_backing_offer(m->bound, fd));
	CHECK_OK(vas_fill(m->bound, PAGE, 1, PAGE, NULL));
	CHECK_OK(vas_fill(m->bound, 64 * PAGE, 1, PAGE, NULL));
	CHECK_OK(vas_mapping_create(m->owner, 64 * PAGE, PAGE, 0, &m->mapping));
}

static void let_go(struct mapped *m)
{
	vas_mapping_destroy(m->mapping);
	vas_unbind(m->bound);
	vas_destroy(m->owner);
}

TEST(guest_memory_is_in_no_core_dump)
{
	struct mapped m;
	int dumped;

	map_all(&m, 0, 0);
	CHECK(count_maps_of("vas:dump", &dumped) >= 7);
	CHECK_EQ(dumped, 0);
	/* What a window shows once a piece has gone. */
	vas_mapping_destroy(m.mapping);
	m.mapping = NULL;
	CHECK_OK(vas_region_remove(m.owner, 2));
	CHECK_OK(vas_fill(m.bound, PAGE, 2, PAGE, NULL));
	CHECK(count_maps_of("vas:dump", &dumped) >= 4);
	CHECK_EQ(dumped, 0);
	let_go(&m);
}

TEST(guest_memory_is_dumped_by_those_who_ask_for_it)
{
	struct mapped m;
	int dumped, nr;

	map_all(&m, VAS_CREATE_DUMP, VAS_BIND_DUMP);
	nr = count_maps_of("vas:dump", &dumped);
	CHECK(nr >= 7);
	CHECK_EQ(dumped, nr);
	let_go(&m);
}
