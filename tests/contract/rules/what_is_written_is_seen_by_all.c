// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <sys/mman.h>

#include "../subject.h"

RULE(what_is_written_is_seen_by_all, CAN_READ | CAN_WRITE)
{
	const uint64_t gpa = s->unit + 100;
	struct vas_region_entry entry;
	uint8_t want[100], got[100];
	uint8_t *file;
	int fd;

	place(s, 1, 2);
	CHECK_OK(subject_region_at(s, gpa, &entry));
	pattern_make(want, gpa, sizeof(want), 1);
	CHECK_OK(subject_write(s, gpa, want, sizeof(want), NULL));
	owner_read(s, gpa, got, sizeof(got));
	CHECK_MEM(got, want, sizeof(want));

	/* With no library: at its offset in the file. */
	fd = entry.backing ? s->backing_fd : vas_backing_fd(s->owner, 0);
	file = mmap(NULL, entry.size, PROT_READ, MAP_SHARED, fd, (off_t)entry.offset);
	CHECK(file != MAP_FAILED);
	CHECK_MEM(file + 100, want, sizeof(want));
	munmap(file, entry.size);

	pattern_make(want, gpa, sizeof(want), 2);
	owner_write(s, gpa, want, sizeof(want));
	CHECK_OK(subject_read(s, gpa, got, sizeof(got), NULL));
	CHECK_MEM(got, want, sizeof(want));
}
