// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../subject.h"

/* Any fd of the file will do: a duplicate, or one opened anew through /proc. */
RULE(a_bind_needs_nothing_but_the_fd, CAN_REBIND | CAN_READ)
{
	char path[64];
	uint8_t byte;
	int fd;

	place(s, 1, 1);
	owner_store8(s, s->unit, 0x77);
	fd = dup(vas_fd(s->owner));
	CHECK_OK(subject_rebind(s, fd));
	close(fd);
	CHECK_OK(subject_read(s, s->unit, &byte, 1, NULL));
	CHECK_EQ(byte, 0x77);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", vas_fd(s->owner));
	fd = open(path, O_CLOEXEC | (s->kind->can & CAN_WRITE ? O_RDWR : O_RDONLY));
	CHECK(fd >= 0);
	CHECK_OK(subject_rebind(s, fd));
	close(fd);
	CHECK_OK(subject_read(s, s->unit, &byte, 1, NULL));
	CHECK_EQ(byte, 0x77);
}
