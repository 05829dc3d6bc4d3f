// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Kernel modules as a consumer: asked at once, waited for to the deadline, and named. */
#include <unistd.h>

#include <vas/consumer.h>
#include <vas/dirty.h>
#include <vas/module.h>

#include "device.h"

#define MIB	(1ull << 20)
#define PAGE	4096ull
#define LIMIT	(64 * MIB)
#define LONG_NS 100000000000ull
#define HANG_NS 200000000ull

static struct vas_module *attach(struct vas *vas)
{
	struct vas_module *module;
	int err = vas_module_attach(vas, &module);

	if (err == -ENODEV)
		test_skip("no /dev/vas: vas.ko is not loaded");
	CHECK_OK(err);
	return module;
}

static int remove_at(struct vas *vas, uint64_t gpa, uint64_t timeout_ns,
		     struct vas_blocker *blocker)
{
	struct vas_layout *layout;
	struct vas_region region;

	CHECK_OK(vas_region_at(vas, gpa, &region));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, region.id));
	return vas_layout_commit(layout, timeout_ns, blocker);
}

static void check_named(const struct vas_blocker *blocker, uint64_t gpa)
{
	CHECK_EQ(blocker->kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker->name, "vas_test");
	CHECK_EQ(blocker->pid, getpid());
	CHECK_EQ(blocker->gpa, gpa);
	CHECK_EQ(blocker->size, PAGE);
}

TEST(modules_are_one_consumer_and_one_handle_has_them)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	struct vas_module *module = attach(vas), *second;
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	CHECK_STR(info.consumers, "module");
	CHECK_EQ(vas_module_attach(vas, &second), -EBUSY);
	vas_module_detach(module);
	CHECK_OK(vas_info(vas, &info));
	CHECK_STR(info.consumers, "");
	module = attach(vas);
	vas_module_detach(module);
	vas_destroy(vas);
}

TEST(a_module_lets_go_before_the_layout_changes)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas));
	struct vas_module *module = attach(vas);
	uint32_t id;

	device_add(vas, 8 * MIB, MIB);
	CHECK_OK(device_map(device, 8 * MIB, PAGE, 0, &id));
	CHECK_OK(device_map(device, 0, PAGE, 0, &id));
	CHECK_OK(remove_at(vas, 8 * MIB, LONG_NS, NULL));
	CHECK_EQ(device_counts(device).invalidated, 1);
	CHECK_EQ(device_map(device, 8 * MIB, PAGE, 0, &id), -EFAULT);
	device_add(vas, 8 * MIB, MIB);
	CHECK_OK(device_map(device, 8 * MIB, PAGE, 0, &id));
	vas_module_detach(module);
	vas_destroy(vas);
}

/* A region that grows takes nothing away: its maps stay. */
TEST(maps_of_what_stays_stay)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas));
	struct vas_module *module = attach(vas);
	struct vas_region region;
	uint32_t id;

	CHECK_OK(device_map(device, 0, PAGE, 0, &id));
	CHECK_OK(vas_region_at(vas, 0, &region));
	CHECK_OK(vas_region_resize(vas, region.id, 8 * MIB));
	CHECK_EQ(device_counts(device).invalidated, 0);
	CHECK_OK(device_is_attached(device, id));
	vas_module_detach(module);
	vas_destroy(vas);
}

static void check_change_fails(enum vas_test_policy policy)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas));
	struct vas_module *module = attach(vas);
	struct vas_blocker blocker;
	uint64_t word = 7;
	uint32_t id;

	device_policy(device, policy);
	CHECK_OK(device_map(device, MIB, PAGE, 0, &id));
	CHECK_EQ(remove_at(vas, 0, HANG_NS, &blocker), -EBUSY);
	check_named(&blocker, MIB);
	CHECK_HAS(vas_error(), "vas_test");
	/* Nothing has changed for anybody. */
	CHECK_OK(device_write(device, 0, &word, sizeof(word), NULL));
	CHECK_OK(vas_read(vas, 0, &word, sizeof(word), NULL));
	CHECK_EQ(word, 7);
	device_policy(device, VAS_TEST_COMPLY);
	CHECK_OK(remove_at(vas, 0, LONG_NS, &blocker));
	vas_module_detach(module);
	vas_destroy(vas);
}

TEST(a_module_that_keeps_its_map_is_named)
{
	check_change_fails(VAS_TEST_REFUSE);
}

TEST(a_module_that_hangs_costs_the_deadline_and_is_named)
{
	check_change_fails(VAS_TEST_HANG);
}

TEST(a_hung_module_does_not_keep_a_freeze)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas)), other = device_bound(vas_fd(vas));
	struct vas_module *module = attach(vas);
	struct vas_blocker blocker;
	uint64_t word = 1;
	uint32_t id;

	device_policy(device, VAS_TEST_HANG);
	CHECK_OK(device_map(device, MIB, PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_EQ(vas_freeze(vas, HANG_NS, &blocker), -EBUSY);
	CHECK_OK(device_write(other, 0, &word, sizeof(word), NULL));
	CHECK_OK(vas_write(vas, 0, &word, sizeof(word), NULL));
	device_policy(device, VAS_TEST_COMPLY);
	CHECK_OK(vas_freeze(vas, LONG_NS, &blocker));
	CHECK_EQ(device_write(other, 0, &word, sizeof(word), NULL), -EAGAIN);
	CHECK_OK(vas_thaw(vas));
	CHECK_OK(device_write(other, 0, &word, sizeof(word), NULL));
	vas_module_detach(module);
	vas_destroy(vas);
}

static int has_resumed(void *device)
{
	return device_counts(*(int *)device).resumed == 1;
}

TEST(a_freeze_asks_each_writable_map_once_and_thaws_it)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas));
	struct vas_module *module = attach(vas);
	uint32_t id;

	CHECK_OK(device_map(device, 0, PAGE, VAS_MAPPING_WRITE, &id));
	CHECK_OK(vas_freeze(vas, LONG_NS, NULL));
	CHECK_EQ(device_counts(device).quiesced, 1);
	CHECK_OK(vas_thaw(vas));
	test_wait(has_resumed, &device, 100000);
	vas_module_detach(module);
	vas_destroy(vas);
}

TEST(modules_that_come_to_a_frozen_vas_do_not_write)
{
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	struct vas_module *module;
	uint64_t word = 1;
	int device;

	CHECK_OK(vas_freeze(vas, LONG_NS, NULL));
	module = attach(vas);
	device = device_bound(vas_fd(vas));
	CHECK_EQ(device_write(device, 0, &word, sizeof(word), NULL), -EAGAIN);
	vas_module_detach(module);
	CHECK_EQ(device_write(device, 0, &word, sizeof(word), NULL), -EAGAIN);
	CHECK_OK(vas_thaw(vas));
	CHECK_OK(device_write(device, 0, &word, sizeof(word), NULL));
	vas_destroy(vas);
}

TEST(a_device_is_no_memory_of_a_modules)
{
	static char bar[MIB] __attribute__((aligned(4096)));
	struct vas_region region = { .gpa = 8 * MIB,
				     .size = MIB,
				     .hva = bar,
				     .flags = VAS_REGION_LOCAL | VAS_REGION_DEVICE };
	struct vas *vas = device_vas(LIMIT, 4 * MIB, 0);
	int device = device_bound(vas_fd(vas));
	uint64_t word;

	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_EQ(device_hva(device, 8 * MIB, MIB, bar), -ENOENT);
	CHECK_EQ(device_read(device, 8 * MIB, &word, sizeof(word), NULL), -ENXIO);
	vas_destroy(vas);
}
