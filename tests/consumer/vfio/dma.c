// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A device that VFIO has does DMA in a vas, where the layout lets it and nowhere else. */
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vas/dirty.h>
#include <vas/vas.h>

#include "tests/consumer/file_region.h"
#include "tests/consumer/vfio/edu.h"
#include "tests/harness.h"

#define PAGE	4096ull
#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define GRANULE (2 * MIB)
#define ROUNDS	40 /* of hot-plug under load */

struct setup {
	struct vas *vas;
	struct edu edu;
	struct vas_vfio *vfio;
};

static void attach(struct setup *s, uint64_t granule)
{
	const struct vas_vfio_options options = {
		.name = s->edu.device.name,
		.granule = granule,
		.device_fds = &s->edu.device.device_fd,
		.nr_device_fds = 1,
		.device_ids = &s->edu.device.device_id,
	};

	CHECK_OK(vas_vfio_attach(s->vas, s->edu.device.container_fd, &options, &s->vfio));
}

/* Where the kernel has them, devices are an iommufd's. */
static int has_iommufd(const struct setup *s)
{
	return s->edu.device.group_fd < 0;
}

/* 8 MiB of RAM at 0, for the device, too. */
static void set_up(struct setup *s)
{
	const struct vas_options options = { .limit = 8 * GIB, .name = "dma" };
	const struct vas_region ram = { .size = 8 * MIB, .name = "ram" };

	edu_open(&s->edu, 0, -1);
	CHECK_OK(vas_create(&options, &s->vas));
	CHECK_OK(vas_region_add(s->vas, &ram, NULL));
	attach(s, GRANULE);
}

static void tear_down(struct setup *s)
{
	vas_vfio_detach(s->vfio);
	edu_close(&s->edu);
	vas_destroy(s->vas);
}

static void make_pattern(uint8_t *bytes, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8) + seed);
}

/* Through the device's buffer, and looked at by libvas. */
static void copies(const struct setup *s, uint64_t from, uint64_t to, uint32_t len)
{
	uint8_t wrote[EDU_BUFFER], found[EDU_BUFFER];

	make_pattern(wrote, len, (uint32_t)(from >> 12));
	CHECK_OK(vas_write(s->vas, from, wrote, len, NULL));
	edu_read(&s->edu, from, len);
	edu_write(&s->edu, to, len);
	CHECK_OK(vas_read(s->vas, to, found, len, NULL));
	CHECK_MEM(found, wrote, len);
}

TEST(a_device_reads_and_writes_guest_memory)
{
	const struct vas_region high = { .gpa = 4 * GIB, .size = MIB, .offset = 4 * GIB };
	struct setup s;

	set_up(&s);
	copies(&s, 0, 5 * MIB, EDU_BUFFER);
	/* Over the border of two maps, and in memory that came later. */
	copies(&s, GRANULE - 1000, 2 * GRANULE - 100, 3000);
	CHECK_OK(vas_region_add(s.vas, &high, NULL));
	copies(&s, 4 * GIB + 12345, MIB, 4000);
	copies(&s, 3 * MIB, 4 * GIB + MIB - EDU_BUFFER, EDU_BUFFER);
	tear_down(&s);
}

/* Allocated, and touched by nobody before the device. */
TEST(what_a_device_writes_first_stays)
{
	uint8_t wrote[64], found[64];
	struct setup s;

	set_up(&s);
	make_pattern(wrote, sizeof(wrote), 1);
	CHECK_OK(vas_write(s.vas, PAGE, wrote, sizeof(wrote), NULL));
	edu_read(&s.edu, PAGE, sizeof(wrote));
	edu_write(&s.edu, 7 * MIB, sizeof(wrote));
	CHECK_OK(vas_read(s.vas, 7 * MIB, found, sizeof(found), NULL));
	CHECK_MEM(found, wrote, sizeof(wrote));
	tear_down(&s);
}

TEST(two_devices_of_one_container_have_the_same_memory)
{
	struct vas_vfio_device none;
	struct setup s;
	struct edu second;
	uint64_t val = 0x1122334455667788, found;

	set_up(&s);
	edu_open(&second, 1, s.edu.device.container_fd);
	CHECK_OK(vas_vfio_device_add(s.vfio, &second.device));
	CHECK_EQ(vas_vfio_device_open(s.edu.device.name, -1, &none), -EBUSY);
	CHECK_OK(vas_write(s.vas, PAGE, &val, sizeof(val), NULL));
	edu_read(&second, PAGE, sizeof(val));
	edu_write(&second, 7 * MIB, sizeof(val));
	CHECK_OK(vas_read(s.vas, 7 * MIB, &found, sizeof(found), NULL));
	CHECK_EQ(found, val);
	edu_close(&second);
	tear_down(&s);
}

/* ---- what the IOMMU stops ------------------------------------------------------------------ */

/* The kernel's log from now on. */
static int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	CHECK_OK(fd);
	CHECK_OK(lseek(fd, 0, SEEK_END));
	return fd;
}

struct fault {
	int log;
	uint64_t address;
};

static int is_logged(void *arg)
{
	const struct fault *fault = arg;
	char record[1024], want[64];
	ssize_t len;

	snprintf(want, sizeof(want), "fault addr 0x%llx", (unsigned long long)fault->address);
	while ((len = read(fault->log, record, sizeof(record) - 1)) > 0) {
		record[len] = '\0';
		if (strstr(record, want))
			return 1;
	}
	return 0;
}

/*
 * A write has its end, and the IOMMU's driver says that it was none. QEMU's amd-iommu stops it, too,
 * but tells the driver nothing.
 */
static void check_stopped(const struct edu *edu, uint64_t gpa)
{
	struct fault fault = { log_open(), gpa };

	edu_write(edu, gpa, 64);
	if (!access("/sys/class/iommu/dmar0", F_OK))
		test_wait(is_logged, &fault, TEST_HANG_MS);
	close(fault.log);
}

TEST(dma_stops_when_its_region_is_removed)
{
	struct vas_region more;
	struct setup s;
	uint8_t *bytes;
	uint64_t id;

	set_up(&s);
	more = file_region(s.vas, GIB, 2 * MIB, &bytes);
	CHECK_OK(vas_region_add(s.vas, &more, &id));
	copies(&s, 0, GIB + 5 * PAGE, 64);
	CHECK(bytes[5 * PAGE + 1]);
	memset(bytes + 5 * PAGE, 0, 64);
	CHECK_OK(vas_region_remove(s.vas, id));
	check_stopped(&s.edu, GIB + 5 * PAGE);
	CHECK(!bytes[5 * PAGE + 1]);
	/* The rest is as it was. */
	copies(&s, MIB, 3 * MIB, EDU_BUFFER);
	tear_down(&s);
}

TEST(dma_stops_when_the_vas_is_detached)
{
	uint8_t before[64], found[64];
	struct setup s;

	set_up(&s);
	copies(&s, 0, 4 * MIB, 64);
	CHECK_OK(vas_fill(s.vas, 4 * MIB, 0xcc, sizeof(before), NULL));
	CHECK_OK(vas_read(s.vas, 4 * MIB, before, sizeof(before), NULL));
	vas_vfio_detach(s.vfio);
	check_stopped(&s.edu, 4 * MIB);
	CHECK_OK(vas_read(s.vas, 4 * MIB, found, sizeof(found), NULL));
	CHECK_MEM(found, before, sizeof(before));
	attach(&s, 0);
	copies(&s, 0, 4 * MIB, 64);
	tear_down(&s);
}

TEST(a_device_reads_rom_and_cannot_write_it)
{
	const struct vas_region rom = {
		.gpa = GIB, .size = MIB, .offset = GIB, .flags = VAS_REGION_READONLY
	};
	uint8_t found[64], zeros[64] = { 0 };
	struct setup s;

	set_up(&s);
	CHECK_OK(vas_region_add(s.vas, &rom, NULL));
	CHECK_OK(vas_fill(s.vas, PAGE, 0xcc, sizeof(found), NULL));
	edu_read(&s.edu, PAGE, sizeof(found));
	check_stopped(&s.edu, GIB + PAGE);
	edu_read(&s.edu, GIB + PAGE, sizeof(found));
	edu_write(&s.edu, PAGE, sizeof(found));
	CHECK_OK(vas_read(s.vas, PAGE, found, sizeof(found), NULL));
	CHECK_MEM(found, zeros, sizeof(found));
	tear_down(&s);
}

/* ---- under load ---------------------------------------------------------------------------- */

struct load {
	const struct setup *setup;
	int is_over;
	int nr;
};

/* Both halves of RAM are used all the time, and always right. */
static void *load_run(void *arg)
{
	struct load *load = arg;

	do {
		copies(load->setup, (uint64_t)(load->nr % 3) * MIB + 99,
		       (uint64_t)(load->nr % 4) * MIB + 4 * MIB - 1000, 4000);
		load->nr++;
	} while (!__atomic_load_n(&load->is_over, __ATOMIC_ACQUIRE));
	return NULL;
}

/* What the second device wrote reached gpa, and does so no more. The kernel logs a few faults only. */
static void check_write(const struct edu *edu, uint64_t gpa, uint8_t *byte, uint8_t want)
{
	*byte = 0;
	edu_write(edu, gpa, 1);
	CHECK_EQ(*byte, want);
}

/* One round of hot-plug: what is there is reached, what is gone is not. */
static void plug_and_unplug(struct vas *vas, const struct edu *edu, struct vas_region more,
			    uint8_t *bytes)
{
	uint64_t id;

	more.size = 3 * MIB;
	CHECK_OK(vas_region_add(vas, &more, &id));
	CHECK_OK(vas_region_resize(vas, id, 5 * MIB));
	check_write(edu, more.gpa + 4 * MIB, bytes + 4 * MIB, 0xcc);
	CHECK_OK(vas_region_resize(vas, id, 4 * MIB));
	check_write(edu, more.gpa + 4 * MIB, bytes + 4 * MIB, 0);
	check_write(edu, more.gpa + 2 * MIB, bytes + 2 * MIB, 0xcc);
	CHECK_OK(vas_region_remove(vas, id));
	check_write(edu, more.gpa + 2 * MIB, bytes + 2 * MIB, 0);
}

TEST(layouts_change_under_dma)
{
	struct vas_region more;
	struct setup s;
	struct load load = { .setup = &s };
	struct edu second;
	pthread_t thread;
	uint8_t *bytes;
	int i;

	set_up(&s);
	edu_open(&second, 1, s.edu.device.container_fd);
	CHECK_OK(vas_vfio_device_add(s.vfio, &second.device));
	more = file_region(s.vas, GIB, 5 * MIB, &bytes);
	CHECK_OK(vas_fill(s.vas, 3 * MIB, 0xcc, 1, NULL));
	edu_read(&second, 3 * MIB, 1);
	CHECK_OK(pthread_create(&thread, NULL, load_run, &load));
	for (i = 0; i < ROUNDS; i++)
		plug_and_unplug(s.vas, &second, more, bytes);
	__atomic_store_n(&load.is_over, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK(load.nr > ROUNDS);
	edu_close(&second);
	tear_down(&s);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static int add(struct vas *vas, uint64_t gpa, uint64_t size)
{
	const struct vas_region region = { .gpa = gpa, .size = size, .offset = gpa, .name = "new" };

	return vas_region_add(vas, &region, NULL);
}

TEST(what_cannot_be_is_refused_and_the_rest_goes_on)
{
	struct vas_blocker blocker;
	struct setup s;

	set_up(&s);
	CHECK_EQ(add(s.vas, 0xfee00000 - MIB, 2 * MIB), -ERANGE);
	CHECK_HAS(vas_error(), s.edu.device.name);
	CHECK_HAS(vas_error(), "reserves for interrupts (MSI): 0xfee00000 to 0xfeefffff");
	CHECK_EQ(vas_discard(s.vas, MIB, PAGE, &blocker), -EBUSY);
	CHECK_HAS(vas_error(), "pins memory");
	CHECK_STR(blocker.name, s.edu.device.name);
	CHECK_EQ(vas_freeze(s.vas, TEST_HANG_NS, &blocker), -EOPNOTSUPP);
	CHECK_STR(blocker.name, s.edu.device.name);
	copies(&s, 0, 5 * MIB, EDU_BUFFER);
	tear_down(&s);
}

/* For containers that are opened from now on. */
static void limit_maps(const char *limit)
{
	int fd = open("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
		      O_WRONLY | O_CLOEXEC);

	CHECK_OK(fd);
	CHECK_EQ(write(fd, limit, strlen(limit)), strlen(limit));
	close(fd);
}

TEST(more_maps_than_the_driver_takes_are_refused)
{
	struct setup s;

	limit_maps("6");
	set_up(&s);
	limit_maps("65535");
	if (has_iommufd(&s))
		test_skip("an iommufd has no such limit");
	CHECK_EQ(add(s.vas, GIB, 3 * GRANULE), -ENOSPC);
	CHECK_HAS(vas_error(), "3 further maps are needed, and the IOMMU driver takes 2");
	CHECK_OK(add(s.vas, GIB, 2 * GRANULE));
	copies(&s, 0, GIB, 100);
	tear_down(&s);
}

TEST(a_process_without_privileges_pins_what_its_limit_allows)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	struct rlimit limit = { 12 * MIB, 12 * MIB };
	struct setup s;

	set_up(&s);
	/* It does not count what a privileged process has pinned. */
	if (has_iommufd(&s))
		limit.rlim_cur = limit.rlim_max = 4 * MIB;
	CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	CHECK_OK(syscall(SYS_capset, &head, none));
	CHECK_OK(add(s.vas, GIB, 4 * MIB));
	CHECK_EQ(add(s.vas, 2 * GIB, MIB), -ENOMEM);
	CHECK_HAS(vas_error(),
		  has_iommufd(&s) ? "RLIMIT_MEMLOCK is 4096 KiB, for all that this user pins, "
				    "and region new is to be pinned as well" :
				    "RLIMIT_MEMLOCK is 12288 KiB, 12288 KiB are pinned or locked, "
				    "and region new is to be pinned as well");
	copies(&s, 0, GIB + MIB, EDU_BUFFER);
	tear_down(&s);
}

TEST(a_device_that_vfio_has_not_got_is_not_opened)
{
	struct vas_vfio_device device;

	CHECK_EQ(vas_vfio_device_open("0000:00:00.0", -1, &device), -ENODEV);
	CHECK_STR(vas_error(), "0000:00:00.0 belongs to no driver: have it given to vfio-pci "
			       "(driver_override)");
}
