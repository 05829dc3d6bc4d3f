// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/lib/simple_vas.h"

static void do_nothing(int sig)
{
	(void)sig;
}

#define RESERVED (128ull << 20)

/* A signal, of which more come than one allocation takes, makes the kernel take back all of it. */
TEST(signals_do_not_keep_memory_from_being_reserved)
{
	const struct vas_options options = { .limit = RESERVED, .flags = VAS_CREATE_RESERVE };
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
	const struct sigaction action = { .sa_handler = do_nothing };
	const struct vas_region region = { .size = RESERVED };
	struct vas *vas;

	CHECK_OK(sigaction(SIGALRM, &action, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &often, NULL));
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
	vas_destroy(vas);
}

static void refuse(struct vas_options options, int err, const char *text)
{
	struct vas *vas;
	int fds = test_count_fds();

	CHECK_EQ(vas_create(&options, &vas), err);
	CHECK_HAS(vas_error(), text);
	CHECK_EQ(test_count_fds(), fds);
}

TEST(options_that_make_no_sense_are_refused_with_a_sentence)
{
	static char long_name[VAS_NAME_LEN + 1];
	struct vas_options options = { .limit = 1 << 20 };

	refuse((struct vas_options){ 0 }, -EINVAL, "limit must be a multiple of 4096");
	refuse((struct vas_options){ .limit = 4095 }, -EINVAL, "not 4095");
	refuse((struct vas_options){ .limit = VAS_MAX_GPA + 4096 }, -EINVAL, "up to 2^52");
	refuse((struct vas_options){ .limit = 4096, .ram_size = 1 }, -EINVAL, "ram_size");
	refuse((struct vas_options){ .limit = 4096, .flags = 1u << 31 }, -EINVAL, "unknown flags");
	refuse((struct vas_options){ .limit = 1 << 20, .flags = VAS_CREATE_HUGETLB }, -EINVAL,
	       "multiple of 2097152");
	options.max_regions = VAS_MAX_REGIONS + 1;
	refuse(options, -EINVAL, "regions");
	options.max_regions = 0;
	options.nr_slots = VAS_MAX_SLOTS + 1;
	refuse(options, -EINVAL, "slots");
	options.nr_slots = 0;
	options.reserved[6] = 1;
	refuse(options, -EINVAL, "reserved");
	options.reserved[6] = 0;
	memset(long_name, 'n', VAS_NAME_LEN);
	options.name = long_name;
	refuse(options, -EINVAL, "name has at most 63 bytes");
}

TEST(a_name_of_63_bytes_fits)
{
	static char name[VAS_NAME_LEN];
	const struct vas_options options = { .limit = 1 << 20, .name = name };
	struct vas_info info;
	struct vas *vas;

	memset(name, 'n', sizeof(name) - 1);
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_info(vas, &info));
	CHECK_STR(info.name, name);
	vas_destroy(vas);
}

TEST(info_tells_what_was_asked_for)
{
	struct vas *vas = simple_vas();
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	CHECK_STR(info.name, "simple");
	CHECK_EQ(info.limit, 256 * PAGE);
	CHECK_EQ(info.ram_size, 256 * PAGE);
	CHECK_EQ(info.page_size, 4096);
	CHECK_EQ(info.role, VAS_ROLE_OWNER);
	CHECK_EQ(info.owner_pid, getpid());
	CHECK_EQ(info.nr_binders, 1);
	CHECK_EQ(info.nr_regions, 0);
	CHECK_EQ(info.nr_backings, 1);
	CHECK_EQ(info.uuid[6] >> 4, 4);
	simple_add(vas, 1, 2);
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.nr_regions, 1);
	vas_destroy(vas);
}

TEST(two_vases_have_two_uuids)
{
	struct vas *a = simple_vas(), *b = simple_vas();
	struct vas_info info_a, info_b;

	CHECK_OK(vas_info(a, &info_a));
	CHECK_OK(vas_info(b, &info_b));
	CHECK(memcmp(info_a.uuid, info_b.uuid, 16));
	vas_destroy(a);
	vas_destroy(b);
}

TEST(the_fd_is_sealed_and_closed_on_exec)
{
	struct vas *vas = simple_vas();
	int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, fd;

	CHECK_EQ(fcntl(vas_fd(vas), F_GET_SEALS) & wanted, wanted);
	CHECK_EQ(fcntl(vas_fd(vas), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fd = vas_readonly_fd(vas);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	vas_destroy(vas);
}

TEST(everything_goes_with_the_last_handle)
{
	int fds = test_count_fds();

	for (int i = 0; i < 50; i++) {
		struct vas *vas = simple_vas(), *other;

		simple_add(vas, 1, 1);
		CHECK_OK(vas_bind(vas_fd(vas), 0, &other));
		CHECK_OK(vas_write(other, PAGE, "x", 1, NULL));
		CHECK(vas_notify_fd(other) >= 0);
		vas_unbind(other);
		vas_destroy(vas);
	}
	CHECK_EQ(test_count_fds(), fds);
	vas_unbind(NULL);
	vas_destroy(NULL);
}

TEST(the_error_is_the_threads_last_and_empty_before)
{
	struct vas *vas;

	CHECK_STR(vas_error(), "");
	CHECK(vas_bind(-1, 0, &vas) < 0);
	CHECK_HAS(vas_error(), "fd -1");
	CHECK(vas_version()[0]);
}

static uint64_t resident(struct vas *vas)
{
	struct stat st;

	CHECK_OK(fstat(vas_fd(vas), &st));
	return (uint64_t)st.st_blocks * 512;
}

TEST(memory_that_was_reserved_is_there)
{
	const struct vas_options options = { .limit = 256 * PAGE, .flags = VAS_CREATE_RESERVE };
	struct vas *vas;
	uint64_t id, before;

	CHECK_OK(vas_create(&options, &vas));
	before = resident(vas);
	id = simple_add(vas, 16, 64);
	CHECK(resident(vas) >= before + 64 * PAGE);
	CHECK_OK(vas_region_remove(vas, id));
	CHECK(resident(vas) < before + 64 * PAGE);
	vas_destroy(vas);
}
