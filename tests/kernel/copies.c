// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copies from every context, over every kind of border. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/harness_hugetlb.h"
#include "device.h"

#define MIB   (1ull << 20)
#define PAGE  4096ull
#define LIMIT (64 * MIB)

static const char *const contexts[VAS_TEST_NR_CONTEXTS] = {
	"system call", "kernel thread",	 "kernel thread with the binder's mm",
	"work queue",  "interrupts off",
};

/* Every way to make a copy that exists: f(copy) with flags and context set. */
static void in_every_way(void (*f)(int device, const struct vas_test_copy *way), int device)
{
	static const uint32_t flags[] = { 0, VAS_TEST_ATOMIC, VAS_TEST_CACHED,
					  VAS_TEST_CACHED | VAS_TEST_ATOMIC };

	for (uint32_t context = 0; context < VAS_TEST_NR_CONTEXTS; context++) {
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
			struct vas_test_copy way = { .flags = flags[i], .context = context };

			if (context == VAS_TEST_IRQ_OFF && !(flags[i] & VAS_TEST_ATOMIC))
				continue;
			test_note("in a %s, flags %u", contexts[context], flags[i]);
			f(device, &way);
		}
	}
}

static int copy(int device, const struct vas_test_copy *way, uint64_t gpa, void *buf, size_t len)
{
	struct vas_test_copy c = *way;

	c.gpa = gpa;
	c.len = len;
	return device_copy_in(device, &c, buf, NULL);
}

static int copy_to(int device, const struct vas_test_copy *way, uint64_t gpa, void *buf, size_t len)
{
	struct vas_test_copy c = *way;

	c.flags |= VAS_TEST_WRITE;
	return copy(device, &c, gpa, buf, len);
}

static struct vas *owner;

static void there_and_back(int device, const struct vas_test_copy *way)
{
	static const size_t lens[] = { 1, 8, 63, 4096, 8192 + 5, 65536 };
	static uint8_t wrote[65536], read[65536];
	static uint64_t serial;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		size_t len = lens[i];

		for (size_t at = 0; at < len; at++)
			wrote[at] = (uint8_t)(at * 7 + ++serial);
		CHECK_OK(copy_to(device, way, 3 * PAGE - 3, wrote, len));
		CHECK_OK(vas_read(owner, 3 * PAGE - 3, read, len, NULL));
		CHECK_MEM(read, wrote, len);
		memset(read, 0, len);
		CHECK_OK(copy(device, way, 3 * PAGE - 3, read, len));
		CHECK_MEM(read, wrote, len);
	}
}

static void check_kind(uint64_t limit, uint64_t ram, uint32_t create_flags)
{
	int device;

	owner = device_vas(limit, ram, create_flags);
	device = device_bound(vas_fd(owner));
	/* What does not sleep cannot fill holes. */
	CHECK_OK(vas_fill(owner, 0, 0xee, MIB, NULL));
	in_every_way(there_and_back, device);
	close(device);
	vas_destroy(owner);
}

TEST(every_context_copies_shmem)
{
	check_kind(LIMIT, 4 * MIB, 0);
}

TEST(every_context_copies_huge_pages_of_shmem)
{
	int file = open("/sys/kernel/mm/transparent_hugepage/shmem_enabled", O_WRONLY | O_CLOEXEC);

	if (file < 0 || write(file, "force", 5) != 5)
		test_skip("no transparent huge pages for shmem");
	check_kind(LIMIT, 4 * MIB, VAS_CREATE_THP);
	CHECK_EQ(write(file, "never", 5), 5);
	close(file);
}

TEST(every_context_copies_hugetlb)
{
	hugetlb_require(8);
	check_kind(8 * MIB, 4 * MIB, VAS_CREATE_HUGETLB);
}

TEST(a_compact_file_is_copied_where_it_lies)
{
	struct vas_options options = { .limit = 1ull << 40, .ram_size = 4 * MIB };
	struct vas_region low = { .gpa = 0, .size = MIB, .offset = 2 * MIB };
	struct vas_region high = { .gpa = 1ull << 39, .size = MIB, .offset = MIB };
	uint64_t word = 0x1122334455667788, id;
	int device;

	CHECK_OK(vas_create(&options, &owner));
	CHECK_OK(vas_region_add(owner, &low, &id));
	CHECK_OK(vas_region_add(owner, &high, &id));
	device = device_bound(vas_fd(owner));
	CHECK_OK(device_write(device, (1ull << 39) + 8, &word, sizeof(word), NULL));
	word = 0;
	CHECK_EQ(pread(vas_fd(owner), &word, sizeof(word), MIB + 8), 8);
	CHECK_EQ(word, 0x1122334455667788);
	CHECK_OK(vas_write(owner, 16, "low", 4, NULL));
	CHECK_OK(device_read(device, 16, &word, 4, NULL));
	CHECK_STR((char *)&word, "low");
}

TEST(a_copy_stops_at_a_hole_and_says_what_is_done)
{
	static uint8_t buf[2 * PAGE];
	struct vas *vas = device_vas(LIMIT, 2 * PAGE, 0);
	int device = device_bound(vas_fd(vas));
	size_t done;

	CHECK_EQ(device_write(device, PAGE + 1, buf, 2 * PAGE, &done), -EFAULT);
	CHECK_EQ(done, PAGE - 1);
	CHECK_EQ(device_read(device, PAGE + 1, buf, 2 * PAGE, &done), -EFAULT);
	CHECK_EQ(done, PAGE - 1);
	CHECK_EQ(device_read(device, 2 * PAGE, buf, 1, &done), -EFAULT);
	CHECK_EQ(done, 0);
	CHECK_EQ(device_read(device, LIMIT, buf, 1, &done), -EFAULT);
	CHECK_EQ(device_read(device, UINT64_MAX, buf, 16, &done), -EFAULT);
	CHECK_EQ(done, 0);
	CHECK_OK(device_read(device, UINT64_MAX, buf, 0, &done));
	CHECK_EQ(done, 0);
	device_add(vas, UINT64_C(0x3ff0000), 0x10000);
	CHECK_EQ(device_read(device, LIMIT - 3, buf, 16, &done), -EFAULT);
	CHECK_EQ(done, 3);
}

TEST(reading_a_hole_of_the_file_leaves_it_one)
{
	struct vas *vas = device_vas(LIMIT, 16 * MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint8_t *buf = malloc(4 * MIB);
	off_t at;

	memset(buf, 0xff, 4 * MIB);
	CHECK_OK(device_read(device, MIB, buf, 4 * MIB, NULL));
	for (size_t i = 0; i < 4 * MIB; i++)
		CHECK_EQ(buf[i], 0);
	at = lseek(vas_fd(vas), 0, SEEK_DATA);
	CHECK(at >= (off_t)LIMIT); /* the first data is the control area's */
}

TEST(what_cannot_sleep_refuses_instead)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	struct vas_test_copy copy = { .gpa = 0, .len = 8, .flags = VAS_TEST_ATOMIC };
	uint64_t word = 1;

	CHECK_EQ(device_copy_in(device, &copy, &word, NULL), -EAGAIN);
	copy.flags |= VAS_TEST_WRITE;
	CHECK_EQ(device_copy_in(device, &copy, &word, NULL), -EAGAIN);
	CHECK_OK(device_write(device, 0, &word, sizeof(word), NULL));
	CHECK_OK(device_copy_in(device, &copy, &word, NULL));
}

/* One that cannot sleep may not follow a change, but has it followed. */
static int atomic_read_works(void *arg)
{
	struct vas_test_copy copy = { .gpa = 0, .len = 1, .flags = VAS_TEST_ATOMIC };
	uint8_t byte;
	int err = device_copy_in(*(int *)arg, &copy, &byte, NULL);

	CHECK(!err || err == -EAGAIN);
	return !err;
}

TEST(what_cannot_sleep_finds_a_new_layout_later)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));

	CHECK_OK(vas_fill(vas, 0, 1, PAGE, NULL));
	CHECK(atomic_read_works(&device));
	device_add(vas, 2 * MIB, MIB);
	test_wait(atomic_read_works, &device, TEST_HANG_MS);
}

TEST(rom_refuses_writes)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	struct vas_region rom = {
		.gpa = MIB, .size = PAGE, .offset = MIB, .flags = VAS_REGION_READONLY
	};
	int device = device_bound(vas_fd(vas));
	uint8_t buf[16] = { 0 };
	size_t done;
	uint64_t id;

	CHECK_OK(vas_region_add(vas, &rom, &id));
	CHECK_EQ(device_write(device, MIB - 4, buf, sizeof(buf), &done), -EACCES);
	CHECK_EQ(done, 4);
	CHECK_OK(device_read(device, MIB - 4, buf, sizeof(buf), &done));
}

static void pattern_everywhere(int device, const struct vas_test_copy *way)
{
	uint64_t word, gpa;

	for (gpa = 0; gpa < 32 * 2 * PAGE; gpa += 2 * PAGE) {
		word = gpa ^ 0x5555;
		CHECK_OK(copy_to(device, way, gpa + 8, &word, 8));
	}
	for (gpa = 0; gpa < 32 * 2 * PAGE; gpa += 2 * PAGE) {
		CHECK_OK(copy(device, way, gpa + 8, &word, 8));
		CHECK_EQ(word, gpa ^ 0x5555);
		CHECK_EQ(copy(device, way, gpa + PAGE, &word, 8), -EFAULT);
	}
}

TEST(a_cache_follows_its_user_from_region_to_region)
{
	int device;

	owner = device_vas(LIMIT, PAGE, 0);
	for (uint64_t i = 1; i < 32; i++)
		device_add(owner, i * 2 * PAGE, PAGE);
	device = device_bound(vas_fd(owner));
	for (uint64_t i = 0; i < 32; i++)
		CHECK_OK(vas_fill(owner, i * 2 * PAGE, 1, PAGE, NULL));
	in_every_way(pattern_everywhere, device);
}

TEST(a_cache_does_not_outlive_a_punched_page)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int device = device_bound(vas_fd(vas));
	struct vas_test_copy way = { .flags = VAS_TEST_CACHED };
	uint64_t word = 7;

	CHECK_OK(copy_to(device, &way, 0, &word, 8));
	CHECK_OK(fallocate(vas_fd(vas), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	CHECK_OK(copy(device, &way, 0, &word, 8));
	CHECK_EQ(word, 0);
	word = 9;
	CHECK_OK(copy_to(device, &way, 0, &word, 8));
	CHECK_OK(vas_read(vas, 0, &word, 8, NULL));
	CHECK_EQ(word, 9);
}

TEST(a_cache_does_not_outlive_its_layout)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	uint64_t id = device_add(vas, 2 * MIB, MIB), word = 7;
	int device = device_bound(vas_fd(vas));
	struct vas_test_copy way = { .flags = VAS_TEST_CACHED };

	CHECK_OK(copy_to(device, &way, 2 * MIB, &word, 8));
	device_remove(vas, id);
	CHECK_EQ(copy_to(device, &way, 2 * MIB, &word, 8), -EFAULT);
	CHECK_EQ(copy(device, &way, 2 * MIB, &word, 8), -EFAULT);
}

TEST(a_second_file_is_reached_once_its_fd_is_there)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int fd = memfd_create("more", MFD_CLOEXEC | MFD_ALLOW_SEALING), device;
	struct vas_region region = { .gpa = 2 * MIB, .size = MIB, .offset = PAGE };
	uint64_t word = 5, id;

	CHECK_OK(ftruncate(fd, 2 * MIB));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	region.backing = vas_backing_add(vas, fd);
	CHECK_EQ(region.backing, 1);
	CHECK_OK(vas_region_add(vas, &region, &id));
	device = device_bound(vas_fd(vas));
	CHECK_EQ(device_write(device, 2 * MIB, &word, 8, NULL), -ENXIO);
	CHECK_EQ(device_offer(device, vas_fd(vas)), -ENOENT);
	CHECK_EQ(device_offer(device, fd), 1);
	CHECK_EQ(device_offer(device, fd), -EEXIST);
	CHECK_OK(device_write(device, 2 * MIB, &word, 8, NULL));
	word = 0;
	CHECK_EQ(pread(fd, &word, 8, PAGE), 8);
	CHECK_EQ(word, 5);
}

/* A module's writes ask no file, nor anybody's page tables. */
TEST(a_second_file_that_cannot_be_written_is_only_read)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int fd = device_add_file(vas, 2 * MIB, MIB), device = device_bound(vas_fd(vas)), readonly;
	struct vas_test_copy way = { .flags = VAS_TEST_CACHED };
	uint64_t word = 5;
	char path[32];
	uint32_t id;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(device_offer(device, readonly), 1);
	CHECK_EQ(device_write(device, 2 * MIB, &word, 8, NULL), -EACCES);
	CHECK_EQ(copy_to(device, &way, 2 * MIB, &word, 8), -EACCES);
	CHECK_EQ(device_map(device, 2 * MIB, PAGE, VAS_MAPPING_WRITE, &id), -EACCES);
	CHECK_OK(device_map(device, 2 * MIB, PAGE, 0, &id));
	CHECK_OK(device_read(device, 2 * MIB, &word, 8, NULL));
	CHECK_EQ(word, 0);
}

/* Sealed, others trust it. */
TEST(a_second_file_is_sealed_against_modules_as_well)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int fd = memfd_create("more", MFD_CLOEXEC | MFD_ALLOW_SEALING), vas_file, device;
	struct vas_region region = { .gpa = 2 * MIB, .size = MIB };
	uint64_t word = 5, id;

	CHECK_OK(ftruncate(fd, MIB));
	region.backing = vas_backing_add(vas, fd);
	CHECK_EQ(region.backing, 1);
	CHECK_OK(vas_region_add(vas, &region, &id));
	vas_file = dup(vas_fd(vas));
	device = device_bound(vas_file);
	CHECK_EQ(device_offer(device, fd), 1);
	CHECK_OK(device_write(device, 2 * MIB, &word, 8, NULL));
	/* Then nobody else has it mapped. */
	vas_unbind(vas);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_OK(device_write(device, 2 * MIB, &word, 8, NULL));
	close(device);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	device = device_bound(vas_file);
	CHECK_EQ(device_offer(device, fd), 1);
	CHECK_EQ(device_write(device, 2 * MIB, &word, 8, NULL), -EACCES);
	CHECK_OK(device_read(device, 2 * MIB, &word, 8, NULL));
	CHECK_EQ(word, 5);
}
