// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Attaching: what is refused leaves nothing behind, and what is attached follows the layout. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/dirty.h>

#include "consumer/kvm/machine.h"
#include "kvm_fixture.h"

#define MIB 0x100000ull

/* A sanitizer's allocator has mappings of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

static struct vas *vas_with_regions(unsigned int nr, uint32_t max_regions)
{
	struct vas_options options = { .limit = 2 * MIB * nr, .max_regions = max_regions };
	struct vas_layout *layout;
	struct vas *vas;
	unsigned int i;

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_layout_begin(vas, &layout));
	for (i = 0; i < nr; i++) {
		/* A hole after each: neighbours would be fewer regions to a lazier binder. */
		const struct vas_region region = { .gpa = 2 * MIB * i,
						   .size = MIB,
						   .offset = 2 * MIB * i };

		CHECK_OK(vas_layout_add(layout, &region, NULL));
	}
	CHECK_OK(vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL));
	return vas;
}

static int vm_create(void)
{
	int kvm_fd = kvm_require(), vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);

	CHECK_OK(vm_fd);
	close(kvm_fd);
	return vm_fd;
}

static int slot_set(int vm_fd, uint32_t slot, uint64_t gpa, uint64_t size, void *hva)
{
	const struct kvm_userspace_memory_region region = { .slot = slot,
							    .guest_phys_addr = gpa,
							    .memory_size = size,
							    .userspace_addr = (uintptr_t)hva };

	return ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

/* How many memslots the VM has; none afterwards. */
static int slots_take_away(int vm_fd)
{
	int max = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS), nr = 0, i;

	for (i = 0; i < max; i++)
		nr += !slot_set(vm_fd, i, 0, 0, NULL);
	return nr;
}

/* As many mappings as before: one more at most, for the C library may keep what it was given back.
 */
static void check_maps(int before)
{
	if (!SANITIZED)
		CHECK(test_count_maps() <= before + 1);
}

/* Attaching must fail so, leave no memslot, no fd and no mapping, and tell this. */
static void check_refused(struct vas *vas, int vm_fd, const struct vas_kvm_options *options,
			  int err, const char *message)
{
	struct vas_kvm *kvm = NULL;
	int fds = test_count_fds(), maps = test_count_maps();

	CHECK_EQ(vas_kvm_attach(vas, vm_fd, options, &kvm), err);
	CHECK_HAS(vas_error(), message);
	CHECK(!kvm);
	CHECK_EQ(test_count_fds(), fds);
	check_maps(maps);
}

TEST(what_is_not_a_vm_is_refused)
{
	struct vas *vas = vas_with_regions(1, 0);
	int kvm_fd = kvm_require(), vm_fd = vm_create(), vcpu_fd, pipes[2];

	CHECK_OK(pipe(pipes));
	check_refused(vas, pipes[0], NULL, -EINVAL, "not a KVM VM");
	check_refused(vas, vas_fd(vas), NULL, -EINVAL, "not a KVM VM");
	check_refused(vas, -1, NULL, -EINVAL, "not a KVM VM");
	check_refused(vas, kvm_fd, NULL, -EINVAL, "KVM_CREATE_VM first");
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	CHECK_OK(vcpu_fd);
	check_refused(vas, vcpu_fd, NULL, -EINVAL, "not a KVM VM");
	vas_destroy(vas);
}

static int fd_pass(int sock, int fd)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	cmsg = CMSG_FIRSTHDR(&msg);
	if (fd < 0) {
		if (recvmsg(sock, &msg, 0) <= 0 || !CMSG_FIRSTHDR(&msg))
			return -1;
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		return fd;
	}
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

ROLE(makes_a_vm_for_another)
{
	char byte;

	if (fd_pass(sock, vm_create()))
		return 1;
	return read(sock, &byte, 1) < 0; /* until the other has closed */
}

TEST(a_vm_of_another_process_is_refused)
{
	struct vas *vas = vas_with_regions(1, 0);
	int sock, vm_fd;

	close(kvm_require());
	test_spawn("makes_a_vm_for_another", &sock);
	vm_fd = fd_pass(sock, -1);
	CHECK_OK(vm_fd);
	check_refused(vas, vm_fd, NULL, -EXDEV, "another process");
	vas_destroy(vas);
}

TEST(more_regions_than_slots_are_refused)
{
	struct vas *vas = vas_with_regions(9, 0);
	const struct vas_kvm_options options = { .first_slot = 5, .nr_slots = 8 };
	int vm_fd = vm_create();

	check_refused(vas, vm_fd, &options, -ENOSPC, "memslots");
	CHECK_EQ(slots_take_away(vm_fd), 0);
	vas_destroy(vas);
}

TEST(more_regions_than_kvm_has_slots_are_refused)
{
	int vm_fd = vm_create();
	int max = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	struct vas *vas = vas_with_regions(max + 1, max + 1);

	check_refused(vas, vm_fd, NULL, -ENOSPC, "memslots");
	CHECK_EQ(slots_take_away(vm_fd), 0);
	vas_destroy(vas);
}

/* The last of nine regions is where the VMM has a memslot of its own. */
TEST(a_slot_of_the_vmm_in_the_way_refuses_all)
{
	struct vas *vas = vas_with_regions(9, 0);
	const struct vas_kvm_options options = { .first_slot = 1 };
	void *own = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int vm_fd = vm_create();

	CHECK_OK(slot_set(vm_fd, 0, 16 * MIB, MIB, own));
	check_refused(vas, vm_fd, &options, -EEXIST, "KVM refuses memory at 0x1000000");
	CHECK_EQ(slots_take_away(vm_fd), 1);
	vas_destroy(vas);
}

TEST(bad_options_are_refused)
{
	struct vas *vas = vas_with_regions(1, 0);
	struct vas_kvm_options options = { .flags = 4 };
	int vm_fd = vm_create();

	check_refused(vas, vm_fd, &options, -EINVAL, "options");
	options = (struct vas_kvm_options){ .reserved = { 0, 1 } };
	check_refused(vas, vm_fd, &options, -EINVAL, "options");
	options = (struct vas_kvm_options){ .pause = machine_pause };
	check_refused(vas, vm_fd, &options, -EINVAL, "pause, is_paused and resume go together");
	options = (struct vas_kvm_options){ .ring_pages = 3 };
	check_refused(vas, vm_fd, &options, -EINVAL, "options");
	options = (struct vas_kvm_options){ .address_space = 7 };
	check_refused(vas, vm_fd, &options, -EINVAL, "address space");
	options = (struct vas_kvm_options){ .first_slot = 1 << 20 };
	check_refused(vas, vm_fd, &options, -EINVAL, "slots");
	options = (struct vas_kvm_options){ .flags = VAS_KVM_DIRTY_RING, .ring_pages = 1 << 20 };
	check_refused(vas, vm_fd, &options, -EINVAL, "dirty ring");
	vas_destroy(vas);
}

TEST(only_the_owner_attaches)
{
	struct vas *vas = vas_with_regions(1, 0), *binder;
	int vm_fd = vm_create();

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	check_refused(binder, vm_fd, NULL, -EPERM, "owner");
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(a_region_too_many_is_refused_later_too)
{
	struct vas *vas = vas_with_regions(8, 0);
	const struct vas_kvm_options options = { .nr_slots = 7 };
	struct vas_region region;
	struct vas_kvm *kvm;
	int vm_fd = vm_create();

	CHECK_OK(vas_region_at(vas, 14 * MIB, &region));
	CHECK_OK(vas_region_remove(vas, region.id));
	CHECK_OK(vas_kvm_attach(vas, vm_fd, &options, &kvm));
	CHECK_EQ(vas_region_add(vas, &region, NULL), -ENOSPC);
	CHECK_EQ(vas_regions(vas, NULL, 0), 7);
	CHECK_EQ(vas_region_at(vas, 14 * MIB, &region), -ENOENT);
	/* One goes and one comes in one change: there is room for that. */
	CHECK_OK(vas_region_at(vas, 0, &region));
	CHECK_OK(vas_region_resize(vas, region.id, 2 * MIB));
	CHECK_OK(vas_consumer_status(vas_kvm_consumer(kvm)));
	vas_kvm_detach(kvm);
	CHECK_EQ(slots_take_away(vm_fd), 0);
	vas_destroy(vas);
}

TEST(detach_leaves_nothing)
{
	struct vas *vas = vas_with_regions(100, 0);
	void *own = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int vm_fd = vm_create(), fds = test_count_fds(), maps = test_count_maps(), i;
	struct vas_kvm *kvm;

	for (i = 0; i < 3; i++) {
		CHECK_OK(vas_kvm_attach(vas, vm_fd, NULL, &kvm));
		CHECK_EQ(slot_set(vm_fd, 200, 0, MIB, own), -EEXIST);
		vas_kvm_detach(kvm);
	}
	CHECK_EQ(test_count_fds(), fds);
	check_maps(maps);
	CHECK_EQ(slots_take_away(vm_fd), 0);
	vas_destroy(vas);
}

TEST(attached_kvm_shows_in_info)
{
	struct vas *vas = vas_with_regions(1, 0), *other;
	int vm_fd = vm_create();
	struct vas_kvm *kvm;
	struct vas_info info;

	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_OBSERVE, &other));
	CHECK_OK(vas_kvm_attach(vas, vm_fd, NULL, &kvm));
	CHECK_OK(vas_info(other, &info));
	CHECK_STR(info.consumers, "kvm");
	vas_kvm_detach(kvm);
	CHECK_OK(vas_info(other, &info));
	CHECK_STR(info.consumers, "");
	vas_unbind(other);
	vas_destroy(vas);
}

TEST(slots_below_the_first_stay_the_vmms)
{
	struct vas *vas = vas_with_regions(4, 0);
	const struct vas_kvm_options options = { .first_slot = 10 };
	void *own = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vas_kvm *kvm;
	int vm_fd = vm_create(), i;

	CHECK_OK(vas_kvm_attach(vas, vm_fd, &options, &kvm));
	for (i = 0; i < 10; i++)
		CHECK_OK(slot_set(vm_fd, i, 1024 * MIB + i * MIB, MIB, own));
	vas_kvm_detach(kvm);
	CHECK_EQ(slots_take_away(vm_fd), 10);
	vas_destroy(vas);
}

/*
 * In one go, and as one mapping of the file, whose address large pages can be used at. A kernel
 * that is emulated takes minutes for 32,000 ioctls, so TEST_KVM_REGIONS may say fewer.
 */
TEST(thirty_two_thousand_regions_attach)
{
	const char *wanted = getenv("TEST_KVM_REGIONS");
	uint32_t nr = wanted ? strtoul(wanted, NULL, 0) : 32000;
	struct vas *vas = vas_with_regions(nr, 0);
	int vm_fd = vm_create(), maps = test_count_maps();
	struct vas_kvm *kvm;
	uint32_t i;

	CHECK_OK(vas_kvm_attach(vas, vm_fd, NULL, &kvm));
	check_maps(maps + 3);
	CHECK_EQ(kvm->nr_used, nr);
	for (i = 0; i < nr; i++)
		CHECK_EQ(((uintptr_t)kvm->slots[i].map.hva ^ kvm->slots[i].gpa) % (2 * MIB), 0);
	vas_kvm_detach(kvm);
	vas_destroy(vas);
}

/* No room for the whole file in the address space: each region gets a mapping of its own. */
TEST(a_file_too_large_to_map_is_mapped_by_region)
{
	struct vas_options options = { .limit = VAS_MAX_GPA };
	struct vas_region region = { .gpa = 1ull << 35, .size = 4 * MIB, .offset = 1ull << 35 };
	int vm_fd = vm_create(), maps;
	struct vas_kvm *kvm;
	struct vas *vas;
	uint64_t id;

	CHECK_OK(vas_create(&options, &vas));
	maps = test_count_maps();
	CHECK_OK(vas_kvm_attach(vas, vm_fd, NULL, &kvm));
	CHECK_OK(vas_region_add(vas, &region, &id));
	CHECK_EQ(kvm->slots[0].map.kind, FILE_MAP_ALONE);
	CHECK_EQ((uintptr_t)kvm->slots[0].map.hva % (2 * MIB), 0);
	CHECK_OK(vas_region_remove(vas, id));
	vas_kvm_detach(kvm);
	check_maps(maps + 3);
	vas_destroy(vas);
}

/* ---- in step with the layout --------------------------------------------------------------- */

/* Both have the same mapping of the file, and the one that stays keeps it. */
TEST(two_machines_share_one_mapping_of_the_file)
{
	struct vas *vas = vas_with_regions(4, 0);
	int first_fd = vm_create(), second_fd = vm_create(), maps;
	struct vas_kvm *first, *second;

	CHECK_OK(vas_kvm_attach(vas, first_fd, NULL, &first));
	maps = test_count_maps();
	CHECK_OK(vas_kvm_attach(vas, second_fd, NULL, &second));
	check_maps(maps);
	CHECK(first->slots[0].map.hva == second->slots[0].map.hva);
	vas_kvm_detach(first);
	CHECK_EQ(*second->slots[0].map.hva, 0);
	vas_kvm_detach(second);
	vas_destroy(vas);
}

TEST(a_devices_region_is_given_to_kvm_and_not_logged)
{
	void *bar = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vas_region region = {
		.gpa = MIB, .size = MIB, .hva = bar, .flags = VAS_REGION_LOCAL | VAS_REGION_DEVICE
	};
	struct vas *vas = vas_with_regions(1, 0);
	struct vas_tracker *dirty;
	struct vas_kvm *kvm;
	int vm_fd = vm_create();

	CHECK_OK(vas_kvm_attach(vas, vm_fd, NULL, &kvm));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_tracker_attach(vas, "test", 0, &dirty));
	CHECK(kvm->slots[0].flags & KVM_MEM_LOG_DIRTY_PAGES);
	CHECK_EQ(kvm->slots[1].gpa, MIB);
	CHECK(kvm->slots[1].map.hva == bar);
	CHECK_EQ(kvm->slots[1].flags, 0);
	vas_tracker_detach(dirty);
	vas_kvm_detach(kvm);
	vas_destroy(vas);
}

/* A region grows to where the VMM has a memslot, which shows when the old one is gone. */
TEST(what_kvm_cannot_replace_leaves_it_out_of_step_until_it_can)
{
	void *own = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct vas_kvm_options options = { .first_slot = 1 };
	struct vas_options create = { .limit = 16 * MIB };
	struct vas_region region = { .size = MIB };
	struct vas_consumer *consumer;
	struct vas_info info;
	struct vas_kvm *kvm;
	int vm_fd = vm_create();
	struct vas *vas;
	uint64_t id;

	CHECK_OK(vas_create(&create, &vas));
	CHECK_OK(vas_region_add(vas, &region, &id));
	CHECK_OK(vas_kvm_attach(vas, vm_fd, &options, &kvm));
	consumer = vas_kvm_consumer(kvm);
	CHECK_OK(slot_set(vm_fd, 0, 3 * MIB, MIB, own));
	CHECK_OK(vas_region_resize(vas, id, 4 * MIB));
	CHECK_EQ(vas_consumer_status(consumer), -EEXIST);
	CHECK_EQ(vas_consumer_retry(consumer), -EEXIST);
	CHECK_HAS(vas_error(), "KVM refuses memory of 1 regions");
	CHECK_OK(vas_info(vas, &info));
	CHECK_STR(info.consumers, "kvm!");
	CHECK_OK(slot_set(vm_fd, 0, 3 * MIB, 0, own));
	CHECK_OK(vas_consumer_retry(consumer));
	CHECK_OK(vas_consumer_status(consumer));
	CHECK_EQ(slot_set(vm_fd, 0, 3 * MIB, MIB, own), -EEXIST);
	vas_kvm_detach(kvm);
	CHECK_EQ(slots_take_away(vm_fd), 0);
	vas_destroy(vas);
}

/* ---- vCPUs that do not come out ------------------------------------------------------------ */

struct vmm {
	int pauses;
	int are_out;
	int nr_looks;
	struct vas_kvm *kvm;
};

static void vmm_pause(void *priv)
{
	((struct vmm *)priv)->pauses++;
}

/* Out at the second look, of which we tell at the first. */
static int vmm_is_paused(void *priv)
{
	struct vmm *vmm = priv;

	vmm->nr_looks++;
	if (vmm->are_out)
		vas_kvm_wake(vmm->kvm);
	return vmm->are_out && vmm->nr_looks > 1;
}

static void vmm_resume(void *priv)
{
	((struct vmm *)priv)->pauses--;
}

TEST(vcpus_that_do_not_come_out_fail_what_needs_it_and_go_on)
{
	struct vmm vmm = { 0 };
	const struct vas_kvm_options options = {
		.pause = vmm_pause, .is_paused = vmm_is_paused, .resume = vmm_resume, .priv = &vmm
	};
	struct vas *vas = vas_with_regions(2, 0);
	struct vas_blocker blocker;
	struct vas_layout *layout;
	struct vas_region region;
	int vm_fd = vm_create();

	CHECK_OK(vas_kvm_attach(vas, vm_fd, &options, &vmm.kvm));
	CHECK_EQ(vas_freeze(vas, 20000000, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker.name, "kvm");
	CHECK_EQ(vmm.pauses, 0);
	CHECK_OK(vas_region_at(vas, 0, &region));
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_resize(layout, region.id, 2 * MIB));
	CHECK_EQ(vas_layout_commit(layout, 20000000, &blocker), -EBUSY);
	CHECK_STR(blocker.name, "kvm");
	CHECK_EQ(vmm.pauses, 0);
	CHECK_OK(vas_region_at(vas, 0, &region));
	CHECK_EQ(region.size, MIB);
	vmm.are_out = 1;
	vmm.nr_looks = 0;
	CHECK_OK(vas_region_resize(vas, region.id, 2 * MIB));
	CHECK_EQ(vmm.pauses, 0);
	vmm.nr_looks = 0;
	CHECK_OK(vas_freeze(vas, VAS_TIMEOUT_DEFAULT_NS, &blocker));
	CHECK_EQ(vmm.pauses, 1);
	CHECK_OK(vas_thaw(vas));
	CHECK_EQ(vmm.pauses, 0);
	vas_kvm_detach(vmm.kvm);
	vas_destroy(vas);
}
