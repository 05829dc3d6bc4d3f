// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/protocol/protocol.h"
#include "tests/patient.h"

static int call(int device, unsigned long cmd, void *arg)
{
	int result = ioctl(device, cmd, arg);

	return result < 0 ? -errno : result;
}

int device_open(void)
{
	int device = open("/dev/vas_test", O_RDWR | O_CLOEXEC);

	if (device < 0)
		test_skip("no /dev/vas_test: vas.ko and vas_test.ko are not loaded");
	return device;
}

int device_bound(int fd)
{
	int device = device_open();

	CHECK_OK(device_bind(device, fd));
	return device;
}

int device_bind(int device, int fd)
{
	int32_t arg = fd;

	return call(device, VAS_TEST_BIND, &arg);
}

int device_unbind(int device)
{
	return call(device, VAS_TEST_UNBIND, NULL);
}

int device_copy_in(int device, struct vas_test_copy *copy, void *buf, size_t *done)
{
	int err;

	copy->buf = (uintptr_t)buf;
	err = call(device, VAS_TEST_COPY, copy);
	if (done)
		*done = copy->done;
	return err;
}

int device_read(int device, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	struct vas_test_copy copy = { .gpa = gpa, .len = len };

	return device_copy_in(device, &copy, buf, done);
}

int device_write(int device, uint64_t gpa, const void *buf, size_t len, size_t *done)
{
	struct vas_test_copy copy = { .gpa = gpa, .len = len, .flags = VAS_TEST_WRITE };

	return device_copy_in(device, &copy, (void *)(uintptr_t)buf, done);
}

int device_map(int device, uint64_t gpa, uint64_t len, uint32_t flags, uint32_t *id)
{
	struct vas_test_map map = { .gpa = gpa, .len = len, .flags = flags };
	int err = call(device, VAS_TEST_MAP, &map);

	*id = map.id;
	return err;
}

int device_unmap(int device, uint32_t id)
{
	return call(device, VAS_TEST_UNMAP_ID, &id);
}

int device_map_read(int device, uint32_t id, uint64_t at, void *buf, size_t len)
{
	struct vas_test_map_access access = {
		.id = id, .offset = at, .buf = (uintptr_t)buf, .len = len
	};

	return call(device, VAS_TEST_MAP_ACCESS, &access);
}

int device_map_write(int device, uint32_t id, uint64_t at, const void *buf, size_t len)
{
	struct vas_test_map_access access = {
		.id = id, .flags = VAS_TEST_WRITE, .offset = at, .buf = (uintptr_t)buf, .len = len
	};

	return call(device, VAS_TEST_MAP_ACCESS, &access);
}

int device_is_attached(int device, uint32_t id)
{
	return call(device, VAS_TEST_ATTACHED, &id);
}

int device_offer(int device, int fd)
{
	int32_t arg = fd;

	return call(device, VAS_TEST_OFFER, &arg);
}

int device_mark(int device, uint64_t gpa, uint64_t len)
{
	struct vas_test_range range = { .gpa = gpa, .len = len };

	return call(device, VAS_TEST_MARK, &range);
}

void device_policy(int device, enum vas_test_policy policy)
{
	uint32_t arg = policy;

	CHECK_OK(call(device, VAS_TEST_POLICY, &arg));
}

struct vas_test_counts device_counts(int device)
{
	struct vas_test_counts counts;

	CHECK_OK(call(device, VAS_TEST_COUNTS, &counts));
	return counts;
}

struct vas_test_info device_info(int device)
{
	struct vas_test_info info;

	CHECK_OK(call(device, VAS_TEST_INFO, &info));
	return info;
}

int device_load(int device, const struct vas_test_load *load)
{
	return call(device, VAS_TEST_LOAD, (void *)(uintptr_t)load);
}

struct vas_test_load_result device_load_stop(int device)
{
	struct vas_test_load_result result;

	CHECK_OK(call(device, VAS_TEST_LOAD_STOP, &result));
	return result;
}

int device_sg_map(int device, struct vas_test_sg *sg)
{
	return call(device, VAS_TEST_SG_MAP, sg);
}

int device_sg_unmap(int device)
{
	return call(device, VAS_TEST_SG_UNMAP, NULL);
}

int device_sg_read(int device, uint64_t at, void *buf, size_t len)
{
	struct vas_test_sg_access access = { .offset = at, .buf = (uintptr_t)buf, .len = len };

	return call(device, VAS_TEST_SG_ACCESS, &access);
}

int device_sg_write(int device, uint64_t at, const void *buf, size_t len)
{
	struct vas_test_sg_access access = {
		.offset = at, .buf = (uintptr_t)buf, .len = len, .flags = VAS_TEST_WRITE
	};

	return call(device, VAS_TEST_SG_ACCESS, &access);
}

int device_doorbell(int device, int doorbell_fd, int irq_fd, uint32_t flags)
{
	struct vas_test_doorbell bell = { .doorbell_fd = doorbell_fd,
					  .irq_fd = irq_fd,
					  .flags = flags };

	return call(device, VAS_TEST_DOORBELL, &bell);
}

uint64_t device_doorbell_stop(int device)
{
	uint64_t nr;

	CHECK_OK(call(device, VAS_TEST_DOORBELL_STOP, &nr));
	return nr;
}

int device_event(int device, uint32_t id, struct vas_test_event *event)
{
	event->id = id;
	return call(device, VAS_TEST_EVENT, event);
}

int device_hva(int device, uint64_t gpa, uint64_t size, void *hva)
{
	struct vas_test_hva arg = { .gpa = gpa, .size = size, .hva = (uintptr_t)hva };

	return call(device, VAS_TEST_HVA, &arg);
}

long device_counter(const char *name)
{
	FILE *file = fopen("/sys/kernel/debug/vas/counters", "re");
	char word[64];
	long value;

	if (!file)
		test_skip("no /sys/kernel/debug/vas/counters");
	while (fscanf(file, "%63s %ld", word, &value) == 2) {
		if (strcmp(word, name))
			continue;
		fclose(file);
		return value;
	}
	test_fail(__FILE__, __LINE__, "no counter %s", name);
}

int device_add_file(struct vas *vas, uint64_t gpa, uint64_t size)
{
	int fd = memfd_create("more", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct vas_region region = { .gpa = gpa, .size = size };
	uint64_t id;

	CHECK_OK(ftruncate(fd, (off_t)size));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	region.backing = vas_backing_add(vas, fd);
	CHECK(region.backing > 0);
	CHECK_OK(vas_region_add(vas, &region, &id));
	return fd;
}

struct vas_info device_vas_info(struct vas *vas)
{
	struct vas_info info;
	uint64_t start;

	/* A scan that takes longer ends before it has seen all. */
	do {
		start = test_now_ns();
		CHECK_OK(vas_info(vas, &info));
	} while (test_now_ns() - start >= VAS_SCAN_NS);
	return info;
}

uint64_t device_add(struct vas *vas, uint64_t gpa, uint64_t size)
{
	const struct vas_region region = { .gpa = gpa, .size = size, .offset = gpa };
	uint64_t id;

	CHECK_OK(patient_add(vas, &region, &id));
	return id;
}

void device_remove(struct vas *vas, uint64_t id)
{
	CHECK_OK(patient_remove(vas, id));
}

struct vas *device_vas(uint64_t limit, uint64_t ram, uint32_t create_flags)
{
	struct vas_options options = { .limit = limit, .name = "test", .flags = create_flags };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	device_add(vas, 0, ram);
	return vas;
}

void device_drop_capability(int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	CHECK_OK(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1u << capability);
	CHECK_OK(syscall(SYS_capset, &header, data));
}
