// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The consumer on a real iommufd, with the devices and the IOMMU that the kernel's own tests have:
 * those say what is mapped, and have pages written that nobody wrote. Such a device is no VFIO
 * device: the program is linked with --wrap=ioctl, which makes one of it.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vas/dirty.h>
#include <vas/vas.h>
#include <vas/vfio.h>

#include "consumer/vfio/iommufd_abi.h"
#include "tests/harness.h"

#define PAGE	4096ull
#define MIB	(1ull << 20)
#define GRANULE (2 * MIB)
#define RAM	(16 * MIB) /* gpa: where the mock IOMMU's addresses begin */
#define END	(1ull << 31)
#define LIMIT	(4ull << 30)

/* ---- the kernel's mock devices --------------------------------------------------------------- */

enum { MOCK_RESERVE = 1, MOCK_CHECK_MAP = 3, MOCK_REPLACE = 10, MOCK_DEVICE = 12, MOCK_DIRTY = 13 };
#define MOCK_NO_DIRTY 1u

struct mock_call {
	uint32_t size, op, id, reserved;
	union {
		struct {
			uint64_t start, len;
		} reserve;
		struct {
			uint32_t mock, table, device, flags;
		} device;
		struct {
			uint32_t table;
		} replace;
		struct {
			uint64_t iova, len, address;
		} check;
		struct {
			uint32_t flags;
			uint64_t iova, len, page_size, address, nr;
		} dirty;
		uint64_t room[6];
	};
	uint32_t last;
};
#define MOCK_CALL IOMMUFD_CALL(32)

#define NR_DEVICES 2

static struct {
	int iommufd;
	uint32_t scratch;   /* an address space in which they begin */
	uint32_t space;	    /* the last that was made */
	uint32_t table;	    /* that the first device is in */
	int fd[NR_DEVICES]; /* in the place of VFIO devices */
	uint32_t mock[NR_DEVICES], id[NR_DEVICES];
	int nr_entered, refuse; /* the entering with this number, from 1 on */
	int nr_mapped;
} mock;

/* A duplicate of it, as the consumer has. */
static int is_device(int fd, int device)
{
	struct stat a, b;

	return mock.id[device] && !fstat(fd, &a) && !fstat(mock.fd[device], &b) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int mock_call(struct mock_call *call)
{
	call->size = sizeof(*call);
	return __real_ioctl(mock.iommufd, MOCK_CALL, call);
}

static int enter(int device, uint32_t table)
{
	struct mock_call call = { .op = MOCK_REPLACE, .id = mock.mock[device] };

	if (++mock.nr_entered == mock.refuse) {
		errno = EINVAL;
		return -1;
	}
	call.replace.table = table;
	if (mock_call(&call))
		return -1;
	if (!device)
		mock.table = table;
	return 0;
}

static int of_device(int device, unsigned long request, void *arg)
{
	switch ((unsigned int)request) {
	case VFIO_DEVICE_ENTER:
		return enter(device, ((struct vfio_device_enter *)arg)->table);
	case VFIO_DEVICE_EXIT:
		return enter(device, mock.scratch);
	}
	errno = ENOTTY;
	return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int result;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	for (int i = 0; i < NR_DEVICES; i++)
		if (is_device(fd, i))
			return of_device(i, request, arg);
	result = __real_ioctl(fd, request, arg);
	if ((unsigned int)request == IOMMUFD_SPACE_ALLOC && !result)
		mock.space = ((struct iommufd_space_alloc *)arg)->space;
	mock.nr_mapped += (unsigned int)request == IOMMUFD_MAP_FILE;
	return result;
}

static void make_devices(uint32_t flags)
{
	struct iommufd_space_alloc space = { .size = sizeof(space) };

	mock.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (mock.iommufd < 0)
		test_skip("the kernel has no iommufd");
	CHECK_OK(__real_ioctl(mock.iommufd, IOMMUFD_SPACE_ALLOC, &space));
	mock.scratch = space.space;
	for (int i = 0; i < NR_DEVICES; i++) {
		struct mock_call call = { .op = MOCK_DEVICE, .id = mock.scratch };

		call.device.flags = flags;
		if (mock_call(&call))
			test_skip("the kernel has no mock devices");
		mock.fd[i] = memfd_create("device", MFD_CLOEXEC);
		mock.mock[i] = call.device.mock;
		mock.id[i] = call.device.device;
	}
}

/* ---- a vas ----------------------------------------------------------------------------------- */

static struct vas *vas;
static struct vas_vfio *vfio;
static uint8_t *ram;
static uint64_t ram_id;

static void begin(uint32_t flags)
{
	const struct vas_options options = { .limit = LIMIT, .name = "mock" };
	const struct vas_region region = { .gpa = RAM, .size = 8 * MIB, .name = "ram" };
	struct vas_vfio_options vfio_options = {
		.name = "nic",
		.granule = GRANULE,
		.device_fds = mock.fd,
		.nr_device_fds = NR_DEVICES,
		.device_ids = mock.id,
	};

	make_devices(flags);
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, &ram_id));
	ram = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, vas_backing_fd(vas, 0), 0);
	CHECK(ram != MAP_FAILED);
	CHECK_OK(vas_vfio_attach(vas, mock.iommufd, &vfio_options, &vfio));
}

static void finish(void)
{
	vas_vfio_detach(vfio);
	munmap(ram, 64 * MIB);
	vas_destroy(vas);
	close(mock.iommufd);
}

/* Whether the device finds the bytes at an offset of RAM's file at an address. */
static int finds(uint64_t gpa, uint64_t offset, uint64_t len)
{
	struct mock_call call = { .op = MOCK_CHECK_MAP, .id = mock.table };

	call.check.iova = gpa;
	call.check.len = len;
	call.check.address = (uintptr_t)(ram + offset);
	return !mock_call(&call);
}

static uint64_t add(uint64_t gpa, uint64_t size, uint64_t offset)
{
	const struct vas_region region = {
		.gpa = gpa, .size = size, .offset = offset, .name = "more"
	};
	uint64_t id;

	CHECK_OK(vas_region_add(vas, &region, &id));
	return id;
}

static int add_refused(uint64_t gpa, uint64_t size)
{
	const struct vas_region region = {
		.gpa = gpa, .size = size, .offset = 40 * MIB, .name = "more"
	};

	return vas_region_add(vas, &region, NULL);
}

/* Other bytes take the place of a region's, in one change. */
static int replace(uint64_t id, uint64_t gpa, uint64_t size, uint64_t offset)
{
	const struct vas_region region = {
		.gpa = gpa, .size = size, .offset = offset, .name = "other"
	};
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &region, NULL));
	return vas_layout_commit(layout, TEST_HANG_NS, NULL);
}

/* ---- the layout ------------------------------------------------------------------------------ */

TEST(devices_find_what_the_layout_has)
{
	uint64_t id;

	begin(0);
	CHECK(finds(RAM, 0, 8 * MIB));
	CHECK(!finds(RAM + 8 * MIB, 8 * MIB, PAGE));
	id = add(64 * MIB, 3 * MIB, 20 * MIB);
	CHECK(finds(64 * MIB, 20 * MIB, 3 * MIB));
	CHECK_OK(vas_region_resize(vas, id, 5 * MIB));
	CHECK(finds(64 * MIB, 20 * MIB, 5 * MIB));
	CHECK_OK(vas_region_remove(vas, id));
	CHECK(!finds(64 * MIB, 20 * MIB, PAGE));
	CHECK(finds(RAM, 0, 8 * MIB));
	/* By its file, in maps of a granule. */
	CHECK_EQ(mock.nr_mapped, 4 + 2 + 2);
	finish();
}

/* Type 1 refuses this. */
TEST(other_bytes_come_to_an_address)
{
	uint32_t table;
	uint64_t id;

	begin(0);
	id = add(64 * MIB, 3 * MIB, 20 * MIB);
	table = mock.table;
	mock.nr_mapped = 0;
	CHECK_OK(replace(id, 64 * MIB, 3 * MIB, 30 * MIB));
	CHECK(mock.table != table);
	CHECK(finds(64 * MIB, 30 * MIB, 3 * MIB));
	CHECK(finds(RAM, 0, 8 * MIB));
	/* What stays is shared, not mapped again. */
	CHECK_EQ(mock.nr_mapped, 2);
	CHECK_EQ(vas_consumer_status(vas_vfio_consumer(vfio)), 0);
	finish();
}

TEST(a_region_shrinks_anywhere)
{
	begin(0);
	CHECK_OK(vas_region_resize(vas, ram_id, 5 * MIB + PAGE));
	CHECK(finds(RAM, 0, 5 * MIB + PAGE));
	CHECK(!finds(RAM + 5 * MIB + PAGE, 5 * MIB + PAGE, PAGE));
	CHECK_OK(vas_region_resize(vas, ram_id, 8 * MIB));
	CHECK(finds(RAM, 0, 8 * MIB));
	finish();
}

TEST(a_move_that_others_refuse_leaves_devices_where_they_are)
{
	struct vas_mapping *mapping;
	struct vas_layout *layout;
	uint32_t table;

	begin(0);
	table = mock.table;
	CHECK_OK(vas_mapping_create(vas, RAM + 6 * MIB, PAGE, 0, &mapping));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_resize(layout, ram_id, 5 * MIB));
	CHECK_EQ(vas_layout_commit(layout, 1000000, NULL), -EBUSY);
	CHECK_EQ(mock.table, table);
	CHECK(finds(RAM, 0, 8 * MIB));
	vas_mapping_destroy(mapping);
	CHECK_OK(vas_region_resize(vas, ram_id, 5 * MIB));
	CHECK(finds(RAM, 0, 5 * MIB));
	finish();
}

/* The second one: so the first, which has moved, goes back, and both are changed where they are. */
TEST(a_device_that_does_not_move_is_served_where_it_is)
{
	uint32_t table;
	uint64_t id;

	begin(0);
	id = add(64 * MIB, 3 * MIB, 20 * MIB);
	table = mock.table;
	mock.refuse = mock.nr_entered + 2;
	CHECK_OK(replace(id, 64 * MIB, 3 * MIB, 30 * MIB));
	CHECK_EQ(mock.table, table);
	CHECK(finds(64 * MIB, 30 * MIB, 3 * MIB));
	CHECK(finds(RAM, 0, 8 * MIB));
	CHECK_EQ(vas_consumer_status(vas_vfio_consumer(vfio)), 0);
	finish();
}

TEST(what_the_iommu_cannot_address_is_refused)
{
	struct mock_call call = { .op = MOCK_RESERVE };

	begin(0);
	CHECK_EQ(add_refused(END - MIB, 2 * MIB), -ERANGE);
	CHECK_HAS(vas_error(), "nic: region more, [0x7ff00000, +0x200000), is beyond what the "
			       "IOMMU can address: it ends at 0x80000000");
	call.id = mock.space;
	call.reserve.start = 100 * MIB;
	call.reserve.len = MIB;
	CHECK_OK(mock_call(&call));
	CHECK_EQ(add_refused(99 * MIB, 2 * MIB), -ERANGE);
	CHECK_HAS(vas_error(), "has addresses that the IOMMU reserves: 0x6400000 to 0x64fffff");
	CHECK(finds(RAM, 0, 8 * MIB));
	finish();
}

TEST(memory_of_this_process_is_mapped_by_its_address)
{
	struct vas_region region = { .gpa = 64 * MIB, .size = MIB, .flags = VAS_REGION_LOCAL };
	struct mock_call call = { .op = MOCK_CHECK_MAP };

	begin(0);
	region.hva = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	call.id = mock.table;
	call.check.iova = 64 * MIB;
	call.check.len = MIB;
	call.check.address = (uintptr_t)region.hva;
	CHECK_OK(mock_call(&call));
	finish();
}

/* ---- the dirty log --------------------------------------------------------------------------- */

/* The device has written pages of a map: bit n is the page at gpa + n * PAGE. */
static void device_writes(uint64_t gpa, uint64_t bits)
{
	struct mock_call call = { .op = MOCK_DIRTY, .id = mock.table };

	call.dirty.iova = gpa;
	call.dirty.len = 64 * PAGE;
	call.dirty.page_size = PAGE;
	call.dirty.address = (uintptr_t)&bits;
	CHECK_OK(mock_call(&call));
}

static uint64_t dirty[LIMIT / PAGE / 64]; /* as the vas's log has it */
static int nr_dirty;

/* The word of 64 pages at a multiple of 256 KiB, in an epoch of its own; and how many in all. */
static uint64_t dirty_word(struct vas_tracker *tracker, uint64_t gpa)
{
	const struct vas_dirty_word *words;
	uint64_t at = 0;
	ssize_t nr, i;

	memset(dirty, 0, sizeof(dirty));
	nr_dirty = 0;
	CHECK_OK(vas_tracker_begin(tracker));
	while (at < LIMIT) {
		nr = vas_tracker_harvest(tracker, &at, LIMIT, 64, &words);
		CHECK(nr >= 0);
		for (i = 0; i < nr; i++)
			dirty[words[i].gpa / PAGE / 64] |= words[i].bits;
	}
	CHECK_OK(vas_tracker_commit(tracker));
	for (i = 0; i < (ssize_t)(LIMIT / PAGE / 64); i++)
		nr_dirty += __builtin_popcountll(dirty[i]);
	return dirty[gpa / PAGE / 64];
}

TEST(what_the_iommu_notes_is_in_the_dirty_log)
{
	struct vas_tracker *tracker;

	begin(0);
	/* One that does not begin with a word of the log. */
	add(64 * MIB + 5 * PAGE, MIB, 20 * MIB);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	dirty_word(tracker, 0);
	device_writes(RAM + 2 * MIB, 0x8000000000000011);
	CHECK_EQ(dirty_word(tracker, RAM + 2 * MIB), 0x8000000000000011);
	CHECK_EQ(nr_dirty, 3);
	CHECK_EQ(dirty_word(tracker, RAM + 2 * MIB), 0);
	CHECK_EQ(nr_dirty, 0);
	device_writes(64 * MIB + 5 * PAGE, 0xf000000000000001);
	CHECK_EQ(dirty_word(tracker, 64 * MIB), 1ull << 5);
	CHECK_EQ(nr_dirty, 5);
	device_writes(64 * MIB + 5 * PAGE, 0xf000000000000001);
	CHECK_EQ(dirty_word(tracker, 64 * MIB + 64 * PAGE), 0x1e);
	vas_tracker_detach(tracker);
	finish();
}

TEST(what_is_written_after_a_move_is_noted)
{
	struct vas_tracker *tracker;
	uint32_t table;
	uint64_t id;

	begin(0);
	id = add(64 * MIB, 3 * MIB, 20 * MIB);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	table = mock.table;
	CHECK_OK(replace(id, 64 * MIB, 3 * MIB, 30 * MIB));
	CHECK(mock.table != table);
	/* All is dirty once after a change, and then what is written. */
	CHECK_EQ(dirty_word(tracker, RAM), UINT64_MAX);
	device_writes(RAM, 8);
	CHECK_EQ(dirty_word(tracker, RAM), 8);
	CHECK_EQ(nr_dirty, 1);
	vas_tracker_detach(tracker);
	finish();
}

TEST(without_that_all_is_dirty)
{
	struct vas_tracker *tracker;

	begin(MOCK_NO_DIRTY);
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &tracker));
	dirty_word(tracker, 0);
	CHECK_EQ(dirty_word(tracker, RAM + MIB), UINT64_MAX);
	CHECK_EQ(nr_dirty, 8 * MIB / PAGE);
	vas_tracker_detach(tracker);
	finish();
}

/* ---- the end --------------------------------------------------------------------------------- */

TEST(devices_without_a_vas_find_nothing)
{
	begin(0);
	CHECK_EQ(vas_freeze(vas, TEST_HANG_NS, NULL), -EOPNOTSUPP);
	vas_vfio_detach(vfio);
	CHECK_EQ(mock.table, mock.scratch);
	vas_destroy(vas);
	close(mock.iommufd);
}

TEST(an_iommufd_without_devices_is_refused)
{
	const struct vas_options options = { .limit = LIMIT, .name = "mock" };

	make_devices(0);
	CHECK_OK(vas_create(&options, &vas));
	CHECK_EQ(vas_vfio_attach(vas, mock.iommufd, NULL, &vfio), -EINVAL);
	CHECK_STR(vas_error(), "vfio: an iommufd needs its devices (device_fds and device_ids)");
	vas_destroy(vas);
}
