// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/vas: an owner takes ranges back from modules, and freezes them. */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "include/uapi/linux/vas.h"

#define MIB    (1ull << 20)
#define PAGE   4096ull
#define LIMIT  (64 * MIB)
#define SECOND 1000000000ull

static int call(int drive, unsigned long cmd, void *arg)
{
	return ioctl(drive, cmd, arg) ? -errno : 0;
}

static int drive_open(void)
{
	int drive = open("/dev/vas", O_RDWR | O_CLOEXEC);

	if (drive < 0)
		test_skip("no /dev/vas: vas.ko is not loaded");
	return drive;
}

static int attach(int drive, int fd)
{
	struct vas_ko_attach attach = { .fd = fd };

	return call(drive, VAS_KO_ATTACH, &attach);
}

static int state_of(struct vas *vas)
{
	int drive = drive_open();

	CHECK_OK(attach(drive, vas_fd(vas)));
	return drive;
}

static int prepare(int drive, uint64_t gpa, uint64_t size, uint64_t timeout_ns,
		   struct vas_ko_blocker *blocker)
{
	struct vas_ko_range range = { gpa, size };
	struct vas_ko_prepare arg = { .ranges = (uintptr_t)&range,
				      .nr = 1,
				      .timeout_ns = timeout_ns };
	int err = call(drive, VAS_KO_PREPARE, &arg);

	if (blocker)
		*blocker = arg.blocker;
	return err;
}

static int freeze(int drive, uint64_t timeout_ns, struct vas_ko_blocker *blocker)
{
	struct vas_ko_freeze arg = { .timeout_ns = timeout_ns };
	int err = call(drive, VAS_KO_FREEZE, &arg);

	if (blocker)
		*blocker = arg.blocker;
	return err;
}

static struct vas_ko_info info_of(int drive)
{
	struct vas_ko_info info;

	CHECK_OK(call(drive, VAS_KO_INFO, &info));
	return info;
}

TEST(only_the_owner_drives_and_only_one_fd_at_a_time)
{
	struct vas *vas = device_vas(LIMIT, MIB, 0);
	int drive = drive_open(), second = drive_open(), status;
	pid_t pid;

	CHECK_EQ(call(drive, VAS_KO_COMMIT, NULL), -ENXIO);
	CHECK_EQ(attach(drive, -1), -EBADF);
	CHECK_EQ(attach(drive, drive), -EINVAL);
	pid = fork();
	if (!pid)
		_exit(attach(drive, vas_fd(vas)) != -EPERM);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_OK(attach(drive, vas_fd(vas)));
	CHECK_EQ(attach(drive, vas_fd(vas)), -EEXIST);
	CHECK_EQ(attach(second, vas_fd(vas)), -EBUSY);
	close(drive);
	CHECK_OK(attach(second, vas_fd(vas)));
	close(second);
	/* A vas without an owner has none that could drive it. */
	vas_unbind(vas);
}

TEST(an_owner_takes_a_range_back)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	uint32_t low, high, id;

	CHECK_OK(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &low));
	CHECK_OK(device_map(device, 2 * MIB - 1, 2, 0, &high));
	CHECK_EQ(info_of(drive).nr_bindings, 1);
	CHECK_EQ(info_of(drive).nr_mappings, 2);
	CHECK_OK(prepare(drive, 2 * MIB, MIB, 10 * SECOND, NULL));
	CHECK_EQ(info_of(drive).prepared, 1);
	CHECK_EQ(info_of(drive).nr_mappings, 1);
	CHECK_EQ(device_counts(device).invalidated, 1);
	CHECK_EQ(prepare(drive, 0, MIB, SECOND, NULL), -EINPROGRESS);
	/* Nobody maps it anew meanwhile, but the rest is free to be mapped. */
	CHECK_EQ(device_map(device, 2 * MIB, 1, 0, &id), -EAGAIN);
	CHECK_OK(device_map(device, 2 * MIB - 1, 1, 0, &id));
	CHECK_OK(call(drive, VAS_KO_ABORT, NULL));
	CHECK_OK(device_map(device, 2 * MIB, 1, 0, &id));
	CHECK_OK(prepare(drive, 2 * MIB, MIB, 10 * SECOND, NULL));
	CHECK_OK(call(drive, VAS_KO_COMMIT, NULL));
	CHECK_OK(device_map(device, 2 * MIB, 1, 0, &id));
}

TEST(a_holder_that_refuses_stops_the_change_and_is_named)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	struct vas_ko_blocker blocker;
	uint32_t id, other;

	device_policy(device, VAS_TEST_REFUSE);
	CHECK_OK(device_map(device, MIB, PAGE, 0, &id));
	CHECK_EQ(prepare(drive, 0, 4 * MIB, SECOND / 10, &blocker), -EBUSY);
	CHECK_EQ(blocker.gpa, MIB);
	CHECK_EQ(blocker.size, PAGE);
	CHECK_STR(blocker.name, "vas_test");
	CHECK_EQ(blocker.pid, getpid());
	CHECK_EQ(info_of(drive).prepared, 0);
	CHECK_OK(device_map(device, MIB, PAGE, 0, &other));
	device_policy(device, VAS_TEST_COMPLY);
	CHECK_OK(prepare(drive, 0, 4 * MIB, 10 * SECOND, &blocker));
	CHECK_EQ(info_of(drive).nr_mappings, 0);
}

TEST(a_holder_that_hangs_costs_no_more_than_the_deadline)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	uint64_t start;
	uint32_t id;

	device_policy(device, VAS_TEST_HANG);
	CHECK_OK(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &id));
	do { /* as soon as the machine is not too busy for that */
		start = test_now_ns();
		CHECK_EQ(prepare(drive, 0, MIB, SECOND / 5, NULL), -EBUSY);
		CHECK_EQ(freeze(drive, SECOND / 5, NULL), -EBUSY);
	} while (test_now_ns() - start > SECOND);
	device_policy(device, VAS_TEST_COMPLY);
	CHECK_OK(prepare(drive, 0, MIB, 10 * SECOND, NULL));
}

TEST(nonsense_is_refused)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	struct vas_ko_range ranges[] = { { MIB, PAGE }, { 0, PAGE }, { MIB, PAGE } };
	struct vas_ko_prepare arg = { .ranges = (uintptr_t)ranges, .nr = 2 };
	int drive = state_of(vas);

	CHECK_EQ(call(drive, VAS_KO_PREPARE, &arg), -EINVAL); /* not sorted */
	arg.ranges = (uintptr_t)(ranges + 1);
	CHECK_OK(call(drive, VAS_KO_PREPARE, &arg));
	CHECK_OK(call(drive, VAS_KO_ABORT, NULL));
	ranges[1].size = 2 * MIB;
	CHECK_EQ(call(drive, VAS_KO_PREPARE, &arg), -EINVAL); /* overlap */
	CHECK_EQ(prepare(drive, PAGE, 0, 0, NULL), -EINVAL);
	CHECK_EQ(prepare(drive, UINT64_MAX, UINT64_MAX, 0, NULL), -EINVAL);
	CHECK_EQ(prepare(drive, PAGE, UINT64_MAX, 0, NULL), -EINVAL);
	arg.flags = 2;
	CHECK_EQ(call(drive, VAS_KO_PREPARE, &arg), -EINVAL);
	CHECK_EQ(call(drive, VAS_KO_FREEZE, &(struct vas_ko_freeze){ .flags = 2 }), -EINVAL);
	CHECK_EQ(call(drive, VAS_KO_FREEZE, &(struct vas_ko_freeze){ .pad = 1 }), -EINVAL);
	arg.flags = 0;
	arg.ranges = 16;
	CHECK_EQ(call(drive, VAS_KO_PREPARE, &arg), -EFAULT);
	arg.nr = UINT32_MAX;
	CHECK_EQ(call(drive, VAS_KO_PREPARE, &arg), -EINVAL);
	CHECK_EQ(ioctl(drive, _IO(VAS_KO_MAGIC, 99)), -1);
	CHECK_EQ(errno, ENOTTY);
}

TEST(frozen_modules_do_not_write)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	uint32_t writable, readable, id;
	uint64_t word = 1;

	CHECK_OK(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &writable));
	CHECK_OK(device_map(device, 0, PAGE, 0, &readable));
	CHECK_OK(freeze(drive, 10 * SECOND, NULL));
	CHECK_EQ(freeze(drive, 10 * SECOND, NULL), -EINPROGRESS);
	CHECK_EQ(info_of(drive).frozen, 1);
	CHECK_EQ(device_counts(device).quiesced, 1);
	CHECK_EQ(device_counts(device).resumed, 0);
	CHECK_EQ(device_write(device, 0, &word, sizeof(word), NULL), -EAGAIN);
	CHECK_EQ(device_map(device, PAGE, 1, VAS_MAPPING_WRITE, &id), -EAGAIN);
	CHECK_OK(device_read(device, 0, &word, sizeof(word), NULL));
	CHECK_OK(device_map(device, PAGE, 1, 0, &id));
	CHECK_OK(call(drive, VAS_KO_THAW, NULL));
	CHECK_OK(device_write(device, 0, &word, sizeof(word), NULL));
	CHECK_EQ(info_of(drive).nr_mappings, 3);
}

static int has_resumed(void *arg)
{
	return device_counts(*(int *)arg).resumed >= 1;
}

TEST(a_holder_is_told_of_the_thaw)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	uint32_t id;

	CHECK_OK(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_OK(freeze(drive, 10 * SECOND, NULL));
	CHECK_OK(call(drive, VAS_KO_THAW, NULL));
	test_wait(has_resumed, &device, TEST_HANG_MS);
}

struct attempt {
	int drive;
	uint64_t gpa;
	struct vas_ko_blocker blocker;
};

/* By who is meant to be in the way: a busy machine may be late with all the others. */
static int freezing_fails(void *arg)
{
	struct attempt *attempt = arg;
	int err = freeze(attempt->drive, SECOND / 5, &attempt->blocker);

	if (!err)
		CHECK_OK(call(attempt->drive, VAS_KO_THAW, NULL));
	return err == -EBUSY && attempt->blocker.name[0] && attempt->blocker.gpa == attempt->gpa;
}

/* It answers before it is gone. */
static int has_one_map(void *drive)
{
	return info_of(*(int *)drive).nr_mappings == 1;
}

TEST(a_module_that_refuses_fails_the_freeze_and_all_goes_on)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int good = device_bound(vas_fd(vas)), bad = device_bound(vas_fd(vas));
	int drive = state_of(vas);
	struct attempt refused = { .drive = drive, .gpa = 2 * PAGE };
	uint64_t word = 1;
	uint32_t id;

	device_policy(bad, VAS_TEST_REFUSE);
	CHECK_OK(device_map(good, 0, PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_OK(device_map(bad, 2 * PAGE, PAGE, VAS_MAPPING_WRITE, &id));
	test_wait(freezing_fails, &refused, TEST_HANG_MS);
	CHECK_EQ(info_of(drive).frozen, 0);
	CHECK_OK(device_write(good, 0, &word, sizeof(word), NULL));
	test_wait(has_resumed, &good, TEST_HANG_MS);
	/* Unmapping is an answer, too. */
	device_policy(bad, VAS_TEST_UNMAP);
	CHECK_OK(freeze(drive, 10 * SECOND, NULL));
	test_wait(has_one_map, &drive, TEST_HANG_MS);
}

TEST(what_an_owner_held_is_free_after_its_death)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	uint64_t word = 1;
	uint32_t id;

	CHECK_OK(freeze(drive, 10 * SECOND, NULL));
	CHECK_OK(prepare(drive, 0, MIB, 10 * SECOND, NULL));
	close(drive);
	CHECK_OK(device_write(device, 0, &word, sizeof(word), NULL));
	CHECK_OK(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_OK(attach(drive_open(), vas_fd(vas)));
}

TEST(a_freeze_waits_for_writers_under_way)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	struct vas_test_load load = { .gpa = 0, .len = MIB, .seed = 5 };
	struct vas_test_load_result result;
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	static uint8_t before[MIB], after[MIB];

	for (load.kind = 0; load.kind <= VAS_TEST_LOAD_MAP; load.kind++) {
		CHECK_OK(device_load(device, &load));
		for (int i = 0; i < 20; i++) {
			CHECK_OK(freeze(drive, 10 * SECOND, NULL));
			CHECK_OK(vas_read(vas, 0, before, MIB, NULL));
			CHECK_OK(vas_read(vas, 0, after, MIB, NULL));
			CHECK_MEM(after, before, MIB);
			CHECK_OK(call(drive, VAS_KO_THAW, NULL));
		}
		result = device_load_stop(device);
		CHECK_OK(result.err);
		CHECK_EQ(result.wrong, 0);
	}
}

TEST(a_section_that_does_not_end_stops_the_freeze_of_its_own_vas_only)
{
	struct vas *mine = device_vas(LIMIT, 4 * MIB, 0), *other = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(mine)), neighbour = device_bound(vas_fd(other));
	struct vas_test_load load = { .kind = VAS_TEST_LOAD_SECTION };
	struct attempt stuck = { .drive = state_of(mine) };
	int drive = state_of(other);
	uint64_t word = 1;

	CHECK_OK(device_load(device, &load));
	test_wait(freezing_fails, &stuck, TEST_HANG_MS);
	CHECK_OK(freeze(drive, 60 * SECOND, NULL));
	CHECK_EQ(device_write(neighbour, 0, &word, sizeof(word), NULL), -EAGAIN);
	CHECK_OK(call(drive, VAS_KO_THAW, NULL));
	CHECK_STR(stuck.blocker.name, "vas_test");
	CHECK_EQ(stuck.blocker.size, 0);
	/* Nor does it keep the other's end waiting. */
	CHECK_OK(device_unbind(neighbour));
	close(drive);
	CHECK_OK(device_load_stop(device).err);
	CHECK_OK(freeze(stuck.drive, 60 * SECOND, NULL));
}

/* ---- begun, looked at, ended --------------------------------------------------------------- */

static int begin_prepare(int drive, uint64_t gpa, uint64_t size)
{
	struct vas_ko_range range = { gpa, size };
	struct vas_ko_prepare arg = { .ranges = (uintptr_t)&range,
				      .nr = 1,
				      .flags = VAS_KO_NOWAIT,
				      .timeout_ns = 100 * SECOND };
	int result = ioctl(drive, VAS_KO_PREPARE, &arg);

	return result < 0 ? -errno : result;
}

static int begin_freeze(int drive)
{
	struct vas_ko_freeze arg = { .flags = VAS_KO_NOWAIT, .timeout_ns = 100 * SECOND };
	int result = ioctl(drive, VAS_KO_FREEZE, &arg);

	return result < 0 ? -errno : result;
}

static int finish(int drive, struct vas_ko_blocker *blocker)
{
	struct vas_ko_finish arg = { 0 };
	int result = ioctl(drive, VAS_KO_FINISH, &arg);

	if (blocker)
		*blocker = arg.blocker;
	return result < 0 ? -errno : result;
}

/* As the fd says, without and with waiting; then there are news. */
static int is_readable(int drive, int timeout_ms)
{
	struct pollfd fd = { .fd = drive, .events = POLLIN };

	return poll(&fd, 1, timeout_ms) == 1 && fd.revents & POLLIN;
}

static void wait_for_end(int drive)
{
	CHECK(is_readable(drive, 100000));
	while (finish(drive, NULL) == VAS_KO_UNDER_WAY)
		CHECK(is_readable(drive, 100000));
	CHECK_OK(finish(drive, NULL));
}

TEST(what_nobody_is_in_the_way_of_is_done_at_once)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int drive = state_of(vas);

	CHECK(is_readable(drive, 0));
	CHECK_OK(finish(drive, NULL));
	CHECK_OK(begin_prepare(drive, 0, MIB));
	CHECK_EQ(info_of(drive).prepared, 1);
	CHECK_OK(call(drive, VAS_KO_COMMIT, NULL));
}

TEST(a_change_that_is_begun_polls_readable_when_all_have_let_go)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	struct vas_ko_blocker blocker;
	uint32_t id;

	device_policy(device, VAS_TEST_REFUSE);
	CHECK_OK(device_map(device, MIB, PAGE, 0, &id));
	CHECK_EQ(begin_prepare(drive, 0, 4 * MIB), VAS_KO_UNDER_WAY);
	CHECK_EQ(finish(drive, &blocker), VAS_KO_UNDER_WAY);
	CHECK_STR(blocker.name, "vas_test");
	CHECK_EQ(blocker.pid, getpid());
	CHECK_EQ(blocker.gpa, MIB);
	CHECK(!is_readable(drive, 0));
	CHECK_EQ(info_of(drive).prepared, 0);
	CHECK_EQ(begin_prepare(drive, 0, MIB), -EINPROGRESS);
	CHECK_EQ(begin_freeze(drive), -EINPROGRESS);
	CHECK_OK(device_unmap(device, id));
	wait_for_end(drive);
	CHECK_EQ(info_of(drive).prepared, 1);
	CHECK_EQ(device_map(device, MIB, PAGE, 0, &id), -EAGAIN);
	CHECK_OK(call(drive, VAS_KO_COMMIT, NULL));
	CHECK_OK(device_map(device, MIB, PAGE, 0, &id));
}

TEST(a_change_that_is_begun_can_be_given_up)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);
	uint32_t id, other;

	device_policy(device, VAS_TEST_HANG);
	CHECK_OK(device_map(device, MIB, PAGE, 0, &id));
	CHECK_EQ(begin_prepare(drive, 0, 4 * MIB), VAS_KO_UNDER_WAY);
	CHECK_OK(call(drive, VAS_KO_ABORT, NULL));
	CHECK_OK(finish(drive, NULL));
	CHECK_OK(device_map(device, 2 * MIB, PAGE, 0, &other));
	device_policy(device, VAS_TEST_COMPLY);
}

TEST(a_freeze_that_is_begun_ends_with_the_last_promise)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), drive = state_of(vas), result;
	uint64_t word = 1;
	uint32_t id;

	device_policy(device, VAS_TEST_REFUSE);
	CHECK_OK(device_map(device, MIB, PAGE, VAS_MAPPING_WRITE, &id));
	result = begin_freeze(drive);
	CHECK_EQ(result, VAS_KO_UNDER_WAY);
	CHECK_EQ(info_of(drive).frozen, 0);
	/* It has begun: nobody begins to write. */
	CHECK_EQ(device_write(device, 0, &word, sizeof(word), NULL), -EAGAIN);
	CHECK_EQ(begin_freeze(drive), -EINPROGRESS);
	CHECK_OK(device_unmap(device, id));
	wait_for_end(drive);
	CHECK_EQ(info_of(drive).frozen, 1);
	CHECK_OK(call(drive, VAS_KO_THAW, NULL));
	CHECK_OK(device_write(device, 0, &word, sizeof(word), NULL));
}

/* Over and over, and the last time by the end of the fd, while sections may be drained still. */
TEST(a_freeze_that_is_begun_can_be_given_up_at_any_time)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	struct vas_test_load load = { .gpa = 0, .len = MIB, .seed = 5 };
	struct vas_test_load_result result;
	int device = device_bound(vas_fd(vas)), drive = state_of(vas);

	CHECK_OK(device_load(device, &load));
	for (int i = 0; i < 200; i++) {
		CHECK(begin_freeze(drive) >= 0);
		CHECK_OK(call(drive, VAS_KO_THAW, NULL));
	}
	CHECK(begin_freeze(drive) >= 0);
	close(drive);
	result = device_load_stop(device);
	CHECK_OK(result.err);
	CHECK_EQ(result.wrong, 0);
}
