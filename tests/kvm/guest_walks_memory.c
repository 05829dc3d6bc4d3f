// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a guest sees of the layout: RAM, ROM, holes, backings, local memory, moves. */
#include <sys/mman.h>
#include <unistd.h>

#include "kvm_fixture.h"

#define SIZE (64ull << 10)

static void check_walked(struct fixture *f, uint64_t gpa, uint64_t size, uint64_t times)
{
	uint64_t at;

	for (at = gpa; at < gpa + size; at += VAS_PAGE_SIZE) {
		test_note("page %#llx", (unsigned long long)at);
		CHECK_EQ(((uint64_t *)(f->ram + at))[1], times);
	}
}

TEST(guest_touches_every_page_of_every_region)
{
	/* Regions side by side, apart, below and above 4 GiB. */
	static const uint64_t gpas[] = { GUEST_RAM, GUEST_RAM + SIZE, 0x40000000, HIGH_GPA,
					 0x300000000 };
	struct fixture f;
	size_t i;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_walker);
	f.box->rounds = 3;
	for (i = 0; i < sizeof(gpas) / sizeof(*gpas); i++) {
		fixture_region(&f, gpas[i], SIZE, 0);
		fixture_walk(&f, gpas[i], SIZE, 0);
	}
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_EQ(f.nr_mmio_writes, 0);
	CHECK_EQ(f.box->done, 3 * 5 * SIZE / VAS_PAGE_SIZE);
	for (i = 0; i < sizeof(gpas) / sizeof(*gpas); i++)
		check_walked(&f, gpas[i], SIZE, 3);
	fixture_clean(&f);
}

TEST(guest_write_to_rom_exits_and_changes_nothing)
{
	struct fixture f;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_walker);
	fixture_region(&f, HIGH_GPA, SIZE, VAS_REGION_READONLY);
	fixture_walk(&f, HIGH_GPA, SIZE, GUEST_REGION_READONLY);
	fixture_start(&f);
	fixture_finish(&f);
	CHECK_EQ(f.nr_mmio_writes, SIZE / VAS_PAGE_SIZE);
	CHECK_EQ(f.last_mmio_gpa, HIGH_GPA + SIZE - VAS_PAGE_SIZE + 8);
	check_walked(&f, HIGH_GPA, SIZE, 0);
	fixture_clean(&f);
}

TEST(guest_write_to_a_hole_exits)
{
	struct fixture f;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_walker);
	fixture_walk(&f, HIGH_GPA, VAS_PAGE_SIZE, 0);
	fixture_start(&f);
	/* All ones are read there, which is not what the walker wants. */
	CHECK_EQ(fixture_wait(&f), 1);
	CHECK_EQ(f.box->where, HIGH_GPA);
	fixture_clean(&f);
}

/* A backing of its own, and memory of this process alone, each at an offset that is not its gpa. */
TEST(guest_walks_backings_and_local_memory)
{
	int fd = memfd_create("backing", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct vas_region region = { .gpa = HIGH_GPA, .size = SIZE, .offset = SIZE };
	struct fixture f;
	char *local, *backing;
	uint64_t i;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_walker);
	CHECK_OK(ftruncate(fd, 4 * SIZE));
	region.backing = vas_backing_add(f.vas, fd);
	CHECK_OK(region.backing);
	CHECK_OK(vas_region_add(f.vas, &region, NULL));
	local = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	region =
		(struct vas_region){ .gpa = 2 * HIGH_GPA, .size = SIZE, .flags = VAS_REGION_LOCAL };
	region.hva = local;
	CHECK_OK(vas_region_add(f.vas, &region, NULL));
	fixture_walk(&f, HIGH_GPA, SIZE, 0);
	fixture_walk(&f, 2 * HIGH_GPA, SIZE, 0);
	backing = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SIZE);
	for (i = 0; i < SIZE; i += VAS_PAGE_SIZE) {
		*(uint64_t *)(backing + i) = (HIGH_GPA + i) ^ f.box->seed;
		*(uint64_t *)(local + i) = (2 * HIGH_GPA + i) ^ f.box->seed;
	}
	fixture_start(&f);
	fixture_finish(&f);
	for (i = 0; i < SIZE; i += VAS_PAGE_SIZE) {
		CHECK_EQ(*(uint64_t *)(backing + i + 8), 1);
		CHECK_EQ(*(uint64_t *)(local + i + 8), 1);
	}
	fixture_clean(&f);
}

struct progress {
	struct fixture *f;
	uint64_t target;
};

static int filled_so_far(void *arg)
{
	struct progress *progress = arg;

	return progress->f->box->done >= progress->target;
}

/* Two rounds of the walker from now. */
static void wait_for_rounds(struct fixture *f)
{
	struct progress progress = { f, f->box->done };

	progress.target += 2 * f->box->nr_regions * (SIZE / VAS_PAGE_SIZE);
	test_wait(filled_so_far, &progress, 10000);
}

/*
 * The vCPU never stops walking a region that grows and shrinks behind it: the pause hook keeps it
 * from ever seeing the moment at which KVM has no memslot there.
 */
TEST(region_that_is_replaced_is_never_gone_for_the_guest)
{
	struct fixture f;
	uint64_t id;
	int i;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_walker);
	f.box->rounds = 0;
	id = fixture_region(&f, HIGH_GPA, SIZE, 0);
	fixture_walk(&f, HIGH_GPA, SIZE, 0);
	fixture_start(&f);
	for (i = 0; i < 200; i++) {
		test_note("change %d", i);
		CHECK_OK(vas_region_resize(f.vas, id, i % 2 ? SIZE : 4 * SIZE));
	}
	wait_for_rounds(&f);
	f.box->turn = 1;
	fixture_finish(&f);
	CHECK_EQ(f.nr_mmio_writes, 0);
	CHECK_OK(vas_consumer_status(vas_kvm_consumer(f.machine.kvm)));
	fixture_clean(&f);
}

/* Moved onto part of itself, then away: the bytes come along. */
TEST(region_that_moves_takes_its_bytes_along)
{
	struct fixture f;
	uint64_t id, i;

	fixture_init(&f, 0);
	FIXTURE_LOAD(&f, guest_walker);
	id = fixture_region(&f, HIGH_GPA, SIZE, 0);
	for (i = 0; i < SIZE; i += VAS_PAGE_SIZE)
		*(uint64_t *)(f.ram + HIGH_GPA + i) = (HIGH_GPA + 4 * SIZE + i) ^ f.box->seed;
	CHECK_OK(vas_region_move(f.vas, id, HIGH_GPA + SIZE / 2));
	CHECK_OK(vas_region_move(f.vas, id, HIGH_GPA + 4 * SIZE));
	f.list[0].gpa = HIGH_GPA + 4 * SIZE;
	f.list[0].size = SIZE;
	f.list[0].flags = 0;
	f.box->nr_regions = 1;
	fixture_start(&f);
	fixture_finish(&f);
	check_walked(&f, HIGH_GPA, SIZE, 1);
	fixture_clean(&f);
}
