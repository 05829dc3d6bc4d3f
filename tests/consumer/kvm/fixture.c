// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/consumer/kvm/fixture.h"
#include "tests/patient.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int kvm_require(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		test_skip("/dev/kvm: %s", strerror(errno));
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		test_skip("/dev/kvm speaks another version of the API");
	return fd;
}

static void fixture_io(struct machine *machine, const struct machine_io *io)
{
	struct fixture *f = machine->priv;
	uint64_t value = 0;

	if (!io->is_write) {
		memset(io->data, 0xff, io->len);
		return;
	}
	memcpy(&value, io->data, io->len);
	if (!io->is_port) {
		f->last_mmio_gpa = io->addr;
		__atomic_add_fetch(&f->nr_mmio_writes, 1, __ATOMIC_RELEASE);
	} else if (io->addr == GUEST_PORT_EXIT) {
		machine_stop(machine, (uint8_t)value);
	} else if (io->addr != GUEST_PORT_CONSOLE && f->port) {
		f->port(f, io->addr, value);
	}
}

int fixture_init_around(struct fixture *f, struct vas *vas, uint32_t kvm_flags)
{
	int err;

	*f = (struct fixture){ .random = { test_seed() }, .vas = vas };
	f->ram = mmap(NULL, FIXTURE_LIMIT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		      vas_backing_fd(vas, 0), 0);
	CHECK(f->ram != MAP_FAILED);
	f->box = (void *)(f->ram + GUEST_MAILBOX);
	f->list = (void *)(f->ram + FIXTURE_LIST);
	err = machine_create(&f->machine, vas, 1, kvm_flags);
	if (err) {
		munmap(f->ram, FIXTURE_LIMIT);
		return err;
	}
	f->machine.io = fixture_io;
	f->machine.priv = f;
	return 0;
}

void fixture_init(struct fixture *f, uint32_t kvm_flags)
{
	const struct vas_options options = { .limit = FIXTURE_LIMIT, .name = "kvm test" };
	const struct vas_region ram = { .size = GUEST_RAM };
	struct vas *vas;
	uint64_t id;

	close(kvm_require());
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &ram, &id));
	CHECK_OK(fixture_init_around(f, vas, kvm_flags));
	f->ram_id = id;
}

void fixture_clean(struct fixture *f)
{
	machine_destroy(&f->machine);
	munmap(f->ram, FIXTURE_LIMIT);
	vas_destroy(f->vas);
}

void fixture_load(struct fixture *f, const char *image, uint64_t size)
{
	CHECK_OK(vas_write(f->vas, GUEST_LOAD, image, size, NULL));
	memset((void *)f->box, 0, sizeof(*f->box));
	f->box->seed = test_random_next(&f->random) | 1;
	f->box->regions = FIXTURE_LIST;
	f->box->rounds = 1;
}

void fixture_start(struct fixture *f)
{
	CHECK_OK(machine_enter_at(&f->machine, GUEST_LOAD, 0));
	CHECK_OK(machine_start(&f->machine));
}

int fixture_wait(struct fixture *f)
{
	int status = machine_wait(&f->machine);

	test_note("the guest's status is %d: done %llu, where %#llx", status,
		  (unsigned long long)f->box->done, (unsigned long long)f->box->where);
	return status;
}

void fixture_finish(struct fixture *f)
{
	CHECK_EQ(fixture_wait(f), 0);
}

uint64_t fixture_region(struct fixture *f, uint64_t gpa, uint64_t size, uint32_t flags)
{
	const struct vas_region region = {
		.gpa = gpa, .size = size, .offset = gpa, .flags = flags
	};
	uint64_t id;

	CHECK_OK(patient_add(f->vas, &region, &id));
	return id;
}

void fixture_walk(struct fixture *f, uint64_t gpa, uint64_t size, uint32_t flags)
{
	uint64_t at;

	f->list[f->box->nr_regions].gpa = gpa;
	f->list[f->box->nr_regions].size = size;
	f->list[f->box->nr_regions].flags = flags;
	f->box->nr_regions++;
	for (at = gpa; at < gpa + size; at += VAS_PAGE_SIZE)
		*(uint64_t *)(f->ram + at) = at ^ f->box->seed;
}

void fixture_attach_event(struct fixture *f, const struct vas_event *event)
{
	CHECK_OK(vas_event_add(f->vas, event));
	CHECK_OK(vas_kvm_attach_event(f->machine.kvm, event->id));
}

void fixture_doorbell(struct fixture *f, uint32_t id, uint64_t addr, uint32_t len, uint32_t flags)
{
	const struct vas_event event = {
		.kind = VAS_EVENT_DOORBELL, .id = id, .addr = addr, .len = len, .flags = flags
	};

	fixture_attach_event(f, &event);
	f->box->doorbell = addr;
	f->box->doorbell_len = len;
	f->box->doorbell_pio = !!(flags & VAS_EVENT_PIO);
}
