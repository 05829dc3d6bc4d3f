// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Chains of iovas become chains of gpas, whatever pieces those are in. */
#include <errno.h>

#include "core/virtqueue/iova.h"
#include "tests/harness.h"

#define PAGE	VAS_IOVA_PAGE
#define NR	8u
#define ROOM	8u
#define MISSING UINT64_MAX

/* Page i of the iovas is at gpa[i]. */
struct space {
	uint64_t gpa[NR];
	uint32_t nr_told, writes;
	uint64_t told[NR];
};

static int find(void *user, uint64_t iova, uint32_t write, uint64_t *len, uint64_t *gpa)
{
	const struct space *space = user;
	uint64_t at = iova % PAGE;

	(void)write;
	if (iova / PAGE >= NR || space->gpa[iova / PAGE] == MISSING)
		return -EAGAIN;
	*gpa = space->gpa[iova / PAGE] + at;
	if (*len > PAGE - at)
		*len = PAGE - at;
	return 0;
}

static void tell(void *user, uint64_t iova, uint32_t write)
{
	struct space *space = user;

	space->told[space->nr_told++] = iova;
	space->writes += write;
}

/* Pages 0 and 1 are next to one another, 2 is apart, 5 and on are missing. */
static struct space space_of_test(void)
{
	return (struct space){ .gpa = { 16 * PAGE, 17 * PAGE, 40 * PAGE, 30 * PAGE, 31 * PAGE,
					MISSING, MISSING, MISSING } };
}

static struct vas_virtq_iommu iommu_of(struct space *space, uint32_t nr_left)
{
	return (struct vas_virtq_iommu){ find, space, nr_left };
}

static void is_segment(const struct vas_virtq_segment *got, uint64_t gpa, uint32_t len,
		       uint32_t write)
{
	CHECK_EQ(got->gpa, gpa);
	CHECK_EQ(got->len, len);
	CHECK_EQ(got->write, write);
}

TEST(a_chain_is_cut_where_memory_is_and_no_more)
{
	struct space space = space_of_test();
	struct vas_virtq_iommu iommu = iommu_of(&space, 100);
	struct vas_virtq_segment room[ROOM], iovas[] = {
		{ 100, 2 * PAGE, 0 },	   /* pages 0 to 2: two pieces */
		{ 0, 0, 0 },		   /* nothing */
		{ 3 * PAGE - 8, 8, 1 },	   /* the end of one */
		{ 3 * PAGE, 2 * PAGE, 1 }, /* one piece, and not that before */
	};
	struct vas_virtq_chain chain = { .segments = iovas, .nr_out = 2, .nr_in = 2 };

	CHECK_OK(vas_virtq_translate_chain(&iommu, &chain, room, ROOM));
	CHECK(chain.segments == room);
	CHECK_EQ(chain.nr_out, 3);
	CHECK_EQ(chain.nr_in, 2);
	is_segment(&room[0], 16 * PAGE + 100, 2 * PAGE - 100, 0);
	is_segment(&room[1], 40 * PAGE, 100, 0);
	is_segment(&room[2], 0, 0, 0);
	is_segment(&room[3], 41 * PAGE - 8, 8, 1);
	is_segment(&room[4], 30 * PAGE, 2 * PAGE, 1);
}

TEST(a_chain_that_misses_something_is_left_alone)
{
	struct space space = space_of_test();
	struct vas_virtq_iommu iommu = iommu_of(&space, 100);
	struct vas_virtq_segment room[ROOM], iovas[] = { { 4 * PAGE, 2 * PAGE, 1 } };
	struct vas_virtq_chain chain = { .segments = iovas, .nr_in = 1 };

	CHECK_EQ(vas_virtq_translate_chain(&iommu, &chain, room, ROOM), -EAGAIN);
	CHECK(chain.segments == iovas);
	CHECK_EQ(chain.nr_in, 1);
}

TEST(a_chain_has_as_many_pieces_and_searches_as_there_may_be)
{
	struct space space = space_of_test();
	struct vas_virtq_segment room[ROOM], iovas[] = { { 0, 4 * PAGE, 0 } };

	for (uint32_t max = 1; max <= 3; max++) {
		struct vas_virtq_iommu iommu = iommu_of(&space, 4);
		struct vas_virtq_chain chain = { .segments = iovas, .nr_out = 1 };

		CHECK_EQ(vas_virtq_translate_chain(&iommu, &chain, room, max),
			 max == 3 ? 0 : -EPROTO);
	}
	for (uint32_t nr = 0; nr <= 4; nr++) {
		struct vas_virtq_iommu iommu = iommu_of(&space, nr);
		struct vas_virtq_chain chain = { .segments = iovas, .nr_out = 1 };

		CHECK_EQ(vas_virtq_translate_chain(&iommu, &chain, room, ROOM),
			 nr == 4 ? 0 : -EPROTO);
	}
}

TEST(a_range_is_in_one_piece_or_none)
{
	struct space space = space_of_test();
	struct vas_virtq_iommu iommu = iommu_of(&space, 100);
	uint64_t gpa = 0;

	CHECK_OK(vas_virtq_translate_range(&iommu, 8, 2 * PAGE - 8, 1, &gpa));
	CHECK_EQ(gpa, 16 * PAGE + 8);
	CHECK_EQ(vas_virtq_translate_range(&iommu, PAGE, 2 * PAGE, 1, &gpa), -EPROTO);
	CHECK_EQ(vas_virtq_translate_range(&iommu, 4 * PAGE, 2 * PAGE, 1, &gpa), -EAGAIN);
	CHECK_EQ(vas_virtq_translate_range(&iommu, UINT64_MAX - 4, 8, 1, &gpa), -EPROTO);
	iommu.nr_left = 1;
	CHECK_EQ(vas_virtq_translate_range(&iommu, 0, 2 * PAGE, 1, &gpa), -EPROTO);
}

TEST(each_page_that_is_missing_is_told_of)
{
	struct space space = space_of_test();
	struct vas_virtq_iommu iommu = iommu_of(&space, 100);
	struct vas_virtq_segment iovas[] = { { 4 * PAGE + 8, 2 * PAGE, 1 },
					     { 7 * PAGE + 5, 1, 0 } };
	struct vas_virtq_chain chain = { .segments = iovas, .nr_out = 1, .nr_in = 1 };

	CHECK(vas_virtq_find_missing(&iommu, 0, 5 * PAGE, 1, tell));
	CHECK_EQ(space.nr_told, 0);
	vas_virtq_find_missing_of(&iommu, &chain, tell);
	CHECK_EQ(space.nr_told, 3);
	CHECK_EQ(space.told[0], 5 * PAGE);
	CHECK_EQ(space.told[1], 6 * PAGE);
	CHECK_EQ(space.told[2], 7 * PAGE + 5);
	CHECK_EQ(space.writes, 2);
	iommu.nr_left = 1;
	CHECK(!vas_virtq_find_missing(&iommu, 5 * PAGE, 2 * PAGE, 1, tell));
	CHECK_EQ(space.nr_told, 4);
}
