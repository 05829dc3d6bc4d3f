// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Long-lived maps of modules: shared, seen, asked for, given back. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness_hugetlb.h"
#include "control.h"
#include "device.h"

#define MIB   (1ull << 20)
#define PAGE  4096ull
#define LIMIT (64 * MIB)

static uint32_t nr_pins(struct vas *vas)
{
	return device_vas_info(vas).nr_pins;
}

static int remove_region(struct vas *vas, uint64_t id, uint64_t timeout_ns,
			 struct vas_blocker *blocker)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	return vas_layout_commit(layout, timeout_ns, blocker);
}

static void shares_memory(struct vas *vas, int device, uint64_t gpa, uint64_t len)
{
	uint8_t *buf = malloc(len), *back = malloc(len);
	uint32_t id;

	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 31 + (i >> 12));
	CHECK_OK(device_map(device, gpa, len, VAS_MAPPING_WRITE, &id));
	CHECK_OK(device_map_write(device, id, 0, buf, len));
	CHECK_OK(vas_read(vas, gpa, back, len, NULL));
	CHECK_MEM(back, buf, len);
	CHECK_OK(vas_write(vas, gpa + len / 2, "g", 1, NULL));
	CHECK_OK(device_map_read(device, id, len / 2, back, 1));
	CHECK_MEM(back, "g", 1);
	CHECK_OK(device_is_attached(device, id));
	CHECK_OK(device_unmap(device, id));
	free(buf);
	free(back);
}

TEST(a_map_shares_its_memory)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas));

	shares_memory(vas, device, 0, 4 * MIB);
	shares_memory(vas, device, PAGE - 1, 2);
	shares_memory(vas, device, 3 * PAGE + 17, 1000);
}

/* A page that fallocate() has made is in the file, but zeroed by who first looks at it. */
TEST(a_map_of_allocated_memory_that_nobody_has_used_shares_it)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas));

	CHECK_OK(fallocate(vas_fd(vas), 0, 0, 4 * MIB));
	shares_memory(vas, device, 0, 4 * MIB);
	shares_memory(vas, device, PAGE - 1, 2);
}

TEST(a_map_of_hugetlb_shares_its_memory)
{
	struct vas *vas;
	int device;

	hugetlb_require(8);
	vas = device_vas(8 * MIB, 4 * MIB, VAS_CREATE_HUGETLB);
	device = device_bound(vas_fd(vas));
	shares_memory(vas, device, 0, 4 * MIB);
	shares_memory(vas, device, 2 * MIB - 5, 10);
	shares_memory(vas, device, 3 * PAGE + 17, 1000);
}

TEST(a_map_is_contiguous_across_regions)
{
	struct vas_options options = { .limit = LIMIT, .ram_size = 4 * MIB };
	struct vas_region low = { .gpa = 0, .size = MIB, .offset = 2 * MIB };
	struct vas_region high = { .gpa = MIB, .size = MIB, .offset = 0 };
	struct vas *vas;
	uint64_t id;

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &low, &id));
	CHECK_OK(vas_region_add(vas, &high, &id));
	shares_memory(vas, device_bound(vas_fd(vas)), MIB - 9000, 20000);
}

TEST(a_map_is_seen_as_a_pin)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint32_t before = nr_pins(vas), id;
	struct control c = control_open(vas_fd(vas));

	CHECK_OK(device_map(device, 0, PAGE, 0, &id));
	CHECK_EQ(nr_pins(vas), before + 1);
	CHECK_EQ(c.pins[0].generation, c.control->generation);
	CHECK_OK(device_unmap(device, id));
	CHECK_EQ(nr_pins(vas), before);
	CHECK_EQ(c.pins[0].generation, 0);
}

TEST(what_cannot_be_mapped_is_refused)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	struct vas_region rom = {
		.gpa = 2 * MIB, .size = PAGE, .offset = 2 * MIB, .flags = VAS_REGION_READONLY
	};
	int device = device_bound(vas_fd(vas));
	uint32_t before = nr_pins(vas), id;
	uint64_t region;

	CHECK_OK(vas_region_add(vas, &rom, &region));
	CHECK_EQ(device_map(device, MIB - PAGE, 2 * PAGE, 0, &id), -EFAULT);
	CHECK_EQ(device_map(device, MIB, 1, 0, &id), -EFAULT);
	CHECK_EQ(device_map(device, 0, 0, 0, &id), -EFAULT);
	CHECK_EQ(device_map(device, UINT64_MAX, 2, 0, &id), -EFAULT);
	CHECK_EQ(device_map(device, PAGE, UINT64_MAX, 0, &id), -EFAULT);
	CHECK_EQ(device_map(device, 2 * MIB, 1, VAS_MAPPING_WRITE, &id), -EACCES);
	CHECK_EQ(device_map(device, 0, 1, 1u << 31, &id), -EINVAL);
	CHECK_OK(device_map(device, 2 * MIB, 1, 0, &id));
	CHECK_EQ(nr_pins(vas), before + 1);
}

TEST(a_holder_that_lets_go_lets_the_change_go_on)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	uint64_t region = device_add(vas, 2 * MIB, MIB);
	int device = device_bound(vas_fd(vas));
	struct vas_test_counts counts;
	uint32_t here, there;
	uint8_t byte;

	CHECK_OK(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &here));
	CHECK_OK(device_map(device, 2 * MIB, PAGE, VAS_MAPPING_WRITE, &there));
	CHECK_OK(remove_region(vas, region, TEST_HANG_NS, NULL));
	counts = device_counts(device);
	CHECK_EQ(counts.invalidated, 1);
	CHECK(counts.last_timeout_ns > 0);
	CHECK_EQ(device_map_read(device, there, 0, &byte, 1), -ENOENT);
	CHECK_OK(device_map_read(device, here, 0, &byte, 1));
}

TEST(a_holder_that_refuses_is_named_and_keeps_its_map)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	uint64_t region = device_add(vas, 2 * MIB, MIB);
	int device = device_bound(vas_fd(vas));
	struct vas_blocker blocker;
	uint32_t id;

	device_policy(device, VAS_TEST_REFUSE);
	CHECK_OK(device_map(device, 2 * MIB, PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_EQ(remove_region(vas, region, 200000000, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	CHECK_STR(blocker.name, "vas_test");
	CHECK_EQ(blocker.gpa, 2 * MIB);
	CHECK_EQ(device_counts(device).invalidated, 1);
	CHECK_OK(device_map_write(device, id, 0, "still", 5));
	CHECK_OK(device_write(device, 2 * MIB, "here", 4, NULL));
	/* It changes its mind. */
	device_policy(device, VAS_TEST_COMPLY);
	CHECK_OK(remove_region(vas, region, TEST_HANG_NS, NULL));
}

TEST(a_holder_that_hangs_stops_only_what_it_holds)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	uint64_t stuck = device_add(vas, 2 * MIB, MIB), free_region = device_add(vas, 4 * MIB, MIB);
	int hangs = device_bound(vas_fd(vas)), good = device_bound(vas_fd(vas));
	uint32_t id;

	device_policy(hangs, VAS_TEST_HANG);
	CHECK_OK(device_map(hangs, 2 * MIB, PAGE, 0, &id));
	CHECK_OK(device_map(good, 4 * MIB, PAGE, 0, &id));
	CHECK_EQ(remove_region(vas, stuck, 200000000, NULL), -EBUSY);
	CHECK_OK(remove_region(vas, free_region, TEST_HANG_NS, NULL));
	CHECK_EQ(device_counts(good).invalidated, 1);
	device_policy(hangs, VAS_TEST_COMPLY);
	CHECK_OK(remove_region(vas, stuck, TEST_HANG_NS, NULL));
}

TEST(a_map_tells_that_its_page_was_punched_out)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint32_t id;
	uint8_t byte = 1;

	CHECK_OK(device_map(device, 0, 4 * PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_OK(device_is_attached(device, id));
	CHECK_OK(fallocate(vas_fd(vas), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
	CHECK_EQ(device_is_attached(device, id), -ESTALE);
	CHECK_OK(device_map_write(device, id, PAGE, &byte, 1));
	CHECK_OK(vas_read(vas, PAGE, &byte, 1, NULL));
	CHECK_EQ(byte, 0);
	CHECK_OK(device_unmap(device, id));
	CHECK_OK(device_map(device, 0, 4 * PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_OK(device_is_attached(device, id));
}

TEST(all_pins_are_given_back)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint32_t before = nr_pins(vas), id;
	int nr;

	for (nr = 0; nr < (int)VAS_TEST_MAX_MAPS; nr++)
		CHECK_OK(device_map(device, nr * PAGE, PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_EQ(nr_pins(vas), before + nr);
	close(device);
	CHECK_EQ(nr_pins(vas), before);
}

static uint64_t bytes_of(int fd)
{
	struct stat stat;

	CHECK_OK(fstat(fd, &stat));
	return (uint64_t)stat.st_blocks * 512;
}

static int has_begun(void *fd)
{
	return bytes_of(*(int *)fd) >= MIB;
}

/* A large hole is filled for a map: whoever is killed meanwhile, perhaps for memory, stops. */
TEST(who_is_killed_maps_no_further)
{
	uint64_t ram = 512 * MIB;
	struct vas *vas = device_vas(2 * ram, ram, 0);
	int fd = vas_fd(vas), status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		uint32_t id;

		_exit(device_map(device_bound(fd), 0, ram, 0, &id) != 0);
	}
	test_wait(has_begun, &fd, TEST_HANG_MS);
	CHECK_OK(kill(child, SIGKILL));
	CHECK_EQ(waitpid(child, &status, 0), child);
	if (WIFEXITED(status))
		test_skip("it was done too soon");
	test_note("%llu MiB", (unsigned long long)(bytes_of(fd) / MIB));
	CHECK(bytes_of(fd) < ram);
}
