// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Scatterlists of guest memory. */
#include <stdlib.h>
#include <unistd.h>

#include "device.h"

#define MIB   (1ull << 20)
#define PAGE  4096ull
#define LIMIT (64 * MIB)

static uint32_t nr_pins(struct vas *vas)
{
	return device_vas_info(vas).nr_pins;
}

static int map_list(int device, const struct vas_test_range *ranges, uint32_t nr, uint32_t flags,
		    uint32_t *nr_entries)
{
	struct vas_test_sg sg = { .ranges = (uintptr_t)ranges, .nr = nr, .flags = flags };
	int err = device_sg_map(device, &sg);

	*nr_entries = sg.nr_entries;
	return err;
}

TEST(a_list_has_the_bytes_of_its_ranges_in_their_order)
{
	static const struct vas_test_range ranges[] = {
		{ 5 * PAGE + 7, 100 },
		{ 0, 3 * PAGE },
		{ 2 * PAGE - 1, 2 },
		{ MIB - 1, 1 },
	};
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint8_t memory[MIB], list[3 * PAGE + 103];
	uint32_t nr_entries;
	size_t at = 0;

	for (size_t i = 0; i < MIB; i++)
		memory[i] = (uint8_t)(i * 13 + (i >> 8));
	CHECK_OK(vas_write(vas, 0, memory, MIB, NULL));
	CHECK_OK(map_list(device, ranges, 4, 0, &nr_entries));
	CHECK(nr_entries >= 4 && nr_entries <= 7);
	CHECK_OK(device_sg_read(device, 0, list, sizeof(list)));
	for (size_t i = 0; i < 4; at += ranges[i++].len)
		CHECK_MEM(list + at, memory + ranges[i].gpa, ranges[i].len);
	CHECK_EQ(device_sg_read(device, 1, list, sizeof(list)), -ERANGE);
	CHECK_EQ(nr_pins(vas), 4);
	CHECK_OK(device_sg_unmap(device));
	CHECK_EQ(nr_pins(vas), 0);
}

TEST(what_is_written_through_a_list_is_in_memory)
{
	static const struct vas_test_range ranges[] = { { PAGE - 3, 6 }, { 9 * PAGE, MIB / 2 } };
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint8_t *wrote = malloc(MIB), *back = malloc(MIB);
	uint32_t nr_entries;

	for (size_t i = 0; i < MIB; i++)
		wrote[i] = (uint8_t)(i * 29 + (i >> 10));
	CHECK_OK(map_list(device, ranges, 2, VAS_MAPPING_WRITE, &nr_entries));
	CHECK_OK(device_sg_write(device, 0, wrote, 6 + MIB / 2));
	CHECK_OK(vas_read(vas, PAGE - 3, back, 6, NULL));
	CHECK_MEM(back, wrote, 6);
	CHECK_OK(vas_read(vas, 9 * PAGE, back, MIB / 2, NULL));
	CHECK_MEM(back, wrote + 6, MIB / 2);
}

TEST(an_entry_is_no_larger_than_asked_for)
{
	static const struct vas_test_range range = { 0, MIB };
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	struct vas_test_sg sg = { .ranges = (uintptr_t)&range, .nr = 1, .max_segment = PAGE };

	CHECK_OK(device_sg_map(device, &sg));
	CHECK_EQ(sg.nr_entries, 256);
	CHECK_OK(device_sg_unmap(device));
	sg.max_segment = 17;
	CHECK_EQ(device_sg_map(device, &sg), -EINVAL);
}

TEST(a_list_with_one_bad_range_is_refused_whole)
{
	static const struct vas_test_range ranges[] = { { 0, PAGE },
							{ MIB, PAGE },
							{ PAGE, PAGE } };
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint32_t nr_entries;

	CHECK_EQ(map_list(device, ranges, 3, 0, &nr_entries), -EFAULT);
	CHECK_EQ(nr_pins(vas), 0);
	CHECK_EQ(map_list(device, ranges, 0, 0, &nr_entries), -EINVAL);
	CHECK_OK(map_list(device, ranges, 1, 0, &nr_entries));
}

TEST(a_list_in_the_way_is_asked_for)
{
	static const struct vas_test_range ranges[] = { { 0, PAGE }, { 2 * MIB, PAGE } };
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	uint64_t id = device_add(vas, 2 * MIB, MIB);
	int device = device_bound(vas_fd(vas));
	uint32_t nr_entries;

	CHECK_OK(map_list(device, ranges, 2, VAS_MAPPING_WRITE, &nr_entries));
	device_remove(vas, id);
	CHECK_EQ(device_sg_unmap(device), -ENOENT);
	CHECK_EQ(nr_pins(vas), 0);
}
