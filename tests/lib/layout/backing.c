// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/simple_vas.h"

#define FILE_SIZE (4 * PAGE)

static int make_file(int seals)
{
	int fd = memfd_create("backing", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, FILE_SIZE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, seals));
	return fd;
}

static int sealed_file(void)
{
	return make_file(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static struct vas_region region_in(int backing)
{
	return (struct vas_region){ .gpa = 9 * PAGE, .size = PAGE, .backing = (uint32_t)backing };
}

TEST(a_backing_that_regions_lie_in_stays)
{
	struct vas *vas = simple_vas();
	int fd = sealed_file(), fds = test_count_fds(), nr = vas_backing_add(vas, fd);
	struct vas_region region = region_in(nr);
	uint64_t id;

	CHECK_EQ(nr, 1);
	CHECK_OK(vas_region_add(vas, &region, &id));
	CHECK_EQ(vas_backing_remove(vas, 1), -EBUSY);
	CHECK_OK(vas_store_le64(vas, 9 * PAGE, 7, __ATOMIC_RELAXED));
	CHECK_OK(vas_region_remove(vas, id));
	CHECK_OK(vas_backing_remove(vas, 1));
	CHECK_EQ(test_count_fds(), fds);
	CHECK_EQ(vas_backing_fd(vas, 1), -ENXIO);
	/* What it held is the file's, and there still. */
	CHECK_EQ(pread(fd, &id, sizeof(id), 0), (ssize_t)sizeof(id));
	CHECK_EQ(id, 7);
	vas_destroy(vas);
	close(fd);
}

TEST(a_backing_that_is_not_there_is_not_removed)
{
	struct vas *vas = simple_vas(), *binder;
	int fd = sealed_file();

	CHECK_EQ(vas_backing_remove(vas, 0), -ENOENT);
	CHECK_EQ(vas_backing_remove(vas, 1), -ENOENT);
	CHECK_EQ(vas_backing_remove(vas, VAS_MAX_BACKINGS), -ENOENT);
	CHECK_EQ(vas_backing_add(vas, fd), 1);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_EQ(vas_backing_remove(binder, 1), -EPERM);
	CHECK_OK(vas_backing_remove(vas, 1));
	CHECK_EQ(vas_backing_remove(vas, 1), -ENOENT);
	vas_unbind(binder);
	vas_destroy(vas);
	close(fd);
}

/* The number comes again with another file: who has the old one's fd reaches neither by it. */
TEST(a_number_that_comes_again_is_another_file)
{
	int first = sealed_file(), second = sealed_file();
	struct vas *vas = simple_vas(), *binder;
	struct vas_region region;
	uint64_t val = 2;

	CHECK_EQ(pwrite(second, &val, sizeof(val), 0), (ssize_t)sizeof(val));
	CHECK_EQ(vas_backing_add(vas, first), 1);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_EQ(vas_backing_offer(binder, first), 1);
	CHECK_OK(vas_backing_remove(vas, 1));
	CHECK_EQ(vas_backing_add(vas, second), 1);
	region = region_in(1);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_EQ(vas_load_le64(binder, 9 * PAGE, &val, __ATOMIC_RELAXED), -ENXIO);
	CHECK_EQ(vas_backing_offer(binder, first), -ENOENT);
	CHECK_EQ(vas_backing_offer(binder, second), 1);
	CHECK_OK(vas_load_le64(binder, 9 * PAGE, &val, __ATOMIC_RELAXED));
	CHECK_EQ(val, 2);
	vas_unbind(binder);
	vas_destroy(vas);
	close(first);
	close(second);
}

TEST(there_is_room_for_63_backings)
{
	struct vas *vas = simple_vas();
	int fd = sealed_file();

	for (int i = 1; i < (int)VAS_MAX_BACKINGS; i++)
		CHECK_EQ(vas_backing_add(vas, fd), i);
	CHECK_EQ(vas_backing_add(vas, fd), -ENOSPC);
	CHECK_OK(vas_backing_remove(vas, 40));
	CHECK_EQ(vas_backing_add(vas, fd), 40);
	vas_destroy(vas);
	close(fd);
}

TEST(a_file_that_cannot_be_written_is_no_backing)
{
	struct vas *vas = simple_vas();
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), file = open("/proc/self/exe", O_RDONLY);

	CHECK(vas_backing_add(vas, -1) < 0);
	CHECK(vas_backing_add(vas, file) < 0);
	CHECK(vas_backing_add(vas, zero) < 0);
	close(zero);
	close(file);
	vas_destroy(vas);
}
