// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <sys/mman.h>

#include "../subject.h"

RULE(local_memory_is_its_owners_alone, CAN_READ | CAN_LIST | CAN_SPARSE | CAN_WHOLE)
{
	struct vas_region region = { .flags = VAS_REGION_LOCAL, .gpa = 4 * s->unit };
	struct vas_region_entry entry;
	uint8_t buf[16];
	size_t done;

	region.size = 2 * s->unit;
	region.hva =
		mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(region.hva != MAP_FAILED);
	memset(region.hva, 'L', region.size);
	place(s, 3, 1);
	CHECK_OK(vas_region_add(s->owner, &region, NULL));
	CHECK_EQ(owner_load8(s, 5 * s->unit), 'L');

	CHECK_OK(subject_region_at(s, 4 * s->unit, &entry));
	CHECK(entry.flags & VAS_REGION_LOCAL);
	if (s->kind->can & CAN_LOCAL) {
		CHECK_OK(subject_read(s, 4 * s->unit - 8, buf, sizeof(buf), &done));
		CHECK_MEM(buf + 8, "LLLLLLLL", 8);
	} else {
		CHECK_EQ(subject_read(s, 4 * s->unit - 8, buf, sizeof(buf), &done), -ENXIO);
		CHECK_EQ(done, 8);
	}
}
