// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <sys/mman.h>

#include "../subject.h"

/* ROM is read-only to the guest and to binders, but what is put into the file shows. */
RULE(rom_is_filled_by_its_file, CAN_READ | CAN_WHOLE)
{
	struct vas_region rom = place_prepare(s, 1, 1);
	int fd = rom.backing ? s->backing_fd : vas_backing_fd(s->owner, 0);
	uint8_t got[512];
	uint8_t *file;

	rom.flags = VAS_REGION_READONLY;
	CHECK_OK(vas_region_add(s->owner, &rom, NULL));
	file = mmap(NULL, rom.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)rom.offset);
	CHECK(file != MAP_FAILED);
	pattern_make(file, 0, sizeof(got), 3);
	CHECK_OK(subject_read(s, s->unit, got, sizeof(got), NULL));
	CHECK_MEM(got, file, sizeof(got));
	munmap(file, rom.size);
}
