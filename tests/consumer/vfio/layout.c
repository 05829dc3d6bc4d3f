// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The IOMMU follows the layout: what is mapped when, and what is refused with which words. */
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vas/dirty.h>
#include <vas/lazy.h>
#include <vas/vfio.h>

#include "tests/consumer/vfio/fake_type1.h"
#include "tests/lib/simple_vas.h"

#define GRANULE (16 * PAGE)

static struct vas_vfio *attach(struct vas *vas)
{
	const struct vas_vfio_options options = { .name = "nic", .granule = GRANULE };
	struct vas_vfio *vfio;

	CHECK_OK(vas_vfio_attach(vas, eventfd(0, EFD_CLOEXEC), &options, &vfio));
	return vfio;
}

static struct vas_vfio *attach_new(struct vas **vas)
{
	fake_type1_reset();
	*vas = simple_vas();
	return attach(*vas);
}

static int add(struct vas *vas, uint64_t gpa, uint64_t size)
{
	struct vas_region region = { .gpa = gpa, .size = size, .offset = gpa, .name = "ram" };

	return vas_region_add(vas, &region, NULL);
}

/* What a device writes at gpa is what the vas has there. */
static void check_page(struct vas *vas, uint64_t gpa)
{
	uint64_t left, stamp = gpa ^ 0x5a5a5a5a5a5aull;
	uint32_t flags;
	uint64_t *hva = fake_type1_find(gpa, &left, &flags);

	CHECK(hva);
	*hva = stamp;
	CHECK_OK(vas_read(vas, gpa, &stamp, sizeof(stamp), NULL));
	CHECK_EQ(*hva, stamp);
	CHECK_EQ(stamp, gpa ^ 0x5a5a5a5a5a5aull);
}

/* Page by page: mapped where a region is, and nowhere else. */
static void check_all(struct vas *vas)
{
	struct vas_region region;
	uint64_t gpa, left;
	uint32_t flags;

	for (gpa = 0; gpa < 256 * PAGE; gpa += PAGE) {
		test_note("gpa %#llx", (unsigned long long)gpa);
		if (!vas_region_at(vas, gpa, &region))
			check_page(vas, gpa);
		else
			CHECK(!fake_type1_find(gpa, &left, &flags));
	}
}

TEST(memory_is_mapped_in_granules_and_unmapped_by_detach)
{
	struct vas *vas = simple_vas();
	struct vas_vfio *vfio;

	fake_type1_reset();
	simple_add(vas, 8, 40);
	vfio = attach(vas);
	CHECK_EQ(fake_type1.nr, 3);
	CHECK_EQ(fake_type1.maps[0].size, 8 * PAGE);
	CHECK_EQ(fake_type1.maps[1].iova, GRANULE);
	CHECK_EQ(fake_type1.maps[2].size, GRANULE);
	check_all(vas);
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr, 0);
	vas_destroy(vas);
}

TEST(a_region_that_grows_gets_a_further_map_and_loses_none)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);
	uint64_t id = simple_add(vas, 0, 20);

	CHECK_EQ(fake_type1.nr, 2);
	CHECK_OK(vas_region_resize(vas, id, 40 * PAGE));
	CHECK_EQ(fake_type1.nr_unmap_calls, 0);
	CHECK_EQ(fake_type1.nr, 4);
	check_all(vas);
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr, 0);
	vas_destroy(vas);
}

TEST(a_region_shrinks_at_the_border_of_two_maps)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);
	uint64_t id = simple_add(vas, 0, 40);

	fake_type1.stays_end = 2 * GRANULE;
	CHECK_OK(vas_region_resize(vas, id, 2 * GRANULE));
	CHECK_EQ(fake_type1.nr_unmap_calls, 1);
	CHECK_EQ(fake_type1.nr_touched, 0);
	check_all(vas);
	CHECK_EQ(vas_region_resize(vas, id, 20 * PAGE), -EEXIST);
	CHECK_HAS(vas_error(), "nic: region");
	CHECK_HAS(vas_error(), "as one map, which cannot be cut while a device may use it");
	CHECK_EQ(fake_type1.nr_touched, 0);
	check_all(vas);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(other_bytes_are_not_put_in_the_place_of_what_is_mapped)
{
	struct vas_region other = simple_region(0, 4), ram = other;
	struct vas_layout *layout;
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);
	uint64_t id, new_id;

	other.offset = 100 * PAGE;
	CHECK_OK(vas_region_add(vas, &ram, &id));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &other, &new_id));
	CHECK_EQ(vas_layout_commit(layout, TEST_HANG_NS, NULL), -EEXIST);
	CHECK_HAS(vas_error(), "nic: the IOMMU has other bytes at [0, +0x4000)");
	CHECK_EQ(fake_type1.nr_unmap_calls, 0);
	check_all(vas);
	CHECK_OK(vas_region_remove(vas, id));
	CHECK_EQ(fake_type1.nr, 0);
	CHECK_OK(vas_region_add(vas, &other, NULL));
	check_all(vas);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(what_a_refused_change_would_have_kept_is_unmapped_all_the_same)
{
	struct vas_layout *layout;
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);
	uint64_t grows = simple_add(vas, 0, 4), shrinks = simple_add(vas, 32, 4);

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_resize(layout, grows, 8 * PAGE));
	CHECK_OK(vas_layout_resize(layout, shrinks, 2 * PAGE));
	CHECK_EQ(vas_layout_commit(layout, TEST_HANG_NS, NULL), -EEXIST);
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr, 0);
	vas_destroy(vas);
}

TEST(a_region_moves_to_where_nothing_is)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);
	uint64_t id = simple_add(vas, 0, 20);

	CHECK_OK(vas_region_move(vas, id, 64 * PAGE));
	check_all(vas);
	CHECK_EQ(vas_region_move(vas, id, 66 * PAGE), -EEXIST);
	check_all(vas);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(rom_is_read_only_local_memory_is_where_it_is_and_a_devices_is_not_mapped)
{
	char *own =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vas_region rom = simple_region(0, 2), local = simple_region(16, 2), device = local;
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);
	uint64_t left;
	uint32_t flags;

	rom.flags = VAS_REGION_READONLY;
	local.flags = VAS_REGION_LOCAL;
	local.hva = own;
	local.offset = 0;
	device = local;
	device.gpa = 64 * PAGE;
	device.hva = own + 2 * PAGE;
	device.flags |= VAS_REGION_DEVICE;
	CHECK_OK(vas_region_add(vas, &rom, NULL));
	CHECK_OK(vas_region_add(vas, &local, NULL));
	CHECK_OK(vas_region_add(vas, &device, NULL));
	CHECK(fake_type1_find(0, &left, &flags));
	CHECK_EQ(flags, VFIO_DMA_MAP_FLAG_READ);
	CHECK(fake_type1_find(16 * PAGE, &left, &flags) == own);
	CHECK_EQ(flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	CHECK(!fake_type1_find(64 * PAGE, &left, &flags));
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr, 0);
	vas_destroy(vas);
}

static struct vas *large_vas(void)
{
	const struct vas_options options = { .limit = 1ull << 40, .name = "large" };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	return vas;
}

TEST(addresses_that_the_iommu_lacks_are_refused_with_the_reason)
{
	struct vas *vas = large_vas();
	struct vas_vfio *vfio;

	fake_type1_reset();
	vfio = attach(vas);
	CHECK_EQ(add(vas, 0xfee00000, PAGE), -ERANGE);
	CHECK_STR(vas_error(), "nic: region ram, [0xfee00000, +0x1000), has addresses that the "
			       "IOMMU reserves for interrupts (MSI): 0xfee00000 to 0xfeefffff");
	CHECK_EQ(add(vas, 0xfedff000, 2 * PAGE), -ERANGE);
	CHECK_HAS(vas_error(), "for interrupts (MSI)");
	CHECK_OK(add(vas, 0xfedff000, PAGE));
	CHECK_OK(add(vas, 0xfef00000, PAGE));
	CHECK_EQ(add(vas, (1ull << 39) - PAGE, 2 * PAGE), -ERANGE);
	CHECK_HAS(vas_error(), "is beyond what the IOMMU can address: it ends at 0x8000000000");
	CHECK_OK(add(vas, (1ull << 39) - PAGE, PAGE));
	CHECK_EQ(fake_type1.nr, 3);
	/* Another reserved range, as a device that comes later brings it. */
	fake_type1.ranges[0].start = 0x200000;
	CHECK_EQ(add(vas, 0x1ff000, PAGE), -ERANGE);
	CHECK_HAS(vas_error(), "has addresses that the IOMMU reserves: 0 to 0x1fffff");
	fake_type1.page_sizes = ~0xffffull;
	CHECK_EQ(add(vas, 0x200000, PAGE), -EINVAL);
	CHECK_HAS(vas_error(), "is not whole pages of the IOMMU, which has 0x10000");
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

/* As any process without privileges is. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	CHECK_OK(syscall(SYS_capset, &head, data));
}

TEST(a_limit_on_pinned_memory_is_named)
{
	const struct rlimit limit = { 10 * PAGE, 10 * PAGE };
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);

	simple_add(vas, 0, 4);
	fake_type1.lockable = 10 * PAGE;
	CHECK_EQ(add(vas, 16 * PAGE, 12 * PAGE), -ENOMEM);
	CHECK_STR(vas_error(), "nic: no memory to pin [0x10000, +0xc000) of region ram");
	CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	drop_capabilities();
	CHECK_EQ(add(vas, 16 * PAGE, 12 * PAGE), -ENOMEM);
	CHECK_HAS(vas_error(), "nic: RLIMIT_MEMLOCK is 40 KiB, ");
	CHECK_HAS(vas_error(), "region ram is to be pinned as well");
	check_all(vas);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(a_map_that_fails_undoes_those_before_it)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);

	simple_add(vas, 0, 4);
	fake_type1.refuse_map = 4;
	CHECK_EQ(add(vas, 16 * PAGE, 3 * GRANULE), -EFAULT);
	CHECK_HAS(vas_error(), "nic: the IOMMU cannot map [0x30000, +0x10000) of region ram");
	check_all(vas);
	CHECK_EQ(fake_type1.nr, 1);
	CHECK_OK(add(vas, 16 * PAGE, 3 * GRANULE));
	check_all(vas);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(the_deadline_is_looked_at_between_two_maps)
{
	struct vas_blocker blocker;
	struct vas_layout *layout;
	struct vas_region ram = simple_region(0, 64);
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_add(layout, &ram, NULL));
	/* Two maps: of the op, and of the last look, which comes after the deadline. */
	CHECK_EQ(vas_layout_commit(layout, 0, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker.name, "nic");
	CHECK_EQ(fake_type1.nr_map_calls, 2);
	CHECK_EQ(fake_type1.nr, 0);
	check_all(vas);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(more_maps_than_there_may_be_are_refused_before_any_is_made)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);

	fake_type1.most = 3;
	CHECK_EQ(add(vas, 0, 4 * GRANULE), -ENOSPC);
	CHECK_HAS(vas_error(), "nic: 4 further maps are needed, and the IOMMU driver takes 3");
	CHECK_EQ(fake_type1.nr_map_calls, 0);
	CHECK_OK(add(vas, 0, 3 * GRANULE));
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(what_the_vmm_has_mapped_itself_is_in_the_way)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);

	fake_type1.maps[0] = (struct vfio_iommu_type1_dma_map){ .iova = 2 * PAGE, .size = PAGE };
	fake_type1.nr = 1;
	CHECK_EQ(add(vas, 0, 4 * PAGE), -EEXIST);
	CHECK_STR(vas_error(), "nic: somebody else has mapped memory in [0, +0x4000) of this "
			       "address space");
	CHECK_EQ(fake_type1.nr, 1);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

static int fetch_nothing(struct vas_source *source, uint64_t gpa, void *pages, uint64_t *bits)
{
	(void)source, (void)gpa, (void)pages;
	*bits = 0;
	return 0;
}

static void end_nothing(struct vas_source *source)
{
	(void)source;
}

TEST(what_a_device_holds_is_not_discarded_lazy_or_frozen)
{
	struct vas_source source = { .fetch = fetch_nothing, .end = end_nothing };
	const struct vas_region ram = simple_region(0, 4);
	struct vas_blocker blocker;
	struct vas_layout *layout;
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_add(layout, &ram, NULL));
	CHECK_EQ(vas_layout_commit_lazy(layout, &source, NULL, 0, 0), -EBUSY);
	CHECK_HAS(vas_error(), "nic pins memory");
	CHECK_OK(vas_region_add(vas, &ram, NULL));
	CHECK_EQ(vas_discard(vas, 0, PAGE, &blocker), -EBUSY);
	CHECK_HAS(vas_error(), "consumer nic pins memory");
	CHECK_STR(blocker.name, "nic");
	CHECK_EQ(vas_freeze(vas, TEST_HANG_NS, &blocker), -EOPNOTSUPP);
	CHECK_STR(vas_error(), "nic writes guest memory, and cannot be stopped: detach it "
			       "first");
	CHECK_STR(blocker.name, "nic");
	vas_vfio_detach(vfio);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, &blocker));
	CHECK_EQ(vas_vfio_attach(vas, eventfd(0, EFD_CLOEXEC), NULL, &vfio), -EOPNOTSUPP);
	vas_destroy(vas);
}

static uint64_t dirty_bits(struct vas_tracker *tracker, uint64_t gpa)
{
	const struct vas_dirty_word *words;
	ssize_t nr, i;
	uint64_t bits = 0, end = gpa + 64 * PAGE;

	while (gpa < end) {
		nr = vas_tracker_harvest(tracker, &gpa, end, 64, &words);
		CHECK_OK(nr);
		for (i = 0; i < nr; i++)
			bits |= words[i].bits;
	}
	return bits;
}

TEST(all_that_may_be_written_is_dirty_in_each_epoch)
{
	struct vas_region rom = simple_region(8, 4);
	struct vas_tracker *tracker;
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);
	int i;

	rom.flags = VAS_REGION_READONLY;
	simple_add(vas, 0, 4);
	CHECK_OK(vas_region_add(vas, &rom, NULL));
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	for (i = 0; i < 2; i++) {
		CHECK_OK(vas_tracker_begin(tracker));
		CHECK_EQ(dirty_bits(tracker, 0), 0xf);
		CHECK_OK(vas_tracker_commit(tracker));
	}
	vas_vfio_detach(vfio);
	CHECK_OK(vas_tracker_begin(tracker));
	CHECK_EQ(dirty_bits(tracker, 0), 0xf);
	CHECK_OK(vas_tracker_commit(tracker));
	CHECK_OK(vas_tracker_begin(tracker));
	CHECK_EQ(dirty_bits(tracker, 0), 0);
	vas_tracker_detach(tracker);
	vas_destroy(vas);
}

TEST(options_and_fds_that_make_no_sense_are_refused)
{
	struct vas_vfio_options options = { .granule = 3 * PAGE };
	struct vas_vfio_device device;
	struct vas *vas = simple_vas();
	struct vas_vfio *vfio;

	fake_type1_reset();
	CHECK_EQ(vas_vfio_attach(vas, 0, &options, &vfio), -EINVAL);
	options = (struct vas_vfio_options){ .name = "a name that is longer than any" };
	CHECK_EQ(vas_vfio_attach(vas, 0, &options, &vfio), -EINVAL);
	options = (struct vas_vfio_options){ .reserved = { 1 } };
	CHECK_EQ(vas_vfio_attach(vas, 0, &options, &vfio), -EINVAL);
	CHECK_EQ(vas_vfio_device_open("../../etc", -1, &device), -EINVAL);
	CHECK_EQ(vas_vfio_device_open("ffff:ff:1f.7", -1, &device), -ENODEV);
	CHECK_STR(vas_error(), "there is no PCI device ffff:ff:1f.7");
	vas_destroy(vas);
}

/* ---- devices that can be stopped ----------------------------------------------------------- */

static struct vas_vfio *attach_devices(struct vas **vas, int nr)
{
	int fds[4] = { 0, 0, 0, 0 };
	struct vas_vfio_options options = { .name = "nic", .granule = GRANULE };
	struct vas_vfio *vfio;

	fake_type1_reset();
	fake_type1.nr_devices = fake_type1.nr_running = nr;
	options.device_fds = fds;
	options.nr_device_fds = (uint32_t)nr;
	*vas = simple_vas();
	CHECK_OK(vas_vfio_attach(*vas, 0, &options, &vfio));
	return vfio;
}

TEST(devices_stop_for_a_freeze_and_go_on_after_it)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_devices(&vas, 3);

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_EQ(fake_type1.nr_running, 0);
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(fake_type1.nr_running, 3);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr_running, 3);
	vas_destroy(vas);
}

TEST(a_device_that_does_not_stop_lets_the_others_go_on)
{
	struct vas_blocker blocker;
	struct vas *vas;
	struct vas_vfio *vfio = attach_devices(&vas, 3);

	fake_type1.refuse_state = 3;
	CHECK_EQ(vas_freeze(vas, TEST_HANG_NS, &blocker), -EIO);
	CHECK_STR(vas_error(), "nic: device 2 of its container does not stop: Input/output error");
	CHECK_EQ(fake_type1.nr_running, 3);
	/* The op stops one, and the last look, which comes after the deadline, another. */
	CHECK_EQ(vas_freeze(vas, 0, &blocker), -EBUSY);
	CHECK_STR(blocker.name, "nic");
	CHECK_EQ(fake_type1.nr_running, 3);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(devices_without_a_state_refuse_a_freeze_before_it_begins)
{
	const int fds[2] = { 0, 0 };
	const struct vas_vfio_options options = { .name = "nic",
						  .device_fds = fds,
						  .nr_device_fds = 2 };
	struct vas *vas = simple_vas();
	struct vas_blocker blocker;
	struct vas_vfio *vfio;

	fake_type1_reset();
	CHECK_OK(vas_vfio_attach(vas, 0, &options, &vfio));
	CHECK_EQ(vas_freeze_check(vas, &blocker), -EOPNOTSUPP);
	CHECK_STR(blocker.name, "nic");
	CHECK_EQ(vas_freeze(vas, TEST_HANG_NS, &blocker), -EOPNOTSUPP);
	vas_vfio_detach(vfio);
	CHECK_OK(vas_freeze_check(vas, NULL));
	vas_destroy(vas);
}

TEST(a_device_that_does_not_go_on_stops_the_next_change)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_devices(&vas, 2);

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	fake_type1.refuse_state = 4;
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(fake_type1.nr_running, 1);
	fake_type1.refuse_state = 5;
	CHECK_EQ(add(vas, 0, PAGE), -EIO);
	CHECK_STR(vas_error(), "nic: device 0 of its container does not go on: Input/output error");
	CHECK_OK(add(vas, 0, PAGE));
	CHECK_EQ(fake_type1.nr_running, 2);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(a_device_that_does_not_go_on_has_stopped_for_the_next_freeze)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_devices(&vas, 2);

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	fake_type1.refuse_state = 3;
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(fake_type1.nr_running, 0);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_EQ(fake_type1.nr_running, 0);
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(fake_type1.nr_running, 2);
	vas_vfio_detach(vfio);
	vas_destroy(vas);
}

TEST(a_device_that_cannot_be_kept_does_not_enter)
{
	const int fds[1] = { 0 };
	const uint32_t ids[1] = { 5 };
	const struct vas_vfio_options options = {
		.name = "nic", .device_fds = fds, .device_ids = ids, .nr_device_fds = 1
	};
	const struct vas_vfio_device device = { .container_fd = -1, .group_fd = -1 };
	struct vas *vas = simple_vas();
	struct rlimit before, limit;
	struct vas_vfio *vfio;

	fake_type1_reset();
	fake_type1.is_iommufd = 1;
	CHECK_OK(vas_vfio_attach(vas, 0, &options, &vfio));
	CHECK_EQ(fake_type1.nr_entered, 1);
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &before));
	limit = before;
	limit.rlim_cur = 3;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_EQ(vas_vfio_device_add(vfio, &device), -EMFILE);
	CHECK_EQ(fake_type1.nr_entered, 1);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &before));
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr_entered, 0);
	vas_destroy(vas);
}

/* The region of the id goes, and other bytes come where a part of it was. */
static int replace(struct vas *vas, uint64_t id)
{
	struct vas_region other = simple_region(4, 30);
	struct vas_layout *layout;

	other.offset = 100 * PAGE;
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &other, NULL));
	return vas_layout_commit(layout, TEST_HANG_NS, NULL);
}

TEST(maps_are_cut_and_replaced_while_all_devices_stand)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_devices(&vas, 2);
	uint64_t id = simple_add(vas, 0, 20);

	CHECK_EQ(replace(vas, id), -EEXIST);
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_OK(vas_region_resize(vas, id, 18 * PAGE));
	check_all(vas);
	CHECK_OK(replace(vas, id));
	check_all(vas);
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(fake_type1.nr_running, 2);
	check_all(vas);
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr, 0);
	vas_destroy(vas);
}

TEST(a_map_that_fails_too_late_is_tried_again)
{
	struct vas *vas;
	struct vas_vfio *vfio = attach_devices(&vas, 2);
	struct vas_consumer *consumer = vas_vfio_consumer(vfio);
	uint64_t id = simple_add(vas, 0, 20), left;
	uint32_t flags;

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	fake_type1.refuse_map = fake_type1.nr_map_calls + 3; /* two are in nobody's place */
	CHECK_OK(replace(vas, id));
	CHECK_EQ(vas_consumer_status(consumer), -EFAULT);
	CHECK(!fake_type1_find(4 * PAGE, &left, &flags));
	CHECK_OK(vas_consumer_retry(consumer));
	check_all(vas);
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr, 0);
	vas_destroy(vas);
}

/* ---- any layout ---------------------------------------------------------------------------- */

/* One change of one region. What it may answer: 0, or a refusal that a device would want. */
static int change_at_random(struct vas *vas, struct test_random *random)
{
	struct vas_region regions[16], new;
	size_t nr = (size_t)vas_regions(vas, regions, 16),
	       i = nr ? test_random_below(random, nr) : 0;
	uint64_t page = test_random_below(random, 200), pages = 1 + test_random_below(random, 50);

	new = simple_region(page, pages);
	if (test_random_below(random, 8) == 0)
		new.flags = VAS_REGION_READONLY;
	switch (nr ? test_random_below(random, 4) : 0) {
	case 0:
		return vas_region_add(vas, &new, NULL);
	case 1:
		return vas_region_remove(vas, regions[i].id);
	case 2:
		return vas_region_resize(vas, regions[i].id, pages * PAGE);
	}
	return vas_region_move(vas, regions[i].id, page * PAGE);
}

TEST(any_change_of_any_layout_is_followed_or_refused_as_a_whole)
{
	struct test_random random = { test_seed() };
	size_t done = 0, refused = 0, i;
	struct vas *vas;
	struct vas_vfio *vfio = attach_new(&vas);

	for (i = 0; i < 3000; i++) {
		int err;

		fake_type1.refuse_map =
			test_random_below(&random, 8) ?
				0 :
				fake_type1.nr_map_calls + 1 + test_random_below(&random, 3);
		err = change_at_random(vas, &random);
		done += !err;
		refused += err == -EEXIST;
		if (i % 16 == 0)
			check_all(vas);
	}
	check_all(vas);
	CHECK(done > 100 && refused > 10);
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr, 0);
	vas_destroy(vas);
}

TEST(any_change_is_followed_while_all_devices_stand)
{
	struct test_random random = { test_seed() };
	struct vas *vas;
	struct vas_vfio *vfio = attach_devices(&vas, 1);
	int i;

	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	for (i = 0; i < 2000; i++) {
		fake_type1.refuse_map =
			test_random_below(&random, 8) ?
				0 :
				fake_type1.nr_map_calls + 1 + test_random_below(&random, 3);
		change_at_random(vas, &random);
		if (i % 16)
			continue;
		fake_type1.refuse_map = 0;
		CHECK_OK(vas_consumer_retry(vas_vfio_consumer(vfio)));
		check_all(vas);
	}
	vas_vfio_detach(vfio);
	CHECK_EQ(fake_type1.nr, 0);
	vas_destroy(vas);
}
