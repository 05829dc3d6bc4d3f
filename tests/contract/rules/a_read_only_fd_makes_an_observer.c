// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <unistd.h>

#include "../subject.h"

RULE(a_read_only_fd_makes_an_observer, CAN_REBIND | CAN_READ | CAN_WRITE | CAN_FREE)
{
	uint8_t byte = 1;
	int fd;

	place(s, 1, 1);
	owner_store8(s, s->unit, 0x33);
	/* Were it still to come: an observer cannot ask for it. */
	CHECK_EQ(owner_load8(s, s->unit), 0x33);
	fd = vas_readonly_fd(s->owner);
	CHECK_OK(fd);
	CHECK_OK(subject_rebind(s, fd));
	close(fd);
	CHECK_OK(subject_read(s, s->unit, &byte, 1, NULL));
	CHECK_EQ(byte, 0x33);
	CHECK_EQ(subject_write(s, s->unit, &byte, 1, NULL), -EACCES);
}
