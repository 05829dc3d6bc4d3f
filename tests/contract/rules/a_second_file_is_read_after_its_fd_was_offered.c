// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../subject.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int make_file(struct subject *s, uint64_t size)
{
	int fd = memfd_create("second", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)s;
	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, (off_t)size));
	CHECK_EQ(pwrite(fd, "from the second", 16, 4096 + 8), 16);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, SEALS));
	return fd;
}

RULE(a_second_file_is_read_after_its_fd_was_offered,
     CAN_READ | CAN_OFFER | CAN_REBIND | CAN_SPARSE | CAN_WHOLE)
{
	struct vas_region region = { .gpa = 4 * s->unit, .size = s->unit, .offset = 4096 };
	int fd = make_file(s, 16384), other = make_file(s, 16384);
	uint8_t got[24];
	size_t done;

	place(s, 3, 1);
	region.backing = (uint32_t)vas_backing_add(s->owner, fd);
	CHECK_EQ(region.backing, 1);
	CHECK_OK(vas_region_add(s->owner, &region, NULL));
	CHECK_EQ(subject_read(s, 4 * s->unit - 8, got, sizeof(got), &done), -ENXIO);
	CHECK_EQ(done, 8);
	CHECK_EQ(subject_offer(s, other), -ENOENT);
	CHECK_EQ(subject_read(s, 4 * s->unit, got, 1, &done), -ENXIO);
	CHECK_EQ(subject_offer(s, fd), 1);
	CHECK_OK(subject_read(s, 4 * s->unit - 8, got, sizeof(got), &done));
	CHECK_MEM(got + 16, "from the", 8);
	close(other);
	close(fd);
}
