// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A guest's memory, as a device copies out of it and into it. */
#include "device/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tests/harness.h"

#define GPA	0x10000u
#define SIZE	0x2000u
#define OVERLAP 32u
#define LEN	0x1000u

static struct memory memory;

static uint8_t *add_memory(void)
{
	const struct memory_region region = { .gpa = GPA, .size = SIZE, .user = GPA };
	const int fd = memfd_create("memory", MFD_CLOEXEC);
	uint8_t *bytes;

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, SIZE));
	CHECK_OK(memory_add(&memory, &region, fd, 0));
	close(fd);
	bytes = memory_range(&memory, GPA, SIZE);
	CHECK(bytes);
	for (uint32_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	return bytes;
}

/* A loopback's sender and receiver are one guest, which chooses both addresses. */
TEST(what_is_copied_may_lie_over_where_it_goes)
{
	uint8_t *bytes = add_memory();
	uint8_t before[SIZE];

	memcpy(before, bytes, SIZE);
	CHECK_OK(memory_write(&memory, GPA, bytes + OVERLAP, LEN));
	CHECK_OK(memcmp(bytes, before + OVERLAP, LEN));
	memcpy(before, bytes, SIZE);
	CHECK_OK(memory_write(&memory, GPA + OVERLAP, bytes, LEN));
	CHECK_OK(memcmp(bytes + OVERLAP, before, LEN));
	memcpy(before, bytes, SIZE);
	CHECK_OK(memory_read(&memory, GPA, bytes + OVERLAP, LEN));
	CHECK_OK(memcmp(bytes + OVERLAP, before, LEN));
}

TEST(what_ends_outside_is_refused)
{
	uint8_t buf[OVERLAP];

	add_memory();
	CHECK_EQ(memory_read(&memory, GPA + SIZE - OVERLAP / 2, buf, OVERLAP), -EFAULT);
	CHECK_EQ(memory_write(&memory, GPA + SIZE - OVERLAP / 2, buf, OVERLAP), -EFAULT);
	CHECK_EQ(memory_read(&memory, 0, buf, OVERLAP), -EFAULT);
}
