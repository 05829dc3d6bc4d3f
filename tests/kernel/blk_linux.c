// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A stock Linux with a disk served by vas_blk.ko: each sector is looked at on both sides. */
#include "blk_linux.h"

#include <linux/virtio_blk.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "include/uapi/linux/vas_blk.h"
#include "linux_guest.h"

static int open_disk(struct vhost_user *user)
{
	struct vas_blk_open arg = {
		.vas_fd = user->vas_fd,
		.file_fd = user->file,
		.capacity = BLK_LINUX_DISK,
		.features = user->features & VAS_BLK_FEATURES,
		.id = "vas_blk",
	};

	return ioctl(user->device, VAS_BLK_OPEN, &arg) ? -errno : 0;
}

static void fill_config(void *to)
{
	struct virtio_blk_config config = {
		.capacity = BLK_LINUX_DISK / 512,
		.seg_max = 126,
		.blk_size = 512,
		.num_queues = 2,
	};

	memcpy(to, &config, sizeof(config));
}

/* It can be written; and its configuration space has no numbers for the others. */
#define LEFT_OUT \
	(1ull << VIRTIO_BLK_F_RO | 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES)

static const struct vhost_user_device disk = {
	.path = "/dev/vas_blk",
	.features = VAS_BLK_FEATURES & ~LEFT_OUT,
	.start = VAS_BLK_START,
	.stop = VAS_BLK_STOP,
	.open = open_disk,
	.config = fill_config,
};

static int make_disk(void)
{
	static uint64_t buf[BLK_LINUX_PIECE / 8];
	int file = memfd_create("disk", MFD_CLOEXEC);

	CHECK_OK(ftruncate(file, BLK_LINUX_DISK));
	for (uint64_t at = 0; at < BLK_LINUX_DISK / 2; at += BLK_LINUX_PIECE) {
		blk_linux_fill(buf, at, 1);
		CHECK_EQ(pwrite(file, buf, BLK_LINUX_PIECE, (off_t)at), BLK_LINUX_PIECE);
	}
	return file;
}

static void check_disk(int file)
{
	static uint64_t buf[BLK_LINUX_PIECE / 8];

	for (uint64_t at = 0; at < BLK_LINUX_DISK; at += BLK_LINUX_PIECE) {
		uint64_t seed = at < BLK_LINUX_DISK / 2 ? 1 : 2;

		test_note("disk at %#llx", (unsigned long long)at);
		CHECK_EQ(pread(file, buf, BLK_LINUX_PIECE, (off_t)at), BLK_LINUX_PIECE);
		CHECK_OK(blk_linux_check(buf, at, seed));
	}
}

static void uses_disk(const char *device)
{
	const char *const args[] = { "-device", device, NULL };
	struct linux_guest guest = {
		.name = "blk",
		.verdict = BLK_LINUX_VERDICT,
		.args = args,
		.device = &disk,
	};
	struct vhost_user user = { .file = make_disk() };

	linux_guest_run(&guest, &user);
	check_disk(user.file);
	printf("# %llu and %llu requests\n", (unsigned long long)user.queues[0].nr_requests,
	       (unsigned long long)user.queues[1].nr_requests);
	/* 512 pieces read, 512 written, 512 read again, and the guest's own looks at the disk. */
	CHECK(user.queues[0].nr_requests + user.queues[1].nr_requests > 1536);
}

TEST(a_stock_linux_uses_a_disk_that_the_kernel_serves)
{
	uses_disk("vhost-user-blk-pci,chardev=device,num-queues=2");
}

TEST(a_stock_linux_uses_such_a_disk_by_packed_rings)
{
	uses_disk("vhost-user-blk-pci,chardev=device,num-queues=2,packed=on");
}
