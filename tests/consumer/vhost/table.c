// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The memory table of a device that is not there: the program is linked with --wrap=ioctl, and keeps
 * each table that it is given. What only the kernel shows is tested in machines.
 */
#include <linux/vhost.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vas/dirty.h>
#include <vas/vhost.h>

#include "tests/lib/simple_vas.h"

#define MOST 64

static struct {
	struct vhost_memory_region entries[MOST];
	uint32_t nr;
	int nr_tables;
	int refuse; /* the table with this number, from 1 on */
	int is_foreign;
} kernel;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int set_table(const struct vhost_memory *memory)
{
	if (++kernel.nr_tables == kernel.refuse || memory->nregions > MOST) {
		errno = ENOMEM;
		return -1;
	}
	kernel.nr = memory->nregions;
	memcpy(kernel.entries, memory->regions, kernel.nr * sizeof(kernel.entries[0]));
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	switch ((unsigned int)request) { /* musl has an int */
	case VHOST_GET_FEATURES:
		return 0;
	case VHOST_SET_OWNER:
		errno = EBUSY;
		return kernel.is_foreign ? -1 : 0;
	case VHOST_NET_SET_BACKEND:
	case VHOST_VSOCK_SET_RUNNING:
		errno = EPERM;
		return kernel.is_foreign ? -1 : 0;
	case VHOST_SET_MEM_TABLE:
		return set_table(arg);
	case VHOST_SET_FEATURES:
	case VHOST_SET_VRING_NUM:
	case VHOST_SET_VRING_BASE:
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ADDR:
	case VHOST_GET_VRING_BASE:
		return 0;
	}
	return __real_ioctl(fd, request, arg);
}

static struct vas_vhost *attach(struct vas *vas)
{
	struct vas_vhost *vhost;
	int fd = eventfd(0, EFD_CLOEXEC);

	CHECK_OK(vas_vhost_attach(vas, fd, VAS_VHOST_NET, "nic", &vhost));
	close(fd);
	return vhost;
}

/* What the device finds at gpa; NULL: nothing. */
static char *find(uint64_t gpa)
{
	for (uint32_t i = 0; i < kernel.nr; i++) {
		const struct vhost_memory_region *e = &kernel.entries[i];

		if (gpa >= e->guest_phys_addr && gpa - e->guest_phys_addr < e->memory_size)
			return (char *)(uintptr_t)(e->userspace_addr + gpa - e->guest_phys_addr);
	}
	return NULL;
}

/* What the device writes at gpa is what the vas has there; where nothing is, it finds nothing. */
static void check_page(struct vas *vas, uint64_t page, int is_there)
{
	char *at = find(page * PAGE), byte;

	test_note("page %llu", (unsigned long long)page);
	CHECK_EQ(!!at, is_there);
	if (!at)
		return;
	*at = (char)page;
	CHECK_OK(vas_read(vas, page * PAGE, &byte, 1, NULL));
	CHECK_EQ(byte, (char)page);
}

TEST(neighbours_are_one_entry)
{
	struct vas *vas = simple_vas();
	struct vas_vhost *vhost;
	uint64_t middle;

	simple_add(vas, 0, 4);
	middle = simple_add(vas, 4, 4);
	simple_add(vas, 8, 4);
	vhost = attach(vas);
	CHECK_EQ(kernel.nr, 1);
	CHECK_EQ(kernel.entries[0].memory_size, 12 * PAGE);
	CHECK_OK(vas_region_remove(vas, middle));
	CHECK_EQ(kernel.nr, 2);
	check_page(vas, 3, 1);
	check_page(vas, 4, 0);
	check_page(vas, 8, 1);
	vas_vhost_detach(vhost);
	CHECK_EQ(kernel.nr, 0);
	vas_destroy(vas);
}

TEST(what_is_new_is_there_before_what_is_old_goes)
{
	struct vas_layout *layout;
	struct vas_region other = simple_region(8, 4);
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 0, 4);
	struct vas_vhost *vhost = attach(vas);
	struct vas_mapping *mapping;

	/* A map in the way keeps the change from happening when the device is prepared. */
	CHECK_OK(vas_mapping_create(vas, 0, PAGE, 0, &mapping));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &other, NULL));
	kernel.refuse =
		kernel.nr_tables + 2; /* that which undoes it: so the prepared one is seen */
	CHECK_EQ(vas_layout_commit(layout, 1000000, NULL), -EBUSY);
	CHECK(find(0) && find(8 * PAGE));
	vas_mapping_destroy(mapping);
	/* The next change puts it right. */
	CHECK_OK(vas_region_resize(vas, id, 3 * PAGE));
	check_page(vas, 2, 1);
	check_page(vas, 3, 0);
	check_page(vas, 8, 0);
	vas_vhost_detach(vhost);
	vas_destroy(vas);
}

TEST(a_change_that_the_kernel_refuses_does_not_happen)
{
	struct vas_region more = simple_region(8, 4);
	struct vas *vas = simple_vas();
	struct vas_vhost *vhost;

	simple_add(vas, 0, 4);
	vhost = attach(vas);
	kernel.refuse = kernel.nr_tables + 1;
	CHECK_EQ(vas_region_add(vas, &more, NULL), -ENOMEM);
	CHECK_STR(vas_error(), "nic: the kernel does not take the layout: Cannot allocate memory");
	check_page(vas, 0, 1);
	check_page(vas, 8, 0);
	vas_vhost_detach(vhost);
	vas_destroy(vas);
}

TEST(a_table_that_fails_too_late_is_tried_again)
{
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 0, 4);
	struct vas_vhost *vhost = attach(vas);

	kernel.refuse = kernel.nr_tables + 2; /* of prepare, and of commit */
	CHECK_OK(vas_region_remove(vas, id));
	CHECK_EQ(vas_consumer_status(vas_vhost_consumer(vhost)), -ENOMEM);
	/* The kernel has what is old: it is mapped still, and nobody is harmed by a write there. */
	CHECK(find(0));
	*find(0) = 1;
	CHECK_OK(vas_consumer_retry(vas_vhost_consumer(vhost)));
	CHECK(!find(0));
	vas_vhost_detach(vhost);
	vas_destroy(vas);
}

TEST(one_that_takes_the_place_of_another_comes_when_that_is_gone)
{
	struct vas_region other = simple_region(0, 4);
	struct vas_layout *layout;
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 0, 4);
	struct vas_vhost *vhost = attach(vas);
	char *before = find(0);

	other.offset = 100 * PAGE;
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &other, NULL));
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
	CHECK_EQ(kernel.nr, 1);
	CHECK(find(0) == before + 100 * PAGE);
	check_page(vas, 0, 1);
	vas_vhost_detach(vhost);
	vas_destroy(vas);
}

TEST(a_layout_of_too_many_parts_is_refused)
{
	const struct vas_options options = { .limit = 1024 * PAGE, .max_regions = 200 };
	struct vas_region region;
	struct vas_vhost *vhost;
	struct vas *vas;
	int i;

	CHECK_OK(vas_create(&options, &vas));
	vhost = attach(vas);
	for (i = 0; i < MOST; i++)
		simple_add(vas, 2 * (uint64_t)i, 1);
	CHECK_EQ(kernel.nr, MOST);
	region = simple_region(200, 1);
	CHECK_EQ(vas_region_add(vas, &region, NULL), -ENOSPC);
	CHECK_STR(vas_error(), "nic: the layout has more than 64 parts that are not neighbours, "
			       "which is what the kernel takes: see max_mem_regions of vhost");
	/* One that joins two others makes them fewer. */
	simple_add(vas, 1, 1);
	CHECK_EQ(kernel.nr, MOST - 1);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	check_page(vas, 200, 1);
	vas_vhost_detach(vhost);
	vas_destroy(vas);
}

/* As the kernel writes: without a signal if it cannot. */
static int can_write(char *at)
{
	int fds[2], err;

	CHECK_OK(pipe(fds));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	err = read(fds[0], at, 1) < 0 ? errno : 0;
	close(fds[0]);
	close(fds[1]);
	CHECK(!err || err == EFAULT);
	return !err;
}

TEST(rom_cannot_be_written)
{
	struct vas_region rom = simple_region(4, 4), local = simple_region(16, 1), own = local;
	struct vas *vas = simple_vas();
	struct vas_vhost *vhost;
	char *hva =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	rom.flags = VAS_REGION_READONLY;
	local.flags = VAS_REGION_LOCAL | VAS_REGION_READONLY;
	local.offset = 0;
	local.hva = hva;
	own = local;
	own.flags = VAS_REGION_LOCAL;
	own.gpa = 32 * PAGE;
	own.hva = hva + PAGE;
	simple_add(vas, 0, 4);
	CHECK_OK(vas_region_add(vas, &rom, NULL));
	CHECK_OK(vas_region_add(vas, &local, NULL));
	CHECK_OK(vas_region_add(vas, &own, NULL));
	vhost = attach(vas);
	CHECK(can_write(find(3 * PAGE)));
	CHECK(!can_write(find(4 * PAGE)));
	CHECK(!find(16 * PAGE));
	CHECK(find(32 * PAGE) == hva + PAGE);
	vas_vhost_detach(vhost);
	vas_destroy(vas);
}

TEST(what_is_no_device_or_somebody_elses_is_refused)
{
	struct vas *vas = simple_vas();
	struct vas_vhost *vhost;

	CHECK_EQ(vas_vhost_attach(vas, 0, VAS_VHOST_NET, "", &vhost), -EINVAL);
	CHECK_EQ(vas_vhost_attach(vas, -1, VAS_VHOST_NET, NULL, &vhost), -EBADF);
	kernel.is_foreign = 1;
	CHECK_EQ(vas_vhost_attach(vas, 0, VAS_VHOST_VSOCK, NULL, &vhost), -EPERM);
	CHECK_STR(vas_error(), "vhost-vsock: another process owns it");
	vas_destroy(vas);
}

/* ---- any layout ---------------------------------------------------------------------------- */

static void change_at_random(struct vas *vas, struct test_random *random)
{
	struct vas_region regions[16], new;
	size_t nr = (size_t)vas_regions(vas, regions, 16),
	       i = nr ? test_random_below(random, nr) : 0;
	uint64_t page = test_random_below(random, 200), pages = 1 + test_random_below(random, 50);

	new = simple_region(page, pages);
	switch (nr ? test_random_below(random, 4) : 0) {
	case 0:
		vas_region_add(vas, &new, NULL);
		break;
	case 1:
		vas_region_remove(vas, regions[i].id);
		break;
	case 2:
		vas_region_resize(vas, regions[i].id, pages * PAGE);
		break;
	case 3:
		vas_region_move(vas, regions[i].id, page * PAGE);
		break;
	}
}

/* Whoever has the eventfd may have filled it, and made writes to it wait. */
TEST(a_kick_that_is_full_keeps_nobody)
{
	struct vas_vhost_queue queues[VAS_VHOST_QUEUES];
	uint64_t most = UINT64_MAX - 1;
	struct vas *vas = simple_vas();
	struct vas_vhost *vhost;
	uint32_t i;

	simple_add(vas, 0, 16);
	vhost = attach(vas);
	for (i = 0; i < VAS_VHOST_QUEUES; i++) {
		queues[i] = (struct vas_vhost_queue){
			.size = 16,
			.desc = i * 4 * PAGE,
			.avail = (i * 4 + 1) * PAGE,
			.used = (i * 4 + 2) * PAGE,
			.kick_fd = eventfd(0, EFD_CLOEXEC),
			.call_fd = -1,
			.backend_fd = -1,
		};
		CHECK_EQ(write(queues[i].kick_fd, &most, sizeof(most)), sizeof(most));
	}
	CHECK_OK(vas_vhost_start(vhost, 0, queues));
	CHECK_OK(vas_freeze(vas, TEST_HANG_NS, NULL));
	CHECK_OK(vas_thaw(vas));
	vas_vhost_detach(vhost);
	for (i = 0; i < VAS_VHOST_QUEUES; i++)
		close(queues[i].kick_fd);
	vas_destroy(vas);
}

TEST(any_change_of_any_layout_is_followed)
{
	struct test_random random = { test_seed() };
	struct vas *vas = simple_vas();
	struct vas_vhost *vhost = attach(vas);
	struct vas_region region;
	uint64_t page;
	int i, before;

	for (i = 0; i < 2000; i++) {
		kernel.refuse = test_random_below(&random, 8) ?
					0 :
					kernel.nr_tables + 1 + (int)test_random_below(&random, 3);
		change_at_random(vas, &random);
		if (i % 16)
			continue;
		/* A table that failed, also one that was to undo another, is put right by the next. */
		kernel.refuse = 0;
		for (before = kernel.nr_tables; kernel.nr_tables == before;)
			change_at_random(vas, &random);
		for (page = 0; page < 256; page++)
			check_page(vas, page, !vas_region_at(vas, page * PAGE, &region));
	}
	kernel.refuse = 0; /* and not the last one, after which none comes */
	vas_vhost_detach(vhost);
	CHECK_EQ(kernel.nr, 0);
	vas_destroy(vas);
}
