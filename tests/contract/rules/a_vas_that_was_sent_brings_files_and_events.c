// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../subject.h"

static uint32_t add_file(struct subject *s)
{
	int fd = memfd_create("second", MFD_CLOEXEC | MFD_ALLOW_SEALING), nr;

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, 65536));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	nr = vas_backing_add(s->owner, fd);
	CHECK_OK(nr);
	close(fd);
	return (uint32_t)nr;
}

RULE(a_vas_that_was_sent_brings_files_and_events, CAN_RECEIVE | CAN_READ | CAN_WHOLE)
{
	struct vas_event bell = { .kind = VAS_EVENT_DOORBELL, .id = 7, .addr = 0xfee0000 };
	struct vas_event irq = { .kind = VAS_EVENT_IRQ, .id = 8, .gsi = 5, .name = "irq-5" };
	struct vas_region region = { .gpa = 4 * s->unit, .size = s->unit, .offset = 8192 };
	uint64_t count, one = 1;
	uint8_t got[8];

	strcpy(bell.name, "bell");
	region.backing = add_file(s);
	CHECK_OK(vas_region_add(s->owner, &region, NULL));
	CHECK_OK(vas_event_add(s->owner, &bell));
	CHECK_OK(vas_event_add(s->owner, &irq));
	CHECK_OK(subject_rebind(s, -1));
	owner_write(s, 4 * s->unit, "came too", 8);
	CHECK_OK(subject_read(s, 4 * s->unit, got, 8, NULL));
	CHECK_MEM(got, "came too", 8);

	CHECK_EQ(subject_event(s, "bell", &count), 7);
	CHECK_EQ(count, 0);
	CHECK_EQ(write(vas_event_fd(s->owner, 7), &one, sizeof(one)), sizeof(one));
	CHECK_EQ(write(vas_event_fd(s->owner, 7), &one, sizeof(one)), sizeof(one));
	CHECK_EQ(subject_event(s, "bell", &count), 7);
	CHECK_EQ(count, 2);
	CHECK_EQ(subject_event(s, "no such", &count), -ENOENT);
}
