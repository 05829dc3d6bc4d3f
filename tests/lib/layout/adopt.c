// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/simple_vas.h"

TEST(a_living_owner_is_not_replaced)
{
	struct vas *vas = simple_vas(), *other;

	CHECK_EQ(vas_bind(vas_fd(vas), VAS_BIND_ADOPT, &other), -EBUSY);
	CHECK_HAS(vas_error(), "living owner");
	vas_destroy(vas);
}

TEST(an_observer_does_not_adopt)
{
	struct vas *vas = simple_vas(), *other;
	int fd = vas_readonly_fd(vas);

	CHECK_EQ(vas_bind(fd, VAS_BIND_ADOPT, &other), -EPERM);
	close(fd);
	vas_destroy(vas);
}

TEST(an_adopter_carries_on_where_the_owner_left)
{
	struct vas *vas = simple_vas(), *binder;
	uint64_t id = simple_add(vas, 1, 2), rom_id;
	struct vas_region rom = simple_region(5, 1), regions[4];
	struct vas_info info;
	uint8_t byte;

	rom.flags = VAS_REGION_READONLY;
	strcpy(rom.name, "bios");
	CHECK_OK(vas_region_add(vas, &rom, &rom_id));
	CHECK_OK(vas_write(vas, PAGE, "m", 1, NULL));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	vas_unbind(vas);
	CHECK_EQ(vas_region_remove(binder, id), -EPERM);

	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &vas));
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.role, VAS_ROLE_OWNER);
	CHECK_EQ(info.owner_epoch, 1);
	CHECK_EQ(vas_regions(vas, regions, 4), 2);
	CHECK_EQ(regions[0].id, id);
	CHECK_STR(regions[1].name, "bios");
	CHECK_EQ(regions[1].flags, VAS_REGION_READONLY);
	CHECK(simple_add(vas, 9, 1) > rom_id);
	CHECK_OK(vas_region_remove(vas, rom_id));
	CHECK_OK(vas_read(binder, PAGE, &byte, 1, NULL));
	CHECK_EQ(byte, 'm');
	CHECK_EQ(vas_read(binder, 5 * PAGE, &byte, 1, NULL), -EFAULT);
	CHECK_OK(vas_read(binder, 9 * PAGE, &byte, 1, NULL));
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(local_memory_dies_with_its_owner)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_region local = { .gpa = 8 * PAGE, .size = PAGE, .flags = VAS_REGION_LOCAL };
	struct vas_region regions[2];

	local.hva = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	simple_add(vas, 1, 1);
	CHECK_OK(vas_region_add(vas, &local, NULL));
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	vas_unbind(vas);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &vas));
	CHECK_EQ(vas_regions(vas, regions, 2), 1);
	CHECK_EQ(regions[0].gpa, PAGE);
	vas_unbind(binder);
	vas_destroy(vas);
}

static struct vas_control *map_control(struct vas *vas, char **table1)
{
	struct vas_superblock sb;
	struct stat st;
	char *control;

	CHECK_OK(fstat(vas_fd(vas), &st));
	CHECK_EQ(pread(vas_fd(vas), &sb, sizeof(sb), st.st_size - 4096), 4096);
	control = mmap(NULL, sb.file_size - sb.ram_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vas_fd(vas), (off_t)sb.ram_size);
	CHECK(control != MAP_FAILED);
	*table1 = control + (sb.extents[VAS_EXT_TABLE1].offset - sb.ram_size);
	return (struct vas_control *)(control + (sb.extents[VAS_EXT_CONTROL].offset - sb.ram_size));
}

static struct vas_region_entry *table_of(int fd, struct vas_control *ctl, uint32_t table)
{
	struct vas_superblock sb;
	struct stat st;

	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(pread(fd, &sb, sizeof(sb), st.st_size - 4096), 4096);
	return (struct vas_region_entry *)((char *)ctl +
					   (sb.extents[VAS_EXT_TABLE0 + table].offset -
					    sb.extents[VAS_EXT_CONTROL].offset));
}

static uint8_t first_byte(struct vas *vas, uint64_t gpa)
{
	uint8_t byte;

	CHECK_OK(vas_read(vas, gpa, &byte, 1, NULL));
	return byte;
}

/* The owner died at P1 or P2: the next table and state are half written, the generation is not. */
TEST(a_half_done_commit_is_undone)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_control *ctl;
	struct vas_region regions[2];
	uint64_t id = simple_add(vas, 1, 1);
	char *table1;

	ctl = map_control(vas, &table1);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	vas_unbind(vas);
	memset(&ctl->state[(ctl->generation + 1) & 1], 0xa5, sizeof(ctl->state[0]));
	if (!ctl->state[ctl->generation & 1].table)
		memset(table1, 0xa5, 1024);
	else
		test_fail(__FILE__, __LINE__, "the test wants table 0 in use");
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &vas));
	CHECK_EQ(vas_regions(vas, regions, 2), 1);
	CHECK_EQ(regions[0].id, id);
	CHECK_EQ(vas_regions(binder, regions, 2), 1);
	CHECK_OK(vas_region_remove(vas, id));
	CHECK_EQ(vas_regions(binder, regions, 2), 0);
	vas_unbind(binder);
	vas_destroy(vas);
}

/*
 * The owner died after it had published, and before it had waited: what it took away is mapped still.
 * Its last steps are undone by hand: the pin is put back as it was.
 */
TEST(an_adopter_waits_for_what_the_dead_owner_took_away)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_control *ctl;
	struct vas_mapping *mapping;
	struct vas_blocker blocker;
	struct vas_layout *layout;
	struct vas_state *state;
	uint64_t id = simple_add(vas, 30, 1);
	char *table1;

	simple_add(vas, 1, 1);
	ctl = map_control(vas, &table1);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_fill(binder, PAGE, 'm', PAGE, NULL));
	CHECK_OK(vas_mapping_create(binder, PAGE, PAGE, 0, &mapping));
	vas_unbind(vas);

	/* P1 to P3 of a change that removes the region at PAGE, which is the first in its table. */
	state = &ctl->state[(ctl->generation + 1) & 1];
	*state = ctl->state[ctl->generation & 1];
	state->generation = state->regions_generation = ctl->generation + 1;
	CHECK_EQ(state->nr_regions, 2);
	state->nr_regions = 1;
	state->table = !state->table;
	memcpy(table_of(vas_fd(binder), ctl, state->table),
	       table_of(vas_fd(binder), ctl, !state->table) + 1, sizeof(struct vas_region_entry));
	__atomic_store_n(&ctl->generation, ctl->generation + 1, __ATOMIC_RELEASE);

	/* Two adopters, the first of which does nothing. */
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &vas));
	vas_unbind(vas);
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &vas));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_EQ(vas_layout_commit(layout, 10000000, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	CHECK_EQ(blocker.gpa, PAGE);
	CHECK_EQ(*(char *)vas_mapping_addr(mapping), 'm');
	/* Nor has one that changes nothing anything else to say of it. */
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_EQ(vas_layout_commit(layout, 10000000, &blocker), -EBUSY);
	vas_mapping_destroy(mapping);
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, &blocker));
	simple_add(vas, 1, 1);
	CHECK_EQ(first_byte(vas, PAGE), 0); /* it was given back, and is new */
	vas_unbind(binder);
	vas_destroy(vas);
}

/*
 * What the dead owner had half written may be anything: ranges that overlap, in any order, that make no
 * sense, and one that somebody has mapped. The next change waits for that one, and for no other.
 */
TEST(an_adopter_bears_any_other_table)
{
	static const struct {
		uint64_t page, nr;
	} ranges[] = {
		{ 9, 2 }, { 1, 4 }, { 2, 1 }, { 4, 6 }, { 100, 1 }, { 1 << 20, 1 }, { 50, 0 },
	};
	struct vas *vas = simple_vas(), *binder;
	struct vas_region_entry *other;
	struct vas_mapping *mapping;
	struct vas_blocker blocker;
	struct vas_layout *layout;
	struct vas_control *ctl;
	char *table1;
	uint64_t id;

	simple_add(vas, 1, 1);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_mapping_create(binder, PAGE, PAGE, 0, &mapping));
	id = simple_add(vas, 30, 1);
	ctl = map_control(vas, &table1);
	other = table_of(vas_fd(vas), ctl, !ctl->state[ctl->generation & 1].table);
	vas_unbind(vas);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		other[i] = (struct vas_region_entry){ .gpa = ranges[i].page * PAGE,
						      .size = ranges[i].nr * PAGE,
						      .offset = ranges[i].page * PAGE,
						      .id = 100 + i };
	CHECK_OK(vas_bind(vas_fd(binder), VAS_BIND_ADOPT, &vas));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_EQ(vas_layout_commit(layout, 10000000, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	vas_mapping_destroy(mapping);
	CHECK_OK(vas_region_remove(vas, id));
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(what_cannot_be_understood_is_not_adopted)
{
	struct vas *vas = simple_vas(), *other;
	struct vas_control *ctl;
	char *table1;
	int fd = dup(vas_fd(vas)), fds;

	simple_add(vas, 1, 1);
	ctl = map_control(vas, &table1);
	vas_unbind(vas);
	fds = test_count_fds();
	ctl->state[ctl->generation & 1].nr_regions = 17;
	CHECK_EQ(vas_bind(fd, VAS_BIND_ADOPT, &other), -EPROTO);
	CHECK_HAS(vas_error(), "damaged");
	CHECK_EQ(test_count_fds(), fds);
	ctl->state[ctl->generation & 1].nr_regions = 1;
	CHECK_OK(vas_bind(fd, VAS_BIND_ADOPT, &other));
	vas_destroy(other);
	close(fd);
}
