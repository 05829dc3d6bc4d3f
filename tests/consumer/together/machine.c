// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/consumer/together/machine.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

void machine_open(struct machine *m, const struct vas_kvm_options *kvm)
{
	struct vas_vfio_options options = { .name = m->edu.device.name,
					    .granule = MIB,
					    .device_fds = &m->edu.device.device_fd,
					    .nr_device_fds = 1,
					    .device_ids = &m->edu.device.device_id };
	int dev;

	edu_open(&m->edu, 0, -1);
	net_open(&m->net);
	CHECK_OK(vas_vfio_attach(m->net.t.vas, m->edu.device.container_fd, &options, &m->vfio));
	dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		test_skip("/dev/kvm cannot be opened: %s", strerror(errno));
	m->vm_fd = ioctl(dev, KVM_CREATE_VM, 0);
	CHECK_OK(m->vm_fd);
	close(dev);
	CHECK_OK(vas_kvm_attach(m->net.t.vas, m->vm_fd, kvm, &m->kvm));
}

void machine_close(struct machine *m)
{
	vas_kvm_detach(m->kvm);
	vas_vfio_detach(m->vfio);
	net_close(&m->net);
	edu_close(&m->edu);
	close(m->vm_fd);
}

int kvm_has(const struct machine *m, uint64_t gpa, void *hva)
{
	struct kvm_userspace_memory_region region = { .slot = 0,
						      .guest_phys_addr = gpa,
						      .memory_size = PAGE,
						      .userspace_addr = (uintptr_t)hva };

	if (ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region))
		return errno == EEXIST;
	region.memory_size = 0;
	CHECK_OK(ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region));
	return 0;
}

int device_has(const struct machine *m, uint64_t gpa, char *byte)
{
	*byte = 0;
	edu_write(&m->edu, gpa, 1);
	return *byte;
}

struct vas_region islands(struct machine *m, uint64_t nr, char **bytes)
{
	struct vas_region island = { .gpa = GIB, .size = PAGE, .name = "island" };
	int backing = vas_backing_create(m->net.t.vas, "islands", nr * PAGE, 0);
	const uint8_t mark = DEVICE_MARK;

	CHECK_OK(backing);
	island.backing = (uint32_t)backing;
	*bytes = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      vas_backing_fd(m->net.t.vas, island.backing), 0);
	CHECK(*bytes != MAP_FAILED);
	CHECK_OK(vas_write(m->net.t.vas, BUFFERS, &mark, 1, NULL));
	edu_read(&m->edu, BUFFERS, 1);
	return island;
}

struct vas_region island_at(struct vas_region first, uint64_t index)
{
	first.gpa += index * MIB;
	first.offset += index * PAGE;
	return first;
}

int add_island(struct machine *m, const struct vas_region *island, uint64_t timeout_ns,
	       struct vas_blocker *blocker)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(m->net.t.vas, &layout));
	CHECK_OK(vas_layout_add(layout, island, NULL));
	return vas_layout_commit(layout, timeout_ns, blocker);
}
